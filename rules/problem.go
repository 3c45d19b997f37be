package rules

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Severity says whether a problem keeps a rule from running.
type Severity string

// The severities of problems.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is one finding in a rule file. Line and Column count from 1, columns in characters; both are 0 where the
// problem concerns the file as a whole.
type Problem struct {
	Line     int      `json:"line"`
	Column   int      `json:"column"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	// Hint says what to write instead, where that is known. In JSON it belongs to the message: see Text.
	Hint string `json:"-"`
	// EndColumn is behind the last marked character of the line; it is Column where there is only a point.
	EndColumn int `json:"-"`
	// Snippet is the source line, without its end.
	Snippet string `json:"-"`
}

// Text returns the message with its hint in one line.
func (p Problem) Text() string {
	if p.Hint == "" {
		return p.Message
	}
	return p.Message + "; " + p.Hint
}

// Render writes the problem as compilers do: position, severity and message, then the source line, a caret under what is
// meant, and the hint.
func (p Problem) Render(w io.Writer, path string) error {
	var b strings.Builder
	b.WriteString(path)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	fmt.Fprintf(&b, ": %s: %s\n", p.Severity, p.Message)
	margin := ""
	if p.Line > 0 && p.Snippet != "" {
		number := strconv.Itoa(p.Line)
		margin = strings.Repeat(" ", len(number))
		fmt.Fprintf(&b, " %s | %s\n", number, p.Snippet)
		fmt.Fprintf(&b, " %s | %s\n", margin, caret(p.Snippet, p.Column, p.EndColumn))
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, " %s = %s\n", margin, p.Hint)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write problem: %w", err)
	}
	return nil
}

// caret returns the line under a snippet that marks the characters from column to endColumn. Tabs are kept, so
// that the marks stand where they should whatever a tab's width is.
func caret(snippet string, column, endColumn int) string {
	var b strings.Builder
	at := 1
	for _, r := range snippet {
		if at >= column {
			break
		}
		if r == '\t' {
			b.WriteByte('\t')
		} else {
			b.WriteByte(' ')
		}
		at++
	}
	for ; at < column; at++ {
		b.WriteByte(' ')
	}
	b.WriteByte('^')
	end := min(endColumn, utf8.RuneCountInString(snippet)+1)
	if n := end - column - 1; n > 0 {
		b.WriteString(strings.Repeat("~", n))
	}
	return b.String()
}

// source turns byte offsets of a file into lines and columns.
type source []byte

// problem returns a problem at the bytes from pos to end. What goes beyond the first line is not marked.
func (s source) problem(severity Severity, pos, end int, message, hint string) Problem {
	pos = min(max(pos, 0), len(s))
	start := bytes.LastIndexByte(s[:pos], '\n') + 1
	rest, _, _ := bytes.Cut(s[start:], []byte("\n"))
	line := string(bytes.TrimSuffix(rest, []byte("\r")))
	p := Problem{Severity: severity, Message: message, Hint: hint, Snippet: line}
	p.Line = bytes.Count(s[:start], []byte("\n")) + 1
	p.Column = utf8.RuneCount(s[start:pos]) + 1
	p.EndColumn = p.Column
	if stop := min(end, start+len(line)); stop > pos {
		p.EndColumn = utf8.RuneCount(s[start:stop]) + 1
	}
	return p
}

// offset returns the byte offset of a line and a column in bytes, both from 1.
func (s source) offset(line, column int) int {
	at := 0
	for ; line > 1; line-- {
		i := bytes.IndexByte(s[at:], '\n')
		if i < 0 {
			return len(s)
		}
		at += i + 1
	}
	return min(at+max(column, 1)-1, len(s))
}

func sortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
}
