package eql

import (
	"errors"
	"slices"
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/eql/internal/glob"
	"github.com/weir-eql/weir/eql/internal/lucene"
	"github.com/weir-eql/weir/event"
)

// planMatch plans `:`, in, like, regex and their forms.
func (c *compiler) planMatch(e *ast.Match) node {
	consts := c.constants(e.List)
	if len(consts) == 0 {
		return constNode(false)
	}
	if f, ok := e.X.(*ast.Field); ok {
		slot := c.slot(f)
		return c.leaf(slot, matchKey(e.Op, consts), consts, c.matchTest(e, c.env.schema.Type(f.Path), consts))
	}
	t := c.exprMatchTest(e, consts)
	return c.scriptList(e.X, func(x expr) expr { return &testExpr{x, t} }, string(e.Op), consts)
}

// matchKey returns the operator for an atom's key: operators that mean the same for these constants share it.
func matchKey(op ast.Op, consts []event.Value) string {
	wild := slices.ContainsFunc(consts, func(v event.Value) bool { return strings.ContainsAny(v.Text(), "*?") })
	switch op {
	case ast.Seq, ast.LikeFold:
		if !wild {
			return string(ast.InFold)
		}
		return string(ast.LikeFold)
	case ast.Like:
		if !wild {
			return string(ast.In)
		}
	default:
	}
	return string(op)
}

func (c *compiler) matchExpr(e *ast.Match, s *script) expr {
	consts := c.constants(e.List)
	x := c.expr(e.X, s)
	if f, ok := e.X.(*ast.Field); ok {
		t := c.matchTest(e, c.env.schema.Type(f.Path), consts)
		if t == nil {
			t = anyOf{}
		}
		return &testExpr{x, t}
	}
	return &testExpr{x, c.exprMatchTest(e, consts)}
}

// matchTest returns the test of a field against the constants of e; nil where no value can pass.
func (c *compiler) matchTest(e *ast.Match, typ event.Type, consts []event.Value) tester {
	switch e.Op {
	case ast.In, ast.InFold:
		return c.memberTest(e, typ, consts)
	case ast.Regex, ast.RegexFold:
		return c.regexTest(e)
	default:
		return c.patternTest(textsOf(consts), e.Op != ast.Like, false)
	}
}

// exprMatchTest is matchTest for the values of an expression. There all letters fold, not ASCII's only.
func (c *compiler) exprMatchTest(e *ast.Match, consts []event.Value) tester {
	switch e.Op {
	case ast.Regex, ast.RegexFold:
		c.warnJavaRegex(e)
		return c.regexTest(e)
	case ast.In:
		return memberOf(consts, false)
	case ast.InFold:
		return foldedTests(consts, func(folded []event.Value) tester { return memberOf(folded, false) })
	case ast.Like:
		return c.patternTest(textsOf(consts), false, false)
	default:
		return foldedTests(consts, func(folded []event.Value) tester {
			return c.patternTest(textsOf(folded), false, false)
		})
	}
}

// foldedTests makes a test over folded constants that is given folded text. Constants that aren't text are compared as they are.
func foldedTests(consts []event.Value, test func([]event.Value) tester) tester {
	var texts, others []event.Value
	for _, v := range consts {
		if isText(v) {
			texts = append(texts, event.StringValue(foldAll(v.Str())))
		} else {
			others = append(others, v)
		}
	}
	var tests anyOf
	if len(texts) > 0 {
		tests = append(tests, foldFirst{test(texts)})
	}
	if len(others) > 0 {
		tests = append(tests, memberOf(others, false))
	}
	return tests
}

func textsOf(consts []event.Value) []string {
	texts := make([]string, 0, len(consts))
	for _, v := range consts {
		texts = append(texts, v.Text())
	}
	return sortedUnique(texts)
}

func sortedUnique(texts []string) []string {
	slices.Sort(texts)
	return slices.Compact(texts)
}

// patternTest returns the test for wildcard patterns.
func (c *compiler) patternTest(patterns []string, fold, escapes bool) tester {
	if !c.env.opts.NoOptimise {
		return anyPattern(patterns, fold, escapes, !c.env.opts.NoPatternSets)
	}
	var tests anyOf
	for _, p := range patterns {
		tests = append(tests, textGlob{glob.Compile(p, fold, escapes)})
	}
	return tests
}

func (c *compiler) regexTest(e *ast.Match) tester {
	var tests anyOf
	for _, x := range e.List {
		v := c.fold(x)
		if v.IsMissing() {
			continue
		}
		if v.Text() == "" && len(e.List) > 1 {
			c.hint(x, "write () for the empty text", "regular expression: Elasticsearch joins a list with |, where an alternative can't be empty")
			continue
		}
		re, err := c.automata.compile(v.Text(), e.Op == ast.RegexFold)
		if err != nil {
			c.regexError(x, err)
			continue
		}
		tests = append(tests, textRegex{re})
	}
	if len(tests) == 1 {
		return tests[0]
	}
	return tests
}

// warnJavaRegex warns of patterns over expressions that Elasticsearch would read otherwise: it gives those to
// java.util.regex, whose operators aren't Lucene's.
func (c *compiler) warnJavaRegex(e *ast.Match) {
	for _, x := range e.List {
		v := c.fold(x)
		if !strings.ContainsAny(v.Text(), `^$~&@#<"`) && !strings.Contains(v.Text(), "(?") {
			continue
		}
		c.warnings = append(c.warnings, &ast.Error{
			Code: finding.JavaRegex,
			Span: x.Source(),
			Msg:  "over the result of a function this pattern means something else in Elasticsearch, which uses Java's regular expressions there",
			Hint: `Weir uses Lucene's everywhere: there ^ $ are themselves, and ~ & @ # < " are operators`,
		})
	}
}

// regexError reports a pattern that can't be run, at the place in the query that is meant.
func (c *compiler) regexError(x ast.Expr, err error) {
	e, ok := errors.AsType[*lucene.Error](err)
	if !ok {
		c.report(finding.Regex, x, "", "regular expression: %s", err)
		return
	}
	var at ast.Node = x
	if s, ok := x.(*ast.String); ok {
		at = s.Part(e.Offset, e.End)
	}
	c.report(finding.Regex, at, e.Hint, "regular expression: %s", e.Msg)
}

// memberTest returns the test for membership of a field's values; errors go to the constants that can't be
// values of the field.
func (c *compiler) memberTest(e *ast.Match, typ event.Type, consts []event.Value) tester {
	if typ == event.Unknown {
		return memberOf(consts, e.Op == ast.InFold)
	}
	if typ == event.Keyword || typ == event.Version {
		return oneText(textsOf(consts), e.Op == ast.InFold)
	}
	var tests anyOf
	var numbers numberSet
	var texts []string // canonical addresses
	for _, x := range e.List {
		v := c.fold(x)
		if v.IsMissing() {
			continue
		}
		t, err := fieldOrderTest(typ, ast.Eq, v)
		if err != nil {
			c.report(finding.Value, x, "", "%s of a field of type %s", err, typ)
			continue
		}
		switch t := t.(type) {
		case nil:
		case numberOrder:
			numbers = append(numbers, t.c)
		case textEq:
			texts = append(texts, t.text)
		default:
			tests = append(tests, t)
		}
	}
	if len(texts) > 0 {
		tests = append(tests, oneText(sortedUnique(texts), false))
	}
	if len(numbers) > 0 {
		tests = append(tests, numbers)
	}
	if len(tests) == 1 {
		return tests[0]
	}
	return tests
}

// memberOf returns the test for membership of values of any kind: each is compared with the constants of its kind.
func memberOf(consts []event.Value, fold bool) tester {
	var texts []string
	var numbers numberSet
	var tests anyOf
	for _, v := range consts {
		switch {
		case isText(v):
			texts = append(texts, v.Str())
		case v.IsNumber():
			numbers = append(numbers, v)
		case v.Kind() == event.Bool:
			tests = append(tests, boolOrder{ast.Eq, v})
		}
	}
	if len(texts) > 0 {
		tests = append(tests, oneText(sortedUnique(texts), fold))
	}
	if len(numbers) > 0 {
		tests = append(tests, numbers)
	}
	if len(tests) == 1 {
		return tests[0]
	}
	return tests
}
