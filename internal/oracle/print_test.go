package oracle_test

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// printer writes queries as EQL, in ways that mean the same: white space, comments, quoting, letter case of function names, brackets.
type printer struct {
	*rand.Rand

	b strings.Builder
}

func (p *printer) chance(percent int) bool { return p.IntN(100) < percent }

func (p *printer) pick(texts ...string) string { return texts[p.IntN(len(texts))] }

func (p *printer) write(texts ...string) {
	for _, t := range texts {
		p.b.WriteString(t)
	}
}

// gap writes white space.
func (p *printer) gap() {
	if p.chance(96) {
		p.write(" ")
		return
	}
	p.write(p.pick("\n", "\t  ", " /* x /* y */ and */ ", " // or \"\n", "\r\n"))
}

// maybe writes white space or nothing.
func (p *printer) maybe() {
	if p.chance(10) {
		p.gap()
	}
}

func (p *printer) str(s string) {
	if !strings.Contains(s, `"""`) && !strings.HasSuffix(s, `"`) && !strings.ContainsAny(s, "\x00") && p.chance(15) {
		p.write(`"""`, s, `"""`)
		return
	}
	p.write(`"`)
	for _, r := range s {
		switch {
		case r == '"' || r == '\\':
			p.write(`\`, string(r))
		case r == '\n':
			p.write(p.pick(`\n`, `\u{0a}`))
		case r == '\t':
			p.write(`\t`)
		case r >= 0x80 && p.chance(10):
			fmt.Fprintf(&p.b, `\u{%x}`, r)
		default:
			p.write(string(r))
		}
	}
	p.write(`"`)
}

func (p *printer) field(f fieldRef) {
	if f.optional {
		p.write("?")
	}
	switch p.IntN(20) {
	case 0:
		p.write("`", f.path, "`")
	case 1:
		p.write("`", strings.ReplaceAll(f.path, ".", "`.`"), "`")
	default:
		p.write(f.path)
	}
}

func (p *printer) constant(c value) {
	switch c := c.(type) {
	case nil:
		p.write("null")
	case bool:
		p.write(strconv.FormatBool(c))
	case string:
		p.str(c)
	case printed:
		p.str(c.src)
	case number:
		s := c.rat.RatString()
		if !c.whole {
			f, _ := c.rat.Float64()
			if s = strconv.FormatFloat(f, 'f', -1, 64); !strings.Contains(s, ".") {
				s += p.pick(".0", ".00", "e0")
			}
			if strings.HasPrefix(s, "0.") && p.chance(30) {
				s = s[1:]
			}
		}
		p.write(s)
	}
}

func (p *printer) function(name string) {
	base, tilde := strings.CutSuffix(name, "~")
	switch p.IntN(6) {
	case 0:
		base = strings.ToLower(base)
	case 1:
		base = strings.ToUpper(base)
	}
	p.write(base)
	if tilde {
		p.write("~")
	}
}

// expr writes an expression. loose says that a sum may stand without brackets.
func (p *printer) expr(e expr, loose bool) {
	switch e := e.(type) {
	case constant:
		p.constant(e.v)
	case fieldRef:
		p.field(e)
	case call:
		p.function(e.name)
		p.write("(")
		for i, a := range e.args {
			if i > 0 {
				p.maybe()
				p.write(",")
				p.write(p.pick("", " "))
			}
			p.expr(a, true)
		}
		p.write(")")
	case conditionValue:
		p.write("(")
		p.cond(e.c, inOr)
		p.write(")")
	case arith:
		brackets := !loose || p.chance(20)
		if brackets {
			p.write("(")
		}
		if e.left != nil {
			p.expr(e.left, false)
			p.gap()
		}
		p.write(string(e.op))
		if e.left != nil {
			p.gap()
		}
		p.expr(e.right, false)
		if brackets {
			p.write(")")
		}
	}
}

// The precedence of what stands around a condition.
const (
	inOr = iota
	inAnd
	inNot
)

func (p *printer) cond(c cond, around int) {
	level := inNot + 1
	switch c.(type) {
	case or:
		level = inOr
	case and:
		level = inAnd
	case not:
		level = inNot
	}
	if brackets := level < around || p.chance(8); brackets {
		p.write("(")
		p.maybe()
		defer func() { p.maybe(); p.write(")") }()
	}
	switch c := c.(type) {
	case truth:
		p.write(strconv.FormatBool(bool(c)))
	case not:
		p.write("not")
		p.gap()
		p.cond(c.c, inNot)
	case and:
		p.list(c, "and", inNot)
	case or:
		p.list(c, "or", inAnd)
	case bare:
		p.expr(c.e, false)
	case isNull:
		op := "=="
		if c.negate {
			op = "!="
		}
		p.sides(c.e, op, func() { p.write("null") }, c.first)
	case compare:
		p.sides(c.e, c.op, func() { p.constant(c.want.v) }, c.first)
	case keywordNumber:
		p.field(c.f)
		p.write(" == ", c.digits)
	case sameNull:
		p.field(fieldRef{c.a, true})
		p.write(" == ")
		p.field(fieldRef{c.b, true})
	case oneOf:
		p.match(c)
	}
}

func (p *printer) list(cs []cond, word string, around int) {
	for i, c := range cs {
		if i > 0 {
			p.gap()
			p.write(word)
			p.gap()
		}
		p.cond(c, around)
	}
}

func (p *printer) sides(e expr, op string, right func(), first bool) {
	if first {
		right()
		p.gap()
		p.write(map[string]string{"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}[op])
		p.gap()
		p.expr(e, true)
		return
	}
	p.expr(e, true)
	if p.chance(10) {
		p.write(op)
	} else {
		p.gap()
		p.write(op)
		p.gap()
	}
	right()
}

func (p *printer) match(c oneOf) {
	p.expr(c.e, false)
	p.gap()
	if c.negate {
		p.write("not")
		p.gap()
	}
	p.write(c.op)
	if c.ignore && c.op != ":" {
		p.write("~")
	}
	p.gap()
	if !c.single {
		p.write("(")
	}
	for i, item := range c.list {
		if i > 0 {
			p.maybe()
			p.write(", ")
		}
		if item.re != nil {
			p.str(p.regex(item.re))
		} else {
			p.constant(item.v)
		}
	}
	if !c.single {
		p.write(")")
	}
}

// regex writes a regular expression in Lucene's syntax.
func (p *printer) regex(x *regex) string {
	sub := func(i int) string {
		s := p.regex(x.subs[i])
		switch x.subs[i].kind {
		case "lit", "any", "class", "nclass", "shorthand", "quoted", "empty", "anything":
			return s
		}
		return "(" + s + ")"
	}
	switch x.kind {
	case "lit":
		if strings.ContainsRune(`.?+*|{}[]()"\#@&<>~`, x.r) || x.r < 'A' && x.r > ' ' && x.r < '0' && p.chance(20) {
			return `\` + string(x.r)
		}
		return string(x.r)
	case "any":
		return "."
	case "class", "nclass":
		var b strings.Builder
		if x.kind == "nclass" {
			b.WriteString("^")
		}
		for _, r := range x.text {
			if strings.ContainsRune(`\]-^[`, r) {
				b.WriteString(`\`)
			}
			b.WriteRune(r)
		}
		return "[" + b.String() + "]"
	case "shorthand":
		return `\` + x.text
	case "empty":
		return "()"
	case "quoted":
		return `"` + x.text + `"`
	case "anything":
		return "@"
	case "cat", "alt", "and":
		var parts []string
		for i := range x.subs {
			parts = append(parts, sub(i))
		}
		return strings.Join(parts, map[string]string{"cat": "", "alt": "|", "and": "&"}[x.kind])
	case "not":
		return "~" + sub(0)
	case "repeat":
		s := sub(0)
		switch {
		case x.min == 0 && x.max < 0 && p.chance(80):
			return s + "*"
		case x.min == 1 && x.max < 0 && p.chance(80):
			return s + "+"
		case x.min == 0 && x.max == 1 && p.chance(80):
			return s + "?"
		case x.max < 0:
			return fmt.Sprintf("%s{%d,}", s, x.min)
		case x.min == x.max:
			return fmt.Sprintf("%s{%d}", s, x.min)
		}
		return fmt.Sprintf("%s{%d,%d}", s, x.min, x.max)
	}
	panic(x.kind)
}
