package textindex

import "math/bits"

// MinPart is the least length of a key of Parts.
const MinPart = 3

// Parts finds the keys that stand anywhere in a text. It looks at each three bytes of the text once: a bitmap tells whether
// they are the rarest three bytes of some key, which is then compared. Unlike an automaton over all keys it touches little
// memory, and a step doesn't wait for the one before.
type Parts struct {
	shift  uint8    // of a hash, to a bit of the bitmap
	bitmap []uint64 // a bit per hash of three bytes that some key is found by
	heads  []int32  // by hash: the first of a chain of entries, plus one
	chain  []part
}

type part struct {
	three  uint32 // the bytes that it is found by
	offset int32  // where they stand in text
	next   int32  // as in heads
	id     int32
	text   string
}

const (
	three    = 1<<24 - 1
	scramble = 0x9E3779B1 // 2^32 divided by the golden ratio: Fibonacci hashing
)

// NewParts returns the index of keys, nil where there are none. Each has at least MinPart bytes.
func NewParts(keys []Key) *Parts {
	if len(keys) == 0 {
		return nil
	}
	size := bits.Len(uint(len(keys))) // of heads: one to two per key
	width := max(9, size+5)           // one bit in 32 is set at most
	p := &Parts{shift: uint8(32 - width), bitmap: make([]uint64, 1<<(width-6)), heads: make([]int32, 1<<size)}
	for _, k := range keys {
		e := part{id: k.ID, text: k.Text}
		rarest := -1
		for i := range len(k.Text) - 2 {
			if r := rarity[k.Text[i]] + rarity[k.Text[i+1]] + rarity[k.Text[i+2]]; r > rarest {
				rarest, e.offset = r, int32(i)
			}
		}
		at := k.Text[e.offset:]
		e.three = uint32(at[0])<<16 | uint32(at[1])<<8 | uint32(at[2])
		hash := e.three * scramble
		bit := hash >> p.shift
		p.bitmap[bit>>6] |= 1 << (bit & 63)
		head := &p.heads[hash>>(32-size)]
		e.next = *head
		p.chain = append(p.chain, e)
		*head = int32(len(p.chain))
	}
	return p
}

// Each calls visit with the keys that text has, perhaps several times, until it returns true, and reports whether it did.
func (p *Parts) Each(text string, visit func(id int32) bool) bool {
	if len(text) < MinPart {
		return false
	}
	bytes := uint32(lower[text[0]])<<8 | uint32(lower[text[1]])
	for i := 2; i < len(text); i++ {
		bytes = (bytes<<8 | uint32(lower[text[i]])) & three
		bit := bytes * scramble >> (p.shift & 31)
		if p.bitmap[bit>>6]&(1<<(bit&63)) != 0 && p.compare(text, i-2, bytes, visit) {
			return true
		}
	}
	return false
}

// compare visits the keys that are found by the three bytes at position at of text.
func (p *Parts) compare(text string, at int, bytes uint32, visit func(id int32) bool) bool {
	for i := p.heads[bytes*scramble>>(32-bits.Len(uint(len(p.heads)-1)))]; i != 0; {
		e := &p.chain[i-1]
		i = e.next
		start := at - int(e.offset)
		if e.three != bytes || start < 0 || len(text)-start < len(e.text) || !equalFold(text[start:start+len(e.text)], e.text) {
			continue
		}
		if visit(e.id) {
			return true
		}
	}
	return false
}

// equalFold reports whether a text is one of the same size in lower case, but for the case of its letters.
func equalFold(text, want string) bool {
	i := 0
	for ; i+8 <= len(want); i += 8 {
		if fold8(load8(text, i)) != load8(want, i) {
			return false
		}
	}
	for ; i < len(want); i++ {
		if lower[text[i]] != want[i] {
			return false
		}
	}
	return true
}

// rarity ranks bytes by how rarely command lines, paths and names have them: the first are the most frequent.
var rarity = func() (t [256]int) {
	const frequent = "e\\s itnoraclmd.p-uwg/:xfhb\"y0=k123_v45z67j8q9"
	for i := range t {
		t[i] = len(frequent)
	}
	for i := range len(frequent) {
		t[lower[frequent[i]]] = min(t[lower[frequent[i]]], i)
	}
	return t
}()
