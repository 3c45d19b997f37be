package ast

import (
	"strings"

	"github.com/weir-eql/weir/eql/finding"
)

// Error is one finding in a query: what is wrong, where, and what to write instead where that is known.
type Error struct {
	Span
	Code finding.Code
	Msg  string // lower case, one sentence without a full stop
	Hint string // "did you mean wildcard?"; may be empty
}

// Error returns the message with its hint, without the position: whoever knows the file adds it.
func (e *Error) Error() string {
	if e.Hint == "" {
		return e.Msg
	}
	return e.Msg + " (" + e.Hint + ")"
}

// Errors are the problems of one query, sorted by position. It is never empty where it is returned as an error.
type Errors []*Error

// Error returns all messages, one a line.
func (es Errors) Error() string {
	lines := make([]string, len(es))
	for i, e := range es {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.As and errors.Is each of the problems.
func (es Errors) Unwrap() []error {
	out := make([]error, len(es))
	for i, e := range es {
		out[i] = e
	}
	return out
}
