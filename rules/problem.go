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

	"github.com/mattn/go-runewidth"

	"github.com/weir-eql/weir/eql/finding"
)

// Severity says whether a problem keeps a rule from running.
type Severity = finding.Severity

// The severities of problems.
const (
	SeverityError   = finding.Error
	SeverityWarning = finding.Warning
	SeverityInfo    = finding.Info
)

// Problem is one finding in a rule file. Lines and columns count from 1, columns in characters; they are 0 where the
// problem concerns the file as a whole.
type Problem struct {
	Code     finding.Code `json:"code"`
	Severity Severity     `json:"severity"`
	File     string       `json:"file"`
	Line     int          `json:"line"`
	Column   int          `json:"column"`
	// EndLine and EndColumn are behind the last character of what is meant; they are Line and Column where there is only
	// a point.
	EndLine   int    `json:"end_line"`
	EndColumn int    `json:"end_column"`
	Message   string `json:"message"`
	// Hint says what was expected or what to write instead, where that is known.
	Hint string `json:"hint,omitempty"`
	// Doc is the address of the section on the code.
	Doc string `json:"doc"`
	// Lines are the source lines from Line to EndLine, without their ends.
	Lines []string `json:"-"`
}

// Text returns the message with its hint in one line.
func (p Problem) Text() string {
	if p.Hint == "" {
		return p.Message
	}
	return p.Message + "; " + p.Hint
}

// What Render shows of findings that go over many lines: so many at the start, and the last one.
const shownLines = 4

// Render writes the problem as compilers do: position, severity and message, then the source lines, marks under all that
// is meant, and the hint. Of a source line that is wider than width columns the part around what is meant is shown; 0 shows
// all of it.
func (p Problem) Render(w io.Writer, path string, width int) error {
	var b strings.Builder
	b.WriteString(path)
	if p.Line > 0 {
		fmt.Fprintf(&b, ":%d:%d", p.Line, p.Column)
	}
	fmt.Fprintf(&b, ": %s: %s [%s]\n", p.Severity, p.Message, p.Code)
	margin := ""
	if p.Line > 0 && len(p.Lines) > 0 && strings.TrimSpace(p.Lines[0]) != "" {
		margin = strings.Repeat(" ", len(strconv.Itoa(p.EndLine)))
		p.renderLines(&b, margin, width)
	}
	if p.Hint != "" {
		fmt.Fprintf(&b, " %s = %s\n", margin, p.Hint)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write problem: %w", err)
	}
	return nil
}

func (p Problem) renderLines(b *strings.Builder, margin string, width int) {
	last := len(p.Lines) - 1
	for i, line := range p.Lines {
		if i >= shownLines && i < last {
			if i == shownLines {
				fmt.Fprintf(b, " %s ...\n", margin)
			}
			continue
		}
		from, to := 1, utf8.RuneCountInString(line)+1
		if i == 0 {
			from = p.Column
		} else {
			from += utf8.RuneCountInString(line) - utf8.RuneCountInString(strings.TrimLeft(line, " \t"))
		}
		if i == last {
			to = p.EndColumn
		}
		if room := width - len(margin) - len("  | "); width > 0 {
			line, from, to = window(line, from, to, room)
		}
		b.WriteString(strings.TrimRight(fmt.Sprintf(" %*d | %s", len(margin), p.Line+i, line), " ") + "\n")
		if i == 0 || to > from {
			fmt.Fprintf(b, " %s | %s\n", margin, marks(line, from, to, i == 0))
		}
	}
}

// window returns the part of a line around the characters from column from to to, and where they are in it. A line of at
// most room characters stays as it is, and so does one with tabs or wide characters, whose width depends on the terminal.
func window(line string, from, to, room int) (part string, start, end int) {
	text := []rune(line)
	plain := runewidth.StringWidth(line) == len(text) && !strings.Contains(line, "\t")
	if len(text) <= room || room < shownWindow || !plain {
		return line, from, to
	}
	first := min(max(0, from-1-room/3), len(text)-room) // so many characters are cut before
	if to-1 <= room {
		first = 0
	}
	last := first + room
	text = slices.Clone(text[first:last])
	if first > 0 {
		text[0] = '…'
	}
	if last < utf8.RuneCountInString(line) {
		text[room-1] = '…'
	}
	return string(text), max(from-first, 1), min(max(to-first, 1), room+1)
}

// shownWindow is the least number of characters of a long line that are worth a window.
const shownWindow = 20

// marks returns the line under a source line that marks the characters from column to end. Tabs are kept, so that the
// marks stand where they should whatever a tab's width is, and wide characters count as two.
func marks(line string, column, end int, first bool) string {
	width := runewidth.Condition{StrictEmojiNeutral: true}
	var b strings.Builder
	at := 1
	for _, r := range line {
		n := width.RuneWidth(r)
		switch {
		case at >= end && at > column:
			return b.String()
		case at < column && r == '\t':
			b.WriteByte('\t')
		case at < column:
			b.WriteString(strings.Repeat(" ", n))
		default:
			b.WriteString(mark(at == column && first, max(n, 1)))
		}
		at++
	}
	if at <= column { // behind the end of the line
		b.WriteString(strings.Repeat(" ", column-at) + mark(first, 1))
	}
	return b.String()
}

func mark(caret bool, n int) string {
	if !caret {
		return strings.Repeat("~", n)
	}
	return "^" + strings.Repeat("~", n-1)
}

// source turns byte offsets of a file into lines and columns.
type source []byte

// problem returns a problem at the bytes from pos to end.
func (s source) problem(code finding.Code, at span, message, hint string) Problem {
	pos := min(max(at.pos, 0), len(s))
	end := min(max(at.end, pos), len(s))
	start := bytes.LastIndexByte(s[:pos], '\n') + 1
	stop := len(s)
	if i := bytes.IndexByte(s[end:], '\n'); i >= 0 {
		stop = end + i
	}
	p := Problem{Code: code, Severity: code.Severity(), Message: message, Hint: hint, Doc: code.Doc()}
	for line := range bytes.SplitSeq(s[start:stop], []byte("\n")) {
		p.Lines = append(p.Lines, string(bytes.TrimSuffix(line, []byte("\r"))))
	}
	p.Line = bytes.Count(s[:start], []byte("\n")) + 1
	p.Column = min(utf8.RuneCount(s[start:pos]), utf8.RuneCountInString(p.Lines[0])) + 1
	p.EndLine = p.Line + len(p.Lines) - 1
	lastLine := bytes.LastIndexByte(s[:end], '\n') + 1
	p.EndColumn = min(utf8.RuneCount(s[lastLine:end]), utf8.RuneCountInString(p.Lines[len(p.Lines)-1])) + 1
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

// settle sorts the problems of a file by position and drops those that say the same of the same place.
func (f *File) settle() {
	slices.SortStableFunc(f.Problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	type same struct {
		code         finding.Code
		line, column int
		message      string
	}
	seen := map[same]bool{}
	f.Problems = slices.DeleteFunc(f.Problems, func(p Problem) bool {
		key := same{p.Code, p.Line, p.Column, p.Message}
		again := seen[key]
		seen[key] = true
		return again
	})
	for i := range f.Problems {
		f.Problems[i].File = f.Path
	}
}
