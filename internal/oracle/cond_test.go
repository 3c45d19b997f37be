package oracle_test

import (
	"slices"
	"strings"
)

// cond is a condition on an event, whose fields have any number of values.
type cond interface {
	holds(ev *fakeEvent) bool
}

type (
	and    []cond
	or     []cond
	not    struct{ c cond }
	truth  bool
	isNull struct { // e == null, or with negate e != null
		e      expr
		negate bool
		first  bool // null stands on the left
	}
	// compare is e op constant. A call that is a condition may stand on the left, with a boolean on the right.
	compare struct {
		e     expr
		op    string
		want  constant
		first bool // the constant stands on the left
	}
	// oneOf is `in`, `:`, `like`, `regex` and their forms, with a list or one right side.
	oneOf struct {
		e      expr
		op     string // without tilde
		ignore bool
		negate bool // not in
		list   []pattern
		single bool // one right side without brackets
	}
	// bare is a field or a boolean call that stands by itself.
	bare struct{ e expr }
)

// pattern is the right side of a match: a constant, a wildcard pattern, or a regular expression.
type pattern struct {
	v  value
	re *regex
}

func (cs and) holds(ev *fakeEvent) bool {
	return !slices.ContainsFunc(cs, func(c cond) bool { return !c.holds(ev) })
}

func (cs or) holds(ev *fakeEvent) bool {
	return slices.ContainsFunc(cs, func(c cond) bool { return c.holds(ev) })
}

func (n not) holds(ev *fakeEvent) bool { return !n.c.holds(ev) }

func (t truth) holds(*fakeEvent) bool { return bool(t) }

// any reports whether some combination of the fields' values gives e a value that passes test; a field without values is null.
func (ev *fakeEvent) any(e expr, test func(value) bool) bool {
	var paths []string
	for _, p := range e.fields() {
		if !slices.Contains(paths, p) {
			paths = append(paths, p)
		}
	}
	env := map[string]value{}
	var try func(i int) bool
	try = func(i int) bool {
		if i == len(paths) {
			return test(e.eval(env))
		}
		vs := ev.values[paths[i]]
		if len(vs) == 0 {
			vs = []value{nil}
		}
		for _, v := range vs {
			env[paths[i]] = v
			if try(i + 1) {
				return true
			}
		}
		return false
	}
	return try(0)
}

func (n isNull) holds(ev *fakeEvent) bool {
	if f, ok := n.e.(fieldRef); ok {
		return (len(ev.values[f.path]) == 0) != n.negate
	}
	return ev.any(n.e, func(v value) bool { return v == nil }) != n.negate
}

func (b bare) holds(ev *fakeEvent) bool { return ev.leaf(b.e) }

// leaf reports whether a boolean expression is true. startsWith, endsWith and stringContains of a field with a constant
// are wildcard patterns.
func (ev *fakeEvent) leaf(e expr) bool {
	if c, ok := e.(call); ok {
		if f, ok := c.args[0].(fieldRef); ok && len(c.args) == 2 {
			if needle, ok := c.args[1].(constant); ok {
				if test := needleTest(c.name, needle.v.(string)); test != nil {
					return slices.ContainsFunc(ev.values[f.path], func(v value) bool {
						s, isText := v.(string)
						return isText && test(s)
					})
				}
			}
		}
	}
	return ev.any(e, func(v value) bool { return v == true })
}

func needleTest(name, needle string) func(string) bool {
	name, ignore := strings.CutSuffix(name, "~")
	var pattern []symbol
	switch name {
	case "startsWith":
		pattern = append(literalSymbols(needle), symbol{many: true})
	case "endsWith":
		pattern = escapedSymbols("*" + needle)
	case "stringContains":
		pattern = escapedSymbols("*" + needle + "*") // a backslash at its end takes the meaning of the star away
	default:
		return nil
	}
	return func(s string) bool { return glob(pattern, []rune(s), ignore) }
}

func (c compare) holds(ev *fakeEvent) bool {
	if c.op == "!=" {
		return !compare{e: c.e, op: "==", want: c.want}.holds(ev)
	}
	if flag, ok := c.want.v.(bool); ok && isCondition(c.e) {
		return ev.leaf(c.e) == flag
	}
	f, isField := c.e.(fieldRef)
	want := plain(c.want.v)
	test := func(v value) bool {
		if isField && fieldTypes[f.path] == "version" && c.op != "==" {
			return v != nil && holdsOrder(c.op, versionOrder(v.(string), want.(string)))
		}
		n, ok := order(v, want)
		return ok && holdsOrder(c.op, n)
	}
	if isField {
		return slices.ContainsFunc(ev.values[f.path], test)
	}
	return ev.any(c.e, test)
}

func isCondition(e expr) bool {
	if _, ok := e.(conditionValue); ok {
		return true
	}
	c, ok := e.(call)
	return ok && slices.Contains([]string{"startsWith", "endsWith", "stringContains", "cidrMatch"}, strings.TrimSuffix(c.name, "~"))
}

func holdsOrder(op string, c int) bool {
	return map[string]bool{"==": c == 0, "<": c < 0, "<=": c <= 0, ">": c > 0, ">=": c >= 0}[op]
}

func (o oneOf) holds(ev *fakeEvent) bool {
	hit := ev.any(o.e, func(v value) bool {
		return v != nil && slices.ContainsFunc(o.list, func(p pattern) bool { return o.matches(v, p) })
	})
	return hit != o.negate
}

func (o oneOf) matches(v value, p pattern) bool {
	s, isText := v.(string)
	want, textual := p.v.(string)
	switch o.op {
	case "in":
		if isText && textual && o.ignore {
			return fold(s) == fold(want)
		}
		n, ok := order(v, p.v)
		return ok && n == 0
	case ":", "like":
		return isText && glob(wildcards(want), []rune(s), o.ignore || o.op == ":")
	case "regex":
		return isText && p.re.whole([]rune(s), o.ignore)
	}
	panic(o.op)
}

// symbol is a piece of a wildcard pattern: a character, one of any, or many.
type symbol struct {
	r         rune
	one, many bool
}

func wildcards(s string) (out []symbol) {
	for _, r := range s {
		out = append(out, symbol{r: r, one: r == '?', many: r == '*'})
	}
	return out
}

func literalSymbols(s string) (out []symbol) {
	for _, r := range s {
		out = append(out, symbol{r: r})
	}
	return out
}

// escapedSymbols reads a pattern in which a backslash takes the next character's meaning away.
func escapedSymbols(s string) (out []symbol) {
	escaped := false
	for _, r := range s {
		switch {
		case escaped:
			out = append(out, symbol{r: r})
			escaped = false
		case r == '\\':
			escaped = true
		default:
			out = append(out, symbol{r: r, one: r == '?', many: r == '*'})
		}
	}
	if escaped {
		out = append(out, symbol{r: '\\'})
	}
	return out
}

func glob(p []symbol, s []rune, ignore bool) bool {
	if len(p) == 0 {
		return len(s) == 0
	}
	if p[0].many {
		return glob(p[1:], s, ignore) || len(s) > 0 && glob(p, s[1:], ignore)
	}
	if len(s) == 0 {
		return false
	}
	same := p[0].one || s[0] == p[0].r || ignore && fold(string(s[0])) == fold(string(p[0].r))
	return same && glob(p[1:], s[1:], ignore)
}

// regex is a regular expression of Lucene's dialect as data.
type regex struct {
	kind string // lit any class nclass shorthand cat alt repeat not and anything quoted empty
	r    rune
	text string // of quoted, the characters of a class, the letter of a shorthand
	subs []*regex
	min  int
	max  int // -1: none
}

func (x *regex) whole(s []rune, ignore bool) bool { return x.ends(s, 0, ignore)[len(s)] }

// ends returns where a match that begins at i may end.
func (x *regex) ends(s []rune, i int, ignore bool) map[int]bool {
	out := map[int]bool{}
	one := func(ok bool) map[int]bool {
		if ok {
			out[i+1] = true
		}
		return out
	}
	if i == len(s) && slices.Contains([]string{"lit", "any", "class", "nclass", "shorthand"}, x.kind) {
		return out
	}
	switch x.kind {
	case "lit":
		return one(s[i] == x.r || ignore && fold(string(s[i])) == fold(string(x.r)))
	case "any":
		return one(true)
	case "class", "nclass":
		return one(strings.ContainsRune(x.text, s[i]) == (x.kind == "class"))
	case "shorthand":
		digit := s[i] >= '0' && s[i] <= '9'
		word := digit || s[i] == '_' || s[i] >= 'a' && s[i] <= 'z' || s[i] >= 'A' && s[i] <= 'Z'
		space := strings.ContainsRune(" \t\n\r", s[i])
		return one(map[string]bool{"d": digit, "D": !digit, "w": word, "W": !word, "s": space, "S": !space}[x.text])
	case "empty":
		return map[int]bool{i: true}
	case "quoted":
		q := []rune(x.text)
		if i+len(q) <= len(s) && slices.Equal(q, s[i:i+len(q)]) {
			out[i+len(q)] = true
		}
	case "anything":
		for j := i; j <= len(s); j++ {
			out[j] = true
		}
	case "alt":
		for _, sub := range x.subs {
			for j := range sub.ends(s, i, ignore) {
				out[j] = true
			}
		}
	case "cat":
		out = map[int]bool{i: true}
		for _, sub := range x.subs {
			next := map[int]bool{}
			for j := range out {
				for k := range sub.ends(s, j, ignore) {
					next[k] = true
				}
			}
			out = next
		}
	case "repeat":
		at := map[int]bool{i: true}
		for n := 0; len(at) > 0 && (x.max < 0 || n <= x.max); n++ {
			if n >= x.min {
				before := len(out)
				for j := range at {
					out[j] = true
				}
				if n > x.min && len(out) == before && n > len(s)+1 {
					break
				}
			}
			next := map[int]bool{}
			for j := range at {
				for k := range x.subs[0].ends(s, j, ignore) {
					next[k] = true
				}
			}
			at = next
		}
	case "not":
		hits := x.subs[0].ends(s, i, ignore)
		for j := i; j <= len(s); j++ {
			if !hits[j] {
				out[j] = true
			}
		}
	case "and":
		other := x.subs[1].ends(s, i, ignore)
		for j := range x.subs[0].ends(s, i, ignore) {
			if other[j] {
				out[j] = true
			}
		}
	}
	return out
}
