package event

import (
	"bytes"
	"math/bits"
	"slices"
)

// Documents of one producer have the same keys in the same order, so what stands between two of their values, such as
//
//	","type":"endpoint"},"process":{"pid":
//
// is the same bytes over and over: a step. Where the bytes behind a value are those of a step that was met there before, its grammar needn't be read
// nor its keys be looked up again: the same bytes from the same place lead to the same place. A few compared words take the place of
// all that. What isn't known is read by walk, which adds it to what is known.
//
// A step is known by its bytes and the place that they lead to. Those that were met behind it are all that is remembered, not how it was come to, so that
// arrays of any length and optional keys need no more steps than they have places.

// step is what the fast path reads of one: a cache line.
type step struct {
	head, tail uint64   // the first and the last eight bytes; of fewer all, shifted to the top
	text       *byte    // all of it
	slot       Slot     // of the value that follows; NoSlot where it isn't kept
	size       uint16   // in bytes
	pad        uint8    // how far head and tail are shifted
	typ        Type     // of the slot
	quoted     bool     // it ends with the quote that begins a string; else a number or literal follows
	closers    uint8    // how many brackets end the document behind the value, where all are of objects and they are no more than eight; else 0
	next       [6]int32 // the steps that were met behind it, the frequent first; 0 for none
}

// place is where the value behind a step is.
type place struct {
	node   *node   // where the value goes, nil where nothing in it is projected
	at     *node   // the container that it is in
	object bool    // the container is an object
	frames []frame // the containers above
	text   []byte  // the step's
	chain  int32   // the next step of the same hash
}

// What steps may take: there are a hundred or so in a shape of documents.
const (
	maxSteps  = 4096
	maxStep   = 256 // bytes
	maxFrames = 24  // containers above
	stepBits  = 10  // of the number of a hash's bucket
	maxChain  = 16  // how many steps of one bucket are looked at
	scramble  = 0x9E3779B97F4A7C15
)

// documentEnd stands for the step behind the last value of a document.
const documentEnd = -2

// steps are those that a decoder knows. The first stands for the beginning of a document.
type steps struct {
	known  []step
	places []place
	heads  [1 << stepBits]int32

	on   bool  // steps are followed and learnt
	last int32 // the step behind whose value the document is read, -1 for an unknown one
	from int   // where that value ended; -1 where what follows can't be a step

	hits, misses int // of the document at hand: values behind known steps and others
	score        int // of the last documents
	pause        int // for how many more documents nothing is predicted
	longer       int // how long the next pause is
}

// stepping are the ways to read a document: with steps or without. Their sizes differ, by which walk tells them apart.
type (
	stepping interface{ followed | plain }
	followed struct{ _ byte }
	plain    struct{}
)

// Prediction that doesn't pay, since keys come in any order, is left alone for some documents, for more of them each time. A miss costs about as much as three hits save.
const (
	missCost = 3
	leastSum = -2000
	mostSum  = 20000
	minPause = 64
	maxPause = 1 << 14
)

func (p *steps) init(root *node) {
	p.known = append(p.known[:0], step{slot: NoSlot})
	p.places = append(p.places[:0], place{at: root, object: true})
	p.heads = [1 << stepBits]int32{}
}

// begin decides whether steps are followed in the next document.
func (p *steps) begin() {
	p.hits, p.misses, p.last = 0, 0, 0
	if p.on = p.pause == 0; !p.on {
		p.pause--
	}
}

// end judges a document.
func (p *steps) end(root *node) {
	if !p.on {
		return
	}
	p.score = min(p.score+p.hits-missCost*p.misses, mostSum)
	switch {
	case p.score >= mostSum/2:
		p.longer = 0
	case p.score < leastSum:
		p.longer = min(max(2*p.longer, minPause), maxPause)
		p.pause, p.score = p.longer, 0
		if len(p.known) == maxSteps {
			p.init(root)
		}
	}
}

// follow reads on from i, where the value behind step s has ended, for as long as the document is as known. It returns where it ended, which is behind the
// value of the step that it returns, too; with documentEnd where the document ends behind that, and -1 where it is malformed.
//
// What is done for most values is written out in its loop: around a call all that the loop holds in registers would be saved.
//
//nolint:gocognit // one loop, as walk is
func (d *Decoder) follow(i int, s int32) (int, int32) {
	doc, stops, known := d.doc, d.marks.stops, d.steps.known
	limit := len(doc) - 8 // near the end of the document nothing is compared: eight bytes can't be read there
	for {
		next := stepAt(known, s).next[0]
		t := stepAt(known, next)
		end := i + int(t.size)
		if end > limit || load(doc, i)<<(t.pad&63) != t.head || t.size > 8 && (load(doc, end-8) != t.tail || t.size > 16 && !t.middle(doc, i)) ||
			!t.quoted && !beginsScalar(byteAt(doc, end)) { // as stands says
			if n := int(stepAt(known, s).closers); n == len(doc)-i && closes(doc, n) {
				return len(doc), documentEnd
			}
			if next = d.steps.other(doc, i, limit, s); next == 0 {
				return i, s
			}
			t = stepAt(known, next)
			end = i + int(t.size)
		}
		s, i = next, end
		d.steps.hits++
		if !t.quoted {
			if byteAt(doc, i)-'0' <= 9 {
				i = d.number(i, t.slot, t.typ)
			} else {
				i = d.scalar(i, t.slot, t.typ)
			}
			if i < 0 {
				return i, s
			}
			continue
		}
		w := window(stops, i)
		end = i + bits.TrailingZeros64(w)
		if w == 0 || byteAt(doc, end) != '"' {
			if end = d.oddText(i, t.slot, t.typ); end < 0 {
				return end, s
			}
		} else if t.slot >= 0 {
			if t.typ > Keyword {
				d.text(t.slot, t.typ, text(doc, i, end))
			} else if to := d.ev.next(t.slot); to != nil {
				setText(to, text(doc, i, end))
			} else {
				d.ev.addAnother(t.slot, StringValue(text(doc, i, end)))
			}
		}
		i = end + 1
	}
}

// closes reports whether a document ends with n closing brackets of objects, where n is 1 to 8. It says no where n is 0, and to documents of less than eight
// bytes.
func closes(doc []byte, n int) bool {
	return n > 0 && len(doc) >= 8 && (load(doc, len(doc)-8)^ones*'}')>>((64-8*n)&63) == 0
}

// stands reports whether the step stands at i, where a value has ended, and a value follows it.
func (t *step) stands(doc []byte, i, limit int) bool {
	end := i + int(t.size)
	return end <= limit && load(doc, i)<<(t.pad&63) == t.head && (t.size <= 8 || load(doc, end-8) == t.tail) &&
		(t.size <= 16 || t.middle(doc, i)) && (t.quoted || beginsScalar(byteAt(doc, end)))
}

// middle compares what lies between the first and the last eight bytes.
func (t *step) middle(doc []byte, i int) bool {
	for at := 8; at < int(t.size)-8; at += 8 {
		if load(doc, i+at) != loadAt(t.text, at) {
			return false
		}
	}
	return true
}

// other returns the step that stands at i, of those that were met behind step s second and later; 0 where there is none. It will be found earlier next time.
func (p *steps) other(doc []byte, i, limit int, s int32) int32 {
	next := &p.known[s].next
	for k := 1; k < len(next) && next[k] != 0; k++ {
		if p.known[next[k]].stands(doc, i, limit) {
			next[k], next[k-1] = next[k-1], next[k]
			return next[k-1]
		}
	}
	return 0
}

// ahead follows known steps behind the value that ended before i. It returns where that ended, and the container there; a depth of -1 where that is the
// end of the document, and -1 where it is malformed.
func (d *Decoder) ahead(i int) (to int, at *node, object bool, depth int) {
	if to, d.steps.last = d.follow(i, d.steps.last); to < 0 {
		return to, nil, false, 0
	}
	if d.steps.last == documentEnd {
		return to, nil, false, -1
	}
	d.steps.from = to
	p := &d.steps.places[d.steps.last]
	return to, p.at, p.object, copy(d.stack[1:], p.frames)
}

func beginsScalar(c byte) bool { return c-'0' <= 9 || c == 't' || c == 'f' || c == '-' || c == 'n' }

// learn notes that what stands between the value before and to, of which the quote before a string is the last, leads to node n in the container
// at hand. The step that it is becomes the last one; -1 where it isn't kept.
func (d *Decoder) learn(to int, n, at *node, object bool, depth int) {
	p := &d.steps
	p.misses++
	s := d.find(to, n, at, object, depth)
	if s >= 0 && p.last >= 0 {
		p.link(p.last, s)
	}
	p.last = s
}

// find returns the step of learn, made where it isn't known; -1 where it isn't kept.
func (d *Decoder) find(to int, n, at *node, object bool, depth int) int32 {
	p, from := &d.steps, d.steps.from
	if from < 0 || to-from > maxStep || depth > maxFrames {
		return -1
	}
	lit, frames := d.doc[from:to], d.stack[1:depth+1]
	head, tail := wordsOf(alias(lit))
	bucket := &p.heads[hash(head, tail, len(lit), scramble)>>(64-stepBits)]
	chain := 0
	for s := *bucket; s != 0; s = p.places[s].chain {
		o := &p.places[s]
		if o.node == n && o.at == at && o.object == object && bytes.Equal(o.text, lit) && slices.Equal(o.frames, frames) {
			return s
		}
		if chain++; chain == maxChain {
			return -1
		}
	}
	if len(p.known) == maxSteps {
		return -1
	}
	s := int32(len(p.known))
	lit = slices.Clone(lit)
	t := step{text: &lit[0], slot: NoSlot, size: uint16(len(lit)), quoted: lit[len(lit)-1] == '"'}
	t.head, t.tail = head, tail
	if len(lit) < 8 {
		t.pad = uint8(64 - 8*len(lit))
	}
	if n != nil {
		t.slot, t.typ = n.slot, n.typ
	}
	if depth < 8 && object && !slices.ContainsFunc(frames, func(f frame) bool { return !f.object }) {
		t.closers = uint8(depth + 1)
	}
	p.known = append(p.known, t)
	p.places = append(p.places, place{n, at, object, slices.Clone(frames), lit, *bucket})
	*bucket = s
	return s
}

// link notes that step s was met behind last.
func (p *steps) link(last, s int32) {
	next := &p.known[last].next
	for i, k := range next {
		if k == s {
			return
		}
		if k == 0 {
			next[i] = s
			return
		}
	}
	next[len(next)-1] = s
}
