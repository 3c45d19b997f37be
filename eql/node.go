package eql

import (
	"github.com/weir-eql/weir/eql/internal/glob"
	"github.com/weir-eql/weir/event"
)

// node is a planned predicate. Nodes are immutable; evaluation allocates nothing, script leaves that build
// text aside.
type node interface {
	eval(ev *event.Event, m *Memo) bool
}

type constNode bool

func (n constNode) eval(*event.Event, *Memo) bool { return bool(n) }

type andNode []node

func (n andNode) eval(ev *event.Event, m *Memo) bool {
	for _, child := range n {
		if !child.eval(ev, m) {
			return false
		}
	}
	return true
}

type orNode []node

func (n orNode) eval(ev *event.Event, m *Memo) bool {
	for _, child := range n {
		if child.eval(ev, m) {
			return true
		}
	}
	return false
}

// notNode is the complement: what is missing satisfies it.
type notNode struct{ child node }

func (n notNode) eval(ev *event.Event, m *Memo) bool { return !n.child.eval(ev, m) }

type existsNode struct{ slot event.Slot }

func (n existsNode) eval(ev *event.Event, _ *Memo) bool { return len(ev.Values(n.slot)) > 0 }

// tester is a test of one value. Testers are immutable and don't allocate.
type tester interface {
	test(v event.Value) bool
}

// leaf holds if any value of its field passes the test.
type leaf struct {
	slot event.Slot
	t    tester
}

func (n *leaf) eval(ev *event.Event, _ *Memo) bool {
	for _, v := range ev.Values(n.slot) { //nolint:modernize // slices.ContainsFunc would cost more than most tests
		if n.t.test(v) {
			return true
		}
	}
	return false
}

// shared is an atom that may stand in several places; its answer is remembered for the event.
type shared struct {
	id    int
	uses  int // fixed once the last query of the Env is compiled
	inner node
}

func (n *shared) eval(ev *event.Event, m *Memo) bool {
	if n.uses < 2 || n.id >= len(m.stamp) {
		return n.inner.eval(ev, m)
	}
	if m.stamp[n.id] != m.generation {
		v := n.inner.eval(ev, m)
		m.stamp[n.id], m.value[n.id] = m.generation, v
	}
	return m.value[n.id]
}

// and returns the conjunction of nodes; constants are folded, nested conjunctions flattened and the conditions ordered
// if the environment optimises.
func (e *Env) and(nodes ...node) node {
	if !e.folds() {
		return andNode(nodes)
	}
	var out andNode
	for _, n := range nodes {
		switch n := n.(type) {
		case constNode:
			if !n {
				return n
			}
		case andNode:
			out = append(out, n...)
		default:
			out = append(out, n)
		}
	}
	switch len(out) {
	case 0:
		return constNode(true)
	case 1:
		return out[0]
	}
	e.failFirst(out, e.chance)
	return out
}

// or is the disjunction, as and is the conjunction.
func (e *Env) or(nodes ...node) node {
	if !e.folds() {
		return orNode(nodes)
	}
	var out orNode
	for _, n := range nodes {
		switch n := n.(type) {
		case constNode:
			if n {
				return n
			}
		case orNode:
			out = append(out, n...)
		default:
			out = append(out, n)
		}
	}
	switch len(out) {
	case 0:
		return constNode(false)
	case 1:
		return out[0]
	}
	e.holdFirst(out)
	return out
}

// not is the complement.
func (e *Env) not(n node) node {
	if e.folds() {
		switch n := n.(type) {
		case constNode:
			return !n
		case notNode:
			return n.child
		}
	}
	return notNode{n}
}

// atom returns the one node of the environment for key, made by the first caller.
func (e *Env) atom(key string, n node) node {
	if e.opts.NoSharing {
		return n
	}
	if id, ok := e.atomIDs[key]; ok {
		e.atoms[id].uses++
		return e.atoms[id]
	}
	a := &shared{id: len(e.atoms), uses: 1, inner: n}
	e.atomIDs[key] = a.id
	e.atoms = append(e.atoms, a)
	return a
}

// equalLeaf is a leaf with a textEq, foldedLeaf one with a textEqFold: without the way to the test.
type equalLeaf struct {
	slot event.Slot
	text string
}

func (n *equalLeaf) eval(ev *event.Event, _ *Memo) bool {
	for _, v := range ev.Values(n.slot) {
		if isText(v) && v.Str() == n.text {
			return true
		}
	}
	return false
}

type foldedLeaf struct {
	slot  event.Slot
	lower string
}

func (n *foldedLeaf) eval(ev *event.Event, _ *Memo) bool {
	for _, v := range ev.Values(n.slot) {
		if isText(v) && glob.EqualFold(v.Str(), n.lower) {
			return true
		}
	}
	return false
}

// cheapAtom is the cost up to which an atom is rather evaluated again than remembered.
const cheapAtom = costExists + costNumber

// Seal replaces the nodes of a stage by ones that are evaluated faster, when the last query of the environment is compiled and
// arranged: atoms that only one place has, or that are cheap, aren't remembered any more.
func (e *Env) Seal(s *Stage) {
	if !e.opts.NoOptimise {
		s.cond = e.seal(s.cond)
	}
}

func (e *Env) seal(n node) node {
	switch n := n.(type) {
	case *shared:
		if n.uses < 2 || e.cost(n.inner) <= cheapAtom {
			return e.seal(n.inner)
		}
		n.inner = e.seal(n.inner)
		return n
	case andNode:
		for i := range n {
			n[i] = e.seal(n[i])
		}
		return n
	case orNode:
		for i := range n {
			n[i] = e.seal(n[i])
		}
		return n
	case notNode:
		return notNode{e.seal(n.child)}
	case *leaf:
		switch t := n.t.(type) {
		case textEq:
			return &equalLeaf{n.slot, t.text}
		case textEqFold:
			return &foldedLeaf{n.slot, t.lower}
		}
	}
	return n
}
