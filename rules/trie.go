package rules

import (
	"cmp"
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
type trieBuilder struct{ keys []trieKey }

type trieKey struct {
	text string
	unit int32
}

func (b *trieBuilder) add(key string, u int32) { b.keys = append(b.keys, trieKey{key, u}) }

// seal returns the trie, nil where it has no keys.
func (b *trieBuilder) seal() *trie {
	if len(b.keys) == 0 {
		return nil
	}
	slices.SortFunc(b.keys, func(x, y trieKey) int { return cmp.Or(cmp.Compare(x.text, y.text), cmp.Compare(x.unit, y.unit)) })
	keys := slices.Compact(b.keys)
	t := &trie{nodes: make([]trieNode, 1)}
	t.grow(0, keys, 0)
	for _, e := range t.edges[t.nodes[0].first:t.nodes[0].end] {
		t.root[e.b] = e.node
	}
	return t
}

// grow fills in a node: keys are those that pass through it, sorted, equal in their first depth bytes.
func (t *trie) grow(node int32, keys []trieKey, depth int) {
	ends := 0
	for ends < len(keys) && len(keys[ends].text) == depth {
		t.nodes[node].units = append(t.nodes[node].units, keys[ends].unit)
		ends++
	}
	keys = keys[ends:]
	type group struct{ from, to int } // keys with the same next byte
	var groups []group
	for i := range keys {
		if i == 0 || keys[i].text[depth] != keys[i-1].text[depth] {
			groups = append(groups, group{from: i})
		}
		groups[len(groups)-1].to = i + 1
	}
	first := int32(len(t.edges))
	for _, g := range groups {
		t.edges = append(t.edges, trieEdge{b: keys[g.from].text[depth], node: int32(len(t.nodes))})
		t.nodes = append(t.nodes, trieNode{})
	}
	t.nodes[node].first, t.nodes[node].end = first, int32(len(t.edges))
	for i, g := range groups {
		t.grow(t.edges[int(first)+i].node, keys[g.from:g.to], depth+1)
	}
}

// view8 returns b as a string without copying. The string must not outlive the next write to b.
func view8(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
