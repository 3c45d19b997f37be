package eql

import (
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/eql/internal/glob"
	"github.com/weir-eql/weir/event"
)

// planCall plans a boolean function that stands as a condition. Over a field with constants it is one atom,
// with the meaning that Elasticsearch's query for it has; otherwise it is a script.
func (c *compiler) planCall(e *ast.Call) node {
	name := strings.ToLower(e.Name)
	switch name {
	case "cidrmatch", "wildcard":
		return c.planTestCall(e)
	}
	f, isField := e.Args[0].(*ast.Field)
	if isField && len(e.Args) == 2 && foldable(e.Args[1]) {
		v := c.fold(e.Args[1])
		if v.IsMissing() {
			return constNode(false)
		}
		op, t := c.affixTest(name, e, v.Text())
		return c.leaf(c.slot(f), op, []event.Value{v}, t)
	}
	return c.script(e, func(x expr) expr { return x }, "", event.Value{})
}

// affixTest returns the test of startsWith, endsWith and stringContains over a field, and its name. The last two
// are wildcard queries in Elasticsearch, into which the constant is pasted as it is: `*`, `?` and `\` in
// it are special.
func (c *compiler) affixTest(name string, e *ast.Call, text string) (op string, t tester) {
	if e.Fold {
		op = "~"
	}
	special := strings.ContainsAny(strings.NewReplacer(`\*`, "", `\?`, "").Replace(text), `*?\`) // \* and \? are meant as they are
	switch name {
	case "startswith":
		if e.Fold {
			return "prefix~", textPrefix{glob.LowerASCII(text), true}
		}
		return "prefix", textPrefix{text, false}
	case "endswith":
		op, text = "escaped"+op, "*"+text
	default:
		op, text = "contains"+op, "*"+text+"*"
	}
	if special {
		c.warnings = append(c.warnings, &ast.Error{
			Code: finding.NeedlePattern,
			Span: e.Args[1].Source(),
			Msg:  functions[name].name + ` takes *, ? and \ in this constant as a wildcard pattern does`,
			Hint: `write \\* for a literal star`,
		})
	}
	return op, c.patternTest([]string{text}, e.Fold, true)
}

// planTestCall plans cidrMatch and wildcard.
func (c *compiler) planTestCall(e *ast.Call) node {
	consts := c.constants(e.Args[1:])
	if len(consts) == 0 {
		return constNode(false)
	}
	if f, ok := e.Args[0].(*ast.Field); ok {
		t, op := c.callTest(e, consts, true)
		return c.leaf(c.slot(f), op, consts, t)
	}
	t, op := c.callTest(e, consts, false)
	return c.scriptList(e.Args[0], func(x expr) expr { return &testExpr{x, t} }, op, consts)
}

// callTest returns the test of cidrMatch and wildcard, over a field or an expression, and its name.
func (c *compiler) callTest(e *ast.Call, consts []event.Value, field bool) (t tester, op string) {
	if strings.EqualFold(e.Name, "cidrMatch") {
		for _, x := range e.Args[1:] {
			v := c.fold(x)
			if v.IsMissing() {
				continue
			}
			if _, err := parseBlock(v.Text()); err != nil {
				c.report(finding.Value, x, "", "%s", err)
			}
		}
		blocks, err := newCIDRTest(textsOf(consts), !c.env.opts.NoPrefixTree && !c.env.opts.NoOptimise)
		if err != nil {
			return anyOf{}, "cidr" // reported above
		}
		return blocks, "cidr"
	}
	m := &ast.Match{Span: e.Span, Op: ast.Like, OpSpan: e.NameSpan, X: e.Args[0], List: e.Args[1:]}
	if e.Fold {
		m.Op = ast.LikeFold
	}
	if field {
		return c.matchTest(m, event.Unknown, consts), matchKey(m.Op, consts)
	}
	return c.exprMatchTest(m, consts), string(m.Op)
}

func (c *compiler) callExpr(e *ast.Call, s *script) expr {
	f := functions[strings.ToLower(e.Name)]
	if f.call == nil {
		_, field := e.Args[0].(*ast.Field)
		t, _ := c.callTest(e, c.constants(e.Args[1:]), field)
		return &testExpr{c.expr(e.Args[0], s), t}
	}
	call := &callExpr{f: f, fold: e.Fold, args: make([]expr, len(e.Args))}
	for i, a := range e.Args {
		call.args[i] = c.expr(a, s)
	}
	return c.folded(call)
}
