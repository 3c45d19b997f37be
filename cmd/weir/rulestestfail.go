package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/rules/ruletest"
)

// failureText shows one failed case: what is absent, what is too much, and what the rule sees of the events.
func failureText(b *strings.Builder, a *app, r ruletest.Result, c ruletest.CaseResult) {
	fmt.Fprintf(b, "     %s:%d: %q\n", r.Path, c.Case.Line, c.Case.Name)
	if c.Err != nil {
		fmt.Fprintf(b, "       %v\n", c.Err)
		return
	}
	for _, m := range c.Absent {
		fmt.Fprintf(b, "       %s\n", a.out.Red(fmt.Sprintf("- expected %v, was not found", m)))
	}
	for _, m := range c.Unexpected {
		fmt.Fprintf(b, "       %s\n", a.out.Green(fmt.Sprintf("+ found    %v, was not expected", m)))
	}
	seen, err := ruletest.Inspect(r.Rule, c.Case.Events)
	if err != nil {
		fmt.Fprintf(b, "       %v\n", err)
		return
	}
	for i, s := range seen {
		if i == shownEvents && len(seen) > shownEvents+1 {
			fmt.Fprintf(b, "       %s\n", a.out.Faint(fmt.Sprintf("and %d more events", len(seen)-i)))
			break
		}
		seenText(b, a.out, i, s)
	}
}

// shownEvents is the number of events of a failed case that are shown, shownValue the length of a value in characters.
const (
	shownEvents = 20
	shownValue  = 200
)

// seenText shows one event as the rule sees it.
func seenText(b *strings.Builder, style term.Style, n int, s ruletest.Seen) {
	head := fmt.Sprintf("event %d", n)
	if s.Timed {
		head += fmt.Sprintf(" (%+gs)", (time.Duration(s.Offset) * time.Millisecond).Seconds())
	}
	switch {
	case s.Err != nil:
		head += ": " + s.Err.Error()
	case s.Filtered:
		head += " has " + strings.Join(s.Hits, ", ") + ", but the rule's index patterns leave it out"
	case len(s.Hits) == 0:
		head += " hits nothing"
	case slices.Equal(s.Hits, []string{"query"}):
		head += " hits the query"
	default:
		head += " hits " + strings.Join(s.Hits, ", ")
	}
	fmt.Fprintf(b, "       %s\n", head)
	width := 0
	for _, f := range s.Fields {
		width = max(width, len(f.Path))
	}
	for _, f := range s.Fields {
		lines := term.Wrap(term.Shorten(f.Text, shownValue), style.Columns()-width-11)
		fmt.Fprintf(b, "         %s  %s\n", style.Faint(fmt.Sprintf("%-*s", width, f.Path)), lines[0])
		for _, l := range lines[1:] {
			fmt.Fprintf(b, "         %*s  %s\n", width, "", l)
		}
	}
	if len(s.Lacking) > 0 {
		for _, l := range term.Wrap("without "+strings.Join(s.Lacking, ", "), style.Columns()-9) {
			fmt.Fprintf(b, "         %s\n", style.Faint(l))
		}
	}
}
