package eql

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/event"
)

// plan returns the predicate of a checked condition.
func (c *compiler) plan(e ast.Expr) node {
	switch e := e.(type) {
	case *ast.Bool:
		return constNode(e.Value)
	case *ast.Field:
		return c.fieldOrder(e, e, ast.Eq, event.BoolValue(true))
	case *ast.Unary:
		if e.Op == ast.Not {
			return c.env.not(c.plan(e.X))
		}
	case *ast.Binary:
		return c.planBinary(e)
	case *ast.Match:
		return c.planMatch(e)
	case *ast.Call:
		return c.planCall(e)
	}
	return constNode(false) // null; the checker let nothing else through
}

func (c *compiler) planBinary(e *ast.Binary) node {
	switch e.Op {
	case ast.And:
		return c.env.and(c.planAll(split(e, ast.And))...)
	case ast.Or:
		return c.env.or(c.planAll(split(e, ast.Or))...)
	case ast.Ne:
		return c.env.not(c.planOrder(e, ast.Eq))
	case ast.Eq, ast.Lt, ast.Le, ast.Gt, ast.Ge:
		return c.planOrder(e, e.Op)
	default:
		return constNode(false) // arithmetic: rejected by the checker
	}
}

func (c *compiler) planAll(list []ast.Expr) []node {
	nodes := make([]node, len(list))
	for i, x := range list {
		nodes[i] = c.plan(x)
	}
	return nodes
}

// mirrored returns the operator that holds with its sides swapped.
func mirrored(op ast.Op) ast.Op {
	switch op {
	case ast.Lt:
		return ast.Gt
	case ast.Le:
		return ast.Ge
	case ast.Gt:
		return ast.Lt
	case ast.Ge:
		return ast.Le
	default:
		return op
	}
}

// planOrder plans a comparison; op is never Ne.
func (c *compiler) planOrder(e *ast.Binary, op ast.Op) node {
	if c.bothUnmapped(e) {
		return c.env.and(c.isNull(e.Left), c.isNull(e.Right))
	}
	l, r := e.Left, e.Right
	if foldable(l) && !foldable(r) {
		l, r, op = r, l, mirrored(op)
	}
	want := c.fold(r)
	if foldable(l) {
		return constNode(orderConstants(op, c.fold(l), want))
	}
	if want.IsMissing() {
		if op == ast.Eq {
			return c.isNull(l)
		}
		return constNode(false)
	}
	if f, ok := l.(*ast.Field); ok {
		return c.fieldOrder(r, f, op, want)
	}
	if want.Kind() == event.Bool && op == ast.Eq && c.isCondition(l) {
		if want.Bool() {
			return c.plan(l)
		}
		return c.env.not(c.plan(l)) // missing arguments satisfy `f(x) == false`
	}
	return c.script(l, func(x expr) expr { return &testExpr{x, orderTest(op, want)} }, string(op), want)
}

func orderConstants(op ast.Op, l, r event.Value) bool {
	if l.IsMissing() || r.IsMissing() {
		return op == ast.Eq && l.IsMissing() && r.IsMissing()
	}
	n, ok := compareValues(l, r)
	return ok && holds(op, n)
}

// isCondition reports whether a checked expression that isn't a field is boolean.
func (c *compiler) isCondition(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Unary:
		return e.Op == ast.Not
	case *ast.Binary:
		switch e.Op {
		case ast.Add, ast.Sub, ast.Mul, ast.Div, ast.Mod:
			return false
		default:
			return true
		}
	case *ast.Match:
		return true
	case *ast.Call:
		f := functions[strings.ToLower(e.Name)]
		return f.result == boolKind
	default:
		return false
	}
}

// isNull plans `e == null`.
func (c *compiler) isNull(e ast.Expr) node {
	if f, ok := e.(*ast.Field); ok {
		slot := c.slot(f)
		return c.env.not(c.env.atom(fmt.Sprintf("%d exists", slot), existsNode{slot}))
	}
	return c.script(e, func(x expr) expr { return isNullExpr{x} }, "== null", event.Value{})
}

func (c *compiler) slot(f *ast.Field) event.Slot { return c.env.schema.Add(f.Path) }

// fieldOrder plans a comparison of a field with a constant that isn't null; n is where the constant stands.
func (c *compiler) fieldOrder(n ast.Node, f *ast.Field, op ast.Op, want event.Value) node {
	slot := c.slot(f)
	t, err := fieldOrderTest(c.env.schema.Type(f.Path), op, want)
	if err != nil {
		c.report(finding.Value, n, "", "%s of field %s", err, f.Path)
		return constNode(false)
	}
	if op == ast.Eq {
		return c.leaf(slot, "in", []event.Value{want}, t)
	}
	return c.leaf(slot, string(op), []event.Value{want}, t)
}

// leaf makes the atom of a field's test. The constants and the operator are its key.
func (c *compiler) leaf(slot event.Slot, op string, consts []event.Value, t tester) node {
	if t == nil {
		return constNode(false) // no value of the field can equal the constant
	}
	n := &leaf{slot, t}
	if c.env.opts.NoSharing {
		return n
	}
	return c.env.atom(strconv.Itoa(int(slot))+" "+op+" "+constKey(consts), n)
}

// constKey returns one text for all lists of the same constants, whatever their order.
func constKey(consts []event.Value) string {
	parts := make([]string, len(consts))
	for i, v := range consts {
		text := v.Text()
		parts[i] = strconv.Itoa(int(v.Kind())) + " " + strconv.Itoa(len(text)) + " " + text
	}
	if len(parts) == 1 {
		return parts[0]
	}
	return strings.Join(sortedUnique(parts), ",")
}

// fold returns the value of a constant expression.
func (c *compiler) fold(e ast.Expr) event.Value {
	x := c.expr(e, nil)
	return x.value(&Memo{})
}

// constants returns the values of constant expressions, nulls left out.
func (c *compiler) constants(list []ast.Expr) []event.Value {
	values := make([]event.Value, 0, len(list))
	for _, x := range list {
		if v := c.fold(x); !v.IsMissing() {
			values = append(values, v)
		}
	}
	return values
}

// script plans a leaf over the expression e, which wrap makes boolean; what wrap does is told by op and want.
func (c *compiler) script(e ast.Expr, wrap func(expr) expr, op string, want event.Value) node {
	return c.scriptList(e, wrap, op, []event.Value{want})
}

func (c *compiler) scriptList(e ast.Expr, wrap func(expr) expr, op string, consts []event.Value) node {
	s := &script{}
	s.e = wrap(c.expr(e, s))
	if len(s.slots) == 0 {
		return constNode(s.eval(event.New(c.env.schema), &Memo{}))
	}
	return c.env.atom("script "+ast.PrintExpr(e)+" "+op+" "+constKey(consts), s)
}

// expr plans an expression whose fields become variables of s; a nil s takes constants only.
func (c *compiler) expr(e ast.Expr, s *script) expr {
	switch e := e.(type) {
	case *ast.String:
		return constExpr{event.StringValue(e.Value)}
	case *ast.Number:
		return constExpr{numberValue(e)}
	case *ast.Bool:
		return constExpr{event.BoolValue(e.Value)}
	case *ast.Field:
		return s.variable(c.slot(e))
	case *ast.Unary:
		x := c.expr(e.X, s)
		if e.Op == ast.Not {
			return notExpr{x}
		}
		return c.folded(&callExpr{f: functions["subtract"], args: []expr{constExpr{event.IntValue(0)}, x}})
	case *ast.Binary:
		return c.binaryExpr(e, s)
	case *ast.Match:
		return c.matchExpr(e, s)
	case *ast.Call:
		return c.callExpr(e, s)
	default:
		return constExpr{} // null
	}
}

// folded evaluates calls of constants once, at compile time.
func (c *compiler) folded(e *callExpr) expr {
	if !c.env.folds() {
		return e
	}
	for _, a := range e.args {
		if _, ok := a.(constExpr); !ok {
			return e
		}
	}
	return constExpr{e.value(&Memo{})}
}

// variable returns the variable of a slot.
func (n *script) variable(slot event.Slot) expr {
	for i, s := range n.slots {
		if s == slot {
			return varExpr(i)
		}
	}
	n.slots = append(n.slots, slot)
	return varExpr(len(n.slots) - 1)
}

func (c *compiler) binaryExpr(e *ast.Binary, s *script) expr {
	switch e.Op {
	case ast.And, ast.Or:
		return &logicExpr{e.Op == ast.Or, c.expr(e.Left, s), c.expr(e.Right, s)}
	case ast.Add, ast.Sub, ast.Mul, ast.Div, ast.Mod:
		return c.folded(&callExpr{f: operator(e.Op), args: []expr{c.expr(e.Left, s), c.expr(e.Right, s)}})
	default: // a comparison
	}
	l, r, op := e.Left, e.Right, e.Op
	if foldable(l) && !foldable(r) {
		l, r, op = r, l, mirrored(op)
	}
	if !foldable(r) { // the degenerate ?x == ?y
		both := &logicExpr{false, isNullExpr{c.expr(l, s)}, isNullExpr{c.expr(r, s)}}
		if op == ast.Ne {
			return notExpr{both}
		}
		return both
	}
	want := c.fold(r)
	x := c.expr(l, s)
	switch {
	case !want.IsMissing():
		return &testExpr{x, c.exprOrderTest(r, l, op, want)}
	case op == ast.Eq:
		return isNullExpr{x}
	case op == ast.Ne:
		return notExpr{isNullExpr{x}}
	default:
		return constExpr{}
	}
}

// exprOrderTest is the test of a comparison inside an expression: typed where its left side is a field.
func (c *compiler) exprOrderTest(n ast.Node, l ast.Expr, op ast.Op, want event.Value) tester {
	f, ok := l.(*ast.Field)
	if !ok {
		return orderTest(op, want)
	}
	base := op
	if op == ast.Ne {
		base = ast.Eq
	}
	t, err := fieldOrderTest(c.env.schema.Type(f.Path), base, want)
	switch {
	case err != nil:
		c.report(finding.Value, n, "", "%s of field %s", err, f.Path)
		return anyOf{}
	case t == nil:
		t = anyOf{}
	}
	if op == ast.Ne {
		return noneOf{t}
	}
	return t
}
