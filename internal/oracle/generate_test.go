package oracle_test

import (
	"fmt"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// generator makes queries and documents.
type generator struct {
	printer

	ties   bool     // documents have event.sequence, which breaks ties
	hosts  []string // every document has one of these as host.id
	by     string   // the field with the event's time; empty: @timestamp
	simple bool     // few values, fewer arrays, many equal times: sequences complete and meet their edges
	slow   bool     // events are seconds apart rather than milliseconds
}

func newGenerator(seed uint64) *generator {
	return &generator{printer: printer{Rand: rand.New(rand.NewPCG(seed, 4))}}
}

// printed is a constant whose text in the query is not its value: a date or an address.
type printed struct {
	v   value
	src string
}

// keywordNumber is keyword == number: the number counts as its text.
type keywordNumber struct {
	f      fieldRef
	digits string
}

func (k keywordNumber) holds(ev *fakeEvent) bool {
	return slices.Contains(ev.values[k.f.path], value(k.digits))
}

// plain returns the value of a constant.
func plain(v value) value {
	if p, ok := v.(printed); ok {
		return p.v
	}
	return v
}

// sameNull is `?a == ?b` over two fields that no mapping has: both are null.
type sameNull struct{ a, b string }

func (s sameNull) holds(ev *fakeEvent) bool {
	return len(ev.values[s.a]) == 0 && len(ev.values[s.b]) == 0
}

var (
	texts = []string{
		"cmd.exe", "CMD.EXE", "Cmd.exe", "foo", "FOO", "fooé", "FOOÉ", "é", "É", "日本語", "", "a b", "a*b", "a?b", `back\slash`,
		"line1\nline2", `quote"d`, "😀", "x😀y", "-c", "0x1f", "1f", "42", "4.5", "4.0", "10.0.0.1", "ba", "bar", `C:\Windows\System32\cmd.exe`,
		"true", "*", "?", "+5", " 16", "1e1", "-1F", `\`, "ab", "abab", "AbAb", "\t",
	}
	integers = []string{
		"0", "1", "2", "-3", "5", "7", "100", "512", "4688", "9007199254740992", "9007199254740993", "-9007199254740993",
		"9223372036854775807", "2147483648",
	}
	addresses = []string{
		"10.0.0.1", "10.255.3.4", "192.168.1.5", "8.8.8.8", "127.0.0.1", "::1", "2001:db8::1", "2001:DB8::ff", "fe80::1", "::ffff:10.0.0.1",
		"2001:0db8:0:0:0:0:0:1", "172.31.255.255",
	}
	blocks = []string{
		"10.0.0.0/8", "10.0.0.1", "192.168.1.5/16", "0.0.0.0/0", "::/0", "2001:db8::/32", "fe80::/10", "::1", "172.16.0.0/12", "10.0.0.0/30",
		"8.8.8.8/32", "127.0.0.1", "2001:db8::ff/128", "10.0.0.1/31",
	}
	versions = []string{
		"1.2.3", "1.10.0", "1.9.0", "1.9.0-alpha", "1.9.0-alpha.1", "1.9.0-alpha.beta", "1.9.0-2", "1.9.0-10", "bad", "2.0.0", "1.9.0-SNAPSHOT",
		"Bad",
	}
	orders    = []string{"==", "==", "!=", "!=", "<", "<=", ">", ">="}
	textPaths = []string{
		"process.name", "process.args", "file.path", "user.name", "process.command_line", "answers.name", "x.text", "state", "a.b.c.d",
	}
	numberPaths = []string{"process.pid", "process.exit_code", "event.risk", "x.n", "x.score", "answers.ttl", "x.big"}
	allPaths    = slices.Concat(textPaths, numberPaths, []string{
		"process.trusted", "process.start", "source.ip", "destination.ip", "build.version", "x.flag", "no.such", "event.category",
	})
)

func (g *generator) ref(paths ...string) fieldRef { return fieldRef{g.pick(paths...), g.chance(20)} }

// condition makes a condition, with at most depth levels of logic.
func (g *generator) condition(depth int) cond {
	if depth > 0 {
		switch g.IntN(6) {
		case 0:
			return not{g.condition(depth - 1)}
		case 1, 2:
			out := and{g.condition(depth - 1), g.condition(depth - 1)}
			if g.chance(20) {
				out = append(out, g.condition(depth-1))
			}
			return out
		case 3:
			return or{g.condition(depth - 1), g.condition(depth - 1)}
		}
	}
	return g.leafCondition()
}

func (g *generator) leafCondition() cond {
	switch n := g.IntN(100); {
	case n < 2:
		return truth(g.chance(70))
	case n < 8:
		return isNull{g.ref(allPaths...), g.chance(50), g.chance(30)}
	case n < 10:
		return isNull{g.textExpr(2), g.chance(50), g.chance(30)}
	case n < 11:
		return sameNull{g.pick("x.n", "no.such"), g.pick("no.such", "x.text")}
	case n < 17:
		return g.flagLeaf()
	case n < 21:
		at := g.date()
		c := printed{moment(at), time.UnixMilli(at).UTC().Format("2006-01-02T15:04:05.000Z")}
		return compare{g.ref("process.start"), g.pick(orders...), constant{c}, g.chance(15)}
	case n < 30:
		return g.addressLeaf()
	case n < 31:
		o := oneOf{e: g.ref("build.version"), op: g.pick("in", ":", "like"), list: []pattern{{v: g.pick(versions...)}, {v: "1.*"}}}
		o.ignore = o.op == ":"
		return o
	case n < 32: // a condition as a value
		inner := conditionValue{compare{g.ref(numberPaths[:5]...), g.pick("<", ">", "=="), constant{g.integer()}, false}}
		if g.chance(50) {
			return isNull{inner, false, g.chance(50)}
		}
		return compare{inner, g.pick("==", "!="), constant{g.chance(50)}, g.chance(20)}
	case n < 33: // a number is the text of it beside a keyword
		return keywordNumber{g.ref("process.name", "user.name", "state"), g.pick("42", "-7", "1.5")}
	case n < 36:
		return compare{g.ref("build.version"), g.pick(orders...), constant{g.pick(versions...)}, g.chance(15)}
	case n < 50:
		return g.numberLeaf()
	case n < 62:
		return g.boolCall()
	}
	return g.textLeaf()
}

func (g *generator) flagLeaf() cond {
	f := g.ref("process.trusted", "x.flag", "no.such")
	if g.chance(40) {
		return bare{f}
	}
	return compare{f, g.pick("==", "!="), constant{g.chance(50)}, g.chance(20)}
}

func (g *generator) address() printed {
	a := g.pick(addresses...)
	return printed{netip.MustParseAddr(a).Unmap(), a}
}

func (g *generator) addressLeaf() cond {
	f := g.ref("source.ip", "destination.ip")
	if g.chance(30) {
		return compare{f, g.pick(orders...), constant{g.address()}, g.chance(10)}
	}
	c := call{"cidrMatch", []expr{f}}
	for range 1 + g.IntN(3) {
		c.args = append(c.args, constant{g.pick(blocks...)})
	}
	return g.asCondition(c)
}

// asCondition makes a boolean call a condition, perhaps compared with a boolean.
func (g *generator) asCondition(c call) cond {
	if g.chance(55) {
		return bare{c}
	}
	return compare{c, g.pick("==", "!="), constant{g.chance(50)}, g.chance(20)}
}

func rat(s string) *big.Rat {
	r, ok := new(big.Rat).SetString(s)
	if !ok {
		panic(s)
	}
	return r
}

func (g *generator) integer() number {
	if g.chance(5) {
		return number{rat(g.pick("9223372036854775808", "18446744073709551615")), true}
	}
	return number{rat(g.pick(integers...)), true}
}

func (g *generator) anyNumber() number {
	if g.chance(70) {
		return g.integer()
	}
	return number{rat(g.pick("0.5", "1.5", "2.25", "3", "10.75", "-2.25", "5")), false}
}

func (g *generator) numberLeaf() cond {
	if g.chance(60) {
		f := g.ref(numberPaths...)
		if g.chance(30) {
			o := oneOf{e: f, op: "in", negate: g.chance(30)}
			for range 1 + g.IntN(3) {
				o.list = append(o.list, pattern{v: g.anyNumber()})
			}
			return o
		}
		return compare{f, g.pick(orders...), constant{g.anyNumber()}, g.chance(20)}
	}
	small := number{big.NewRat(int64(g.IntN(9)-3), 1), true}
	var e expr
	switch g.IntN(8) {
	case 0:
		e = call{"length", []expr{g.textExpr(1)}}
	case 1:
		e = g.indexOf()
	case 2:
		args := []expr{g.textExpr(1)}
		if g.chance(40) {
			args = append(args, constant{number{big.NewRat(int64(g.IntN(2)*6+10), 1), true}})
		} else if g.chance(10) {
			args = append(args, constant{nil})
		}
		e = call{"number", args}
		small = number{rat(g.pick("42", "31", "16", "5")), true}
	case 3:
		e = arith{'-', nil, g.ref("process.exit_code", "x.n")}
	default:
		e = g.arithmetic(2)
	}
	return compare{e, g.pick(orders...), constant{small}, g.chance(15)}
}

// arithmetic keeps to whole numbers, and to fractions that a float holds exactly.
func (g *generator) arithmetic(depth int) expr {
	operand := func() expr {
		switch {
		case depth > 1 && g.chance(30):
			return g.arithmetic(depth - 1)
		case g.chance(60):
			return g.ref("process.pid", "process.exit_code", "x.n", "answers.ttl")
		}
		return constant{number{big.NewRat(int64(g.IntN(9)-2), 1), true}}
	}
	left, right := operand(), operand()
	if len(left.fields())+len(right.fields()) == 0 {
		left = g.ref("process.pid", "x.n")
	}
	if g.chance(40) {
		return call{g.pick("add", "subtract", "multiply", "divide", "modulo"), []expr{left, right}}
	}
	if c, ok := right.(constant); ok && c.v.(number).rat.Sign() < 0 && g.chance(50) {
		right = constant{number{big.NewRat(3, 1), true}}
	}
	return arith{"+-*/%"[g.IntN(5)], left, right}
}

func (g *generator) needle() string {
	if g.chance(30) {
		return g.pick(texts...)
	}
	return g.pick("c", "C", "ex", ".EXE", "oo", "FOO", "b*r", "?", "*", `\`, `\*`, `a\?`, "", "é", "É", "cmd", "a", "ab", "42", "\n", "😀")
}

// asciiNeedle is for what ignores case in expressions, where Java's rules for other letters aren't known for certain.
func (g *generator) asciiNeedle() string {
	for {
		if n := g.needle(); strings.IndexFunc(n, func(r rune) bool { return r > 127 }) < 0 {
			return n
		}
	}
}

// ownText are the fields whose letters fold alike everywhere.
func (g *generator) ownText() fieldRef {
	return g.ref("process.name", "process.args", "file.path", "user.name", "answers.name", "x.text")
}

func (g *generator) boolCall() cond {
	name := g.pick("startsWith", "endsWith", "stringContains")
	if g.chance(45) {
		name += "~"
	}
	if g.chance(75) {
		return g.asCondition(call{name, []expr{g.ref(textPaths...), constant{g.needle()}}})
	}
	if strings.HasSuffix(name, "~") {
		return g.asCondition(call{name, []expr{g.textExpr(1), constant{g.asciiNeedle()}}})
	}
	second := expr(constant{g.needle()})
	if g.chance(40) {
		second = g.ownText()
	}
	return g.asCondition(call{name, []expr{g.textExpr(2), second}})
}

func (g *generator) indexOf() expr {
	c := call{"indexOf", []expr{g.textExpr(1), constant{g.needle()}}}
	if g.chance(40) {
		c = call{"indexOf~", []expr{g.ownText(), constant{g.asciiNeedle()}}}
	}
	if g.chance(40) {
		c.args = append(c.args, constant{whole(int64(g.IntN(8) - 2))})
	}
	return c
}

// textExpr makes an expression of text: a field, or with depth a function.
func (g *generator) textExpr(depth int) expr {
	if depth == 0 || depth == 1 && g.chance(60) {
		return g.ownText()
	}
	in := g.textExpr(depth - 1)
	switch g.IntN(5) {
	case 0, 1:
		c := call{"substring", []expr{in, constant{whole(int64(g.IntN(10) - 5))}}}
		if g.chance(50) {
			c.args = append(c.args, constant{whole(int64(g.IntN(12) - 5))})
		}
		return c
	case 2:
		c := call{"concat", []expr{in}}
		for range 1 + g.IntN(2) {
			c.args = append(c.args, []expr{
				constant{g.needle()}, g.ref("process.pid", "x.n", "process.trusted", "x.score"), constant{whole(1)}, g.ownText(),
			}[g.IntN(4)])
		}
		return c
	case 3:
		name, left, right := "between", g.needle(), g.needle()
		if g.chance(40) {
			name, left, right = "between~", g.asciiNeedle(), g.asciiNeedle()
		}
		c := call{name, []expr{in, constant{left}, constant{right}}}
		if g.chance(50) {
			c.args = append(c.args, constant{g.chance(50)})
		}
		return c
	}
	return call{"string", []expr{g.ref("process.pid", "x.n", "process.name", "process.trusted", "x.score", "source.ip")}}
}

func (g *generator) textLeaf() cond {
	var e expr = g.ref(textPaths...)
	isField := true
	if g.chance(25) {
		e, isField = g.textExpr(2), false
	}
	if g.chance(30) {
		return compare{e, g.pick(orders...), constant{g.pick(texts...)}, g.chance(15)}
	}
	o := oneOf{e: e, op: g.pick("in", ":", "like", "regex", ":", "like"), negate: g.chance(20), ignore: g.chance(45)}
	if o.op != "in" {
		o.negate = false
	}
	if o.op == ":" {
		o.ignore = true
	}
	n := 1 + g.IntN(3)
	if o.single = n == 1 && o.op != "in" && g.chance(60); o.single {
		n = 1
	}
	for range n {
		switch {
		case o.op == "regex":
			re := g.regexp(2, o.ignore)
			if o.ignore && !isField {
				re = &regex{kind: "repeat", subs: []*regex{{kind: "any"}}, min: g.IntN(5), max: -1}
			}
			o.list = append(o.list, pattern{re: re})
		case o.ignore && !isField:
			o.list = append(o.list, pattern{v: g.asciiNeedle()})
		case o.op == "in" || g.chance(25):
			o.list = append(o.list, pattern{v: g.pick(texts...)})
		default:
			o.list = append(o.list, pattern{v: g.wildcard()})
		}
	}
	return o
}

// wildcard blurs a text.
func (g *generator) wildcard() string {
	var b strings.Builder
	for _, r := range g.pick(texts...) {
		switch g.IntN(8) {
		case 0:
			b.WriteByte('?')
		case 1:
			b.WriteByte('*')
		case 2:
			b.WriteString("*" + string(r))
		case 3:
			b.WriteString(g.pick(strings.ToUpper(string(r)), strings.ToLower(string(r))))
		default:
			b.WriteRune(r)
		}
	}
	if g.chance(20) {
		b.WriteString("*")
	}
	return b.String()
}

// regexp makes a regular expression that is like some text, and sometimes like nothing.
func (g *generator) regexp(depth int, ignore bool) *regex {
	x := &regex{kind: "cat"}
	source := []rune(g.pick(texts...))
	for i := 0; i < len(source) && len(x.subs) < 8; i++ {
		r := source[i]
		switch n := g.IntN(20); {
		case n == 0:
			x.subs = append(x.subs, &regex{kind: "any"})
		case n == 1:
			x.subs = append(x.subs, &regex{kind: "repeat", subs: []*regex{{kind: "any"}}, max: -1})
			i += g.IntN(4)
		case n == 2 && !ignore:
			x.subs = append(x.subs, &regex{kind: g.pick("class", "nclass"), text: string(r) + g.pick("a", ".", "é", "-")})
		case n == 3:
			x.subs = append(x.subs, &regex{kind: "shorthand", text: g.pick("d", "D", "w", "W", "s", "S")})
		case n == 4 && depth > 0:
			x.subs = append(x.subs, &regex{kind: "alt", subs: []*regex{{kind: "lit", r: r}, g.regexp(depth-1, ignore)}})
		case n == 5:
			x.subs = append(x.subs, &regex{kind: "repeat", subs: []*regex{{kind: "lit", r: r}}, min: g.IntN(3), max: g.IntN(3) + 2})
		case n == 6 && depth > 0:
			x.subs = append(x.subs, &regex{kind: "not", subs: []*regex{g.regexp(0, ignore)}})
			i += g.IntN(3)
		case n == 7 && depth > 0:
			x.subs = append(x.subs, &regex{kind: "and", subs: []*regex{{kind: "anything"}, g.regexp(depth-1, ignore)}})
		case n == 8 && depth > 0:
			x.subs = append(x.subs, &regex{kind: "repeat", subs: []*regex{g.regexp(depth-1, ignore)}, min: g.IntN(2), max: -1})
		case n == 9 && !ignore && r != '"':
			x.subs = append(x.subs, &regex{kind: "quoted", text: string(r)})
		default:
			x.subs = append(x.subs, &regex{kind: "lit", r: r})
		}
	}
	if len(x.subs) == 0 {
		return &regex{kind: "anything"}
	}
	return x
}

// filter prints a filter: a category and a condition.
func (g *generator) filter(category string, c cond) string {
	g.b.Reset()
	switch {
	case category == "any":
		g.write("any")
	case g.chance(15):
		g.write(fmt.Sprintf("%q", category))
	case g.chance(10):
		g.write(`"""`, category, `"""`)
	default:
		g.write(category)
	}
	g.gap()
	g.write("where")
	g.gap()
	g.cond(c, inOr)
	return g.b.String()
}
