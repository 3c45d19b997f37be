// Package glob matches text against EQL's wildcard patterns and against sets of texts, with or without regard
// to the case of ASCII letters, in linear space and without allocating. It knows nothing of fields or events.
package glob

import (
	"strings"
	"unicode/utf8"
)

// one stands for `?` inside a segment. The byte occurs in no valid UTF-8, so no literal can hold it.
const one = '\xff'

// Pattern is a compiled pattern: `*` stands for any run of characters, `?` for exactly one code point. It is
// immutable.
type Pattern struct {
	fold bool
	// segments are the parts between the stars; the first is anchored at the start of the text and the last
	// at its end. A pattern without a star is one segment.
	segments []segment
}

type segment struct {
	text string // lower case where the pattern folds; one marks `?`
	ones bool   // text has a `?`
	min  int    // the least number of bytes that it can match
}

// Compile compiles a pattern. With fold set, ASCII letters match in either case. With escapes set, a
// backslash makes the next character a literal; otherwise it is an ordinary character.
func Compile(pattern string, fold, escapes bool) *Pattern {
	p := &Pattern{fold: fold}
	var seg strings.Builder
	flush := func() {
		text := seg.String()
		if fold {
			text = LowerASCII(text)
		}
		p.segments = append(p.segments, segment{text, strings.IndexByte(text, one) >= 0, len(text)})
		seg.Reset()
	}
	for i := 0; i < len(pattern); i++ {
		switch c := pattern[i]; {
		case c == '*':
			flush()
			for i+1 < len(pattern) && pattern[i+1] == '*' {
				i++
			}
		case c == '?':
			seg.WriteByte(one)
		case c == '\\' && escapes && i+1 < len(pattern):
			i++
			seg.WriteByte(pattern[i])
		default:
			seg.WriteByte(c)
		}
	}
	flush()
	return p
}

// Exact returns the one text that the pattern matches, if it has no wildcards; folded patterns give it in
// lower case.
func (p *Pattern) Exact() (text string, ok bool) {
	if len(p.segments) != 1 || p.segments[0].ones {
		return "", false
	}
	return p.segments[0].text, true
}

// Any reports whether the pattern matches every text.
func (p *Pattern) Any() bool {
	for _, s := range p.segments {
		if s.text != "" {
			return false
		}
	}
	return len(p.segments) > 1
}

// Inner returns the number of parts between stars, which are searched for.
func (p *Pattern) Inner() int { return max(0, len(p.segments)-2) }

// Literal is a text that a match must have: at its start, at its end or anywhere.
type Literal struct {
	Text           string
	Prefix, Suffix bool
	Skip           bool // a prefix behind one character
}

// Literal returns the longest text in lower case that every match, folded to lower case, has at the given
// place; an affix is preferred to a longer text inside. The text is empty where there is none.
func (p *Pattern) Literal() Literal {
	last := len(p.segments) - 1
	head, tail := p.segments[0].text, p.segments[last].text
	skip := len(head) > 1 && head[0] == one && head[1] != one
	if skip {
		head = head[1:]
	}
	if i := strings.IndexByte(head, one); i >= 0 {
		head = head[:i]
	}
	if i := strings.LastIndexByte(tail, one); i >= 0 {
		tail = tail[i+1:]
	}
	switch {
	case head != "" && len(head) >= len(tail):
		return Literal{Text: LowerASCII(head), Prefix: true, Skip: skip}
	case tail != "":
		return Literal{Text: LowerASCII(tail), Suffix: true}
	}
	best := ""
	for _, s := range p.segments {
		for part := range strings.SplitSeq(s.text, string([]byte{one})) {
			if len(part) > len(best) {
				best = part
			}
		}
	}
	return Literal{Text: LowerASCII(best)}
}

// Match reports whether the whole of s matches. It takes time proportional to the product of the lengths at worst.
func (p *Pattern) Match(s string) bool {
	first := &p.segments[0]
	last := len(p.segments) - 1
	n, ok := p.prefix(first, s)
	if !ok {
		return false
	}
	s = s[n:]
	if last == 0 {
		return s == ""
	}
	n, ok = p.suffix(&p.segments[last], s)
	if !ok {
		return false
	}
	s = s[:len(s)-n]
	for i := 1; i < last; i++ {
		end := p.find(&p.segments[i], s)
		if end < 0 {
			return false
		}
		s = s[end:]
	}
	return true
}

// prefix reports whether s begins with the segment, and with how many bytes.
func (p *Pattern) prefix(seg *segment, s string) (n int, ok bool) {
	if len(s) < seg.min {
		return 0, false
	}
	if !seg.ones {
		if p.fold {
			return seg.min, hasFold(s, seg.text)
		}
		return seg.min, s[:seg.min] == seg.text
	}
	for i := range len(seg.text) {
		if n >= len(s) {
			return 0, false
		}
		want := seg.text[i]
		if want == one {
			n += RuneLen(s[n:])
			continue
		}
		if c := s[n]; c != want && (!p.fold || Lower(c) != want) {
			return 0, false
		}
		n++
	}
	return n, true
}

// suffix reports whether s ends with the segment, and with how many bytes.
func (p *Pattern) suffix(seg *segment, s string) (n int, ok bool) {
	if len(s) < seg.min {
		return 0, false
	}
	if !seg.ones {
		return p.prefix(seg, s[len(s)-seg.min:])
	}
	end := len(s)
	for i := len(seg.text) - 1; i >= 0; i-- {
		if end == 0 {
			return 0, false
		}
		want := seg.text[i]
		if want == one {
			_, size := utf8.DecodeLastRuneInString(s[:end])
			end -= size
			continue
		}
		if c := s[end-1]; c != want && (!p.fold || Lower(c) != want) {
			return 0, false
		}
		end--
	}
	return len(s) - end, true
}

// find returns the end of the first occurrence of the segment in s, or -1. The first one is as good as any:
// it leaves the most text to the segments behind it.
func (p *Pattern) find(seg *segment, s string) int {
	if !seg.ones {
		i := p.index(seg.text, s)
		if i < 0 {
			return -1
		}
		return i + seg.min
	}
	for i := 0; len(s)-i >= seg.min; i += RuneLen(s[i:]) { // by characters; a byte that is none counts as one
		if n, ok := p.prefix(seg, s[i:]); ok {
			return i + n
		}
	}
	return -1
}

func (p *Pattern) index(text, s string) int {
	if !p.fold {
		return strings.Index(s, text)
	}
	if text == "" {
		return 0
	}
	c := text[0]
	for i := 0; i+len(text) <= len(s); i++ {
		if Lower(s[i]) == c && hasFold(s[i:], text) {
			return i
		}
	}
	return -1
}

// RuneLen returns the length of the first character of s, which isn't empty; a byte that is no UTF-8 is one character.
func RuneLen(s string) int {
	if s[0] < utf8.RuneSelf {
		return 1
	}
	_, size := utf8.DecodeRuneInString(s)
	return size
}
