package eql

import "github.com/weir-eql/weir/event"

// node is a planned predicate. Nodes are immutable; evaluation allocates nothing.
type node interface {
	eval(ev *event.Event, m *Memo) bool
}
