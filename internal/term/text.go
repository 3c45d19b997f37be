package term

import (
	"strings"
	"unicode/utf8"
)

// Wrap breaks text into lines of at most width columns, at spaces where it can. Words that are longer than a line are cut.
func Wrap(text string, width int) []string {
	width = max(width, 8)
	var lines []string
	var line strings.Builder
	used := 0
	flush := func() {
		lines = append(lines, line.String())
		line.Reset()
		used = 0
	}
	for word := range strings.FieldsSeq(text) {
		n := utf8.RuneCountInString(word)
		if used > 0 && used+1+n > width {
			flush()
		}
		for n > width {
			head, tail := cut(word, width)
			line.WriteString(head)
			flush()
			word, n = tail, n-width
		}
		if used > 0 {
			line.WriteByte(' ')
			used++
		}
		line.WriteString(word)
		used += n
	}
	if used > 0 || len(lines) == 0 {
		flush()
	}
	return lines
}

// WrapItems joins items with a separator, breaking lines of at most width columns between items where it can.
func WrapItems(items []string, separator string, width int) []string {
	var lines []string
	line := ""
	for _, item := range items {
		switch {
		case item == "":
		case line == "":
			line = item
		case utf8.RuneCountInString(line)+utf8.RuneCountInString(separator)+utf8.RuneCountInString(item) <= width:
			line += separator + item
		default:
			lines = append(lines, line)
			line = item
		}
	}
	if line != "" {
		lines = append(lines, line)
	}
	var out []string
	for _, l := range lines {
		out = append(out, Wrap(l, width)...)
	}
	return out
}

// cut splits text behind n characters.
func cut(text string, n int) (head, tail string) {
	for i := range text {
		if n == 0 {
			return text[:i], text[i:]
		}
		n--
	}
	return text, ""
}

// Shorten cuts text to width characters, with an ellipsis where something is gone.
func Shorten(text string, width int) string {
	if utf8.RuneCountInString(text) <= width {
		return text
	}
	head, _ := cut(text, max(width-1, 0))
	return head + "…"
}

func pad(text string, width int) string {
	if n := width - utf8.RuneCountInString(text); n > 0 {
		return text + strings.Repeat(" ", n)
	}
	return text
}

func upper(text string) string { return strings.ToUpper(text) }
