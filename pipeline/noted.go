package pipeline

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"github.com/weir-eql/weir/pipeline/sequence"
)

// Input reads records of the input again.
type Input interface {
	// Read calls take with the records of a span that the input still has, in their order, in one or more calls. What take is
	// given is valid during the call. Read waits for a broker that doesn't answer; an error ends the batch, which must not be committed.
	Read(span Span, take func([]Record)) error
}

const (
	// candsPerNote is the number of candidates above which an event waits whole: a list of values in a join key makes one for each.
	candsPerNote = 64
	// notesPerBuffered and hashesPerBuffered are how many notes, and candidates of all of them, there may be for each event that the buffer may hold: 28 and 4 bytes
	// each, where an event has its document.
	notesPerBuffered  = 4
	hashesPerBuffered = 16
	// firstEager is the number of records for which a rule's events are kept whole once a note of it had to be read again; each time that
	// happens it is twice as many, up to lastEager.
	firstEager = 100_000
	lastEager  = 100_000_000
	// crossedFor is the number of records for which all events of a rule wait whole after one with several join keys for it.
	crossedFor = 1_000_000
	// readGap is how far apart in the log two notes may lie that are read again at once.
	readGap = 1_000
)

// eager is until when the events of a rule are kept whole.
type eager struct{ until, span uint64 }

// noted puts an event that can't change anything by itself on the list of notes, and reports whether it is of that kind.
func (w *Worker) noted(ref *sequence.Ref, cands []candidate, h *host) bool {
	n := &w.notes
	if w.cfg.Input == nil || n.full(w.cfg.Limits.Buffered) || len(cands) > candsPerNote || w.wholeUntil > w.seen {
		return false
	}
	for i := range cands {
		c := &cands[i]
		if w.live.any(c.rule.Number, c.hash) || w.machines[c.rule.Number].Begins(c.hits) || w.eager[c.rule.Number].until > w.seen {
			return false
		}
	}
	kind, ok := n.kindOf(ref.Topic, ref.Partition, cands)
	if !ok {
		return false
	}
	block := n.block(len(cands))
	block.add(note{at: ref.Time, offset: ref.Offset, host: n.number(h), kind: kind, hashes: uint16(len(block.hashes))}, max(w.clock.now, w.recordTime))
	for i := range cands {
		block.addHash(cands[i].hash)
	}
	n.len++
	n.hashes += len(cands)
	h.noted = max(h.noted, ref.Time)
	w.recount(h)
	w.touch(h)
	return true
}

// full reports whether there are as many notes as there may be beside so many events that wait whole.
func (n *notes) full(buffered int) bool {
	return n.len/notesPerBuffered >= buffered || n.hashes/hashesPerBuffered >= buffered
}

// noteCrossing notes that an event has several join keys for one rule, so that they may be those of other hosts too (a list in host.id): what is fed
// before what then depends on the watermarks of several hosts, and all events of the rule wait whole for a while.
func (w *Worker) noteCrossing(cands []candidate) {
	for i := 1; i < len(cands); i++ {
		if c := &cands[i]; c.rule == cands[i-1].rule {
			e := &w.eager[c.rule.Number]
			e.until = max(e.until, w.seen+crossedFor)
		}
	}
}

// noteRef names a note.
type noteRef struct {
	block *noteBlock
	i     int
}

// wakeNotes reads the notes again that an event of a host may make matter: those of the rules and join keys of what it may begin, from its time on;
// of other hosts, whose watermarks are others, all of them: what was before it may be fed after it.
func (w *Worker) wakeNotes(b *buffered, h *host) {
	n := &w.notes
	if n.len == 0 {
		return
	}
	w.woken = w.woken[:0]
	for i := range b.cands {
		c := &b.cands[i]
		if !w.machines[c.rule.Number].Begins(c.hits) {
			continue
		}
		found := len(w.woken)
		for _, block := range n.blocks {
			block.find(c.hash, func(i int) {
				if nt := &block.notes[i]; (nt.at >= b.ref.Time || nt.host != h.number) && w.waitsNoted(nt) {
					w.woken = append(w.woken, noteRef{block, i})
				}
			})
		}
		if len(w.woken) > found {
			e := &w.eager[c.rule.Number]
			e.span = min(max(firstEager, 2*e.span), lastEager)
			e.until = max(e.until, w.seen+e.span)
		}
	}
	if len(w.woken) > 0 {
		w.readNoted()
	}
}

// waitsNoted reports whether the watermark of a note's host hasn't reached it.
func (w *Worker) waitsNoted(nt *note) bool {
	h := w.notes.hosts[nt.host]
	return nt.kind != 0 && h != nil && w.waitsFor(h, nt.at)
}

// waitsFor reports whether what happened on a host at a time waits for its watermark.
func (w *Worker) waitsFor(h *host, at int64) bool {
	return at > max(h.mark, h.newest+(w.clock.now-h.clockAt)-w.lateness-1)
}

// readNoted makes the notes of w.woken waiting events again.
func (w *Worker) readNoted() {
	slices.SortFunc(w.woken, func(a, b noteRef) int {
		k, l := w.kindOfNote(a), w.kindOfNote(b)
		return cmp.Or(cmp.Compare(k.topic, l.topic), cmp.Compare(k.partition, l.partition), cmp.Compare(a.offset(), b.offset()))
	})
	woken := slices.Compact(w.woken)
	for len(woken) > 0 && w.err == nil { // each span waits for an input that is gone
		k := w.kindOfNote(woken[0])
		end := 1
		for end < len(woken) && w.kindOfNote(woken[end]).from(k) && woken[end].offset()-woken[end-1].offset() <= readGap {
			end++
		}
		w.readSpan(woken[:end])
		woken = woken[end:]
	}
}

func (w *Worker) kindOfNote(r noteRef) *noteKind { return &w.notes.kinds[r.block.notes[r.i].kind] }

func (r noteRef) offset() int64 { return r.block.notes[r.i].offset }

// readSpan reads neighbouring notes again.
func (w *Worker) readSpan(woken []noteRef) {
	k := w.kindOfNote(woken[0])
	span := Span{Topic: k.topic, Partition: k.partition, From: woken[0].offset(), To: woken[len(woken)-1].offset() + 1}
	left := woken
	err := w.cfg.Input.Read(span, func(records []Record) {
		for i := range records {
			for len(left) > 0 && left[0].offset() < records[i].Offset {
				w.restoreNoted(left[0], nil)
				left = left[1:]
			}
			if len(left) > 0 && left[0].offset() == records[i].Offset {
				w.restoreNoted(left[0], records[i].Value)
				left = left[1:]
			}
		}
	})
	if err != nil {
		w.fail(fmt.Errorf("read events again from %s/%d, offsets %d to %d: %w", span.Topic, span.Partition, span.From, span.To-1, err))
		return
	}
	for _, r := range left {
		w.restoreNoted(r, nil)
	}
}

// restoreNoted puts the event of a note into the buffer. raw is nil where its record is gone.
func (w *Worker) restoreNoted(r noteRef, raw []byte) {
	nt := &r.block.notes[r.i]
	k := w.kindOfNote(r)
	b := w.newBuffered()
	b.ref.Topic, b.ref.Partition, b.ref.Offset, b.ref.Time = k.topic, k.partition, nt.offset, nt.at
	e := waiting{event: b, rules: k.hashes}
	nt.kind, r.block.dirty = 0, true
	w.counts.reread++
	if raw == nil || !w.restore(e, raw, false) {
		w.lose(e)
	}
}

// dropNotes takes out the oldest blocks as far as no note of them waits.
func (w *Worker) dropNotes() {
	n := &w.notes
	for len(n.blocks) > 0 {
		b := n.blocks[0]
		if w.clock.now <= b.clock+w.lateness {
			return
		}
		waiting := slices.ContainsFunc(b.notes, func(nt note) bool { return w.waitsNoted(&nt) })
		if waiting && w.clock.now <= b.clock+4*w.lateness {
			return
		}
		if waiting { // of a host whose own time hardly moves: it must not hold up the others
			w.wholeUntil = max(w.wholeUntil, w.seen+firstEager)
			w.woken = w.woken[:0]
			for i := range b.notes {
				if w.waitsNoted(&b.notes[i]) {
					w.woken = append(w.woken, noteRef{b, i})
				}
			}
			if w.readNoted(); w.err != nil {
				return
			}
		}
		n.removeFirst()
	}
}

// begunAnew takes out the notes of a host whose watermark has begun anew behind them.
func (w *Worker) begunAnew(h *host) {
	if h.noted <= h.mark { // they stay, in blocks that wait for other hosts, and the watermark may begin anew once more
		return
	}
	w.notes.kill(h.mark, func(nt *note) bool { return nt.host == h.number })
	h.noted = math.MinInt64
}

// countLive makes the counts of what has begun anew.
func (w *Worker) countLive() {
	w.live = newLiveCounts(len(w.machines), w.live.len)
	for p := range w.partials.byAge() {
		c := w.partials.ruleOf(p)
		w.live.add(c.Number, noteHash(ruleHash(c), bytesOf(p.join())))
	}
	for h := range w.hosts.all() {
		for q := range h.buffer.All() {
			w.countBeginnings(q.event)
		}
	}
	w.live.grown = w.live.full
}

// countBeginnings counts what a waiting event may begin.
func (w *Worker) countBeginnings(b *buffered) {
	for i := range b.cands {
		if c := &b.cands[i]; w.machines[c.rule.Number].Begins(c.hits) {
			w.live.add(c.rule.Number, c.hash)
		}
	}
}

// uncountBeginnings counts them no more.
func (w *Worker) uncountBeginnings(b *buffered) {
	for i := range b.cands {
		if c := &b.cands[i]; w.machines[c.rule.Number].Begins(c.hits) {
			w.live.remove(c.rule.Number, c.hash)
		}
	}
}

// countPartial counts a partial that is there now.
func (w *Worker) countPartial(p *partial) {
	c := w.partials.ruleOf(p)
	w.live.add(c.Number, noteHash(ruleHash(c), bytesOf(p.join())))
}

// uncountPartial counts one that is gone no more.
func (w *Worker) uncountPartial(p *partial) {
	c := w.partials.ruleOf(p)
	w.live.remove(c.Number, noteHash(ruleHash(c), bytesOf(p.join())))
}
