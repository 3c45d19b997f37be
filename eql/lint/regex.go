package lint

import (
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
)

// regex reports what Lucene reads otherwise than other dialects do. The pattern compiles.
func (l *linter) regex(s *ast.String) {
	r := regexScan{text: s.Value, report: func(code finding.Code, from, to int, hint, msg string) {
		if !s.Raw { // a backslash is written twice there
			hint = strings.ReplaceAll(hint, `\`, `\\`)
		}
		l.report(code, s.Part(from, to), hint, "%s", msg)
	}}
	r.scan()
}

// regexScan goes through a pattern. Offsets are those of its bytes.
type regexScan struct {
	text   string
	report func(code finding.Code, from, to int, hint, msg string)
}

func (r *regexScan) scan() {
	for i := 0; i < len(r.text); {
		switch c := r.text[i]; c {
		case '\\':
			i += r.escape(i)
		case '[':
			i = r.class(i)
		case '"':
			end := strings.IndexByte(r.text[i+1:], '"')
			if end < 0 {
				return
			}
			r.report(finding.RegexOperator, i, i+end+2, `write \" for the quotation mark`, `"…" quotes literal text in Lucene's regular expressions: the marks aren't part of it`)
			i += end + 2
		case '<': // a pattern that compiles has a range of numbers here, and that is hardly an accident
			i += max(1, strings.IndexByte(r.text[i:], '>'))
		case '(':
			i += r.group(i)
		case '^', '$':
			r.anchor(i)
			i++
		case '@', '#', '&', '~':
			r.operator(i)
			i++
		default:
			i++
		}
	}
}

// escape reports an escaped digit, and returns the length of the escape.
func (r *regexScan) escape(i int) int {
	if i+1 >= len(r.text) {
		return 1
	}
	if d := r.text[i+1]; '1' <= d && d <= '9' {
		r.report(finding.RegexReference, i, i+2, "Lucene has no back references", `\`+string(d)+` is the character `+string(d)+" here")
	}
	return 2
}

// class passes over [...] and reports POSIX classes in it.
func (r *regexScan) class(i int) int {
	j := i + 1
	if j < len(r.text) && r.text[j] == '^' {
		j++
	}
	for first := true; j < len(r.text) && (first || r.text[j] != ']'); first = false {
		switch {
		case r.text[j] == '\\':
			j++
		case strings.HasPrefix(r.text[j:], "[:"):
			if end := strings.Index(r.text[j:], ":]"); end > 0 {
				r.report(finding.RegexReference, j, j+end+2, "write the characters, such as a-zA-Z", r.text[j:j+end+2]+" is no class of characters here, but these characters themselves")
			}
		}
		j++
	}
	return j + 1
}

// group reports groups with a question mark, and returns the length of what begins one.
func (r *regexScan) group(i int) int {
	rest := r.text[i:]
	if !strings.HasPrefix(rest, "(?") {
		return 1
	}
	n, what, hint := 3, "a special group", "write a plain group (…)"
	switch {
	case strings.HasPrefix(rest, "(?:"):
		what, hint = "a group that doesn't capture", "write (…): no group captures"
	case strings.HasPrefix(rest, "(?=") || strings.HasPrefix(rest, "(?!"):
		what, hint = "a look ahead", "write a second test, joined with and"
	case strings.HasPrefix(rest, "(?<"):
		n, what, hint = 4, "a look behind or a named group", "write a second test, joined with and"
	case strings.HasPrefix(rest, "(?i"):
		what, hint = "a switch to ignore the case", "use regex~"
	}
	n = min(n, len(rest))
	r.report(finding.RegexGroup, i, i+n, hint, rest[:n]+" doesn't begin "+what+" in Lucene's regular expressions: "+rest[1:n]+" are characters of the text")
	return n
}

func (r *regexScan) anchor(i int) {
	what, hint := "the beginning", "take it out: a pattern must match the whole value anyway; begin it with .* where that isn't meant"
	if r.text[i] == '$' {
		what, hint = "the end", "take it out: a pattern must match the whole value anyway; end it with .* where that isn't meant"
	}
	c := r.text[i : i+1]
	r.report(finding.RegexAnchor, i, i+1, hint+`, or write \`+c+` for the character`, c+" isn't "+what+" of the value in Lucene's regular expressions, but the character "+c)
}

func (r *regexScan) operator(i int) {
	what := map[byte]string{
		'@': "stands for any text",
		'#': "matches nothing",
		'&': "takes what both of its sides match",
		'~': "takes all that what follows does not match",
	}[r.text[i]]
	c := r.text[i : i+1]
	r.report(finding.RegexOperator, i, i+1, `write \`+c+` for the character`, c+" is an operator in Lucene's regular expressions: it "+what)
}
