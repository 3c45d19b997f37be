package rules

import (
	"slices"
	"unsafe"
)

// trie finds all of its keys that a text begins with, in one walk.
type trie struct {
	root  [256]int32 // node per first byte; 0 is none, since node 0 is the root itself
	nodes []trieNode
	edges []trieEdge
}

type trieNode struct {
	first, end int32 // its edges
	units      []int32
}

type trieEdge struct {
	b    byte
	node int32
}

// forward considers the units of all keys that text begins with.
func (t *trie) forward(m *Matcher, text string) {
	if len(text) == 0 {
		return
	}
	node := t.root[lower(text[0])]
	for i := 1; node != 0; i++ {
		n := &t.nodes[node]
		for _, u := range n.units {
			m.consider(u)
		}
		if i == len(text) {
			return
		}
		node = t.next(n, lower(text[i]))
	}
}

// backward considers the units of all keys that text, read from its end, begins with.
func (t *trie) backward(m *Matcher, text string) {
	if len(text) == 0 {
		return
	}
	node := t.root[lower(text[len(text)-1])]
	for i := len(text) - 2; node != 0; i-- {
		n := &t.nodes[node]
		for _, u := range n.units {
			m.consider(u)
		}
		if i < 0 {
			return
		}
		node = t.next(n, lower(text[i]))
	}
}

func (t *trie) next(n *trieNode, b byte) int32 {
	for _, e := range t.edges[n.first:n.end] {
		if e.b == b {
			return e.node
		}
	}
	return 0
}

// trieBuilder gathers keys; seal makes the compact form.
type trieBuilder struct {
	children []map[byte]int32
	units    [][]int32
}

func newTrieBuilder() *trieBuilder {
	return &trieBuilder{children: []map[byte]int32{{}}, units: [][]int32{nil}}
}

func (b *trieBuilder) add(key string, u int32) {
	node := int32(0)
	for i := range len(key) {
		next, ok := b.children[node][key[i]]
		if !ok {
			next = int32(len(b.children))
			b.children = append(b.children, map[byte]int32{})
			b.units = append(b.units, nil)
			b.children[node][key[i]] = next
		}
		node = next
	}
	if !slices.Contains(b.units[node], u) {
		b.units[node] = append(b.units[node], u)
	}
}

// seal returns the trie, nil where it has no keys.
func (b *trieBuilder) seal() *trie {
	if len(b.children) == 1 {
		return nil
	}
	t := &trie{nodes: make([]trieNode, len(b.children))}
	for i, children := range b.children {
		n := trieNode{first: int32(len(t.edges)), units: b.units[i]}
		for c := range 256 {
			if next, ok := children[byte(c)]; ok {
				t.edges = append(t.edges, trieEdge{b: byte(c), node: next})
			}
		}
		n.end = int32(len(t.edges))
		t.nodes[i] = n
	}
	for _, e := range t.edges[t.nodes[0].first:t.nodes[0].end] {
		t.root[e.b] = e.node
	}
	return t
}

// view8 returns b as a string without copying. The string must not outlive the next write to b.
func view8(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
