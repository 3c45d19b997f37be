package parser

import (
	"math"
	"strconv"
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
)

// The powers of binding, loosest first.
const (
	powerOr = iota + 1
	powerAnd
	powerNot
	powerCompare
	powerAdd
	powerMultiply
	powerNegate
	powerMatch
)

// infixPower returns how tight an infix operator binds, 0 for what isn't one. It includes some misspellings
// (`=`, `!:`, AND) that infix reports.
func infixPower(t token) int {
	switch t.kind {
	case word:
		switch strings.ToLower(t.value) {
		case "or":
			return powerOr
		case "and":
			return powerAnd
		case "not", "in", "in~", "like", "like~", "regex", "regex~":
			return powerMatch
		}
	case operator:
		switch t.value {
		case "==", "!=", "<", "<=", ">", ">=", "=":
			return powerCompare
		case "+", "-":
			return powerAdd
		case "*", "/", "%":
			return powerMultiply
		case ":", "!:":
			return powerMatch
		}
	default: // names and values
	}
	return 0
}

// expr reads an expression of operators that bind at least as tight as power.
func (p *parser) expr(power int) (ast.Expr, bool) {
	if p.depth++; p.depth > maxDepth {
		p.giveUp(finding.Limit, p.tok.Span, "use lists, or fewer parentheses", "the expression is nested too deep")
	}
	defer func() { p.depth-- }()
	start := p.tok.Pos
	left, ok := p.prefix(power)
	if !ok {
		left = p.hole(start)
		if !p.resume(power) {
			return left, false
		}
	}
	before := 0 // the power of the operator that made left
	for {
		t := p.tok
		now := infixPower(t)
		if now == 0 || now < power {
			return left, true
		}
		if before == now && now == powerCompare {
			p.errorf(t.Span, "join two comparisons with and", "comparisons don't chain")
		}
		if before == now && now == powerMatch {
			p.errorf(t.Span, "join two tests with and", "%s can't follow another test of the same value", t.describe())
		}
		before = now
		if now == powerMatch {
			left, ok = p.match(left, start)
		} else {
			left, ok = p.binary(left, start, now)
		}
		if !ok && !p.resume(power) {
			return p.hole(start), false
		}
	}
}

// hole stands for an expression that couldn't be read.
func (p *parser) hole(start int) ast.Expr { return &ast.Null{Span: p.spanFrom(start)} }

// resume looks for a place to go on behind a problem: the next `and` or `or`, or the end of what encloses the
// expression. Only conditions can do so; for tighter operators the caller does.
func (p *parser) resume(power int) bool {
	if power > powerNot {
		return false
	}
	p.skipCondition()
	return true
}

// skipCondition passes over the rest of a condition that couldn't be read.
func (p *parser) skipCondition() {
	stops := []string{"and", "or", ")", "]", "[", "![", "|"}
	if p.lists > 0 {
		stops = append(stops, ",")
	}
	p.skipTo(stops...)
}

// binary reads the operator and the right side of and, or, comparisons and arithmetic.
func (p *parser) binary(left ast.Expr, start, power int) (ast.Expr, bool) {
	t := p.next()
	op := ast.Op(t.value)
	switch {
	case t.value == "=":
		p.dialect(t.Span, "did you mean ==?", "= isn't a comparison")
		op = ast.Eq
	case t.kind == word && t.value != strings.ToLower(t.value):
		p.lowerCase(t)
		op = ast.Op(strings.ToLower(t.value))
	}
	right, ok := p.expr(power + 1)
	if !ok {
		return left, false
	}
	return &ast.Binary{Span: p.spanFrom(start), Op: op, OpSpan: t.Span, Left: left, Right: right}, true
}

// lowerCase reports a keyword in the wrong case.
func (p *parser) lowerCase(t token) {
	p.errorf(t.Span, "did you mean "+strings.ToLower(t.value)+"?", "keywords are in lower case")
}

// match reads the operator and the list of `x [not] in (…)`, `x : …`, `x like …` and `x regex …`.
func (p *parser) match(x ast.Expr, start int) (ast.Expr, bool) {
	var not *token
	if strings.EqualFold(p.tok.value, "not") {
		t := p.next()
		not = &t
		if t.value != "not" {
			p.lowerCase(t)
		}
		if infixPower(p.tok) != powerMatch || strings.EqualFold(p.tok.value, "not") {
			p.expected("in after not", "not stands before what it negates: `not x == …`")
			return x, false
		}
	}
	t := p.next()
	op := ast.Op(strings.ToLower(t.value))
	switch {
	case t.value == "!:":
		p.dialect(t.Span, "write `not "+p.operandText(x)+" : …`", "!: isn't an operator of EQL")
		op = ast.Seq
	case t.kind == word && t.value != string(op):
		p.lowerCase(t)
	}
	membership := op == ast.In || op == ast.InFold
	if not != nil && !membership {
		p.errorf(not.Span, "write `not "+p.operandText(x)+" "+string(op)+" …`", "not can't stand before %s", op)
	}
	var list []ast.Expr
	var ok bool
	switch {
	case p.tok.is("("):
		list, ok = p.list("a list")
	case membership:
		p.expected("( after "+string(op), "in takes a list, such as `in (\"a\", \"b\")`")
		return x, false
	default:
		var e ast.Expr
		if e, ok = p.expr(powerMatch + 1); ok {
			list = []ast.Expr{e}
		}
	}
	if !ok {
		return x, false
	}
	if len(list) == 0 {
		p.errorf(ast.Span{Pos: p.last - 1, End: p.last}, "", "the list behind %s is empty", op)
	}
	if !membership {
		p.constants(op, list)
	}
	var e ast.Expr = &ast.Match{Span: p.spanFrom(start), Op: op, OpSpan: t.Span, X: x, List: list}
	if not != nil {
		e = &ast.Unary{Span: p.spanFrom(start), Op: ast.Not, X: e}
	}
	return e, true
}

// operandText is the source of x, shortened, for hints.
func (p *parser) operandText(x ast.Expr) string {
	s := x.Source()
	return shorten(p.src[s.Pos:s.End])
}

// constants reports patterns that aren't literals: Elasticsearch needs them when it plans the query.
func (p *parser) constants(op ast.Op, list []ast.Expr) {
	for _, e := range list {
		switch e.(type) {
		case *ast.String, *ast.Number, *ast.Bool, *ast.Null:
		default:
			p.errorf(e.Source(), "compare other values with == or in", "%s compares with constants only", op)
		}
	}
}

// prefix reads what can begin an expression.
func (p *parser) prefix(power int) (ast.Expr, bool) {
	t := p.tok
	switch {
	case t.is("not"), p.shoutedNot():
		return p.not(power)
	case t.isAny("-", "+"):
		p.next()
		x, ok := p.expr(powerNegate)
		if !ok || t.is("+") {
			return x, ok
		}
		return &ast.Unary{Span: p.spanFrom(t.Pos), Op: ast.Sub, X: x}, true
	case t.is("!"):
		p.dialect(t.Span, "did you mean not?", "! isn't an operator of EQL")
		p.next()
		return p.prefix(power)
	case t.is("("):
		p.next()
		lists := p.lists
		p.lists = 0
		x, _ := p.expr(powerOr)
		p.rest(")", t)
		p.lists = lists
		return x, true
	case t.kind == text:
		p.next()
		return &ast.String{Span: t.Span, Value: t.value, Raw: t.raw, Escapes: t.escapes}, true
	case t.kind == number:
		return p.number()
	case t.isAny("true", "false"):
		p.next()
		return &ast.Bool{Span: t.Span, Value: t.value == "true"}, true
	case t.is("null"):
		p.next()
		return &ast.Null{Span: t.Span}, true
	case t.kind == word && isConstant(strings.ToLower(t.value)) && !p.peek().is(".") && !p.peek().is("("):
		p.lowerCase(t)
		p.next()
		return &ast.Null{Span: t.Span}, true
	default:
		return p.name()
	}
}

// isConstant tells whether s is one of the constants that are words.
func isConstant(s string) bool { return s == "true" || s == "false" || s == "null" }

// shoutedNot tells whether NOT stands where only the keyword makes sense: a field could have that name.
func (p *parser) shoutedNot() bool {
	next := p.peek()
	operand := next.kind == word && infixPower(next) == 0 || next.kind == quoted || next.kind == text || next.isAny("(", "?")
	return p.tok.kind == word && strings.EqualFold(p.tok.value, "not") && operand
}

// not reads `not x`.
func (p *parser) not(power int) (ast.Expr, bool) {
	t := p.next()
	if t.value != "not" {
		p.lowerCase(t)
	}
	if power > powerNot {
		p.errorf(t.Span, "put the negation in parentheses", "not binds looser than the operator before it")
	}
	x, ok := p.expr(powerNot)
	if !ok {
		return x, false
	}
	return &ast.Unary{Span: p.spanFrom(t.Pos), Op: ast.Not, X: x}, true
}

// number reads a number literal.
func (p *parser) number() (ast.Expr, bool) {
	t := p.next()
	n := &ast.Number{Span: t.Span, Text: t.value}
	if i, err := strconv.ParseInt(t.value, 10, 64); err == nil {
		n.IsInt, n.Int, n.Float = true, i, float64(i)
	} else {
		n.Float, _ = strconv.ParseFloat(t.value, 64) // out of range gives an infinity
	}
	if math.IsInf(n.Float, 0) {
		p.errorf(t.Span, "", "the number %s is too large", shorten(t.value))
	}
	if p.tok.Pos == t.End && (p.tok.kind == word || p.tok.kind == number) {
		p.errorf(ast.Span{Pos: t.Pos, End: p.tok.End}, "", "%q isn't a number", p.src[t.Pos:p.tok.End])
		p.next()
	}
	return n, true
}

// name reads a field or a call.
func (p *parser) name() (ast.Expr, bool) {
	t := p.tok
	if t.kind == word && p.peek().is("of") {
		return p.relation()
	}
	if t.kind == word && p.peek().is("(") {
		if base, _ := strings.CutSuffix(t.value, "~"); !ast.IsKeyword(t.value) && ast.IsIdentifier(base) {
			return p.call()
		}
	}
	path, optional, ok := p.path("a value")
	if !ok {
		return nil, false
	}
	span := p.spanFrom(t.Pos)
	if p.tok.is("(") {
		if optional {
			p.errorf(t.Span, "", "? marks fields, not functions")
		} else {
			p.errorf(span, "", "%s isn't the name of a function", strconv.Quote(shorten(path)))
		}
		_, _ = p.list("the arguments")
	}
	return &ast.Field{Span: span, Path: path, Optional: optional}, true
}

// relation reports `child of […]` and its relatives.
func (p *parser) relation() (ast.Expr, bool) {
	t := p.next()
	span := ast.Span{Pos: t.Pos, End: p.tok.End}
	p.dialect(span, "join the two events in a sequence", "%s of is Endgame's; Elasticsearch doesn't have it", t.value)
	p.next()
	if p.accept("[") {
		p.skipTo("]")
		p.accept("]")
	}
	return p.hole(t.Pos), true
}

// call reads `name(args)`.
func (p *parser) call() (ast.Expr, bool) {
	t := p.next()
	name, fold := strings.CutSuffix(t.value, "~")
	args, ok := p.list("the arguments of " + name)
	nameSpan := ast.Span{Pos: t.Pos, End: t.Pos + len(name)}
	return &ast.Call{Span: p.spanFrom(t.Pos), Name: name, NameSpan: nameSpan, Fold: fold, Args: args}, ok
}

// list reads expressions in parentheses, with commas between them.
func (p *parser) list(what string) ([]ast.Expr, bool) {
	open := p.next()
	p.lists++
	defer func() { p.lists-- }()
	list := []ast.Expr{}
	if p.accept(")") {
		return list, true
	}
	for {
		if p.tok.is(")") {
			p.errorf(p.toks[p.i-1].Span, "remove the comma, or add a value", "a comma can't end %s", what)
			break
		}
		e, _ := p.expr(powerOr)
		list = append(list, e)
		if p.accept(",") {
			continue
		}
		if p.tok.is(")") {
			break
		}
		hint := p.openedAt(open)
		if p.tok.kind == text || p.tok.kind == number {
			hint = "put a comma between the values"
		}
		p.expected(", or ) in "+what, hint)
		p.skipTo(",", ")", "]", "|")
		if !p.accept(",") {
			break
		}
	}
	return list, p.accept(")")
}

// openedAt shows which bracket isn't closed.
func (p *parser) openedAt(t token) string {
	const enough = 160 // bytes, more than shorten leaves
	line, _, _ := strings.Cut(p.src[t.Pos:min(t.Pos+enough, len(p.src))], "\n")
	return "to close `" + shorten(strings.TrimSpace(line)) + "`"
}

// path reads a dotted path with an optional `?`.
func (p *parser) path(what string) (path string, optional, ok bool) {
	start := p.tok.Pos
	optional = p.accept("?")
	t := p.tok
	switch {
	case t.kind == quoted:
	case t.kind == word && ast.IsKeyword(t.value):
		hint := ""
		if infixPower(t) == 0 || infixPower(p.peek()) == powerCompare {
			hint = "a field of this name is written `" + t.value + "`"
		}
		p.expected(what, hint)
		return "", optional, false
	case t.kind == word && strings.HasSuffix(t.value, "~"):
		p.errorf(t.Span, "only functions, in, like and regex have a form with ~", "%s isn't the name of a field", strconv.Quote(t.value))
		p.next()
		return "", optional, false
	case t.kind == word:
	default:
		if optional {
			what = "a field after ?"
		}
		p.expected(what, "")
		return "", optional, false
	}
	p.next()
	var b strings.Builder
	b.WriteString(t.value)
	for p.tok.is(".") {
		p.next()
		segment := p.tok
		if segment.kind != word && segment.kind != quoted || strings.HasSuffix(segment.value, "~") && segment.kind == word {
			hint := ""
			if segment.Pos == p.last {
				hint = backquoteHint(p.src, segment.Pos)
			}
			p.expected("a name after the dot", hint)
			return "", optional, false
		}
		if segment.kind == word && ast.IsKeyword(segment.value) {
			p.errorf(segment.Span, "put it in backquotes: "+b.String()+".`"+segment.value+"`", "%s is a keyword and can't be part of a field name as it is", segment.value)
		}
		p.next()
		b.WriteByte('.')
		b.WriteString(segment.value)
	}
	return b.String(), optional, p.pathEnd(start)
}

// pathEnd reports what often follows a path and can't be part of it.
func (p *parser) pathEnd(start int) bool {
	switch t := p.tok; {
	case t.kind == number && t.Pos == p.last && strings.HasPrefix(t.value, "."):
		p.errorf(ast.Span{Pos: start, End: t.End}, backquoteHint(p.src, t.Pos), "a part of a field name can't begin with a digit")
		return false
	case t.is("[") && p.peek().kind == number:
		p.next()
		p.skipTo("]", "|")
		p.accept("]")
		p.dialect(ast.Span{Pos: t.Pos, End: p.last}, "a test on a field looks at each of its values already", "array subscripts aren't supported")
	}
	return true
}

// rest reports what stands between a complete condition and the token that should close it, then passes over
// that token; open is its counterpart. Without one the end of the text closes, and a pipe is left for its reader.
func (p *parser) rest(closing string, open token) {
	for {
		switch {
		case p.tok.kind == endOfText && (closing == "" || closing == "|"):
			return
		case p.tok.is("|") && closing == "|":
			return
		case p.tok.is(closing):
			p.next()
			return
		}
		before := p.i
		if closing == ")" || closing == "]" {
			p.unclosed(closing, open)
		} else {
			p.unexpected()
		}
		if p.tok.is(")") && closing != ")" {
			p.next()
		}
		p.skipCondition()
		if p.tok.isAny("and", "or") {
			p.next()
			_, _ = p.expr(powerOr)
			continue
		}
		if p.i == before || p.tok.kind == endOfText {
			p.accept(closing)
			return
		}
	}
}

// unclosed reports a token where a bracket should close.
func (p *parser) unclosed(closing string, open token) {
	hint := p.openedAt(open)
	if p.tok.kind == text || p.tok.kind == number || p.tok.is(",") {
		if h := p.valueHint(); h != "" {
			hint = h
		}
	} else if h := p.adjoining(); h != "" {
		hint = h
	}
	p.expected("an operator or "+closing, hint)
}

// unexpected reports a token that can't follow a complete condition.
func (p *parser) unexpected() {
	if p.tok.is(")") || p.tok.is("]") {
		p.errorf(p.tok.Span, "", "%s closes nothing", p.tok.value)
		return
	}
	hint := p.valueHint()
	if hint == "" {
		hint = p.adjoining()
	}
	p.expected("an operator or the end of the query", hint)
}

// valueHint explains values that follow a value.
func (p *parser) valueHint() string {
	before := p.toks[max(0, p.i-1)]
	values := before.kind == text || before.kind == number
	if values && (p.tok.kind == text || p.tok.kind == number || p.tok.is(",")) {
		return "several values are a list: (\"a\", \"b\")"
	}
	return ""
}

// adjoining suggests backquotes if the current token stands right behind a name.
func (p *parser) adjoining() string {
	before := p.toks[max(0, p.i-1)]
	if before.kind != word && before.kind != number || p.tok.Pos != before.End || p.tok.kind == endOfText || p.tok.isAny("(", ")", "[", "]", ",", "![") {
		return ""
	}
	return backquoteHint(p.src, p.tok.Pos)
}
