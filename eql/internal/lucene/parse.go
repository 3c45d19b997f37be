package lucene

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxDepth bounds the nesting of groups and complements.
const maxDepth = 1000

// Error says why a pattern can't be run, and where.
type Error struct {
	// Offset and End are the part of the pattern that is meant, in bytes.
	Offset, End int
	// Msg is what is wrong there, Hint what to write instead; it may be empty.
	Msg, Hint string
}

// Error returns the message with the place, counted in characters from 1, and the hint.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Msg
	}
	return e.Msg + "; " + e.Hint
}

// parser reads the grammar of Lucene's RegExp with all its flags on.
type parser struct {
	text  string
	pos   int // in bytes
	depth int
	fold  bool
}

// parse returns the expression of a whole pattern.
func (p *parser) parse() (*expr, error) {
	if p.text == "" {
		return &expr{kind: kindText}, nil
	}
	e, err := p.union()
	if err != nil {
		return nil, err
	}
	if p.more() {
		r, _ := p.peekRune()
		return nil, p.fail(p.pos, fmt.Sprintf("unexpected %q", r), "a parenthesis that is meant literally is written \\)")
	}
	return e, nil
}

func (p *parser) more() bool { return p.pos < len(p.text) }

func (p *parser) peekRune() (r rune, size int) { return utf8.DecodeRuneInString(p.text[p.pos:]) }

func (p *parser) peek(chars string) bool {
	return p.more() && strings.IndexByte(chars, p.text[p.pos]) >= 0
}

func (p *parser) match(c byte) bool {
	if p.more() && p.text[p.pos] == c {
		p.pos++
		return true
	}
	return false
}

// fail returns the error for the character at an offset, or for the end of the pattern.
func (p *parser) fail(offset int, msg, hint string) error {
	_, size := utf8.DecodeRuneInString(p.text[offset:])
	return &Error{
		Offset: offset, End: offset + size, Hint: hint,
		Msg: fmt.Sprintf("%s at character %d", msg, utf8.RuneCountInString(p.text[:offset])+1),
	}
}

func (p *parser) next() (rune, error) {
	if !p.more() {
		return 0, p.unexpectedEnd()
	}
	r, size := p.peekRune()
	p.pos += size
	return r, nil
}

func (p *parser) unexpectedEnd() error {
	hint := ""
	switch {
	case strings.HasSuffix(p.text, "|"), strings.HasSuffix(p.text, "&"):
		hint = "an alternative can't be empty: a|() has one that is the empty text"
	case strings.HasSuffix(p.text, "\\"):
		hint = "a backslash that is meant literally is written twice"
	}
	return p.fail(p.pos, "unexpected end of the pattern", hint)
}

// expect reads the character that ends what began at start.
func (p *parser) expect(c byte, start int) error {
	if p.match(c) {
		return nil
	}
	opening := p.text[start : start+1]
	return p.fail(p.pos, fmt.Sprintf("expected %q", rune(c)), fmt.Sprintf("%s at character %d begins it; where it is meant literally it is written \\%s",
		opening, utf8.RuneCountInString(p.text[:start])+1, opening))
}

// union is inter ('|' inter)*.
func (p *parser) union() (*expr, error) {
	p.depth++
	defer func() { p.depth-- }()
	if p.depth > maxDepth {
		return nil, p.tooComplex()
	}
	return p.list('|', kindUnion, p.inter)
}

func (p *parser) tooComplex() error {
	return &Error{End: len(p.text), Msg: errComplex.Msg, Hint: errComplex.Hint}
}

func (p *parser) inter() (*expr, error) { return p.list('&', kindInter, p.concat) }

// list reads one or more items with a separator between them.
func (p *parser) list(separator byte, k kind, item func() (*expr, error)) (*expr, error) {
	first, err := item()
	if err != nil || !p.peek(string(separator)) {
		return first, err
	}
	e := &expr{kind: k, args: []*expr{first}}
	for p.match(separator) {
		next, err := item()
		if err != nil {
			return nil, err
		}
		e.args = append(e.args, next)
	}
	return e, nil
}

// concat reads at least one part: there are no empty alternatives, so that `a||b` is `a` or `|b`.
func (p *parser) concat() (*expr, error) {
	var parts []*expr
	for {
		e, err := p.repeat()
		if err != nil {
			return nil, err
		}
		if last := len(parts) - 1; last >= 0 && parts[last].kind == kindText && e.kind == kindText {
			parts[last].text = append(parts[last].text, e.text...) // as concat would, in linear time
		} else {
			parts = append(parts, e)
		}
		if !p.more() || p.peek(")|&") {
			break
		}
	}
	e := parts[len(parts)-1]
	for i := len(parts) - 2; i >= 0; i-- {
		e = concat(parts[i], e)
	}
	return e, nil
}

func (p *parser) repeat() (*expr, error) {
	e, err := p.complement()
	for err == nil && p.peek("?*+{") {
		start := p.pos
		switch p.pos++; p.text[start] {
		case '?':
			e = &expr{kind: kindOptional, args: []*expr{e}}
		case '*':
			e = &expr{kind: kindRepeat, args: []*expr{e}, max: unbounded}
		case '+':
			e = &expr{kind: kindRepeat, args: []*expr{e}, min: 1, max: unbounded}
		default:
			e, err = p.count(e, start)
		}
	}
	return e, err
}

// count reads the rest of {n}, {n,} or {n,m}.
func (p *parser) count(of *expr, start int) (*expr, error) {
	low, ok, err := p.integer()
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, p.fail(p.pos, "expected a number", "a brace that is meant literally is written \\{; there is no {,n}, write {0,n}")
	}
	high := low
	if p.match(',') {
		if high, ok, err = p.integer(); err != nil {
			return nil, err
		}
		if !ok {
			high = unbounded
		}
	}
	if err := p.expect('}', start); err != nil {
		return nil, err
	}
	if high != unbounded && low > high {
		return nil, p.fail(start, fmt.Sprintf("{%d,%d} repeats from more to less", low, high), "")
	}
	return &expr{kind: kindRepeat, args: []*expr{of}, min: low, max: high, bounded: high != unbounded}, nil
}

func (p *parser) integer() (n int, ok bool, err error) {
	start := p.pos
	for p.peek("0123456789") {
		p.pos++
	}
	if p.pos == start {
		return 0, false, nil
	}
	n64, err := strconv.ParseInt(p.text[start:p.pos], 10, 32)
	if err != nil {
		return 0, false, p.fail(start, "the number is too large", "")
	}
	return int(n64), true, nil
}

func (p *parser) complement() (*expr, error) {
	odd, some := false, false
	for p.match('~') {
		odd, some = !odd, true
	}
	e, err := p.class()
	if err != nil || !some {
		return e, err
	}
	e = &expr{kind: kindNot, args: []*expr{e}}
	if !odd {
		e = &expr{kind: kindNot, args: []*expr{e}}
	}
	return e, nil
}

func (p *parser) class() (*expr, error) {
	start := p.pos
	if !p.match('[') {
		return p.simple()
	}
	negate := p.match('^')
	var set runeSet
	var items []*expr
	for len(items) == 0 || p.more() && !p.peek("]") {
		item, err := p.classItem()
		if err != nil {
			return nil, err
		}
		items = append(items, item)
		set = append(set, item.chars(p.fold)...)
	}
	if err := p.expect(']', start); err != nil {
		return nil, err
	}
	switch set = join(set); {
	case negate:
		return &expr{kind: kindSet, set: set.invert()}, nil
	case len(items) == 1: // [a] is the text a
		return items[0], nil
	}
	return &expr{kind: kindSet, set: set}, nil
}

// classItem reads a character, a range or a predefined class. Ranges never fold, as in Lucene 9.
func (p *parser) classItem() (*expr, error) {
	if e, ok, err := p.escaped(); ok || err != nil {
		return e, err
	}
	start := p.pos
	low, err := p.char()
	if err != nil {
		return nil, err
	}
	if !p.match('-') {
		return &expr{kind: kindText, text: []rune{low}}, nil
	}
	high, err := p.char()
	if err != nil {
		return nil, err
	}
	if low > high {
		return nil, p.fail(start, fmt.Sprintf("the range %c-%c is upside down", low, high), "a hyphen that is meant literally is written \\-")
	}
	return &expr{kind: kindSet, set: runeSet{{low, high}}}, nil
}

// escaped reads a predefined class or an escaped backslash, if one is there. A backslash before another
// letter is an error; before anything else it has been skipped on return and the character comes next.
func (p *parser) escaped() (e *expr, ok bool, err error) {
	start := p.pos
	if !p.match('\\') || !p.more() {
		return nil, false, nil
	}
	r, _ := p.peekRune()
	if s, ok := predefined(r); ok {
		p.pos++
		return &expr{kind: kindSet, set: s}, true, nil
	}
	if r == '\\' {
		p.pos++
		return &expr{kind: kindText, text: []rune{r}}, true, nil
	}
	if r < unicode.MaxASCII && unicode.IsLetter(r) {
		err := &Error{
			Offset: start, End: p.pos + 1, Hint: escapeHint(r),
			Msg: fmt.Sprintf("unknown escape \\%c at character %d", r, utf8.RuneCountInString(p.text[:start])+1),
		}
		return nil, false, err
	}
	return nil, false, nil
}

// escapeHint says what to write in place of an escape that other dialects have.
func escapeHint(r rune) string {
	switch r {
	case 'b', 'B':
		return "there are no word boundaries: write the characters that may stand there, such as (.*[^a-z])?"
	case 'A', 'z', 'Z', 'G':
		return "a pattern always matches the whole value: leave it out"
	case 'p', 'P', 'h', 'v', 'R', 'X':
		return "write the characters as a class: [a-z]"
	case 'n', 'r', 't', 'f', 'a', 'e', 'x', 'u', 'c':
		return "write the character itself, with an escape of the query's string"
	case 'k', 'g':
		return "there are no references to groups"
	case 'Q', 'E':
		return `write literal text in double quotes: "a.b"`
	}
	return "only \\d \\D \\s \\S \\w \\W are classes; a backslash makes other characters literal, but no letters"
}

func (p *parser) char() (rune, error) {
	p.match('\\')
	return p.next()
}

func (p *parser) simple() (*expr, error) {
	start := p.pos
	switch {
	case p.match('.'):
		return &expr{kind: kindSet, set: anyRune()}, nil
	case p.match('#'):
		return &expr{kind: kindSet}, nil
	case p.match('@'):
		return &expr{kind: kindAll}, nil
	case p.match('"'):
		for p.more() && !p.peek(`"`) {
			p.pos++
		}
		body := p.text[start+1 : p.pos]
		return &expr{kind: kindText, text: []rune(body)}, p.expect('"', start)
	case p.match('('):
		if p.match(')') {
			return &expr{kind: kindText}, nil
		}
		e, err := p.union()
		if err == nil {
			err = p.expectGroupEnd(start)
		}
		return e, err
	case p.match('<'):
		return p.interval(start)
	}
	e, ok, err := p.escaped()
	if ok || err != nil {
		return e, err
	}
	r, err := p.char()
	return &expr{kind: kindText, text: []rune{r}}, err
}

func (p *parser) expectGroupEnd(start int) error {
	if !p.peek(")") && (strings.HasSuffix(p.text[start:p.pos], "|)") || strings.HasSuffix(p.text[start:p.pos], "&)")) {
		return p.fail(p.pos, "expected ')'", "an alternative can't be empty, so that ) after | is an ordinary character: write (a)? or a|()")
	}
	return p.expect(')', start)
}

// interval reads the rest of <n-m>: decimal numbers, with leading zeros to one width if both ends have it,
// otherwise with any number of them.
func (p *parser) interval(start int) (*expr, error) {
	for p.more() && !p.peek(">") {
		p.pos++
	}
	body := p.text[start+1 : p.pos]
	if err := p.expect('>', start); err != nil {
		return nil, err
	}
	from, to, _ := strings.Cut(body, "-")
	low, lowOK := parseInt(from)
	high, highOK := parseInt(to)
	if !lowOK || !highOK {
		return nil, &Error{
			Offset: start, End: p.pos, Hint: "a < that is meant literally is written \\<",
			Msg: fmt.Sprintf("<%s> at character %d is not a range of numbers", body, utf8.RuneCountInString(p.text[:start])+1),
		}
	}
	e := &expr{kind: kindInterval, min: min(low, high), max: max(low, high)}
	if width := utf8.RuneCountInString(from); width == utf8.RuneCountInString(to) {
		e.width = width
	}
	return e, nil
}

// parseInt reads a number as Java's Integer.parseInt does: a plus sign is allowed, and the decimal digits of any script
// in Unicode's first plane.
func parseInt(text string) (n int, ok bool) {
	text = strings.TrimPrefix(text, "+")
	for _, r := range text {
		zero, isDigit := digitZero(r)
		if !isDigit {
			return 0, false
		}
		if n = n*10 + int(r-zero); n > math.MaxInt32 {
			return 0, false
		}
	}
	return n, text != ""
}

// digitZero returns the zero of the digits that r belongs to. They come in tens, in ascending order.
func digitZero(r rune) (zero rune, ok bool) {
	for _, t := range unicode.Nd.R16 {
		if lo, hi := rune(t.Lo), rune(t.Hi); lo <= r && r <= hi {
			return r - (r-lo)%10, true
		}
	}
	return 0, false
}
