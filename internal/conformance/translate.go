package conformance

import (
	"slices"
	"strings"
)

// kind is the kind of a token.
type kind uint8

const (
	word    kind = iota // a name or a keyword
	number              // of digits
	text                // a string, in its quotes
	symbol              // an operator or a bracket
	between             // white space or a comment
)

// token is a piece of a query. All tokens together are the query.
type token struct {
	kind kind
	text string
}

// longSymbols are the operators of more than one character, in all dialects.
var longSymbols = [...]string{"==", "!=", "<=", ">=", "!:"}

// scan cuts a query into tokens, white space and comments left out.
func scan(query string) []token {
	return slices.DeleteFunc(scanAll(query), func(t token) bool { return t.kind == between })
}

// scanAll cuts a query of any dialect into tokens.
func scanAll(query string) []token {
	var out []token
	for len(query) > 0 {
		k, n := next(query)
		out = append(out, token{k, query[:n]})
		query = query[n:]
	}
	return out
}

func next(s string) (kind, int) {
	c := s[0]
	switch {
	case strings.HasPrefix(s, "//"):
		return between, indexOr(s, "\n", len(s))
	case strings.HasPrefix(s, "/*"):
		return between, min(len(s), indexOr(s, "*/", len(s))+2)
	case strings.ContainsRune(" \t\r\n", rune(c)):
		return between, span(s, " \t\r\n")
	case strings.HasPrefix(s, `"""`):
		return text, min(len(s), indexOr(s[3:], `"""`, len(s))+6)
	case c == '"' || c == '\'':
		return text, quoted(s, 0, false)
	case c == '?' && len(s) > 1 && (s[1] == '"' || s[1] == '\''):
		return text, quoted(s, 1, true)
	case c == '`':
		return word, min(len(s), indexOr(s[1:], "`", len(s))+2)
	case c >= '0' && c <= '9':
		return number, span(s, "0123456789.")
	case strings.IndexByte(letters, c) >= 0:
		return word, span(s, letters+"0123456789.~")
	}
	for _, op := range longSymbols {
		if strings.HasPrefix(s, op) {
			return symbol, len(op)
		}
	}
	return symbol, 1
}

const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_@"

func indexOr(s, sub string, otherwise int) int {
	if i := strings.Index(s, sub); i >= 0 {
		return i
	}
	return otherwise
}

// span returns the length of the prefix of s that is made of the characters of set.
func span(s, set string) int { return len(s) - len(strings.TrimLeft(s, set)) }

// quoted returns the length of the string whose opening quote is at open. A raw one has no escapes.
func quoted(s string, open int, raw bool) int {
	for i := open + 1; i < len(s); i++ {
		switch {
		case s[i] == '\\' && !raw:
			i++
		case s[i] == s[open]:
			return i + 1
		}
	}
	return len(s)
}

// join returns the query that tokens make.
func join(tokens []token) string {
	var b strings.Builder
	for _, t := range tokens {
		b.WriteString(t.text)
	}
	return b.String()
}

// retypeColons rewrites the `:` and `!:` of early Elasticsearch, which compared values of any type: next to a
// string that is written out they stay what they are, otherwise they become == and !=.
func retypeColons(query string) string {
	tokens := scanAll(query)
	for i := range tokens {
		if tokens[i].kind != symbol || tokens[i].text != ":" && tokens[i].text != "!:" {
			continue
		}
		if right := neighbour(tokens, i, 1); right != nil && right.kind == text && tokens[i].text == ":" {
			continue
		}
		tokens[i].text = map[string]string{":": "==", "!:": "!="}[tokens[i].text]
	}
	return join(tokens)
}

// neighbour returns the next token that isn't white space, in the direction of step, or nil.
func neighbour(tokens []token, i, step int) *token {
	for i += step; i >= 0 && i < len(tokens); i += step {
		if tokens[i].kind != between {
			return &tokens[i]
		}
	}
	return nil
}
