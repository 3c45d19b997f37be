package lucene

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// maxDepth bounds the nesting of groups and complements.
const maxDepth = 250

var errEnd = errors.New("unexpected end of the pattern")

// parser reads the grammar of Lucene's RegExp with all its flags on. It makes terms as it goes.
type parser struct {
	b     *builder
	text  []rune
	pos   int
	depth int
	fold  bool
}

// parse returns the term of a whole pattern.
func (p *parser) parse() (int, error) {
	if len(p.text) == 0 {
		return empty, nil
	}
	t, err := p.union()
	if err != nil {
		return none, err
	}
	if p.pos < len(p.text) {
		return none, fmt.Errorf("unexpected %q at character %d", p.text[p.pos], p.pos+1)
	}
	return t, p.b.err
}

func (p *parser) peek(chars string) bool {
	return p.pos < len(p.text) && strings.ContainsRune(chars, p.text[p.pos])
}

func (p *parser) match(r rune) bool {
	if p.pos < len(p.text) && p.text[p.pos] == r {
		p.pos++
		return true
	}
	return false
}

func (p *parser) next() (rune, error) {
	if p.pos >= len(p.text) {
		return 0, errEnd
	}
	p.pos++
	return p.text[p.pos-1], nil
}

func (p *parser) expect(r rune) error {
	if !p.match(r) {
		return fmt.Errorf("expected %q at character %d", r, p.pos+1)
	}
	return nil
}

// union is inter ('|' inter)*.
func (p *parser) union() (int, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return none, errComplex
	}
	var terms []int
	for {
		t, err := p.inter()
		if err != nil {
			return none, err
		}
		terms = append(terms, t)
		if !p.match('|') {
			return p.b.union(terms...), nil
		}
	}
}

func (p *parser) inter() (int, error) {
	var terms []int
	for {
		t, err := p.concat()
		if err != nil {
			return none, err
		}
		terms = append(terms, t)
		if !p.match('&') {
			return p.b.intersect(terms...), nil
		}
	}
}

// concat reads at least one part: there are no empty alternatives, so that `a||b` is `a` or `|b`.
func (p *parser) concat() (int, error) {
	var terms []int
	for {
		t, err := p.repeat()
		if err != nil {
			return none, err
		}
		terms = append(terms, t)
		if p.pos >= len(p.text) || p.peek(")|&") {
			break
		}
	}
	out := empty
	for _, t := range slices.Backward(terms) {
		out = p.b.concat(t, out)
	}
	return out, nil
}

func (p *parser) repeat() (int, error) {
	t, err := p.complement()
	for err == nil && p.peek("?*+{") {
		switch {
		case p.match('?'):
			t = p.b.repeat(t, 0, 1)
		case p.match('*'):
			t = p.b.repeat(t, 0, -1)
		case p.match('+'):
			t = p.b.repeat(t, 1, -1)
		default:
			p.pos++
			t, err = p.count(t)
		}
	}
	return t, err
}

// count reads the rest of {n}, {n,} or {n,m}.
func (p *parser) count(t int) (int, error) {
	low, ok, err := p.integer()
	if err != nil {
		return none, err
	}
	if !ok {
		return none, fmt.Errorf("expected a number at character %d", p.pos+1)
	}
	high := low
	if p.match(',') {
		if high, ok, err = p.integer(); err != nil {
			return none, err
		}
		if !ok {
			high = -1
		}
	}
	if err := p.expect('}'); err != nil {
		return none, err
	}
	return p.b.repeat(t, low, high), nil
}

func (p *parser) integer() (n int, ok bool, err error) {
	start := p.pos
	for p.peek("0123456789") {
		p.pos++
	}
	if p.pos == start {
		return 0, false, nil
	}
	n64, err := strconv.ParseInt(string(p.text[start:p.pos]), 10, 32)
	if err != nil {
		return 0, false, fmt.Errorf("the number at character %d is too large", start+1)
	}
	return int(n64), true, nil
}

func (p *parser) complement() (int, error) {
	odd := false
	for p.match('~') {
		odd = !odd
	}
	t, err := p.class()
	if odd {
		t = p.b.not(t)
	}
	return t, err
}

func (p *parser) class() (int, error) {
	if !p.match('[') {
		return p.simple()
	}
	negate := p.match('^')
	var set runeSet
	for first := true; first || p.pos < len(p.text) && !p.peek("]"); first = false {
		s, err := p.classItem()
		if err != nil {
			return none, err
		}
		set = join(set, s)
	}
	if negate {
		set = set.invert()
	}
	return p.b.oneOf(set), p.expect(']')
}

// classItem reads a character, a range or a predefined class. Ranges never fold, as in Lucene 9.
func (p *parser) classItem() (runeSet, error) {
	if s, ok, err := p.escaped(); ok || err != nil {
		return s, err
	}
	low, err := p.char()
	if err != nil {
		return nil, err
	}
	if !p.match('-') {
		return char(low, p.fold), nil
	}
	high, err := p.char()
	if err != nil {
		return nil, err
	}
	if low > high {
		return nil, fmt.Errorf("the range %c-%c is upside down", low, high)
	}
	return runeSet{{low, high}}, nil
}

// escaped reads a predefined class or an escaped backslash, if one is there. A backslash before another
// letter is an error; before anything else it has been skipped on return and the character comes next.
func (p *parser) escaped() (s runeSet, ok bool, err error) {
	if !p.match('\\') || p.pos >= len(p.text) {
		return nil, false, nil
	}
	r := p.text[p.pos]
	if s, ok := predefined(r); ok {
		p.pos++
		return s, true, nil
	}
	if r == '\\' {
		p.pos++
		return runeSet{{'\\', '\\'}}, true, nil
	}
	if r < unicode.MaxASCII && unicode.IsLetter(r) {
		return nil, false, fmt.Errorf("unknown escape \\%c at character %d", r, p.pos)
	}
	return nil, false, nil
}

func (p *parser) char() (rune, error) {
	p.match('\\')
	return p.next()
}

func (p *parser) simple() (int, error) {
	switch {
	case p.match('.'):
		return p.b.oneOf(anyRune()), nil
	case p.match('#'):
		return none, nil
	case p.match('@'):
		return all, nil
	case p.match('"'):
		return p.quoted()
	case p.match('('):
		if p.match(')') {
			return empty, nil
		}
		t, err := p.union()
		if err != nil {
			return none, err
		}
		return t, p.expect(')')
	case p.match('<'):
		return p.interval()
	}
	s, ok, err := p.escaped()
	if err != nil {
		return none, err
	}
	if ok {
		return p.b.oneOf(s), nil
	}
	r, err := p.char()
	if err != nil {
		return none, err
	}
	return p.b.oneOf(char(r, p.fold)), nil
}

func (p *parser) quoted() (int, error) {
	start := p.pos
	for p.pos < len(p.text) && !p.peek(`"`) {
		p.pos++
	}
	body := p.text[start:p.pos]
	if err := p.expect('"'); err != nil {
		return none, err
	}
	out := empty
	for _, r := range slices.Backward(body) {
		out = p.b.concat(p.b.oneOf(char(r, p.fold)), out)
	}
	return out, nil
}

// interval reads the rest of <n-m>: decimal numbers, with leading zeros to one width if both ends have it,
// otherwise with any number of them.
func (p *parser) interval() (int, error) {
	start := p.pos
	for p.pos < len(p.text) && !p.peek(">") {
		p.pos++
	}
	body := string(p.text[start:p.pos])
	if err := p.expect('>'); err != nil {
		return none, err
	}
	from, to, ok := strings.Cut(body, "-")
	low, lowErr := strconv.ParseUint(from, 10, 31)
	high, highErr := strconv.ParseUint(to, 10, 31)
	if !ok || lowErr != nil || highErr != nil {
		return none, fmt.Errorf("<%s> is not a range of numbers", body)
	}
	width := 0
	if len(from) == len(to) {
		width = len(from)
	}
	return p.b.interval(min(low, high), max(low, high), width), nil
}

// interval returns the term for the decimal numbers from low to high.
func (b *builder) interval(low, high uint64, width int) int {
	if width > 0 {
		return b.digits(fmt.Sprintf("%0*d", width, low), fmt.Sprintf("%0*d", width, high))
	}
	var terms []int
	for first := uint64(0); ; { // first is the least number of its length
		last := max(first, 1)*10 - 1
		if from, to := max(low, first), min(high, last); from <= to {
			terms = append(terms, b.digits(strconv.FormatUint(from, 10), strconv.FormatUint(to, 10)))
		}
		if last >= high {
			break
		}
		first = last + 1
	}
	zeros := b.repeat(b.oneOf(runeSet{{'0', '0'}}), 0, -1)
	return b.concat(zeros, b.union(terms...))
}

// digits returns the term for the numbers from low to high, which have one length.
func (b *builder) digits(low, high string) int {
	if low == "" {
		return empty
	}
	digit := func(lo, hi byte) int { return b.oneOf(runeSet{{rune(lo), rune(hi)}}) }
	if low[0] == high[0] {
		return b.concat(digit(low[0], low[0]), b.digits(low[1:], high[1:]))
	}
	rest := len(low) - 1
	nines, zeros := strings.Repeat("9", rest), strings.Repeat("0", rest)
	terms := []int{
		b.concat(digit(low[0], low[0]), b.digits(low[1:], nines)),
		b.concat(digit(high[0], high[0]), b.digits(zeros, high[1:])),
	}
	if low[0]+1 < high[0] {
		terms = append(terms, b.concat(digit(low[0]+1, high[0]-1), b.repeat(digit('0', '9'), rest, rest)))
	}
	return b.union(terms...)
}
