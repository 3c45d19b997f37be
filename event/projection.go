package event

import (
	"math/bits"
	"slices"
	"strings"
)

// node is one place in a document that leads to projected fields: a dotted prefix of their paths. Its table
// holds every key that can follow, whole or dotted: with a field process.parent.name the root knows the keys
// "process", "process.parent" and "process.parent.name", so that a dotted key costs one lookup like any other.
type node struct {
	slot  Slot
	typ   Type
	leaf  bool // nothing is projected below it
	shift uint8
	mult  uint64
	table []edge // by hash, a power of two
}

// dest returns where a value at n goes: its slot, NoSlot for none, and the type of that.
func (n *node) dest() (Slot, Type) {
	if n == nil {
		return NoSlot, Unknown
	}
	return n.slot, n.typ
}

// maxSegments is how many segments a path may have for all its spellings to be known: there are as many as the
// square of the segments. A longer path is found as one flat key only.
const maxSegments = 64

// edge is a key of a node. Keys of up to 16 bytes are known by their size and two words, see words.
type edge struct {
	head, tail uint64
	size       int
	key        string
	next       *node
	more       *edge  // with the same hash
	_          uint64 // 64 bytes: where one is follows from its number without a multiplication
}

// newProjection builds the nodes of a schema's fields and returns the root.
func newProjection(s *Schema) *node {
	b := projection{children: map[*node][]*edge{}}
	root := &node{slot: NoSlot}
	for i := range s.Len() {
		f := s.Field(Slot(i))
		if strings.Count(f.Path, ".") >= maxSegments {
			flat := b.child(root, f.Path)
			flat.slot, flat.typ = Slot(i), f.Type
			continue
		}
		b.insert(root, f, Slot(i))
	}
	b.seal(root)
	return root
}

type projection struct {
	children map[*node][]*edge
}

// insert adds the edges that spell path from n. A node is reached by many spellings of one prefix and is the
// same node for all of them, since the walk below always passes through its shortest spelling.
func (b projection) insert(root *node, f Field, slot Slot) {
	path := f.Path
	ends := make([]int, 0, 8) // where each dotted prefix ends
	for i := range len(path) {
		if path[i] == '.' {
			ends = append(ends, i)
		}
	}
	ends = append(ends, len(path))
	spine := []*node{root}
	start := 0
	for _, end := range ends {
		spine = append(spine, b.child(spine[len(spine)-1], path[start:end]))
		start = end + 1
	}
	leaf := spine[len(spine)-1]
	leaf.slot, leaf.typ = slot, f.Type
	start = 0
	for from, n := range spine[:len(spine)-1] {
		for to := from + 2; to < len(spine); to++ {
			b.link(n, path[start:ends[to-1]], spine[to])
		}
		start = ends[from] + 1
	}
}

// child returns the node that key leads to from n, made where there was none.
func (b projection) child(n *node, key string) *node {
	for _, e := range b.children[n] {
		if e.key == key {
			return e.next
		}
	}
	next := &node{slot: NoSlot}
	b.children[n] = append(b.children[n], &edge{key: key, next: next})
	return next
}

func (b projection) link(n *node, key string, next *node) {
	for _, e := range b.children[n] {
		if e.key == key {
			return
		}
	}
	b.children[n] = append(b.children[n], &edge{key: key, next: next})
}

// seal builds the tables of n and of all nodes below it.
func (b projection) seal(n *node) {
	if n.table != nil {
		return
	}
	n.seal(b.children[n])
	for _, e := range b.children[n] {
		b.seal(e.next)
	}
}

// seal builds the table of a node. Of some factors for the hash it takes the one with the fewest collisions, which is
// none at all for most nodes.
func (n *node) seal(edges []*edge) {
	size := 2
	for size < 2*len(edges) {
		size *= 2
	}
	n.leaf, n.shift = len(edges) == 0, uint8(64-bits.TrailingZeros(uint(size)))
	// Short keys first: they are those of nested objects, long ones are flat.
	slices.SortStableFunc(edges, func(a, b *edge) int { return len(a.key) - len(b.key) })
	for _, e := range edges {
		e.key, e.size = strings.Clone(e.key), len(e.key)
		e.head, e.tail = wordsOf(e.key)
	}
	used := make([]bool, size)
	fewest := size
	for factor, tries := uint64(0x9E3779B97F4A7C15), 0; fewest > 0 && tries < 64; tries++ {
		clear(used)
		collisions := 0
		for _, e := range edges {
			h := hash(e.head, e.tail, e.size, factor) >> n.shift
			if used[h] {
				collisions++
			}
			used[h] = true
		}
		if collisions < fewest {
			n.mult, fewest = factor, collisions
		}
		factor = factor*0xD1342543DE82EF95 + 2
	}
	n.table = make([]edge, size)
	for _, e := range edges {
		to := n.edge(e.head, e.tail, e.size)
		if to.next == nil {
			*to = *e
			continue
		}
		for to.more != nil {
			to = to.more
		}
		to.more = e
	}
}

// words returns the first and the last eight bytes of the key of that size at i; of a shorter key its bytes, twice,
// with zeros below them. The size isn't 0, and eight bytes can be read at i.
func words(doc []byte, i, size int) (head, tail uint64) {
	last, pad := i, 64-8*size
	if pad < 0 {
		last, pad = i+size-8, 0
	}
	return load(doc, i) << (pad & 63), load(doc, last) << (pad & 63)
}

// edge returns the first edge of those that a key may be. One without a key stands for none.
func (n *node) edge(head, tail uint64, size int) *edge {
	return edgeAt(n.table, hash(head, tail, size, n.mult)>>(n.shift&63))
}

func hash(head, tail uint64, size int, mult uint64) uint64 {
	return (head ^ bits.RotateLeft64(tail, 29) + uint64(size)) * mult
}

// find returns the node that key leads to, nil where no projected field lies that way.
func (n *node) find(key string) *node {
	head, tail := wordsOf(key)
	for e := n.edge(head, tail, len(key)); e != nil; e = e.more {
		if e.next != nil && e.key == key {
			return e.next
		}
	}
	return nil
}

// wordsOf is words for a key that may be empty or stand at the end of its memory.
func wordsOf(key string) (head, tail uint64) {
	if key == "" {
		return 0, 0
	}
	padded := [8]byte{}
	if len(key) < 8 {
		copy(padded[:], key)
		return words(padded[:], 0, len(key))
	}
	return loadString(key, 0), loadString(key, len(key)-8)
}
