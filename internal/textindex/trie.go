// Package textindex finds which of many known texts another text begins with, ends with or has inside, in one pass for all of
// them. ASCII letters match in either case: known texts are given in lower case. Everything in it is immutable once it is made.
package textindex

import (
	"cmp"
	"slices"
)

// Key is a known text, in lower case, with the number that stands for it. Several keys may have the same text or number.
type Key struct {
	Text string
	ID   int32
}

// maxAffix is how many bytes of a key a Trie looks at.
const maxAffix = 64

// Trie finds the keys that a text begins with, or those that it ends with. Of keys longer than 64 bytes it compares the first
// 64, or the last: what it finds has to be compared again.
type Trie struct {
	root     [256]int32 // node per first byte; 0 is none, since node 0 is the root itself
	nodes    []trieNode
	edges    []trieEdge
	backward bool
}

type trieNode struct {
	run        string // what all keys that pass through it have behind the edge to it, as it stands in a text
	ids        []int32
	first, end int32 // its edges, behind the run
}

type trieEdge struct {
	b    byte
	node int32
}

// NewTrie returns the trie of keys, nil where there are none. With backward set they are ends of texts. Empty keys
// are never found.
func NewTrie(keys []Key, backward bool) *Trie {
	if len(keys) == 0 {
		return nil
	}
	sorted := make([]Key, len(keys))
	for i, k := range keys {
		if backward {
			reversed := []byte(k.Text[max(0, len(k.Text)-maxAffix):])
			slices.Reverse(reversed)
			k.Text = string(reversed)
		}
		k.Text = k.Text[:min(len(k.Text), maxAffix)]
		sorted[i] = k
	}
	slices.SortFunc(sorted, func(x, y Key) int { return cmp.Or(cmp.Compare(x.Text, y.Text), cmp.Compare(x.ID, y.ID)) })
	t := &Trie{nodes: make([]trieNode, 1), backward: backward}
	t.grow(0, slices.Compact(sorted), 0)
	for _, e := range t.edges[t.nodes[0].first:t.nodes[0].end] {
		t.root[e.b] = e.node
	}
	return t
}

// grow fills in a node: keys are those that pass through it, sorted, equal in their first depth bytes.
func (t *Trie) grow(node int32, keys []Key, depth int) {
	if depth > 0 {
		run := t.run(keys, depth)
		t.nodes[node].run = run
		depth += len(run)
	}
	ends := 0
	for ends < len(keys) && len(keys[ends].Text) == depth {
		t.nodes[node].ids = append(t.nodes[node].ids, keys[ends].ID)
		ends++
	}
	keys = keys[ends:]
	type group struct{ from, to int } // keys with the same next byte
	var groups []group
	for i := range keys {
		if i == 0 || keys[i].Text[depth] != keys[i-1].Text[depth] {
			groups = append(groups, group{from: i})
		}
		groups[len(groups)-1].to = i + 1
	}
	first := int32(len(t.edges))
	for _, g := range groups {
		t.edges = append(t.edges, trieEdge{b: keys[g.from].Text[depth], node: int32(len(t.nodes))})
		t.nodes = append(t.nodes, trieNode{})
	}
	t.nodes[node].first, t.nodes[node].end = first, int32(len(t.edges))
	for i, g := range groups {
		t.grow(t.edges[int(first)+i].node, keys[g.from:g.to], depth+1)
	}
}

// run returns what sorted keys that are equal in their first depth bytes have in common behind these.
func (t *Trie) run(keys []Key, depth int) string {
	first, last := keys[0].Text, keys[len(keys)-1].Text
	end := depth
	for end < len(first) && first[end] == last[end] { // last isn't shorter than what it has in common with first
		end++
	}
	run := []byte(first[depth:end])
	if t.backward {
		slices.Reverse(run)
	}
	return string(run)
}

// Forward calls visit with the keys that text begins with until it returns true, and reports whether it did.
func (t *Trie) Forward(text string, visit func(id int32) bool) bool {
	if len(text) == 0 {
		return false
	}
	node := t.root[lower[text[0]]]
	for i := 1; node != 0; i++ {
		n := &t.nodes[node]
		if size := len(n.run); size > 0 {
			if len(text)-i < size || !equalFold(text[i:i+size], n.run) {
				return false
			}
			i += size
		}
		if slices.ContainsFunc(n.ids, visit) {
			return true
		}
		if i == len(text) {
			return false
		}
		node = t.next(n, lower[text[i]])
	}
	return false
}

// Backward is Forward for the keys that text ends with, of a trie that was made backward.
func (t *Trie) Backward(text string, visit func(id int32) bool) bool {
	if len(text) == 0 {
		return false
	}
	node := t.root[lower[text[len(text)-1]]]
	for i := len(text) - 2; node != 0; i-- {
		n := &t.nodes[node]
		if size := len(n.run); size > 0 {
			if i+1 < size || !equalFold(text[i+1-size:i+1], n.run) {
				return false
			}
			i -= size
		}
		if slices.ContainsFunc(n.ids, visit) {
			return true
		}
		if i < 0 {
			return false
		}
		node = t.next(n, lower[text[i]])
	}
	return false
}

func (t *Trie) next(n *trieNode, b byte) int32 {
	for _, e := range t.edges[n.first:n.end] {
		if e.b == b {
			return e.node
		}
	}
	return 0
}

// lower maps a byte to itself, upper-case ASCII letters to lower-case ones.
var lower = func() (t [256]byte) {
	for i := range t {
		t[i] = byte(i)
	}
	for c := 'A'; c <= 'Z'; c++ {
		t[c] = byte(c) + 'a' - 'A'
	}
	return t
}()
