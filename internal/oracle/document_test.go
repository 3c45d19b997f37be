package oracle_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// fakeEvent is a random document: what it holds, and how it is spelled.
type fakeEvent struct {
	values map[string][]value
	at     int64 // milliseconds
	tie    int   // event.sequence, -1 for none
	index  int
	doc    string
}

// node is an object that is written out: its keys in the order in which they came.
type node struct {
	keys     []string
	children map[string]*node
	leaf     raw
	list     []*node // an array of objects
}

func newNode() *node { return &node{children: map[string]*node{}} }

// put adds a leaf under a path that is cut into keys; it reports false where the place is taken.
func (n *node) put(keys []string, leaf *node) bool {
	for i, key := range keys {
		next, ok := n.children[key]
		last := i == len(keys)-1
		switch {
		case ok && (last || next.children == nil):
			return false
		case !ok && last:
			next = leaf
		case !ok:
			next = newNode()
		}
		if !ok {
			n.keys = append(n.keys, key)
			n.children[key] = next
		}
		n = next
	}
	return true
}

// json writes a document, with white space and escapes where JSON lets them stand.
func (g *generator) json(b *strings.Builder, n *node) {
	switch {
	case n.list != nil:
		b.WriteByte('[')
		for i, e := range n.list {
			if i > 0 {
				b.WriteString(g.comma())
			}
			g.json(b, e)
		}
		b.WriteByte(']')
	case n.children == nil:
		g.jsonValue(b, n.leaf)
	default:
		b.WriteByte('{')
		for i, k := range n.keys {
			if i > 0 {
				b.WriteString(g.comma())
			}
			g.jsonValue(b, k)
			b.WriteString(g.pick(":", ":", ": ", " :\t"))
			g.json(b, n.children[k])
		}
		b.WriteByte('}')
	}
}

func (g *generator) comma() string { return g.pick(",", ",", ",", ", ", "\n, ", " ,\r\n") }

func (g *generator) jsonValue(b *strings.Builder, r raw) {
	switch r := r.(type) {
	case rawNumber:
		b.WriteString(string(r))
	case []raw:
		b.WriteByte('[')
		for i, e := range r {
			if i > 0 {
				b.WriteString(g.comma())
			}
			g.jsonValue(b, e)
		}
		b.WriteByte(']')
	case string:
		b.WriteByte('"')
		for _, c := range r {
			switch {
			case c == '"' || c == '\\':
				b.WriteString(`\` + string(c))
			case c == '\n' && g.chance(50):
				b.WriteString(`\n`)
			case c < ' ' || g.chance(4):
				for _, unit := range java(string(c)) {
					fmt.Fprintf(b, g.pick(`\u%04x`, `\u%04X`), unit)
				}
			case c == '/' && g.chance(30):
				b.WriteString(`\/`)
			default:
				b.WriteRune(c)
			}
		}
		b.WriteByte('"')
	case bool:
		b.WriteString(strconv.FormatBool(r))
	default:
		b.WriteString("null")
	}
}

// spell cuts a path into the keys of nested objects: at every dot, at none, or at some.
func (g *generator) spell(path string, style int) []string {
	parts := strings.Split(path, ".")
	switch style {
	case 0:
		return parts
	case 1:
		return []string{path}
	}
	out := []string{parts[0]}
	for _, p := range parts[1:] {
		if g.chance(50) {
			out = append(out, p)
		} else {
			out[len(out)-1] += "." + p
		}
	}
	return out
}

// document makes an event at a time with values for the fields.
func (g *generator) document(at int64, index int, fields []string) *fakeEvent {
	ev := &fakeEvent{values: map[string][]value{}, at: at, tie: -1, index: index}
	root := newNode()
	style := g.IntN(4) // 0 nested, 1 flat, 2 half, 3 mixed
	if g.by == "" {
		root.put([]string{"@timestamp"}, &node{leaf: g.timestamp(at)})
	} else {
		root.put([]string{"@timestamp"}, &node{leaf: g.timestamp(at + g.Int64N(7_200_000) - 3_600_000)})
		root.put([]string{g.by}, &node{leaf: g.timestamp(at)})
	}
	if g.ties {
		if g.chance(80) {
			ev.tie = g.IntN(3)
			root.put(g.spell("event.sequence", min(style, 2)), &node{leaf: rawNumber(strconv.Itoa(ev.tie))})
		}
	}
	if len(g.hosts) > 0 {
		host := g.pick(g.hosts...)
		root.put(g.spell("host.id", min(style, 2)), &node{leaf: host})
		ev.values["host.id"] = []value{host}
	}
	g.nested(root, ev)
	for _, path := range fields {
		if g.chance(25) && !g.simple || g.chance(5) {
			continue
		}
		r := g.rawValue(path)
		if g.simple && g.chance(90) {
			r = g.scalar(path)
		}
		parts := []raw{r}
		if list, ok := r.([]raw); ok && len(list) > 1 && g.chance(15) { // both spellings in one document
			parts = []raw{list[:1], list[1:]}
		}
		for i, part := range parts {
			own := style
			if style == 3 || i > 0 {
				own = g.IntN(3)
			}
			if root.put(g.spell(path, own), &node{leaf: part}) {
				ev.values[path] = append(ev.values[path], values(path, part)...)
			}
		}
	}
	g.answers(root, ev)
	var b strings.Builder
	g.json(&b, root)
	ev.doc = b.String()
	return ev
}

// nested adds an array of objects that lead to one field by different spellings.
func (g *generator) nested(root *node, ev *fakeEvent) {
	if !g.chance(15) {
		return
	}
	const path = "a.b.c.d"
	parts := strings.Split(path, ".")
	head := 1 + g.IntN(3)
	list := &node{list: []*node{}}
	for range 1 + g.IntN(3) {
		e := newNode()
		r := g.rawValue(path)
		e.put(g.spell(strings.Join(parts[head:], "."), g.IntN(3)), &node{leaf: r})
		list.list = append(list.list, e)
		ev.values[path] = append(ev.values[path], values(path, r)...)
	}
	root.put(g.spell(strings.Join(parts[:head], "."), g.IntN(3)), list)
}

// answers adds an array of objects, which are fields of their own.
func (g *generator) answers(root *node, ev *fakeEvent) {
	if !g.chance(40) {
		return
	}
	list := &node{list: []*node{}}
	if !root.put([]string{"answers"}, list) {
		return
	}
	for range g.IntN(4) {
		e := newNode()
		for _, name := range []string{"name", "ttl"} {
			if g.chance(60) {
				path := "answers." + name
				r := g.rawValue(path)
				e.put([]string{name}, &node{leaf: r})
				ev.values[path] = append(ev.values[path], values(path, r)...)
			}
		}
		if g.chance(10) {
			e = &node{list: []*node{e}}
		}
		list.list = append(list.list, e)
	}
}

func (g *generator) timestamp(at int64) raw {
	t := time.UnixMilli(at).UTC()
	switch g.IntN(4) {
	case 0:
		return rawNumber(strconv.FormatInt(at, 10))
	case 1:
		return strconv.FormatInt(at, 10)
	case 2:
		return t.Format("2006-01-02T15:04:05.000Z")
	}
	return t.In(time.FixedZone("", 5400)).Format("2006-01-02T15:04:05.000Z07:00")
}

// rawValue makes what a field holds in a document.
func (g *generator) rawValue(path string) raw {
	one := func() raw { return g.scalar(path) }
	switch n := g.IntN(100); {
	case n < 62:
		return one()
	case n < 67:
		return nil
	case n < 69:
		return []raw{}
	case n < 71:
		return []raw{nil}
	case n < 88:
		list := []raw{one(), one()}
		for g.chance(40) {
			list = append(list, one())
		}
		return list
	case n < 92:
		return []raw{one()}
	case n < 96:
		return []raw{[]raw{one()}, one(), []raw{}, []raw{[]raw{one(), nil}}}
	}
	return []raw{nil, one(), nil}
}

func (g *generator) scalar(path string) raw {
	switch fieldTypes[path] {
	case "keyword":
		if path == "event.category" {
			return g.pick("process", "file", "network", "Process")
		}
		if path == "event.kind" {
			if g.simple {
				return g.pick("A", "B", "C")
			}
			return g.pick("A", "B", "C", "D")
		}
		if strings.HasSuffix(path, ".id") {
			if g.simple {
				return g.pick("h1", "h1", "h1", "h2")
			}
			return g.pick("h1", "h1", "h2", "H1", "1", "")
		}
		if path == "process.command_line" {
			return g.pick(append(slices.Clone(texts), "\u212a", "k", "\u017f", "s", "ß", "İ", "i", "SS")...)
		}
		if g.chance(6) {
			return g.chance(50)
		}
		if g.chance(6) {
			return rawNumber(g.pick("42", "-7", "1.5"))
		}
		return g.pick(texts...)
	case "long":
		if path == "process.ppid" {
			return rawNumber(g.pick("1", "2", "9007199254740993"))
		}
		n := g.pick(integers...)
		switch g.IntN(20) {
		case 0:
			return n // as text
		case 1:
			return rawNumber(n + ".0")
		case 2:
			return g.pick("", "abc", "1.9", "-1.5", "1e2", " 1", "9223372036854775808", "-9223372036854775809")
		case 3:
			return g.chance(50)
		case 4:
			return rawNumber(g.pick("1e2", "5E0", "-0", "0.0", "9223372036854775808", "1.0e0", "512e-1", "-9223372036854775808"))
		}
		return rawNumber(n)
	case "unsigned":
		return rawNumber(g.pick("0", "5", "9223372036854775807", "9223372036854775808", "18446744073709551615", "-1", "18446744073709551616", "7.5"))
	case "double":
		if g.chance(10) {
			return g.pick("1.5", "abc", "", "-2")
		}
		return rawNumber(g.pick("1.5", "0.5", "-2.25", "3", "10.75", "3.0", "9007199254740992"))
	case "boolean":
		if g.chance(15) {
			return g.pick("true", "false", "", "yes")
		}
		return g.chance(50)
	case "date":
		return g.dateRaw()
	case "ip":
		if g.chance(5) {
			return g.pick("abc", "", "1.2.3", "300.1.1.1")
		}
		return g.pick(addresses...)
	case "version":
		return g.pick(versions...)
	}
	switch path {
	case "x.k":
		if g.chance(30) {
			return "1"
		}
		return rawNumber(g.pick("1", "2"))
	case "x.n":
		if g.chance(8) {
			return g.pick(texts...)
		}
		return rawNumber(g.pick(append(slices.Clone(integers), "1e2", "-0")...))
	case "x.score":
		return rawNumber(g.pick("0.5", "1.5", "-2.25", "3.0", "10.75", "3"))
	case "x.flag":
		return g.chance(50)
	}
	if path == "x.text" && g.chance(6) {
		return g.rawValue("x.n")
	}
	return g.pick(texts...)
}

func (g *generator) dateRaw() raw {
	ms := g.date()
	switch g.IntN(5) {
	case 0:
		return rawNumber(strconv.FormatInt(ms, 10))
	case 1:
		return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05Z")
	case 2:
		return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000") + "999999Z"
	}
	return g.timestamp(ms)
}

func (g *generator) date() int64 { return 1_735_689_600_000 + int64(g.IntN(6))*500 }
