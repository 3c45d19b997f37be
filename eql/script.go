package eql

import "github.com/weir-eql/weir/event"

// script is a leaf that computes: an expression over fields that no single test answers. It holds if the
// expression is true for some combination of its fields' values; a missing field takes part once, as null.
type script struct {
	slots []event.Slot // variable i of the expression is a value of slots[i]
	e     expr
}

// maxCombinations bounds the combinations that a script tries for one event, so that documents with long
// arrays in several fields cannot stall a worker.
const maxCombinations = 1 << 16

func (n *script) eval(ev *event.Event, m *Memo) bool {
	for len(m.vars) < len(n.slots) {
		m.vars = append(m.vars, event.Value{})
	}
	m.budget = maxCombinations
	return n.each(ev, m, 0)
}

func (n *script) each(ev *event.Event, m *Memo, i int) bool {
	if i == len(n.slots) {
		m.budget--
		v := n.e.value(m)
		return v.Kind() == event.Bool && v.Bool()
	}
	values := ev.Values(n.slots[i])
	if len(values) == 0 {
		m.vars[i] = event.Value{}
		return n.each(ev, m, i+1)
	}
	for _, v := range values {
		m.vars[i] = v
		if n.each(ev, m, i+1) {
			return true
		}
		if m.budget <= 0 {
			return false
		}
	}
	return false
}

// expr is a planned expression. Inside expressions logic has three values, null being the third.
type expr interface {
	value(m *Memo) event.Value
}

type constExpr struct{ v event.Value }

func (e constExpr) value(*Memo) event.Value { return e.v }

type varExpr int

func (e varExpr) value(m *Memo) event.Value { return m.vars[e] }

type callExpr struct {
	f    *function
	fold bool
	args []expr
}

func (e *callExpr) value(m *Memo) event.Value {
	base := len(m.args)
	for _, a := range e.args {
		v := a.value(m)
		m.args = append(m.args, v)
	}
	v := e.f.call(m.args[base:], e.fold)
	m.args = m.args[:base]
	return v
}

// testExpr applies a test; null gives null.
type testExpr struct {
	x expr
	t tester
}

func (e *testExpr) value(m *Memo) event.Value {
	v := e.x.value(m)
	if v.IsMissing() {
		return v
	}
	return event.BoolValue(e.t.test(v))
}

type isNullExpr struct{ x expr }

func (e isNullExpr) value(m *Memo) event.Value { return event.BoolValue(e.x.value(m).IsMissing()) }

type notExpr struct{ x expr }

func (e notExpr) value(m *Memo) event.Value {
	v := e.x.value(m)
	if v.Kind() != event.Bool {
		return event.Value{}
	}
	return event.BoolValue(!v.Bool())
}

// logicExpr is and, or: false and null is false, true or null is true.
type logicExpr struct {
	decides bool // the value of one side that decides: false for and, true for or
	l, r    expr
}

func (e *logicExpr) value(m *Memo) event.Value {
	l := e.l.value(m)
	if l.Kind() == event.Bool && l.Bool() == e.decides {
		return l
	}
	r := e.r.value(m)
	if r.Kind() == event.Bool && r.Bool() == e.decides {
		return r
	}
	if l.Kind() != event.Bool || r.Kind() != event.Bool {
		return event.Value{}
	}
	return event.BoolValue(!e.decides)
}
