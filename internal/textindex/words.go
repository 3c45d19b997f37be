package textindex

import (
	"cmp"
	"math/bits"
	"slices"
)

// Words is a text in the form in which Exact and Affixes compare it: two words that say all of a text of up to 16 bytes.
type Words struct {
	Head uint64 // the first eight bytes, the first one lowest; zeros where there are fewer
	Tail uint64 // the last eight bytes, the last one highest; zeros where there are fewer
	Size int
}

// WordsOf returns the words of a text with its ASCII letters in lower case.
func WordsOf(text string) Words {
	n := len(text)
	switch {
	case n >= 8:
		return Words{Head: fold8(load8(text, 0)), Tail: fold8(load8(text, n-8)), Size: n}
	case n >= 4:
		head := fold8(load4(text, 0) | load4(text, n-4)<<(8*(n-4)))
		return Words{Head: head, Tail: head << (64 - 8*n), Size: n}
	case n > 0:
		head := fold8(uint64(text[0]) | uint64(text[n/2])<<(8*(n/2)) | uint64(text[n-1])<<(8*(n-1)))
		return Words{Head: head, Tail: head << (64 - 8*n), Size: n}
	default:
		return Words{}
	}
}

// Mark returns a word that tells most texts of a size apart: their last bytes, or all of a short one.
func Mark(text string) uint64 {
	n := len(text)
	switch {
	case n >= 8:
		return load8(text, n-8)
	case n >= 4:
		return load4(text, 0) | load4(text, n-4)<<32
	case n > 0:
		return uint64(text[0]) | uint64(text[n/2])<<8 | uint64(text[n-1])<<16
	default:
		return 0
	}
}

// load8 reads the eight bytes of s at i. The compiler makes one instruction of it.
func load8(s string, i int) uint64 {
	b := s[i : i+8]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24 |
		uint64(b[4])<<32 | uint64(b[5])<<40 | uint64(b[6])<<48 | uint64(b[7])<<56
}

func load4(s string, i int) uint64 {
	b := s[i : i+4]
	return uint64(b[0]) | uint64(b[1])<<8 | uint64(b[2])<<16 | uint64(b[3])<<24
}

// fold8 returns eight bytes with their ASCII letters in lower case, without looking at them one by one: a byte is an upper-case
// letter where adding what is missing to 0x80 carries into its highest bit for A and not yet for the letter after Z.
func fold8(w uint64) uint64 {
	const ones = 0x0101010101010101
	low := w & (0x7f * ones)
	upper := (low + (0x80-'A')*ones) &^ (low + (0x80-'Z'-1)*ones) &^ w & (0x80 * ones)
	return w | upper>>2
}

// Exact finds the keys that are equal to a text, by a table of their words: one that differs from a key of the same size only
// behind its first eight bytes and before its last eight is found as well, so what it finds has to be compared again.
type Exact struct {
	shift   uint8
	slots   []int32 // by hash: an entry's number, plus one
	entries []exactEntry
	ids     []int32
}

type exactEntry struct {
	Words
	first, end int32 // its ids
}

// NewExact returns the table of keys, nil where there are none.
func NewExact(keys []Key) *Exact {
	if len(keys) == 0 {
		return nil
	}
	type known struct {
		Words
		id int32
	}
	sorted := make([]known, len(keys))
	for i, k := range keys {
		sorted[i] = known{WordsOf(k.Text), k.ID}
	}
	slices.SortFunc(sorted, func(a, b known) int {
		return cmp.Or(cmp.Compare(a.Head, b.Head), cmp.Compare(a.Tail, b.Tail), cmp.Compare(a.Size, b.Size), cmp.Compare(a.id, b.id))
	})
	sorted = slices.Compact(sorted)
	x := &Exact{ids: make([]int32, 0, len(sorted))}
	for _, k := range sorted {
		if last := len(x.entries) - 1; last < 0 || x.entries[last].Words != k.Words {
			x.entries = append(x.entries, exactEntry{Words: k.Words, first: int32(len(x.ids))})
		}
		x.ids = append(x.ids, k.id)
		x.entries[len(x.entries)-1].end = int32(len(x.ids))
	}
	size := bits.Len(uint(2 * len(x.entries)))
	x.shift, x.slots = uint8(64-size), make([]int32, 1<<size) // half of it stays empty at least
	for i := range x.entries {
		at := x.entries[i].hash() >> x.shift
		for x.slots[at] != 0 {
			at = (at + 1) & uint64(len(x.slots)-1)
		}
		x.slots[at] = int32(i + 1)
	}
	return x
}

func (w Words) hash() uint64 {
	return (w.Head ^ bits.RotateLeft64(w.Tail, 29) + uint64(w.Size)) * 0x9E3779B97F4A7C15
}

// Find returns the numbers of the keys that the text of w may be equal to. The slice is the table's own.
func (x *Exact) Find(w Words) []int32 {
	at := w.hash() >> (x.shift & 63)
	for {
		i := x.slots[at]
		if i == 0 {
			return nil
		}
		if e := &x.entries[i-1]; e.Words == w {
			return x.ids[e.first:e.end]
		}
		at = (at + 1) & uint64(len(x.slots)-1)
	}
}

// Affixes finds the keys that a text begins with, or those that it ends with, one after the other: for a few keys that is
// faster than a Trie. Of a key it compares the eight bytes at either end.
type Affixes struct {
	backward bool
	entries  []affix
	ids      []int32
}

type affix struct {
	near, mask uint64 // the bytes at the end that the text has in common
	far        uint64 // the eight bytes at the other end of a key that is longer
	size       int32
	first, end int32 // its ids
}

// NewAffixes returns the list of keys, nil where there are none. With backward set they are ends of texts. Empty keys are
// never found.
func NewAffixes(keys []Key, backward bool) *Affixes {
	sorted := slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return k.Text == "" })
	if len(sorted) == 0 {
		return nil
	}
	slices.SortFunc(sorted, func(a, b Key) int { return cmp.Or(cmp.Compare(a.Text, b.Text), cmp.Compare(a.ID, b.ID)) })
	sorted = slices.Compact(sorted)
	a := &Affixes{backward: backward}
	for i, k := range sorted {
		if i == 0 || k.Text != sorted[i-1].Text {
			a.entries = append(a.entries, newAffix(k.Text, backward, int32(len(a.ids))))
		}
		a.ids = append(a.ids, k.ID)
		a.entries[len(a.entries)-1].end = int32(len(a.ids))
	}
	return a
}

func newAffix(text string, backward bool, first int32) affix {
	w := WordsOf(text)
	e := affix{near: w.Head, far: w.Tail, mask: ^uint64(0), size: int32(w.Size), first: first}
	if backward {
		e.near, e.far = w.Tail, w.Head
	}
	if short := 64 - 8*w.Size; short > 0 && backward {
		e.mask <<= short
	} else if short > 0 {
		e.mask >>= short
	}
	return e
}

// Len returns the number of keys.
func (a *Affixes) Len() int { return len(a.entries) }

// Each calls visit with the keys that text, whose words are w, begins or ends with, until it returns true, and reports
// whether it did.
func (a *Affixes) Each(text string, w Words, visit func(id int32) bool) bool {
	near := w.Head
	if a.backward {
		near = w.Tail
	}
	for i := range a.entries {
		if e := &a.entries[i]; near&e.mask == e.near && a.holds(e, text) && slices.ContainsFunc(a.ids[e.first:e.end], visit) {
			return true
		}
	}
	return false
}

// holds compares the other end of a key whose nearer end a text has.
func (a *Affixes) holds(e *affix, text string) bool {
	size := int(e.size)
	switch {
	case len(text) < size:
		return false
	case size <= 8:
		return true
	case a.backward:
		return fold8(load8(text, len(text)-size)) == e.far
	default:
		return fold8(load8(text, size-8)) == e.far
	}
}
