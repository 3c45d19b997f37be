package eql

import (
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
)

// Condition is a part of a stage's filter that can be evaluated by itself, to see what it costs.
type Condition struct {
	// Text is the condition in canonical form.
	Text string

	expr  ast.Expr // nil for the event category
	env   *Env
	node  node
	needs [][]Need
}

// Conditions returns what must all hold for a stage of a query that was compiled over s: the category, then the
// conditions joined by `and`, as written. They share nothing with the stage. o is what the query was compiled with.
func (s *Stage) Conditions(schema *event.Schema, o QueryOptions) []*Condition {
	env := NewEnv(schema, EnvOptions{NoSharing: true})
	c := &compiler{env: env, category: o.CategoryField}
	if c.category == "" {
		c.category = defaultCategory
	}
	var out []*Condition
	if category := s.filter.Category; !category.Any {
		field := &ast.Field{Span: category.Span, Path: c.category}
		n := c.fieldOrder(field, field, ast.Eq, event.StringValue(category.Name))
		out = append(out, &Condition{Text: "event category " + category.Name, env: env, node: n, needs: env.needs(n)})
	}
	for _, x := range split(s.filter.Where, ast.And) {
		out = append(out, newCondition(c, x))
	}
	return out
}

func newCondition(c *compiler, x ast.Expr) *Condition {
	n := c.plan(x)
	return &Condition{Text: ast.PrintExpr(x), expr: x, env: c.env, node: n, needs: c.env.needs(n)}
}

// split returns the sides of nested operations in their order.
func split(x ast.Expr, op ast.Op) []ast.Expr { return appendSides(nil, x, op) }

func appendSides(dst []ast.Expr, x ast.Expr, op ast.Op) []ast.Expr {
	if b, ok := x.(*ast.Binary); ok && b.Op == op {
		return appendSides(appendSides(dst, b.Left, op), b.Right, op)
	}
	return append(dst, x)
}

// Match reports whether ev satisfies the condition. The memo may be that of any set of queries.
func (c *Condition) Match(ev *event.Event, m *Memo) bool { return c.node.eval(ev, m) }

// Needs are the condition's necessary conditions, as Stage.Needs has them.
func (c *Condition) Needs() [][]Need { return c.needs }

// Alternatives returns the sides of a condition that is joined by `or`; none for others.
func (c *Condition) Alternatives() []*Condition {
	if c.expr == nil {
		return nil
	}
	sides := split(c.expr, ast.Or)
	if len(sides) < 2 {
		return nil
	}
	out := make([]*Condition, len(sides))
	for i, x := range sides {
		out[i] = newCondition(&compiler{env: c.env, category: defaultCategory}, x)
	}
	return out
}
