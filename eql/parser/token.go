package parser

import (
	"slices"
	"strconv"
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
)

// kind is the kind of a token.
type kind uint8

const (
	endOfText kind = iota
	bad            // reported by the lexer already
	word           // a bare identifier or keyword, with its tilde if one follows at once
	quoted         // a backquoted identifier
	text           // a string literal
	number
	operator // an operator or punctuation
)

// token is a token with its place. For words and operators, value is what the source says; for strings and
// quoted identifiers it is their content.
type token struct {
	ast.Span
	kind    kind
	raw     bool        // a string in three quotes
	escapes ast.Escapes // of text
	value   string
}

// is tells whether t is the keyword or operator s.
func (t token) is(s string) bool { return (t.kind == word || t.kind == operator) && t.value == s }

// isAny tells whether t is one of the keywords or operators.
func (t token) isAny(list ...string) bool {
	return (t.kind == word || t.kind == operator) && slices.Contains(list, t.value)
}

// describe names a token in a message.
func (t token) describe() string {
	switch t.kind {
	case endOfText:
		return "the end of the query"
	case text:
		return "the string " + strconv.Quote(shorten(t.value))
	case number:
		return "the number " + t.value
	case quoted:
		return "the field `" + shorten(t.value) + "`"
	case word:
		if ast.IsKeyword(t.value) {
			return "the keyword " + t.value
		}
		return strconv.Quote(shorten(t.value))
	default:
		return strconv.Quote(t.value)
	}
}

// shorten keeps messages to a line.
func shorten(s string) string {
	const limit = 32
	if len(s) <= limit {
		return s
	}
	n, cut := 0, 0
	for i := range s {
		switch n++; n {
		case limit:
			cut = i
		case limit + 1:
			return s[:cut] + "…"
		}
	}
	return s
}

// problems collects the errors of one query.
type problems struct {
	list ast.Errors
	full bool // no more wanted
	cut  bool // nothing behind end can be judged
	end  int
}

// maxErrors is how many errors a query can have before the parser stops counting: what comes after so many is
// rarely worth reading.
const maxErrors = 20

// add records an error, unless one at the same place is there already: the first is the cause of the second.
func (ps *problems) add(code finding.Code, span ast.Span, msg, hint string) {
	if ps.full || ps.cut && span.Pos > ps.end {
		return
	}
	for _, e := range ps.list {
		if e.Pos == span.Pos {
			return
		}
	}
	ps.list = append(ps.list, &ast.Error{Code: code, Span: span, Msg: msg, Hint: hint})
	ps.full = len(ps.list) >= maxErrors
}

// addLast records an error behind which no other is worth reporting.
func (ps *problems) addLast(code finding.Code, span ast.Span, msg, hint string) {
	ps.add(code, span, msg, hint)
	if !ps.cut {
		ps.cut, ps.end = true, span.Pos
	}
}

// sorted returns the errors by position.
func (ps *problems) sorted() ast.Errors {
	slices.SortStableFunc(ps.list, func(a, b *ast.Error) int {
		if a.Pos != b.Pos {
			return a.Pos - b.Pos
		}
		return strings.Compare(a.Msg, b.Msg)
	})
	return ps.list
}
