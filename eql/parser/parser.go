// Package parser reads EQL, as Elasticsearch defines it, into a syntax tree. It checks the form of a query:
// grammar, the counts of stages and join keys, the ranges of maxspan and runs. It knows nothing of the types
// of fields, of which functions exist, or of events.
package parser

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
)

const (
	// maxText is the longest query in bytes. Chains of operators make trees as deep as they are long, and what
	// walks the tree recurses.
	maxText = 1 << 20
	// maxDepth limits the nesting of parentheses, calls and operators.
	maxDepth = 500
)

// Parse reads a whole query. The error, if there is one, is ast.Errors: all problems found, sorted by
// position, at most 20, each with a span inside text.
func Parse(text string) (ast.Statement, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	s := p.statement()
	if errs := p.errs.sorted(); len(errs) > 0 {
		return nil, errs
	}
	return s, nil
}

// ParseExpr reads an expression alone, such as the condition behind `where`. Errors are as for Parse.
func ParseExpr(text string) (ast.Expr, error) {
	p, err := newParser(text)
	if err != nil {
		return nil, err
	}
	e, _ := p.expr(powerOr)
	p.rest("", token{})
	if errs := p.errs.sorted(); len(errs) > 0 {
		return nil, errs
	}
	return e, nil
}

// parser holds the place in the tokens. Functions that read a part return it with a flag that says whether
// the parser stands behind it; if not, the problem was reported and the caller finds a place to go on from.
type parser struct {
	src   string
	toks  []token
	i     int
	tok   token // toks[i]
	last  int   // end of the token before tok
	depth int
	lists int // lists and argument lists around the current place: a comma means something there
	errs  problems
}

func newParser(text string) (*parser, error) {
	if len(text) > maxText {
		return nil, ast.Errors{{
			Code: finding.Limit,
			Span: ast.Span{Pos: maxText, End: maxText},
			Msg:  fmt.Sprintf("the query has %d bytes, more than the %d that are allowed", len(text), maxText),
		}}
	}
	if !utf8.ValidString(text) {
		i := strings.IndexFunc(text, func(r rune) bool { return r == utf8.RuneError })
		for i >= 0 { // U+FFFD itself is valid
			if _, size := utf8.DecodeRuneInString(text[i:]); size == 1 {
				break
			}
			next := strings.IndexFunc(text[i+3:], func(r rune) bool { return r == utf8.RuneError })
			i += 3 + next
		}
		return nil, ast.Errors{{Code: finding.Text, Span: ast.Span{Pos: i, End: i + 1}, Msg: "the query isn't valid UTF-8"}}
	}
	p := &parser{src: text}
	p.toks = lex(text, &p.errs)
	p.tok = p.toks[0]
	return p, nil
}

// next goes to the next token and returns the one it leaves.
func (p *parser) next() token {
	t := p.tok
	p.last = t.End
	if p.i < len(p.toks)-1 {
		p.i++
		p.tok = p.toks[p.i]
	}
	return t
}

// peek returns the token behind the current one.
func (p *parser) peek() token { return p.toks[min(p.i+1, len(p.toks)-1)] }

// accept passes over the keyword or operator s if it's there.
func (p *parser) accept(s string) bool {
	if !p.tok.is(s) {
		return false
	}
	p.next()
	return true
}

// spanFrom is the span from a start to the end of the last token.
func (p *parser) spanFrom(start int) ast.Span { return ast.Span{Pos: start, End: max(start, p.last)} }

// errorf reports a problem of syntax.
func (p *parser) errorf(span ast.Span, hint, format string, args ...any) {
	p.errs.add(finding.Syntax, span, fmt.Sprintf(format, args...), hint)
}

// dialect reports what another dialect or language has and EQL doesn't.
func (p *parser) dialect(span ast.Span, hint, format string, args ...any) {
	p.errs.add(finding.Dialect, span, fmt.Sprintf(format, args...), hint)
}

// shape reports what is written well and makes no query: the numbers of stages and keys, the range of a maxspan.
func (p *parser) shape(span ast.Span, hint, format string, args ...any) {
	p.errs.add(finding.Shape, span, fmt.Sprintf(format, args...), hint)
}

// expected reports the current token as wrong. What the lexer reported isn't reported again.
func (p *parser) expected(what, hint string) {
	if p.tok.kind == bad || p.tok.kind == endOfText && p.reported(p.i-1) {
		return
	}
	if lower := strings.ToLower(p.tok.value); p.tok.kind == word && lower != p.tok.value && ast.IsKeyword(lower) {
		hint = "keywords are in lower case: did you mean " + lower + "?"
	}
	p.errorf(p.tok.Span, hint, "expected %s, found %s", what, p.tok.describe())
}

// reported tells whether a token is the place of an error.
func (p *parser) reported(i int) bool {
	if i < 0 {
		return false
	}
	for _, e := range p.errs.list {
		if e.Pos == p.toks[i].Pos {
			return true
		}
	}
	return false
}

// giveUp ends parsing at a problem that leaves no sense in going on.
func (p *parser) giveUp(code finding.Code, span ast.Span, hint, msg string) {
	p.errs.add(code, span, msg, hint)
	p.errs.full = true
	p.i = len(p.toks) - 1
	p.tok = p.toks[p.i]
}

// skipTo passes over tokens until one of the keywords or operators, or the end. Brackets are skipped whole.
func (p *parser) skipTo(stops ...string) {
	depth := 0
	for p.tok.kind != endOfText {
		if depth == 0 && p.tok.isAny(stops...) {
			return
		}
		switch {
		case p.tok.isAny("(", "[", "!["):
			depth++
		case p.tok.isAny(")", "]"):
			depth = max(0, depth-1)
		}
		p.next()
	}
}

// statement reads a query with its pipes.
func (p *parser) statement() ast.Statement {
	start := p.tok.Pos
	var s ast.Statement
	switch {
	case p.tok.kind == endOfText:
		p.errorf(p.tok.Span, "a query is `category where condition` or a sequence", "the query is empty")
		return nil
	case p.tok.is("sequence"):
		s = p.sequence()
	case p.tok.is("sample"):
		s = p.sample()
	case p.tok.is("join"):
		p.giveUp(finding.Dialect, p.tok.Span, "write a sequence, or a sample for events in any order", "join isn't part of EQL any more")
		return nil
	case p.tok.isAny("[", "!["):
		p.giveUp(finding.Syntax, p.tok.Span, "stages in brackets follow the word sequence", "a query can't begin with "+p.tok.describe())
		return nil
	default:
		f := p.filter()
		p.rest("|", token{})
		s = &ast.EventQuery{Span: p.spanFrom(start), Filter: f}
	}
	pipes := p.pipes()
	if p.tok.kind != endOfText {
		p.unexpected()
	}
	span := p.spanFrom(start)
	switch s := s.(type) {
	case *ast.EventQuery:
		s.Span, s.Pipes = span, pipes
	case *ast.Sequence:
		s.Span, s.Pipes = span, pipes
	case *ast.Sample:
		s.Span, s.Pipes = span, pipes
	}
	return s
}

// filter reads `category where condition`, the condition as far as it goes.
func (p *parser) filter() ast.Filter {
	start := p.tok.Pos
	category, ok := p.category()
	if ok {
		ok = p.where()
	}
	if !ok {
		// Read the condition too if one can be found.
		p.skipTo("where", "]", "|")
		if !p.accept("where") {
			return ast.Filter{Span: p.spanFrom(start), Category: category, Where: &ast.Null{}}
		}
	}
	cond, _ := p.expr(powerOr)
	return ast.Filter{Span: p.spanFrom(start), Category: category, Where: cond}
}

// category reads the event category.
func (p *parser) category() (ast.Category, bool) {
	t := p.tok
	c := ast.Category{Span: t.Span, Name: t.value}
	switch {
	case t.is("any"):
		c.Any, c.Name = true, ""
	case t.kind == text && t.value == "":
		p.errorf(t.Span, "any stands for every category", "the event category is empty")
	case t.kind == text:
	case t.kind == quoted:
		p.errorf(t.Span, "write "+ast.QuoteString(t.value), "an event category isn't a field: it can't be in backquotes")
	case t.is("where"):
		p.errorf(t.Span, "write any where … for events of every category", "expected an event category before where")
		return c, false
	case t.kind == word && ast.IsIdentifier(t.value):
	case t.kind == word && ast.IsKeyword(t.value):
		p.errorf(t.Span, "a category of this name is written "+ast.QuoteString(t.value), "expected an event category, found %s", t.describe())
		return c, false
	default:
		p.expected("an event category", "a condition begins with a category and where, such as `process where …`")
		return c, false
	}
	p.next()
	return c, true
}

// where reads the keyword behind the category.
func (p *parser) where() bool {
	if p.accept("where") {
		return true
	}
	before := p.toks[max(0, p.i-1)]
	switch {
	case p.tok.kind == word && strings.EqualFold(p.tok.value, "where"):
		p.errorf(p.tok.Span, "did you mean where?", "keywords are in lower case")
		p.next()
		return true
	case p.tok.isAny("by", "with", "[", "!["):
		hint := ""
		if p.i == 1 {
			hint = "did you mean sequence?"
		}
		p.errorf(before.Span, hint, "expected where after the event category, found %s", p.tok.describe())
	case p.tok.is("-") && p.tok.Pos == before.End:
		p.expected("where after the event category", "a category with special characters is in double quotes")
	case p.tok.is("."), infixPower(p.tok) > 0:
		p.expected("where after the event category", "a condition begins with a category: `any where "+shorten(before.value)+"…`")
	default:
		p.expected("where after the event category", p.meant("where"))
	}
	return false
}

// pipes reads `| head n` and `| tail n`.
func (p *parser) pipes() []ast.Pipe {
	var pipes []ast.Pipe
	for p.tok.is("|") {
		p.next()
		name := p.tok
		switch {
		case name.isAny("head", "tail"):
		case name.isAny("count", "filter", "sort", "unique", "unique_count"):
			p.dialect(name.Span, "there are head and tail", "Elasticsearch has no pipe %s", name.value)
			p.skipTo("|")
			continue
		case name.kind == word:
			p.errorf(name.Span, cmp.Or(p.meant("head", "tail"), "there are head and tail"), "unknown pipe %s", strconv.Quote(name.value))
			p.skipTo("|")
			continue
		default:
			p.expected("head or tail", "")
			p.skipTo("|")
			continue
		}
		p.next()
		count, ok := p.wholeNumber()
		if !ok {
			p.errorf(p.tok.Span, "such as | "+name.value+" 10", "%s needs a whole number of 0 or more, found %s", name.value, p.tok.describe())
			p.skipTo("|")
			continue
		}
		pipes = append(pipes, ast.Pipe{Span: p.spanFrom(name.Pos), Name: name.value, Count: count})
		if !p.tok.is("|") && p.tok.kind != endOfText {
			p.expected("| or the end of the query", name.value+" takes one number")
			p.skipTo("|")
		}
	}
	return pipes
}

// wholeNumber reads an integer literal.
func (p *parser) wholeNumber() (int64, bool) {
	if p.tok.kind != number {
		return 0, false
	}
	n, err := strconv.ParseInt(p.tok.value, 10, 64)
	if err != nil {
		return 0, false
	}
	p.next()
	return n, true
}
