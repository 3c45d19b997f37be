package event

import "strings"

// node is one place in a document that leads to projected fields: a dotted prefix of their paths. Its table
// holds every key that can follow, whole or dotted: with a field process.parent.name the root knows the keys
// "process", "process.parent" and "process.parent.name", so that a dotted key costs one lookup like any other.
type node struct {
	slot  Slot
	typ   Type
	null  bool   // an explicit null has a value
	sieve uint64 // a bit for each pair of length and first byte that a key has, see sieveBit
	shift uint8
	table []edge // open addressing, a power of two; nil without children
}

// maxSegments is how many segments a path may have for all its spellings to be known: there are as many as the
// square of the segments. A longer path is found as one flat key only.
const maxSegments = 64

type edge struct {
	key  string
	next *node
}

// newProjection builds the nodes of a schema's fields and returns the root.
func newProjection(s *Schema) *node {
	b := projection{children: map[*node][]edge{}}
	root := &node{slot: NoSlot}
	for i := range s.Len() {
		f := s.Field(Slot(i))
		if strings.Count(f.Path, ".") >= maxSegments {
			flat := b.child(root, f.Path)
			flat.slot, flat.typ, flat.null = Slot(i), f.Type, f.HasNull
			continue
		}
		b.insert(root, f, Slot(i))
	}
	for n, edges := range b.children {
		n.seal(edges)
	}
	return root
}

type projection struct {
	children map[*node][]edge
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
	leaf.slot, leaf.typ, leaf.null = slot, f.Type, f.HasNull
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
	b.children[n] = append(b.children[n], edge{key, next})
	return next
}

func (b projection) link(n *node, key string, next *node) {
	for _, e := range b.children[n] {
		if e.key == key {
			return
		}
	}
	b.children[n] = append(b.children[n], edge{key, next})
}

// seal builds the table of a node, at most half full.
func (n *node) seal(edges []edge) {
	size, shift := 4, uint8(30)
	for size < 2*len(edges) {
		size, shift = size*2, shift-1
	}
	n.table, n.shift = make([]edge, size), shift
	for _, e := range edges {
		n.sieve |= sieveBit(e.key)
		i := hashKey(e.key) >> shift
		for n.table[i].next != nil {
			i = (i + 1) & uint32(size-1)
		}
		n.table[i] = edge{strings.Clone(e.key), e.next}
	}
}

// lookup returns the node that key leads to, nil where no projected field lies that way.
func (n *node) lookup(key string) *node {
	if n.sieve&sieveBit(key) == 0 {
		return nil
	}
	mask := uint32(len(n.table) - 1)
	i := hashKey(key) >> n.shift & mask
	for {
		e := &n.table[i]
		if e.next == nil || e.key == key {
			return e.next
		}
		i = (i + 1) & mask
	}
}

// sieveBit sorts most keys out that lead nowhere, before they cost a hash.
func sieveBit(key string) uint64 {
	if key == "" {
		return 1
	}
	return 1 << ((uint(len(key))*7 + uint(key[0])) & 63)
}

// hashKey mixes the length and three bytes: enough to tell the keys of one object apart, and constant in cost.
func hashKey(key string) uint32 {
	size := len(key)
	if size == 0 {
		return 0
	}
	h := uint32(size) | uint32(key[0])<<8 | uint32(key[size-1])<<16 | uint32(key[size>>1])<<24
	return h * 0x9E3779B1
}
