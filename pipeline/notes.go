package pipeline

import (
	"math"
	"math/bits"
	"slices"

	"github.com/cespare/xxhash/v2"

	"github.com/weir-eql/weir/rules"
)

// A note is all that is kept of an event that waits and can't change anything by itself: what it hits goes on with sequences that
// others begin, and none has begun under its join keys. Only an event that comes behind it in the log and happened before it can make
// it matter; its record is read again then. Most events that wait are of this kind, and nothing in a note is a pointer.
type note struct {
	at     int64 // event time in milliseconds
	offset int64
	host   uint32 // number of its host
	kind   uint16 // in notes.kinds; 0: it has become an event of the buffer, or its host has begun anew
	hashes uint16 // where its candidates begin in those of the block; they end where those of the next note begin
}

// noteBlock is a page of notes, in the order in which they came.
type noteBlock struct {
	number uint32 // of its page in the state
	seq    uint64 // of the block among all of the partition: their order
	clock  int64  // latest record clock at which one of them came
	newest int64  // latest time of one of them
	notes  []note
	hashes []uint32 // of the candidates of all of them
	filter [filterWords]uint64
	stored bool // the store has a record of it
	dirty  bool
}

const (
	notesPerBlock  = 512
	hashesPerBlock = notesPerBlock * candsPerNote
	filterWords    = 256
	// maxNoteKinds is the number of kinds above which events wait as they did before: rules make a few hundred.
	maxNoteKinds = 1024
)

// noteKind is what many notes have in common: where they come from, and the rules that wait for them.
type noteKind struct {
	topic     string
	partition int32
	rules     []*rules.Compiled // neighbours in the order of their numbers
	hashes    []uint64          // of the rules
	stamp     uint64            // the page in which it stands already
	index     uint64            // its place there
}

// notes are those of a partition: blocks in the order of the log, which leave all at once, the oldest first.
type notes struct {
	blocks []*noteBlock
	free   []*noteBlock // whose memory is used again
	kinds  []noteKind   // by number; that of 0 is none
	recent [1 << 12]uint16
	hosts  []*host // by number; that of 0 is nil
	unused []uint32
	pages  []notePage // that no block has
	next   uint32     // page that none has had
	seq    uint64     // of the next block
	len    int
	hashes int      // of the candidates of all of them
	stamp  uint64   // of the page that is written
	places []placed // by number of host, while a page is written
}

// placed is where a host stands in the page that is written.
type placed struct{ stamp, index uint64 }

// notePage is a page of the state that may be used again.
type notePage struct {
	number uint32
	stored bool
}

func newNotes() notes { return notes{kinds: make([]noteKind, 1), hosts: make([]*host, 1)} }

// noteHash is by what the notes of a rule and join key are found. It is stored, and so the same in each process.
func noteHash(rule uint64, join []byte) uint32 {
	h := (xxhash.Sum64(join) ^ rule) * 0x9E3779B97F4A7C15
	return uint32(h >> 32)
}

// kindOf returns the kind of candidates; ok is false where there are too many kinds.
func (n *notes) kindOf(topic string, partition int32, cands []candidate) (kind uint16, ok bool) {
	hash := uint32(len(cands)) + uint32(len(topic))*7 + uint32(partition)
	for i := range cands {
		hash = hash*31 + uint32(cands[i].rule.Number)
	}
	last := &n.recent[(hash^hash>>12)%uint32(len(n.recent))]
	if *last != 0 && n.kinds[*last].of(topic, partition, cands) {
		return *last, true
	}
	if len(n.kinds) > maxNoteKinds {
		return 0, false
	}
	i := slices.IndexFunc(n.kinds[1:], func(k noteKind) bool { return k.of(topic, partition, cands) }) + 1
	if i == 0 {
		i = len(n.kinds)
		n.kinds = append(n.kinds, newNoteKind(topic, partition, cands))
	}
	*last = uint16(i)
	return *last, true
}

func newNoteKind(topic string, partition int32, cands []candidate) noteKind {
	k := noteKind{topic: topic, partition: partition}
	for i := range cands {
		if i == 0 || cands[i].rule != cands[i-1].rule { // those of one rule are neighbours
			k.rules = append(k.rules, cands[i].rule)
			k.hashes = append(k.hashes, ruleHash(cands[i].rule))
		}
	}
	return k
}

// from reports whether the notes of both kinds are of one partition of a topic.
func (k *noteKind) from(l *noteKind) bool { return k.partition == l.partition && k.topic == l.topic }

// of reports whether the kind is that of candidates.
func (k *noteKind) of(topic string, partition int32, cands []candidate) bool {
	if k.partition != partition || k.topic != topic {
		return false
	}
	n := 0
	for i := range cands {
		if i > 0 && cands[i].rule == cands[i-1].rule {
			continue
		}
		if n == len(k.rules) || k.rules[n] != cands[i].rule {
			return false
		}
		n++
	}
	return n == len(k.rules)
}

// block returns the block that takes a note with so many candidates.
func (n *notes) block(cands int) *noteBlock {
	if last := len(n.blocks) - 1; last >= 0 {
		b := n.blocks[last]
		if len(b.notes) < notesPerBlock && len(b.hashes)+cands <= hashesPerBlock {
			return b
		}
	}
	b := n.emptyBlock()
	if p := len(n.pages); p > 0 {
		b.number, b.stored = n.pages[p-1].number, n.pages[p-1].stored
		n.pages = n.pages[:p-1]
	} else {
		b.number = n.next
		n.next++
	}
	b.seq = n.seq
	n.seq++
	n.blocks = append(n.blocks, b)
	return b
}

func (n *notes) emptyBlock() *noteBlock {
	if f := len(n.free); f > 0 {
		b := n.free[f-1]
		n.free = n.free[:f-1]
		*b = noteBlock{notes: b.notes[:0], hashes: b.hashes[:0], newest: minMark, clock: minMark}
		return b
	}
	return &noteBlock{notes: make([]note, 0, notesPerBlock), newest: minMark, clock: minMark}
}

// removeFirst takes out the oldest block.
func (n *notes) removeFirst() {
	b := n.blocks[0]
	n.blocks = slices.Delete(n.blocks, 0, 1)
	n.len -= len(b.notes)
	n.hashes -= len(b.hashes)
	n.pages = append(n.pages, notePage{b.number, b.stored})
	if len(n.free) < max(4, len(n.blocks)/4) {
		n.free = append(n.free, b)
	}
}

// add puts a note into the block.
func (b *noteBlock) add(nt note, clock int64) {
	b.notes = append(b.notes, nt)
	b.newest, b.clock = max(b.newest, nt.at), max(b.clock, clock)
	b.dirty = true
}

func (b *noteBlock) addHash(hash uint32) {
	b.hashes = append(b.hashes, hash)
	b.filter[hash/64%filterWords] |= 1 << (hash % 64)
}

// find calls f with each note that has a candidate of a hash.
func (b *noteBlock) find(hash uint32, f func(i int)) {
	if b.filter[hash/64%filterWords]&(1<<(hash%64)) == 0 {
		return
	}
	i := 0
	for at, h := range b.hashes {
		if h != hash {
			continue
		}
		for i+1 < len(b.notes) && int(b.notes[i+1].hashes) <= at {
			i++
		}
		if b.notes[i].kind != 0 {
			f(i)
		}
	}
}

// number returns the number of a host, given where it has none.
func (n *notes) number(h *host) uint32 {
	if h.number != 0 {
		return h.number
	}
	if u := len(n.unused); u > 0 {
		h.number, n.unused = n.unused[u-1], n.unused[:u-1]
		n.hosts[h.number] = h
	} else {
		h.number = uint32(len(n.hosts))
		n.hosts = append(n.hosts, h)
	}
	return h.number
}

// forget takes out what there is of the hosts whose numbers were given back.
func (n *notes) forget(numbers []uint32) {
	for _, number := range numbers {
		n.hosts[number] = nil
	}
	n.kill(minMark, func(nt *note) bool { return n.hosts[nt.host] == nil })
	n.unused = append(n.unused, numbers...)
}

// kill takes out those of the notes behind a time that gone tells.
func (n *notes) kill(behind int64, gone func(*note) bool) {
	for _, b := range n.blocks {
		if b.newest <= behind {
			continue
		}
		for i := range b.notes {
			if nt := &b.notes[i]; nt.kind != 0 && gone(nt) {
				nt.kind, b.dirty = 0, true
			}
		}
	}
}

// liveCounts count, by hash, what sequences have begun under a rule and join key: partials, and events that wait and may begin one. Two of
// one hash are taken for one, so that none may be there where the count isn't zero, but never the other way round.
type liveCounts struct {
	byRule []int32 // by rule number: nearly always enough to tell that there is nothing
	counts []uint8 // a byte each, of which there are eight to sixteen for what is live when they are made; see fullCount
	len    int
	full   int // how many counts are full
	grown  int // how many were when these were made
}

const (
	leastLive = 1 << 12
	mostLive  = 1 << 22
	// fullCount stays: how many there are beyond it isn't known, so neither is when all of them are gone.
	fullCount = math.MaxUint8
)

func newLiveCounts(rules, expected int) liveCounts {
	size := min(max(leastLive, 1<<bits.Len(uint(8*expected))), mostLive)
	return liveCounts{byRule: make([]int32, rules), counts: make([]uint8, size)}
}

func (l *liveCounts) add(rule int, hash uint32) {
	if rule < len(l.byRule) { // else the rules are being swapped, and all is counted anew
		l.byRule[rule]++
	}
	l.len++
	if c := &l.counts[hash&uint32(len(l.counts)-1)]; *c < fullCount {
		if *c++; *c == fullCount {
			l.full++
		}
	}
}

func (l *liveCounts) remove(rule int, hash uint32) {
	if rule < len(l.byRule) {
		l.byRule[rule]--
	}
	l.len--
	if c := &l.counts[hash&uint32(len(l.counts)-1)]; *c < fullCount {
		*c--
	}
}

func (l *liveCounts) any(rule int, hash uint32) bool {
	return l.byRule[rule] != 0 && l.counts[hash&uint32(len(l.counts)-1)] != 0
}

// crowded reports whether the counts should be made anew: with more room, or because many have become full, perhaps long ago.
func (l *liveCounts) crowded() bool {
	return l.len > len(l.counts)/4 && len(l.counts) < mostLive || l.full > 2*l.grown+len(l.counts)/16
}
