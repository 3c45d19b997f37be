package eql

import "github.com/weir-eql/weir/event"

// Rest is what is left of a stage's condition for the events that have the same values in some fields. It is immutable.
type Rest struct{ cond node }

// Given returns what is left of a stage's condition for all events that have the values of ev in the fields that known reports:
// what asks for these fields alone is decided now. Unlike Compile it may be called while events are matched.
func (e *Env) Given(s *Stage, ev *event.Event, known func(event.Slot) bool) Rest {
	return Rest{given(s.cond, ev, known)}
}

// Decided reports whether nothing is left to evaluate, and what all these events are then: whether they satisfy the stage.
func (r Rest) Decided() (holds, ok bool) {
	c, ok := r.cond.(constNode)
	return bool(c), ok
}

// Match reports whether ev, one of these events, satisfies the stage. The memo must have been reset for ev.
func (r Rest) Match(ev *event.Event, m *Memo) bool { return r.cond.eval(ev, m) }

// given doesn't change n, which all events are matched with. Scripts stay as they are: few ask for such fields.
func given(n node, ev *event.Event, known func(event.Slot) bool) node {
	decided := false
	switch n := n.(type) {
	case andNode:
		return givenAll(n, false, func(nodes []node) node { return andNode(nodes) }, ev, known)
	case orNode:
		return givenAll(n, true, func(nodes []node) node { return orNode(nodes) }, ev, known)
	case notNode:
		child := given(n.child, ev, known)
		if c, ok := child.(constNode); ok {
			return !c
		}
		return notNode{child}
	case *shared:
		if c, ok := given(n.inner, ev, known).(constNode); ok {
			return c
		}
	case existsNode:
		decided = known(n.slot)
	case *leaf:
		decided = known(n.slot)
	case *equalLeaf:
		decided = known(n.slot)
	case *foldedLeaf:
		decided = known(n.slot)
	}
	if decided {
		return constNode(n.eval(ev, &Memo{}))
	}
	return n
}

// givenAll is given for the parts of a conjunction or, where one that holds decides, of a disjunction.
func givenAll(nodes []node, deciding constNode, join func([]node) node, ev *event.Event, known func(event.Slot) bool) node {
	var left []node
	for _, n := range nodes {
		n = given(n, ev, known)
		if c, ok := n.(constNode); !ok {
			left = append(left, n)
		} else if c == deciding {
			return c
		}
	}
	switch len(left) {
	case 0:
		return !deciding
	case 1:
		return left[0]
	}
	return join(left)
}
