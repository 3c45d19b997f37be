package pipeline

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// changeNotes writes the blocks that have changed to the overlay. It may be called again before the commit.
func (w *Worker) changeNotes() {
	n := &w.notes
	for _, p := range n.pages {
		if p.stored {
			w.overlay.Delete(w.pages.pageKey(state.FamilyNotes, p.number))
		}
	}
	for _, b := range n.blocks {
		if !b.dirty {
			continue
		}
		value, waits := n.value(b, w.pages.scratch[:0])
		w.pages.scratch = value
		if waits {
			w.overlay.Put(w.pages.pageKey(state.FamilyNotes, b.number), value)
		} else if b.stored {
			w.overlay.Delete(w.pages.pageKey(state.FamilyNotes, b.number))
		}
	}
}

// notesStored notes that the store has the blocks as they are.
func (n *notes) notesStored() {
	for _, b := range n.blocks {
		if b.dirty {
			b.dirty = false
			b.stored = slices.ContainsFunc(b.notes, func(nt note) bool { return nt.kind != 0 })
		}
	}
	for i := range n.pages {
		n.pages[i].stored = false
	}
}

// value appends the encoded block to dst: its place in the order and latest clock; the kinds, each with topic, partition and the rules' hashes;
// the hosts, as hashes of their names; then each note as its kind, its host, the differences of offset and time to the one before, and
// the hashes of its candidates. waits is false where nothing is left of it.
func (n *notes) value(b *noteBlock, dst []byte) (value []byte, waits bool) {
	n.stamp++
	n.places = slices.Grow(n.places[:0], len(n.hosts))[:len(n.hosts)]
	var kinds, hosts uint64
	var kindBytes, hostBytes []byte
	for i := range b.notes {
		nt := &b.notes[i]
		if nt.kind == 0 {
			continue
		}
		if k := &n.kinds[nt.kind]; k.stamp != n.stamp {
			k.stamp, k.index = n.stamp, kinds
			kinds++
			kindBytes = k.append(kindBytes)
		}
		if p := &n.places[nt.host]; p.stamp != n.stamp {
			p.stamp, p.index = n.stamp, hosts
			hosts++
			hostBytes = binary.BigEndian.AppendUint64(hostBytes, hostHash(n.hosts[nt.host].name))
		}
	}
	dst = binary.AppendUvarint(state.AppendVersion(dst), b.seq)
	dst = binary.AppendVarint(dst, b.clock)
	dst = append(binary.AppendUvarint(dst, kinds), kindBytes...)
	dst = append(binary.AppendUvarint(dst, hosts), hostBytes...)
	var offset, at int64
	for i := range b.notes {
		nt := &b.notes[i]
		if nt.kind == 0 {
			continue
		}
		dst = binary.AppendUvarint(dst, n.kinds[nt.kind].index)
		dst = binary.AppendUvarint(dst, n.places[nt.host].index)
		dst = binary.AppendVarint(dst, nt.offset-offset)
		dst = binary.AppendVarint(dst, nt.at-at)
		offset, at = nt.offset, nt.at
		own := b.hashesOf(i)
		dst = binary.AppendUvarint(dst, uint64(len(own)))
		for _, hash := range own {
			dst = binary.BigEndian.AppendUint32(dst, hash)
		}
	}
	return dst, kinds > 0
}

// hashesOf returns the hashes of a note's candidates.
func (b *noteBlock) hashesOf(i int) []uint32 {
	end := len(b.hashes)
	if i+1 < len(b.notes) {
		end = int(b.notes[i+1].hashes)
	}
	return b.hashes[b.notes[i].hashes:end]
}

func (k *noteKind) append(dst []byte) []byte {
	dst = binary.AppendVarint(appendName(dst, k.topic), int64(k.partition))
	dst = binary.AppendUvarint(dst, uint64(len(k.hashes)))
	for _, hash := range k.hashes {
		dst = binary.BigEndian.AppendUint64(dst, hash)
	}
	return dst
}

// hostHash stands for a host in a page.
func hostHash(name string) uint64 { return xxhash.Sum64String(name) }

// loadNotes reads the blocks of notes, after the hosts. What the watermark of its host has passed, or no rule wants any more, isn't taken in,
// and is taken out of the state with the next commit.
func (w *Worker) loadNotes() error {
	var byHash map[uint64]*host
	err := w.part.Scan([]byte{byte(state.FamilyNotes)}, func(key, value []byte) error {
		number, err := state.ParsePageKey(state.FamilyNotes, key)
		if err != nil {
			return err
		}
		if number > maxPage {
			return fmt.Errorf("page %d: %w", number, state.ErrCorrupt)
		}
		if byHash == nil {
			byHash = map[uint64]*host{}
			for h := range w.hosts.all() {
				byHash[hostHash(h.name)] = h
			}
		}
		b := w.notes.emptyBlock()
		b.number, b.stored = number, true
		w.notes.next = max(w.notes.next, number+1)
		if err := w.loadBlock(b, value, byHash); err != nil {
			return err
		}
		w.notes.blocks = append(w.notes.blocks, b)
		w.notes.len += len(b.notes)
		w.notes.hashes += len(b.hashes)
		return nil
	})
	n := &w.notes
	slices.SortFunc(n.blocks, func(a, b *noteBlock) int { return cmp.Compare(a.seq, b.seq) })
	taken := make([]bool, n.next)
	for _, b := range n.blocks {
		n.seq = max(n.seq, b.seq+1)
		taken[b.number] = true
	}
	for number, is := range taken {
		if !is {
			n.pages = append(n.pages, notePage{number: uint32(number)})
		}
	}
	return err
}

// loadBlock decodes a block.
func (w *Worker) loadBlock(b *noteBlock, value []byte, byHash map[uint64]*host) error {
	r := readValue(value)
	b.seq, b.clock = r.unsigned(), r.varint()
	kinds := make([]uint16, r.count(3))
	for i := range kinds {
		var whole bool
		if kinds[i], whole = w.noteKind(r); !whole { // what isn't wanted now must not be wanted later
			b.dirty = true
		}
	}
	hosts := make([]*host, r.count(8))
	for i := range hosts {
		hosts[i] = byHash[r.hash()]
	}
	var offset, at int64
	for r.err == nil && len(r.rest) > 0 {
		kind, from := r.unsigned(), r.unsigned()
		offset += r.varint()
		at += r.varint()
		hashes := r.hashes()
		if kind >= uint64(len(kinds)) || from >= uint64(len(hosts)) || len(b.notes) >= notesPerBlock || len(b.hashes)+len(hashes) > hashesPerBlock {
			r.fail()
		}
		if r.err != nil {
			break
		}
		h := hosts[from]
		if h == nil || at <= h.mark || kinds[kind] == 0 {
			if h != nil && w.waitsFor(h, at) { // as swapNotes counts it
				w.counts.buffersDiscarded++
			}
			b.dirty = true
			continue
		}
		b.restore(note{at: at, offset: offset, host: w.notes.number(h), kind: kinds[kind], hashes: uint16(len(b.hashes))}, hashes)
		h.noted = max(h.noted, at)
	}
	return r.err
}

// restore puts a note into the block as it was stored.
func (b *noteBlock) restore(nt note, hashes []uint32) {
	b.notes = append(b.notes, nt)
	b.newest = max(b.newest, nt.at)
	for _, hash := range hashes {
		b.addHash(hash)
	}
}

// noteKind reads a kind: 0 where none of its rules is there any more. whole is false where one is missing.
func (w *Worker) noteKind(r *valueReader) (kind uint16, whole bool) {
	topic, partition := r.name(), int32(r.varint())
	var set []*rules.Compiled
	whole = true
	for n := r.count(8); n > 0; n-- {
		c := w.byHash[r.hash()]
		if c == nil || w.cfg.shares(c) {
			whole = false
			continue
		}
		set = append(set, c)
	}
	return w.notes.intern(topic, partition, set), whole
}

// intern returns the kind of rules, 0 where there are none, or too many kinds.
func (n *notes) intern(topic string, partition int32, set []*rules.Compiled) uint16 {
	if len(set) == 0 {
		return 0
	}
	cands := make([]candidate, len(set))
	for i, c := range set {
		cands[i].rule = c
	}
	slices.SortFunc(cands, func(a, b candidate) int { return cmp.Compare(a.rule.Number, b.rule.Number) })
	kind, ok := n.kindOf(topic, partition, cands)
	if !ok { // what is kept already must not be lost because no more kinds are made
		kind = uint16(slices.IndexFunc(n.kinds[1:], func(k noteKind) bool { return k.of(topic, partition, cands) }) + 1)
	}
	return kind
}

// hashes reads the hashes of a note's candidates.
func (r *valueReader) hashes() []uint32 {
	hashes := make([]uint32, r.count(4))
	for i := range hashes {
		hashes[i] = binary.BigEndian.Uint32(r.rest)
		r.rest = r.rest[4:]
	}
	return hashes
}

// swapNotes gives the notes to the rules of the new set.
func (w *Worker) swapNotes(next map[uint64]*rules.Compiled) {
	n := &w.notes
	old := n.kinds
	n.kinds, n.recent = make([]noteKind, 1, len(old)), [len(n.recent)]uint16{}
	kinds := make([]uint16, len(old))
	whole := make([]bool, len(old))
	for i := 1; i < len(old); i++ {
		var left []*rules.Compiled
		for _, hash := range old[i].hashes {
			if c := next[hash]; c != nil {
				left = append(left, c)
			}
		}
		kinds[i], whole[i] = n.intern(old[i].topic, old[i].partition, left), len(left) == len(old[i].hashes)
	}
	for _, h := range n.hosts[1:] {
		if h != nil {
			h.noted = math.MinInt64
		}
	}
	for _, b := range n.blocks {
		for i := range b.notes {
			nt := &b.notes[i]
			if nt.kind == 0 {
				continue
			}
			if !whole[nt.kind] { // a rule that comes back must not find the event waiting for it
				b.dirty = true
			}
			waits := w.waitsNoted(nt)
			if nt.kind = kinds[nt.kind]; nt.kind == 0 {
				if waits {
					w.counts.buffersDiscarded++
				}
			} else if h := n.hosts[nt.host]; h != nil {
				h.noted = max(h.noted, nt.at)
			}
		}
	}
	for _, h := range n.hosts[1:] {
		if h != nil {
			w.recount(h)
		}
	}
}
