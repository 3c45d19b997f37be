// Package lint finds in a query that compiles what its author can't have meant: conditions that never or always hold,
// values that no event has, patterns that are read otherwise than they look. It reports what is certain from the
// query, the types of fields and what ECS says of them; where events may tell otherwise it is silent. It is for
// checking rules, never for running them.
package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// Options say what is known of fields. The zero value takes what the Elastic Common Schema and known integrations say.
type Options struct {
	// Types tells the types of fields; nil means those of event/ecs.
	Types func(path string) event.Type
	// Single reports whether a field never has more than one value; nil means what ECS says.
	Single func(path string) bool
}

// Query returns the findings on a query that compiles, sorted by position. text is what stmt was parsed from.
func Query(text string, stmt ast.Statement, o Options) []*ast.Error {
	if o.Types == nil {
		o.Types = ecs.TypeOf
	}
	if o.Single == nil {
		o.Single = ecs.Single
	}
	l := &linter{text: text, o: o, singles: map[string]bool{}}
	switch s := stmt.(type) {
	case *ast.EventQuery:
		l.condition(s.Filter.Where, nil)
	case *ast.Sequence:
		l.sequence(s)
	case *ast.Sample:
		l.sample(s)
	}
	slices.SortStableFunc(l.found, func(a, b *ast.Error) int { return cmp.Or(a.Pos-b.Pos, strings.Compare(string(a.Code), string(b.Code))) })
	return l.found
}

// linter gathers the findings on one query.
type linter struct {
	text  string
	o     Options
	found []*ast.Error
	// singles remembers the answers of Options.Single: it is asked for each pair of tests.
	singles map[string]bool
}

// isSingle is Options.Single.
func (l *linter) isSingle(path string) bool {
	single, known := l.singles[path]
	if !known {
		single = l.o.Single(path)
		l.singles[path] = single
	}
	return single
}

func (l *linter) report(code finding.Code, at ast.Span, hint, format string, args ...any) {
	l.found = append(l.found, &ast.Error{Code: code, Span: at, Msg: fmt.Sprintf(format, args...), Hint: hint})
}

// source is the text of a node, cut to a length that fits a message.
func (l *linter) source(n ast.Node) string {
	const limit = 60
	at := n.Source()
	s := strings.Join(strings.Fields(l.text[at.Pos:at.End]), " ")
	if r := []rune(s); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return s
}

// condition finds what is wrong with the condition of a filter; known are facts that hold for each of its events. It
// reports whether the condition can hold.
func (l *linter) condition(e ast.Expr, known []literal) (possible bool) {
	l.leaves(e)
	if b, ok := e.(*ast.Bool); ok { // `where true` is how a filter without a condition is written
		if !b.Value {
			l.report(finding.AlwaysFalse, b.Span, "", "this condition never holds")
		}
		return b.Value
	}
	return l.group(view{expr: e}, known) != never
}

// leaves looks at each test by itself.
func (l *linter) leaves(e ast.Expr) {
	switch e := e.(type) {
	case *ast.Unary:
		l.leaves(e.X)
	case *ast.Binary:
		switch e.Op {
		case ast.And, ast.Or:
		case ast.Add, ast.Sub, ast.Mul, ast.Div, ast.Mod:
		default:
			l.comparison(e)
		}
		l.leaves(e.Left)
		l.leaves(e.Right)
	case *ast.Match:
		l.match(e)
		l.leaves(e.X)
	case *ast.Call:
		l.call(e)
		for _, a := range e.Args {
			l.leaves(a)
		}
	}
}
