package ast

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Print returns the canonical text of a query. Queries that differ in white space, comments and redundant
// parentheses only have the same text; parsed again, it gives the same tree. A sequence or sample has a line
// for each stage, an event query one for all, and each pipe its own.
func Print(s Statement) string {
	var p printer
	switch s := s.(type) {
	case *EventQuery:
		p.filter(&s.Filter)
		p.pipes(s.Pipes)
	case *Sequence:
		p.sequence(s)
	case *Sample:
		p.WriteString("sample")
		p.keys(s.By)
		p.stages(s.Stages)
		p.pipes(s.Pipes)
	default:
		panic(fmt.Sprintf("BUG: no text for a %T", s))
	}
	return p.String()
}

// PrintExpr returns the canonical text of an expression, on one line, with the parentheses it needs and no others.
func PrintExpr(e Expr) string {
	var p printer
	p.expr(e, levelOr)
	return p.String()
}

// QuoteString returns s as a string literal in double quotes. Characters that don't show are escaped.
func QuoteString(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch r {
		case '"', '\\':
			b.WriteByte('\\')
			b.WriteRune(r)
		case '\n':
			b.WriteString(`\n`)
		case '\r':
			b.WriteString(`\r`)
		case '\t':
			b.WriteString(`\t`)
		case '\b':
			b.WriteString(`\b`)
		case '\f':
			b.WriteString(`\f`)
		default:
			if unicode.IsPrint(r) {
				b.WriteRune(r)
			} else {
				fmt.Fprintf(&b, `\u{%02x}`, r)
			}
		}
	}
	b.WriteByte('"')
	return b.String()
}

// QuotePath returns a field's dotted path as a query spells it: as it is where every segment is an
// identifier, otherwise the whole in backquotes.
func QuotePath(path string) string {
	switch strings.ToLower(path) {
	case "true", "false", "null": // TRUE is no keyword, but the parser takes it for a slip
		return "`" + path + "`"
	}
	for segment := range strings.SplitSeq(path, ".") {
		if !IsIdentifier(segment) {
			return "`" + strings.ReplaceAll(path, "`", "``") + "`"
		}
	}
	return path
}

// The levels of binding, loosest first. An operand that binds looser than its place asks for gets parentheses.
const (
	levelOr = iota + 1
	levelAnd
	levelNot
	levelCompare
	levelAdd
	levelMultiply
	levelNegate
	levelMatch
	levelPrimary
)

// level returns how tight e binds.
func level(e Expr) int {
	switch e := e.(type) {
	case *Binary:
		switch e.Op {
		case Or:
			return levelOr
		case And:
			return levelAnd
		case Add, Sub:
			return levelAdd
		case Mul, Div, Mod:
			return levelMultiply
		default:
			return levelCompare
		}
	case *Unary:
		switch {
		case e.Op == Sub:
			return levelNegate
		case notIn(e) != nil:
			return levelMatch
		default:
			return levelNot
		}
	case *Match:
		return levelMatch
	default:
		return levelPrimary
	}
}

// notIn returns the membership test under a `not`, which is written `x not in (…)`, or nil.
func notIn(u *Unary) *Match {
	m, ok := u.X.(*Match)
	if !ok || u.Op != Not || m.Op != In && m.Op != InFold {
		return nil
	}
	return m
}

// printer builds the text.
type printer struct{ strings.Builder }

func (p *printer) sequence(s *Sequence) {
	p.WriteString("sequence")
	p.keys(s.By)
	if s.MaxSpan != nil {
		p.WriteString(" with maxspan=")
		p.WriteString(s.MaxSpan.Text)
	}
	p.stages(s.Stages)
	if s.Until != nil {
		p.WriteString("\nuntil ")
		p.stage(s.Until)
	}
	p.pipes(s.Pipes)
}

func (p *printer) stages(stages []Stage) {
	for i := range stages {
		p.WriteString("\n  ")
		p.stage(&stages[i])
	}
}

func (p *printer) stage(s *Stage) {
	if s.Missing {
		p.WriteByte('!')
	}
	p.WriteByte('[')
	p.filter(&s.Filter)
	p.WriteByte(']')
	p.keys(s.By)
	if s.Runs > 1 {
		p.WriteString(" with runs=")
		p.WriteString(strconv.Itoa(s.Runs))
	}
}

func (p *printer) keys(keys []Key) {
	for i, k := range keys {
		if i == 0 {
			p.WriteString(" by ")
		} else {
			p.WriteString(", ")
		}
		p.path(k.Path, k.Optional)
	}
}

func (p *printer) pipes(pipes []Pipe) {
	for _, pipe := range pipes {
		p.WriteString("\n| ")
		p.WriteString(pipe.Name)
		p.WriteByte(' ')
		p.WriteString(strconv.FormatInt(pipe.Count, 10))
	}
}

func (p *printer) filter(f *Filter) {
	switch {
	case f.Category.Any:
		p.WriteString("any")
	case IsIdentifier(f.Category.Name):
		p.WriteString(f.Category.Name)
	default:
		p.WriteString(QuoteString(f.Category.Name))
	}
	p.WriteString(" where ")
	p.expr(f.Where, levelOr)
}

func (p *printer) path(path string, optional bool) {
	if optional {
		p.WriteByte('?')
	}
	p.WriteString(QuotePath(path))
}

// expr prints e in a place that asks for at least the given level.
func (p *printer) expr(e Expr, at int) {
	if level(e) < at {
		p.WriteByte('(')
		p.expr(e, levelOr)
		p.WriteByte(')')
		return
	}
	switch e := e.(type) {
	case *Binary:
		p.binary(e)
	case *Unary:
		p.unary(e)
	case *Match:
		p.match(e, "")
	case *Call:
		p.WriteString(e.Name)
		if e.Fold {
			p.WriteByte('~')
		}
		p.list(e.Args)
	case *Field:
		p.path(e.Path, e.Optional)
	case *String:
		p.string(e)
	case *Number:
		p.WriteString(numberText(e))
	case *Bool:
		p.WriteString(strconv.FormatBool(e.Value))
	case *Null:
		p.WriteString("null")
	default:
		panic(fmt.Sprintf("BUG: no text for a %T", e))
	}
}

// binary prints `left op right`. All operators are left-associative but comparisons, which don't chain.
func (p *printer) binary(b *Binary) {
	left, right := level(b), level(b)+1
	if left == levelCompare {
		left++
	}
	p.expr(b.Left, left)
	p.WriteByte(' ')
	p.WriteString(string(b.Op))
	p.WriteByte(' ')
	p.expr(b.Right, right)
}

func (p *printer) unary(u *Unary) {
	switch m := notIn(u); {
	case m != nil:
		p.match(m, "not ")
	case u.Op == Not:
		p.WriteString("not ")
		p.expr(u.X, levelNot)
	default:
		p.WriteByte('-')
		p.expr(u.X, levelNegate)
	}
}

// match prints `x op (…)`. One value needs no parentheses, except with in.
func (p *printer) match(m *Match, not string) {
	p.expr(m.X, levelPrimary)
	p.WriteByte(' ')
	p.WriteString(not)
	p.WriteString(string(m.Op))
	p.WriteByte(' ')
	if len(m.List) == 1 && m.Op != In && m.Op != InFold && level(m.List[0]) == levelPrimary {
		p.expr(m.List[0], levelPrimary)
		return
	}
	p.list(m.List)
}

func (p *printer) list(list []Expr) {
	p.WriteByte('(')
	for i, e := range list {
		if i > 0 {
			p.WriteString(", ")
		}
		p.expr(e, levelOr)
	}
	p.WriteByte(')')
}

func (p *printer) string(s *String) {
	if !s.Raw || strings.Contains(s.Value, `"""`) {
		p.WriteString(QuoteString(s.Value))
		return
	}
	p.WriteString(`"""`)
	p.WriteString(s.Value)
	p.WriteString(`"""`)
}

// numberText returns the number as it was written, or, for one that no query wrote, in the shortest form.
func numberText(n *Number) string {
	switch {
	case n.Text != "":
		return n.Text
	case n.IsInt:
		return strconv.FormatInt(n.Int, 10)
	default:
		return strconv.FormatFloat(n.Float, 'g', -1, 64)
	}
}
