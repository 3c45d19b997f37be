package eql

import (
	"fmt"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/event"
)

// kind is the static type of an expression, as far as it is known.
type kind uint8

const (
	anyKind kind = iota // a field without a mapping, or null
	textKind
	numberKind
	boolKind
	dateKind
	ipKind
	versionKind
)

func (k kind) String() string {
	return [...]string{"any type", "text", "a number", "boolean", "a date", "an IP address", "a version"}[k]
}

// kindOf returns the static type of a field.
func kindOf(t event.Type) kind {
	switch t {
	case event.Keyword:
		return textKind
	case event.Long, event.Unsigned, event.Double:
		return numberKind
	case event.Boolean:
		return boolKind
	case event.Date:
		return dateKind
	case event.IP:
		return ipKind
	case event.Version:
		return versionKind
	default:
		return anyKind
	}
}

// compiler compiles one query.
type compiler struct {
	env      *Env
	category string
	errs     ast.Errors
	warnings []*ast.Error
	automata *Automata
}

// errorf reports a mismatch of types.
func (c *compiler) errorf(n ast.Node, format string, args ...any) {
	c.report(finding.Type, n, "", format, args...)
}

// hint is errorf with a suggestion.
func (c *compiler) hint(n ast.Node, hint, format string, args ...any) {
	c.report(finding.Type, n, hint, format, args...)
}

func (c *compiler) report(code finding.Code, n ast.Node, hint, format string, args ...any) {
	c.errs = append(c.errs, &ast.Error{Code: code, Span: n.Source(), Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// result returns the problems so far as an error, sorted by position.
func (c *compiler) result() error {
	if len(c.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(c.errs, func(a, b *ast.Error) int { return a.Pos - b.Pos })
	return c.errs
}

// condition checks that e is a valid condition.
func (c *compiler) condition(e ast.Expr) {
	if k := c.check(e); k != boolKind && k != anyKind {
		c.errorf(e, "a condition must be boolean, but this is %s", k)
	}
}

// check reports the problems of e and returns its type.
func (c *compiler) check(e ast.Expr) kind {
	switch e := e.(type) {
	case *ast.Field:
		return kindOf(c.env.schema.Type(e.Path))
	case *ast.String:
		return textKind
	case *ast.Number:
		return numberKind
	case *ast.Bool:
		return boolKind
	case *ast.Unary:
		if e.Op == ast.Not {
			c.condition(e.X)
			return boolKind
		}
		c.operand(e.X, e.Op)
		return numberKind
	case *ast.Binary:
		return c.checkBinary(e)
	case *ast.Match:
		c.checkMatch(e)
		return boolKind
	case *ast.Call:
		return c.checkCall(e)
	default:
		return anyKind
	}
}

func (c *compiler) operand(e ast.Expr, op ast.Op) {
	if k := c.check(e); k != numberKind && k != anyKind {
		c.errorf(e, "%s takes numbers, but this is %s", op, k)
	}
}

func (c *compiler) checkBinary(e *ast.Binary) kind {
	switch e.Op {
	case ast.And, ast.Or:
		c.condition(e.Left)
		c.condition(e.Right)
		return boolKind
	case ast.Add, ast.Sub, ast.Mul, ast.Div, ast.Mod:
		c.operand(e.Left, e.Op)
		c.operand(e.Right, e.Op)
		return numberKind
	default:
		c.check(e.Left)
		c.check(e.Right)
		if !foldable(e.Left) && !foldable(e.Right) && !c.bothUnmapped(e) {
			c.report(finding.Constant, e, "one side must be a constant", "fields cannot be compared with fields")
		}
		return boolKind
	}
}

// bothUnmapped reports whether e is `?x == ?y` or `?x != ?y` over fields without a mapping, the one comparison of
// two fields that Elasticsearch takes: both are null there.
func (c *compiler) bothUnmapped(e *ast.Binary) bool {
	l, lok := e.Left.(*ast.Field)
	r, rok := e.Right.(*ast.Field)
	return lok && rok && l.Optional && r.Optional && (e.Op == ast.Eq || e.Op == ast.Ne) &&
		c.env.schema.Type(l.Path) == event.Unknown && c.env.schema.Type(r.Path) == event.Unknown
}

// foldable reports whether e is constant.
func foldable(e ast.Expr) bool {
	constant := true
	EachField(e, func(*ast.Field) { constant = false })
	return constant
}

// EachField calls f for every field that an expression reads, in the order in which they stand.
func EachField(e ast.Expr, f func(*ast.Field)) {
	switch e := e.(type) {
	case *ast.Field:
		f(e)
	case *ast.Unary:
		EachField(e.X, f)
	case *ast.Binary:
		EachField(e.Left, f)
		EachField(e.Right, f)
	case *ast.Match:
		EachField(e.X, f)
		for _, x := range e.List {
			EachField(x, f)
		}
	case *ast.Call:
		for _, x := range e.Args {
			EachField(x, f)
		}
	}
}

func (c *compiler) checkMatch(e *ast.Match) {
	k := c.check(e.X)
	member := e.Op == ast.In
	if !member && k != textKind && k != versionKind && k != anyKind {
		hint := "use =="
		switch {
		case k == ipKind:
			hint = "use == or cidrMatch"
		case e.Op == ast.InFold:
			hint = "use in"
		}
		c.hint(e.X, hint, "%s takes text, but this is %s", e.Op, k)
	}
	for _, x := range e.List {
		kx := c.check(x)
		switch {
		case !foldable(x):
			c.report(finding.Constant, x, "", "%s takes constants on its right side", e.Op)
		case !member && kx != textKind && kx != anyKind:
			c.hint(x, "use == or in", "%s takes text, but this is %s", e.Op, kx)
		case member && !sameFamily(k, kx):
			c.hint(x, memberHint(k), "in compares values of one type: left of it stands %s, but this is %s", k, kx)
		}
	}
}

// sameFamily reports whether Elasticsearch takes values of both kinds in one list or as one join key. It converts
// constants for == and <, but not for those.
func sameFamily(a, b kind) bool {
	text := func(k kind) bool { return k == textKind || k == versionKind }
	return a == b || a == anyKind || b == anyKind || text(a) && text(b)
}

// memberHint tells what to write where a constant behind in has another type than what stands before it.
func memberHint(k kind) string {
	switch k {
	case textKind:
		return "write the constant in quotes"
	case ipKind:
		return "use cidrMatch: it takes several addresses and blocks"
	case dateKind:
		return "compare dates with ==, < or >"
	default:
		return "write the constant without quotes"
	}
}

func (c *compiler) checkCall(e *ast.Call) kind {
	name := strings.ToLower(e.Name)
	if hint, ok := endgameOnly(name); ok {
		c.report(finding.Function, e.NameSpan, hint, "function %s is of the Endgame dialect, Elasticsearch doesn't have it", e.Name)
		return anyKind
	}
	f, ok := functions[name]
	if !ok {
		c.report(finding.Function, e.NameSpan, didYouMean(name), "unknown function %q", e.Name)
		for _, x := range e.Args {
			c.check(x)
		}
		return anyKind
	}
	if e.Fold && !f.fold {
		c.report(finding.Function, e.NameSpan, "", "%s has no form that ignores case", f.name)
	}
	c.checkArgs(e, f)
	return f.result
}

func (c *compiler) checkArgs(e *ast.Call, f *function) {
	least := 0
	for _, p := range f.params {
		if !p.optional {
			least++
		}
	}
	if n := len(e.Args); n < least || n > len(f.params) && !f.variadic {
		c.report(finding.Arguments, e, "", "%s takes %s, but has %d", f.name, f.arity(least), n)
	}
	for i, x := range e.Args {
		k := c.check(x)
		if i >= len(f.params) && !f.variadic {
			continue
		}
		p := f.params[min(i, len(f.params)-1)]
		if p.constant && !foldable(x) {
			c.report(finding.Constant, x, "", "argument %d of %s must be a constant", i+1, f.name)
			continue
		}
		switch {
		case k != anyKind && len(p.kinds) > 0 && !slices.Contains(p.kinds, k):
			c.report(finding.Arguments, x, "", "argument %d of %s must be %s, but this is %s", i+1, f.name, p.kinds[0], k)
		case p.whole && c.fraction(x):
			c.report(finding.Arguments, x, "", "argument %d of %s must be a whole number", i+1, f.name)
		}
	}
}

// fraction reports whether the type of a number has decimals: a literal such as 1.0, or a field of type double.
func (c *compiler) fraction(e ast.Expr) bool {
	switch e := e.(type) {
	case *ast.Number:
		return strings.ContainsAny(e.Text, ".eE")
	case *ast.Field:
		return c.env.schema.Type(e.Path) == event.Double
	case *ast.Unary:
		return c.fraction(e.X)
	case *ast.Binary:
		return c.fraction(e.Left) || c.fraction(e.Right)
	default:
		return false
	}
}

// endgameOnly tells what to use instead of the functions that only Endgame's dialect has.
func endgameOnly(name string) (hint string, ok bool) {
	switch name {
	case "arraycontains":
		return "a comparison holds if any value of an array does", true
	case "match", "matchlite":
		return "use regex", true
	case "arraycount", "arraysearch", "safe":
		return "", true
	default:
		return "", false
	}
}

func didYouMean(name string) string {
	best, distance := "", 3
	for known, f := range functions {
		if d := levenshtein.ComputeDistance(name, known); d < distance || d == distance && d < 3 && f.name < best {
			best, distance = f.name, d
		}
	}
	if best == "" {
		return ""
	}
	return "did you mean " + best + "?"
}
