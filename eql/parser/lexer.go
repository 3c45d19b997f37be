package parser

import (
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
)

// lexer turns the text into tokens. It reports what it can't read and goes on with the best guess, so that
// the parser can find further problems.
type lexer struct {
	src  string
	pos  int
	toks []token
	errs *problems
	// comments is kept for Comments alone.
	comments []ast.Span
}

// lex returns the tokens of src; the last one is the end of the text.
func lex(src string, errs *problems) []token {
	l := &lexer{src: src, errs: errs, toks: make([]token, 0, len(src)/6+8)}
	for l.skipBlanks(); l.pos < len(l.src); l.skipBlanks() {
		l.token()
	}
	end := 0
	if n := len(l.toks); n > 0 {
		end = l.toks[n-1].End
	}
	// The end is reported just behind the last token rather than behind trailing blanks and comments.
	return append(l.toks, token{Span: ast.Span{Pos: end, End: end}, kind: endOfText})
}

// skipBlanks passes over white space and comments.
func (l *lexer) skipBlanks() {
	for l.pos < len(l.src) {
		switch rest := l.src[l.pos:]; {
		case rest[0] == ' ' || rest[0] == '\t' || rest[0] == '\r' || rest[0] == '\n':
			l.pos++
		case strings.HasPrefix(rest, "//"):
			start := l.pos
			l.pos = l.lineEnd()
			l.comments = append(l.comments, ast.Span{Pos: start, End: l.pos})
		case strings.HasPrefix(rest, "/*"):
			start := l.pos
			l.blockComment()
			l.comments = append(l.comments, ast.Span{Pos: start, End: l.pos})
		default:
			return
		}
	}
}

// blockComment passes over a comment with the comments inside it.
func (l *lexer) blockComment() {
	start, depth := l.pos, 0
	for l.pos < len(l.src) {
		switch {
		case strings.HasPrefix(l.src[l.pos:], "/*"):
			depth++
			l.pos += 2
		case strings.HasPrefix(l.src[l.pos:], "*/"):
			depth--
			l.pos += 2
			if depth == 0 {
				return
			}
		default:
			l.pos++
		}
	}
	l.errs.addLast(finding.Text, ast.Span{Pos: start, End: start + 2}, "this comment isn't closed", "close it with */; comments inside it need their own */")
}

// token reads one token. The position is at its first character.
func (l *lexer) token() {
	rest := l.src[l.pos:]
	switch c := rest[0]; {
	case isLetter(c):
		l.word()
	case isDigit(c), c == '.' && len(rest) > 1 && isDigit(rest[1]):
		l.number()
	case c == '`':
		l.quotedName()
	case strings.HasPrefix(rest, `"""`):
		l.rawString()
	case c == '"':
		l.string()
	case c == '\'':
		l.endgameString(1)
	case strings.HasPrefix(rest, `?"`), strings.HasPrefix(rest, `?'`):
		l.endgameString(2)
	default:
		l.operator()
	}
}

func isLetter(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' || c == '@'
}

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// emit adds a token that ends at end.
func (l *lexer) emit(k kind, end int, value string) {
	l.toks = append(l.toks, token{Span: ast.Span{Pos: l.pos, End: end}, kind: k, value: value})
	l.pos = end
}

// fail reports the text up to end, which is no token.
func (l *lexer) fail(end int, msg, hint string) {
	l.errs.add(finding.Text, ast.Span{Pos: l.pos, End: end}, msg, hint)
	l.emit(bad, end, "")
}

// dialect reports what another language writes in this way, and leaves a token of kind k in its place.
func (l *lexer) dialect(k kind, end int, value, msg, hint string) {
	l.errs.add(finding.Dialect, ast.Span{Pos: l.pos, End: end}, msg, hint)
	l.emit(k, end, value)
}

// unclosed reports a literal whose end is missing. What follows it can't be told from its content.
func (l *lexer) unclosed(k kind, end int, span ast.Span, msg, hint string) {
	l.errs.addLast(finding.Text, span, msg, hint)
	l.emit(k, end, "")
}

// word reads an identifier or keyword; a tilde that follows at once belongs to it.
func (l *lexer) word() {
	end := l.pos + 1
	for end < len(l.src) && (isLetter(l.src[end]) && l.src[end] != '@' || isDigit(l.src[end])) {
		end++
	}
	if end < len(l.src) && l.src[end] == '~' {
		end++
	}
	l.emit(word, end, l.src[l.pos:end])
}

// number reads digits with an optional fraction and exponent. What follows at once, such as the unit of a
// maxspan, is the next token.
func (l *lexer) number() {
	end := l.digits(l.pos)
	if end < len(l.src) && l.src[end] == '.' {
		end = l.digits(end + 1)
	}
	if end < len(l.src) && (l.src[end] == 'e' || l.src[end] == 'E') {
		exp := end + 1
		if exp < len(l.src) && (l.src[exp] == '+' || l.src[exp] == '-') {
			exp++
		}
		if exp < len(l.src) && isDigit(l.src[exp]) {
			end = l.digits(exp)
		}
	}
	l.emit(number, end, l.src[l.pos:end])
}

// digits returns the end of the digits at pos.
func (l *lexer) digits(pos int) int {
	for pos < len(l.src) && isDigit(l.src[pos]) {
		pos++
	}
	return pos
}

// quotedName reads an identifier in backquotes; two of them stand for one.
func (l *lexer) quotedName() {
	var name strings.Builder
	for i := l.pos + 1; i < len(l.src); i++ {
		if l.src[i] != '`' {
			name.WriteByte(l.src[i])
			continue
		}
		if i+1 < len(l.src) && l.src[i+1] == '`' {
			name.WriteByte('`')
			i++
			continue
		}
		if name.Len() == 0 {
			l.fail(i+1, "a field name can't be empty", "")
			return
		}
		l.emit(quoted, i+1, name.String())
		return
	}
	// A doubled backquote at the start swallows the rest; it is most likely an empty name.
	if strings.HasPrefix(l.src[l.pos:], "``") {
		l.fail(l.pos+2, "a field name can't be empty", "")
		return
	}
	l.unclosed(bad, l.lineEnd(), ast.Span{Pos: l.pos, End: l.lineEnd()}, "this field name isn't closed", "close it with a backquote; a backquote in the name is written twice")
}

// lineEnd returns the end of the current line.
func (l *lexer) lineEnd() int {
	line := l.src[l.pos:]
	if i := strings.IndexByte(line, '\n'); i >= 0 {
		line = line[:i]
	}
	if i := strings.IndexByte(line, '\r'); i >= 0 {
		line = line[:i]
	}
	return l.pos + len(line)
}

// string reads "…" with its escapes.
func (l *lexer) string() {
	var value strings.Builder
	var escapes ast.Escapes
	end := l.lineEnd()
	for i := l.pos + 1; i < end; {
		switch l.src[i] {
		case '"':
			l.emit(text, i+1, value.String())
			l.toks[len(l.toks)-1].escapes = escapes
			return
		case '\\':
			n, r := l.escape(i, end)
			if r >= 0 {
				before := value.Len()
				value.WriteRune(r)
				escapes = append(escapes, ast.Escape{Offset: before, Size: value.Len() - before, Length: n})
			}
			i += n
		default:
			value.WriteByte(l.src[i])
			i++
		}
	}
	l.unclosed(text, end, ast.Span{Pos: l.pos, End: end}, "this string isn't closed", `a string ends with " on the same line; a line break in it is written \n`)
}

// escape reads the escape at i, reports it if it's none, and returns its length and the character, -1 for none.
func (l *lexer) escape(i, end int) (n int, r rune) {
	if i+1 >= end {
		return 1, -1
	}
	switch c := l.src[i+1]; c {
	case 'n':
		return 2, '\n'
	case 'r':
		return 2, '\r'
	case 't':
		return 2, '\t'
	case 'b':
		return 2, '\b'
	case 'f':
		return 2, '\f'
	case '\\', '"', '\'':
		return 2, rune(c)
	case 'u':
		return l.unicodeEscape(i, end)
	default:
		other, size := utf8.DecodeRuneInString(l.src[i+1 : end])
		l.errs.add(finding.Text, ast.Span{Pos: i, End: i + 1 + size}, fmt.Sprintf(`\%c isn't an escape`, other),
			fmt.Sprintf(`write \\%c for a backslash, or use a raw string """…"""`, other))
		return 1 + size, -1
	}
}

// unicodeEscape reads \u{…} at i.
func (l *lexer) unicodeEscape(i, end int) (n int, r rune) {
	const form = `a character by number is \u{…} with 2 to 8 hexadecimal digits`
	rest := l.src[i:end]
	closing := strings.IndexByte(rest, '}')
	if !strings.HasPrefix(rest, `\u{`) || closing < 0 {
		l.errs.add(finding.Text, ast.Span{Pos: i, End: i + 2}, `\u isn't followed by {…}`, form+`; a backslash is \\`)
		return 2, -1
	}
	span := ast.Span{Pos: i, End: i + closing + 1}
	digits := rest[len(`\u{`):closing]
	code, err := strconv.ParseUint(digits, 16, 32)
	switch {
	case err != nil || len(digits) < 2 || len(digits) > 8 || strings.ContainsAny(digits, "+_"):
		l.errs.add(finding.Text, span, "this isn't the number of a character", form)
		return closing + 1, -1
	case code > unicode.MaxRune || !utf8.ValidRune(rune(code)):
		l.errs.add(finding.Text, span, fmt.Sprintf("there is no character U+%04X", code), "characters go up to 10ffff, without d800 to dfff")
		return closing + 1, -1
	}
	return closing + 1, rune(code)
}

// rawString reads """…""". Up to two more quotes behind the closing ones belong to the content.
func (l *lexer) rawString() {
	const quotes = `"""`
	start := l.pos + len(quotes)
	length := strings.Index(l.src[start:], quotes)
	if length < 0 {
		l.unclosed(text, len(l.src), ast.Span{Pos: l.pos, End: l.lineEnd()}, "this raw string isn't closed", `close it with """`)
		return
	}
	end := start + length
	for extra := 0; extra < 2 && strings.HasPrefix(l.src[end+len(quotes):], `"`); extra++ {
		end++
	}
	value := l.src[start:end]
	l.emit(text, end+len(quotes), value)
	l.toks[len(l.toks)-1].raw = true
}

// endgameString reports '…', ?"…" and ?'…'; the opening is skip characters long.
func (l *lexer) endgameString(skip int) {
	mark := l.src[l.pos+skip-1]
	end, closed := l.pos+skip, false
	for end < l.lineEnd() {
		c := l.src[end]
		end++
		if c == mark {
			closed = true
			break
		}
		if c == '\\' && end < l.lineEnd() {
			end++
		}
	}
	content := l.src[l.pos+skip : end]
	if closed {
		content = content[:len(content)-1]
	}
	if skip == 1 {
		value := strings.NewReplacer(`\'`, `'`, `\"`, `"`, `\\`, `\`).Replace(content)
		l.dialect(text, end, value, "strings are in double quotes", "write "+shorten(ast.QuoteString(value)))
		return
	}
	l.dialect(text, end, content, "raw strings are in three double quotes", `write """`+shorten(content)+`"""`)
}

// operators are all operators and punctuation, longer ones before their prefixes.
var operators = [...]string{
	"==", "!=", "<=", ">=", "![", "!:", "<", ">", "=", ":", "+", "-", "*", "/", "%", ".", ",", "(", ")", "[", "]", "|", "?", "!",
}

// operator reads an operator, or reports a character that has no meaning in EQL.
func (l *lexer) operator() {
	rest := l.src[l.pos:]
	if l.foreign(rest) {
		return
	}
	for _, op := range operators {
		if strings.HasPrefix(rest, op) {
			l.emit(operator, l.pos+len(op), op)
			return
		}
	}
	r, size := utf8.DecodeRuneInString(rest)
	end := l.pos + size
	switch {
	case strings.ContainsRune("“”„‟«»‘’", r):
		l.fail(end, fmt.Sprintf("the quotation mark %c isn't one of EQL's", r), `strings are in plain double quotes "…"`)
	case r == '\ufeff':
		l.fail(end, "a byte order mark stands here", "save the text without one")
	case unicode.IsSpace(r) || !unicode.IsPrint(r):
		l.fail(end, fmt.Sprintf("the invisible character %U stands here", r), "only spaces, tabs and line breaks may stand between words")
	default:
		l.fail(end, fmt.Sprintf("the character %q has no meaning here", r), l.backquoteHint())
	}
}

// foreign reads operators of other languages and leaves EQL's in their place.
func (l *lexer) foreign(rest string) bool {
	for _, f := range []struct {
		op   string
		kind kind
		eql  string
	}{
		{"===", operator, "=="},
		{"!==", operator, "!="},
		{"=~", operator, ":"},
		{"!~", operator, "!:"},
		{"<>", operator, "!="},
		{"&&", word, "and"},
		{"||", word, "or"},
	} {
		if strings.HasPrefix(rest, f.op) {
			want := f.eql
			if want == "!:" {
				want = "not … : …"
			}
			l.dialect(f.kind, l.pos+len(f.op), f.eql, f.op+" isn't an operator of EQL", "did you mean "+want+"?")
			return true
		}
	}
	return false
}

// backquoteHint suggests backquotes if the character at the position adjoins a name.
func (l *lexer) backquoteHint() string {
	if len(l.toks) == 0 {
		return ""
	}
	if last := l.toks[len(l.toks)-1]; last.End != l.pos || last.kind != word {
		return ""
	}
	if after := l.pos + 1; after >= len(l.src) || !isLetter(l.src[after]) && !isDigit(l.src[after]) {
		return ""
	}
	return backquoteHint(l.src, l.pos)
}

// backquoteHint suggests to put the run of name-like characters around pos in backquotes.
func backquoteHint(src string, pos int) string {
	const stop = " \t\r\n()[],|=!<>:\"'`?"
	start := strings.LastIndexAny(src[:pos], stop) + 1
	end := len(src)
	if i := strings.IndexAny(src[pos:], stop); i >= 0 {
		end = pos + i
	}
	return "if this is one field name, put it in backquotes: `" + shorten(src[start:end]) + "`"
}

// Comments returns the comments of a query in their order, with their marks.
func Comments(text string) []ast.Span {
	l := &lexer{src: text, errs: &problems{}}
	for l.skipBlanks(); l.pos < len(l.src); l.skipBlanks() {
		l.token()
	}
	return l.comments
}
