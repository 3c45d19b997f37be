package lucene_test

import (
	"fmt"
	"strconv"
	"strings"
)

// The reference reads and matches patterns slowly and by the book: Lucene's RegExp grammar and the meaning of each
// operator as the set of places at which a match that begins at a place can end. It shares no code with the package.

// refExpr is an expression.
type refExpr struct {
	op     byte // 't' text, 's' set, '@', '<' interval, '|', '&', '.' concatenation, '*' repetition, '~'
	kids   []*refExpr
	text   []rune
	ranges [][2]rune
	negate bool
	lo, hi int // of repetitions and intervals; hi is -1 where it is open
	width  int
}

type refError string

// refParser reads a pattern; it panics with a refError.
type refParser struct{ in []rune }

func refParse(pattern string) (e *refExpr, err error) {
	defer func() {
		if r := recover(); r != nil {
			msg, ok := r.(refError)
			if !ok {
				panic(r)
			}
			err = fmt.Errorf("reference: %s", string(msg))
		}
	}()
	p := &refParser{in: []rune(pattern)}
	if pattern == "" {
		return &refExpr{op: 't'}, nil
	}
	e = p.alternatives()
	if len(p.in) > 0 {
		panic(refError("text behind the expression"))
	}
	return e, nil
}

func (p *refParser) is(chars string) bool {
	return len(p.in) > 0 && strings.ContainsRune(chars, p.in[0])
}

func (p *refParser) eat(c rune) bool {
	if len(p.in) > 0 && p.in[0] == c {
		p.in = p.in[1:]
		return true
	}
	return false
}

func (p *refParser) take() rune {
	if len(p.in) == 0 {
		panic(refError("end of pattern"))
	}
	r := p.in[0]
	p.in = p.in[1:]
	return r
}

func (p *refParser) need(c rune) {
	if !p.eat(c) {
		panic(refError("no " + string(c)))
	}
}

func (p *refParser) alternatives() *refExpr {
	e := p.conjunction()
	if p.eat('|') {
		return &refExpr{op: '|', kids: []*refExpr{e, p.alternatives()}}
	}
	return e
}

func (p *refParser) conjunction() *refExpr {
	e := p.sequence()
	if p.eat('&') {
		return &refExpr{op: '&', kids: []*refExpr{e, p.conjunction()}}
	}
	return e
}

// sequence joins texts beside each other as RegExp.makeConcatenation does.
func (p *refParser) sequence() *refExpr {
	e := p.repeated()
	if len(p.in) == 0 || p.is(")|&") {
		return e
	}
	rest := p.sequence()
	glue := func(a, b *refExpr) *refExpr {
		return &refExpr{op: 't', text: append(append([]rune{}, a.text...), b.text...)}
	}
	switch {
	case e.op == 't' && rest.op == 't':
		return glue(e, rest)
	case e.op == '.' && e.kids[1].op == 't' && rest.op == 't':
		return &refExpr{op: '.', kids: []*refExpr{e.kids[0], glue(e.kids[1], rest)}}
	case e.op == 't' && rest.op == '.' && rest.kids[0].op == 't':
		return &refExpr{op: '.', kids: []*refExpr{glue(e, rest.kids[0]), rest.kids[1]}}
	}
	return &refExpr{op: '.', kids: []*refExpr{e, rest}}
}

func (p *refParser) repeated() *refExpr {
	e := p.negated()
	for {
		lo, hi := 0, -1
		switch {
		case p.eat('?'):
			hi = 1
		case p.eat('*'):
		case p.eat('+'):
			lo = 1
		case p.eat('{'):
			lo = p.count()
			if lo < 0 {
				panic(refError("no count"))
			}
			hi = lo
			if p.eat(',') {
				hi = p.count()
			}
			p.need('}')
			if hi >= 0 && hi < lo {
				panic(refError("counts out of order"))
			}
		default:
			return e
		}
		e = &refExpr{op: '*', kids: []*refExpr{e}, lo: lo, hi: hi}
	}
}

func (p *refParser) count() int {
	var digits []rune
	for p.is("0123456789") {
		digits = append(digits, p.take())
	}
	if len(digits) == 0 {
		return -1
	}
	n, err := strconv.ParseInt(string(digits), 10, 32)
	if err != nil {
		panic(refError("count too large"))
	}
	return int(n)
}

func (p *refParser) negated() *refExpr {
	if p.eat('~') {
		return &refExpr{op: '~', kids: []*refExpr{p.negated()}}
	}
	if !p.eat('[') {
		return p.atom()
	}
	set := &refExpr{op: 's', negate: p.eat('^')}
	var items []*refExpr
	for {
		item := p.shorthand()
		if item == nil {
			item = &refExpr{op: 't', text: []rune{p.literal()}}
			if p.eat('-') {
				to := p.literal()
				if to < item.text[0] {
					panic(refError("range out of order"))
				}
				item = &refExpr{op: 's', ranges: [][2]rune{{item.text[0], to}}}
			}
		}
		items = append(items, item)
		if len(p.in) == 0 || p.is("]") {
			break
		}
	}
	p.need(']')
	if len(items) == 1 && !set.negate {
		return items[0]
	}
	set.kids = items
	return set
}

// shorthand reads \d and the like, nil where there is none. It has then read a backslash that stood there.
func (p *refParser) shorthand() *refExpr {
	if !p.eat('\\') || len(p.in) == 0 {
		return nil
	}
	digit, space := [][2]rune{{'0', '9'}}, [][2]rune{{' ', ' '}, {'\t', '\t'}, {'\n', '\n'}, {'\r', '\r'}}
	word := [][2]rune{{'a', 'z'}, {'A', 'Z'}, {'_', '_'}, {'0', '9'}}
	switch c := p.in[0]; {
	case strings.ContainsRune("dDsSwW", c):
		p.take()
		set := map[rune][][2]rune{'d': digit, 'D': digit, 's': space, 'S': space, 'w': word, 'W': word}[c]
		return &refExpr{op: 's', ranges: set, negate: c < 'a'}
	case c == '\\':
		return &refExpr{op: 't', text: []rune{p.take()}}
	case 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z':
		panic(refError("unknown escape"))
	}
	return nil
}

func (p *refParser) literal() rune {
	p.eat('\\')
	return p.take()
}

func (p *refParser) atom() *refExpr {
	switch {
	case p.eat('.'):
		return &refExpr{op: 's', negate: true}
	case p.eat('#'):
		return &refExpr{op: 's'}
	case p.eat('@'):
		return &refExpr{op: '@'}
	case p.eat('"'):
		e := &refExpr{op: 't'}
		for !p.eat('"') {
			e.text = append(e.text, p.take())
		}
		return e
	case p.eat('('):
		if p.eat(')') {
			return &refExpr{op: 't'}
		}
		e := p.alternatives()
		p.need(')')
		return e
	case p.eat('<'):
		var body []rune
		for !p.eat('>') {
			body = append(body, p.take())
		}
		return refInterval(string(body))
	}
	if e := p.shorthand(); e != nil {
		return e
	}
	return &refExpr{op: 't', text: []rune{p.literal()}}
}

func refInterval(body string) *refExpr {
	ends := strings.Split(body, "-")
	if len(ends) != 2 {
		panic(refError("no interval"))
	}
	var n [2]int
	for i, end := range ends {
		v, err := strconv.ParseInt(strings.TrimPrefix(end, "+"), 10, 32)
		if err != nil || strings.HasPrefix(end, "++") {
			panic(refError("no number"))
		}
		n[i] = int(v)
	}
	e := &refExpr{op: '<', lo: min(n[0], n[1]), hi: max(n[0], n[1])}
	if len(ends[0]) == len(ends[1]) {
		e.width = len(ends[0])
	}
	return e
}

// refRun matches one text, of at most 62 characters: sets of places are bits.
type refRun struct {
	fold bool
	text []rune
	memo map[refKey]uint64
	// unsure is set where it could not be found out whether an expression matches nothing at all.
	unsure bool
}

type refKey struct {
	e *refExpr
	i int
}

func refMatch(e *refExpr, fold bool, text string) (matches, unsure bool) {
	r := &refRun{fold: fold, text: []rune(text), memo: map[refKey]uint64{}}
	return r.ends(e, 0)>>len(r.text)&1 == 1, r.unsure
}

func (r *refRun) same(a, b rune) bool {
	if a == b || !r.fold {
		return a == b
	}
	lower := func(c rune) rune {
		if 'A' <= c && c <= 'Z' {
			return c + 32
		}
		return c
	}
	return lower(a) == lower(b)
}

func (r *refRun) has(e *refExpr, c rune) bool {
	in := false
	for _, x := range e.ranges {
		in = in || x[0] <= c && c <= x[1]
	}
	for _, k := range e.kids {
		in = in || k.op == 't' && r.same(k.text[0], c) || k.op == 's' && r.has(k, c)
	}
	return in != e.negate
}

// ends returns where a match of e that begins at i can end.
func (r *refRun) ends(e *refExpr, i int) uint64 {
	key := refKey{e, i}
	if out, ok := r.memo[key]; ok {
		return out
	}
	out := r.evaluate(e, i)
	r.memo[key] = out
	return out
}

// after returns where matches of e that begin at one of the places can end.
func (r *refRun) after(e *refExpr, places uint64) (out uint64) {
	for i := range len(r.text) + 1 {
		if places>>i&1 == 1 {
			out |= r.ends(e, i)
		}
	}
	return out
}

func (r *refRun) evaluate(e *refExpr, i int) uint64 {
	every := uint64(1)<<(len(r.text)+1) - uint64(1)<<i
	switch e.op {
	case 't':
		if len(e.text) == 0 && r.fold || len(e.text) > len(r.text)-i {
			return 0 // folding loses the empty text, as Lucene does
		}
		for k, c := range e.text {
			if !r.same(c, r.text[i+k]) {
				return 0
			}
		}
		return 1 << (i + len(e.text))
	case 's':
		if i < len(r.text) && r.has(e, r.text[i]) {
			return 1 << (i + 1)
		}
		return 0
	case '@':
		return every
	case '<':
		return r.numbers(e, i)
	case '|':
		return r.ends(e.kids[0], i) | r.ends(e.kids[1], i)
	case '&':
		return r.ends(e.kids[0], i) & r.ends(e.kids[1], i)
	case '.':
		return r.after(e.kids[1], r.ends(e.kids[0], i))
	case '~':
		return every &^ r.ends(e.kids[0], i)
	}
	return r.repetition(e, i)
}

func (r *refRun) repetition(e *refExpr, i int) (out uint64) {
	if e.lo == 0 && e.hi < 0 {
		switch r.nothing(e.kids[0]) {
		case yes:
			return 0 // what matches nothing can't be repeated zero times, in Lucene
		case maybe:
			r.unsure = true
		case no:
		}
	}
	places := uint64(1) << i
	for n := 0; places != 0; n++ {
		if n >= e.lo {
			out |= places
		}
		if n == e.hi {
			return out
		}
		next := r.after(e.kids[0], places)
		if next == places { // and will stay so
			return out | places
		}
		places = next
	}
	return out
}

func (r *refRun) numbers(e *refExpr, i int) (out uint64) {
	n := 0
	for j := i; j < len(r.text) && '0' <= r.text[j] && r.text[j] <= '9'; j++ {
		if n = min(n*10+int(r.text[j]-'0'), 1<<40); e.lo <= n && n <= e.hi && (e.width == 0 || e.width == j+1-i) {
			out |= 1 << (j + 1)
		}
	}
	return out
}

type answer byte

const (
	no answer = iota
	maybe
	yes
)

// nothing tells whether e matches no text at all.
func (r *refRun) nothing(e *refExpr) answer {
	switch e.op {
	case 't':
		if len(e.text) == 0 && r.fold {
			return yes
		}
		return no
	case 's':
		candidates := []rune{0}
		refBounds(e, func(c rune) { candidates = append(candidates, c, c+1) })
		for _, c := range candidates {
			if c <= 0x10FFFF && r.has(e, c) {
				return no
			}
		}
		return yes
	case '|':
		return min(r.nothing(e.kids[0]), r.nothing(e.kids[1]))
	case '.':
		return max(r.nothing(e.kids[0]), r.nothing(e.kids[1]))
	case '*':
		if e.lo == 0 && e.hi >= 0 || e.hi == 0 {
			return no
		}
		return r.nothing(e.kids[0])
	case '&', '~':
		return r.search(e)
	}
	return no
}

// search tries all short texts of the characters that e tells apart.
func (r *refRun) search(e *refExpr) answer {
	alphabet := []rune{'0', '\u2603'}
	refBounds(e, func(c rune) {
		for _, c := range []rune{c, c + 1} {
			if !strings.ContainsRune(string(alphabet), c) && c <= 0x10FFFF {
				alphabet = append(alphabet, c)
			}
		}
	})
	complete := len(alphabet) <= 6
	alphabet = alphabet[:min(len(alphabet), 6)]
	texts := [][]rune{{}}
	for n := 0; n < len(texts); n++ {
		try := &refRun{fold: r.fold, text: texts[n], memo: map[refKey]uint64{}}
		if matches := try.ends(e, 0)>>len(texts[n])&1 == 1; try.unsure {
			return maybe
		} else if matches {
			return no
		}
		if len(texts[n]) < 3 {
			for _, c := range alphabet {
				texts = append(texts, append(append([]rune{}, texts[n]...), c))
			}
		}
	}
	if complete && refLongest(e) <= 3 {
		return yes
	}
	return maybe
}

// refBounds calls f for the characters that e names.
func refBounds(e *refExpr, f func(rune)) {
	for _, c := range e.text {
		f(c)
	}
	for _, x := range e.ranges {
		f(x[0])
		f(x[1])
	}
	if e.op == '<' {
		for _, c := range strconv.Itoa(e.lo) + strconv.Itoa(e.hi) {
			f(c)
		}
	}
	for _, k := range e.kids {
		refBounds(k, f)
	}
}

// refLongest returns a bound on the length of what e matches.
func refLongest(e *refExpr) int {
	const endless = 1 << 20
	switch e.op {
	case 't':
		return len(e.text)
	case 's':
		return 1
	case '<':
		if e.width > 0 {
			return e.width
		}
	case '|':
		return max(refLongest(e.kids[0]), refLongest(e.kids[1]))
	case '&':
		return min(refLongest(e.kids[0]), refLongest(e.kids[1]))
	case '.':
		return min(endless, refLongest(e.kids[0])+refLongest(e.kids[1]))
	case '*':
		if e.hi >= 0 && e.hi < endless {
			return min(endless, e.hi*refLongest(e.kids[0]))
		}
	}
	return endless
}
