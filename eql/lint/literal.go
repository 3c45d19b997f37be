package lint

import (
	"math"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
)

// literal is a test of one field, or its complement: some value of the field is in one of the sets, or none is.
type literal struct {
	field string // the field's path; of a test that isn't of one field, its text
	not   bool
	sets  []item
	expr  ast.Expr // where it stands
	// opposite is set where expr doesn't hold when the literal does: it stands under a not further out.
	opposite bool
}

func (x literal) negated() literal {
	x.not = !x.not
	return x
}

// literalOf returns the test that e is. Whatever it can't look into is a test that is equal to itself only. ok is false
// for what is no single test: logic and constants.
func (l *linter) literalOf(e ast.Expr) (x literal, ok bool) {
	switch e := e.(type) {
	case *ast.Field:
		if l.o.Types(e.Path) == event.Boolean {
			return literal{field: e.Path, sets: []item{textItem("true", false)}, expr: e}, true
		}
		x := opaqueOf(e.Path, &ast.Binary{Span: e.Span, Op: ast.Eq, Left: e, Right: &ast.Bool{Value: true}})
		x.expr = e
		return x, true
	case *ast.Unary:
		if e.Op != ast.Not {
			return literal{}, false
		}
		x, ok = l.literalOf(e.X)
		x.expr = e
		return x.negated(), ok
	case *ast.Binary:
		return l.comparisonLiteral(e)
	case *ast.Match:
		return l.matchLiteral(e)
	case *ast.Call:
		return l.callLiteral(e), true
	default:
		return literal{}, false
	}
}

// unknown is the literal of a test that isn't looked into.
func unknown(e ast.Expr) literal {
	return literal{field: strings.ToLower(ast.PrintExpr(e)), sets: []item{{kind: opaque, text: ast.PrintExpr(e)}}, expr: e}
}

// opaqueOf is the literal of a test of a field that isn't looked into.
func opaqueOf(field string, e ast.Expr) literal {
	return literal{field: field, sets: []item{{kind: opaque, text: ast.PrintExpr(e)}}, expr: e}
}

func exists(field string, e ast.Expr) literal {
	return literal{field: field, sets: []item{{kind: anything}}, expr: e}
}

func (l *linter) comparisonLiteral(e *ast.Binary) (x literal, ok bool) {
	switch e.Op {
	case ast.Eq, ast.Ne, ast.Lt, ast.Le, ast.Gt, ast.Ge:
	default:
		return literal{}, false
	}
	f, c, op := fieldAndConstant(e)
	if f == nil {
		if call, ok := e.Left.(*ast.Call); ok {
			if b, ok := e.Right.(*ast.Bool); ok && (e.Op == ast.Eq || e.Op == ast.Ne) && isTest(call) {
				x := l.callLiteral(call)
				x.expr, x.not = e, b.Value == (e.Op == ast.Ne)
				return x, true
			}
		}
		if !readsField(e) {
			return literal{}, false
		}
		if e.Op == ast.Ne {
			eq := *e
			eq.Op = ast.Eq
			x := unknown(&eq)
			x.expr, x.not = e, true
			return x, true
		}
		return unknown(e), true
	}
	if op == ast.Ne {
		eq := *e
		eq.Op = ast.Eq
		x, ok = l.comparisonLiteral(&eq)
		x.expr, x.not = e, !x.not
		return x, ok
	}
	if _, null := c.(*ast.Null); null {
		if op != ast.Eq {
			return literal{}, false
		}
		return exists(f.Path, e).negated(), true
	}
	sets, ok := l.values(f, op, c)
	if !ok {
		return opaqueOf(f.Path, e), true
	}
	return literal{field: f.Path, sets: sets, expr: e}, true
}

// isTest reports whether a call gives true or false.
func isTest(c *ast.Call) bool {
	switch strings.ToLower(c.Name) {
	case "cidrmatch", "endswith", "startswith", "stringcontains", "wildcard":
		return true
	default:
		return false
	}
}

func readsField(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Field:
		return true
	case *ast.Unary:
		return readsField(e.X)
	case *ast.Binary:
		return readsField(e.Left) || readsField(e.Right)
	case *ast.Match:
		return readsField(e.X)
	case *ast.Call:
		return slices.ContainsFunc(e.Args, readsField)
	}
	return false
}

// fieldAndConstant returns the sides of a comparison of a field with a literal constant, the operator turned so that
// the field is on its left; f is nil for other comparisons.
func fieldAndConstant(e *ast.Binary) (f *ast.Field, c ast.Expr, op ast.Op) {
	left, right, op := e.Left, e.Right, e.Op
	if _, ok := right.(*ast.Field); ok {
		left, right = right, left
		switch op {
		case ast.Lt:
			op = ast.Gt
		case ast.Le:
			op = ast.Ge
		case ast.Gt:
			op = ast.Lt
		case ast.Ge:
			op = ast.Le
		default:
		}
	}
	f, ok := left.(*ast.Field)
	if !ok {
		return nil, nil, op
	}
	switch c := right.(type) {
	case *ast.String, *ast.Number, *ast.Bool, *ast.Null:
		return f, c, op
	case *ast.Unary: // a negative number
		if n, ok := c.X.(*ast.Number); ok && c.Op == ast.Sub {
			return f, &ast.Number{Span: c.Span, Text: "-" + n.Text, IsInt: n.IsInt, Int: -n.Int, Float: -n.Float}, op
		}
	}
	return nil, nil, op
}

// values returns what a comparison of f with a constant holds for; ok is false where that isn't known.
func (l *linter) values(f *ast.Field, op ast.Op, c ast.Expr) (sets []item, ok bool) {
	typ := l.o.Types(f.Path)
	switch typ {
	case event.Keyword, event.Version:
		text, ok := constantText(c)
		return []item{textItem(text, false)}, ok && op == ast.Eq
	case event.Long, event.Unsigned, event.Double:
		n, ok := constantNumber(c)
		return []item{interval(op, n, typ != event.Double)}, ok
	case event.Boolean:
		text, ok := constantText(c)
		if text == "" {
			text = "false"
		}
		return []item{textItem(text, false)}, ok && op == ast.Eq
	case event.IP:
		text, _ := constantText(c)
		addr, err := netip.ParseAddr(text)
		return []item{textItem(addr.Unmap().String(), false)}, err == nil && op == ast.Eq
	case event.Unknown:
		switch c := c.(type) {
		case *ast.String:
			return []item{textItem(c.Value, false)}, op == ast.Eq
		case *ast.Number:
			return []item{interval(op, c.Float, false)}, true
		default: // true and "true" are two values here
			return nil, false
		}
	default:
		return nil, false
	}
}

func interval(op ast.Op, n float64, whole bool) item {
	switch op {
	case ast.Lt:
		return intervalItem(math.Inf(-1), below(n, whole))
	case ast.Le:
		return intervalItem(math.Inf(-1), n)
	case ast.Gt:
		return intervalItem(above(n, whole), math.Inf(1))
	case ast.Ge:
		return intervalItem(n, math.Inf(1))
	default:
		return intervalItem(n, n)
	}
}

func constantText(c ast.Expr) (string, bool) {
	switch c := c.(type) {
	case *ast.String:
		return c.Value, true
	case *ast.Number:
		return strconv.FormatInt(c.Int, 10), c.IsInt
	case *ast.Bool:
		return strconv.FormatBool(c.Value), true
	default:
		return "", false
	}
}

func constantNumber(c ast.Expr) (float64, bool) {
	switch c := c.(type) {
	case *ast.Number:
		return c.Float, math.Abs(c.Float) < 1<<53
	case *ast.String:
		n, err := strconv.ParseFloat(c.Value, 64)
		return n, err == nil && math.Abs(n) < 1<<53
	default:
		return 0, false
	}
}

func (l *linter) matchLiteral(e *ast.Match) (x literal, ok bool) {
	f, ok := e.X.(*ast.Field)
	if !ok {
		return unknown(e), readsField(e)
	}
	var sets []item
	typ := l.o.Types(f.Path)
	for _, c := range e.List {
		if _, null := c.(*ast.Null); null {
			continue
		}
		switch e.Op {
		case ast.In, ast.InFold:
			if typ == event.Keyword || typ == event.Unknown && e.Op == ast.InFold {
				text, ok := constantText(c)
				if !ok {
					return opaqueOf(f.Path, e), true
				}
				sets = append(sets, textItem(text, e.Op == ast.InFold))
				continue
			}
			some, ok := l.values(f, ast.Eq, c)
			if !ok {
				return opaqueOf(f.Path, e), true
			}
			sets = append(sets, some...)
		case ast.Seq, ast.Like, ast.LikeFold:
			text, ok := constantText(c)
			if !ok || typ == event.IP {
				return opaqueOf(f.Path, e), true
			}
			sets = append(sets, patternItem(text, e.Op != ast.Like))
		default:
			return opaqueOf(f.Path, e), true
		}
	}
	return literal{field: f.Path, sets: sets, expr: e}, len(sets) > 0
}

func (l *linter) callLiteral(e *ast.Call) literal {
	if !isTest(e) || len(e.Args) < 2 {
		return unknown(e)
	}
	f, ok := e.Args[0].(*ast.Field)
	if !ok {
		return unknown(e)
	}
	name := strings.ToLower(e.Name)
	var sets []item
	for _, a := range e.Args[1:] {
		s, ok := a.(*ast.String)
		if !ok {
			return opaqueOf(f.Path, e)
		}
		plain := !strings.ContainsAny(s.Value, `*?\`)
		switch {
		case name == "wildcard":
			sets = append(sets, patternItem(s.Value, e.Fold))
		case name == "startswith" && plain:
			sets = append(sets, patternItem(s.Value+"*", e.Fold))
		case name == "endswith" && plain:
			sets = append(sets, patternItem("*"+s.Value, e.Fold))
		case name == "stringcontains" && plain:
			sets = append(sets, patternItem("*"+s.Value+"*", e.Fold))
		default:
			return opaqueOf(f.Path, e)
		}
	}
	return literal{field: f.Path, sets: sets, expr: e}
}
