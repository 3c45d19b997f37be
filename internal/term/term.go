// Package term writes for people at a terminal: colours where the terminal has them, its width, tables, and a bar of
// progress. It does not know what is written.
package term

import (
	"io"

	"github.com/fatih/color"
	xterm "golang.org/x/term"
)

// DefaultWidth is the width that output has where nothing is known of it.
const DefaultWidth = 100

// Style says how to write to one stream. The zero value writes plain text.
type Style struct {
	// Terminal says that the stream is a terminal: somebody is watching.
	Terminal bool
	// Colour switches colours on.
	Colour bool
	// Width is the number of columns, 0 where it isn't known.
	Width int
}

// fd is what os.File has.
type fd interface{ Fd() uintptr }

// Detect returns the style for a stream. getenv is os.Getenv: NO_COLOR and TERM=dumb switch colours off.
func Detect(w io.Writer, getenv func(string) string) Style {
	f, ok := w.(fd)
	if !ok || !xterm.IsTerminal(int(f.Fd())) {
		return Style{}
	}
	s := Style{Terminal: true, Colour: getenv("NO_COLOR") == "" && getenv("TERM") != "dumb"}
	if width, _, err := xterm.GetSize(int(f.Fd())); err == nil {
		s.Width = width
	}
	return s
}

// Columns returns the width to lay text out for.
func (s Style) Columns() int {
	if s.Width <= 0 {
		return DefaultWidth
	}
	return s.Width
}

// Bold returns text that stands out.
func (s Style) Bold(text string) string { return s.paint(text, color.Bold) }

// Faint returns text that stands back.
func (s Style) Faint(text string) string { return s.paint(text, color.Faint) }

// Red returns text for what is wrong.
func (s Style) Red(text string) string { return s.paint(text, color.FgRed, color.Bold) }

// Yellow returns text for warnings.
func (s Style) Yellow(text string) string { return s.paint(text, color.FgYellow) }

// Green returns text for what is fine.
func (s Style) Green(text string) string { return s.paint(text, color.FgGreen) }

// Cyan returns text for names.
func (s Style) Cyan(text string) string { return s.paint(text, color.FgCyan) }

// Badge returns a severity as a coloured label of fixed width.
func (s Style) Badge(severity string) string {
	label := pad(upper(severity), len("CRITICAL"))
	switch severity {
	case "critical":
		return s.paint(label, color.FgHiWhite, color.BgRed, color.Bold)
	case "high":
		return s.paint(label, color.FgRed, color.Bold)
	case "medium":
		return s.paint(label, color.FgYellow, color.Bold)
	default:
		return s.paint(label, color.FgCyan, color.Bold)
	}
}

// Severity returns a severity in its colour.
func (s Style) Severity(severity string) string {
	switch severity {
	case "critical", "high":
		return s.Red(severity)
	case "medium":
		return s.Yellow(severity)
	default:
		return s.Cyan(severity)
	}
}

func (s Style) paint(text string, attrs ...color.Attribute) string {
	if !s.Colour || text == "" {
		return text
	}
	c := color.New(attrs...)
	c.EnableColor()
	return c.Sprint(text)
}
