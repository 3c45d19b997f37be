package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-json"
	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
)

func newRulesExplainCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "explain RULE",
		Short: "Explain how a rule runs: plan, fields, index key, partitions",
		Long: `Explain how a rule runs: its query in canonical form, the fields that it reads, the condition under which the rule set's
index finds each stage, how long a sequence or sample may take, whether its events meet on one partition, and what state it keeps.

RULE is a rule file, or the id of a rule (its beginning is enough) or its name, among the shipped rules or those of --rules.`,
		Example: `  weir rules explain rules/linux/netcat.toml
  weir rules explain c75d0c86
  weir rules explain "Egress Connection from Entrypoint in Container"`,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 {
				return nil
			}
			return fmt.Errorf("name one rule, not %d: by its file, the beginning of its id, or its name in quotes\nSee \"%s --help\"",
				len(args), cmd.CommandPath())
		},
	}
	f := addRuleFlags(cmd)
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		c, id, err := a.findRule(f, besideCases(args)[0])
		if err != nil {
			return err
		}
		set, err := compile(c, f.setOptions())
		if err != nil {
			return err
		}
		e, ok := set.Explain(id)
		if !ok {
			return fmt.Errorf("rule %s is not in its own set", id)
		}
		if *format == "json" {
			enc := json.NewEncoder(a.stdout)
			enc.SetIndent("", "  ")
			enc.SetEscapeHTML(false)
			return enc.Encode(e)
		}
		return a.explain(e, set.Rule(id).Rule)
	}
	return cmd
}

// findRule loads the rules among which name is and returns the id that it stands for.
func (a *app) findRule(f *ruleFlags, name string) (*rules.Collection, string, error) {
	if info, err := os.Stat(name); err == nil && !info.IsDir() {
		o, err := f.loadOptions()
		if err != nil {
			return nil, "", err
		}
		c, err := rules.Load([]string{name}, o)
		if err != nil {
			return nil, "", err
		}
		if len(c.Rules) == 0 {
			return nil, "", errors.Join(a.renderErrors(c.Files), notRunnable(c.Files[0]))
		}
		return c, c.Rules[0].ID, nil
	}
	c, err := f.load()
	if err != nil {
		return nil, "", err
	}
	var found []*rules.Rule
	for _, r := range c.Rules {
		switch {
		case r.ID == name || strings.EqualFold(r.Name, name):
			return c, r.ID, nil
		case strings.HasPrefix(r.ID, name) || strings.Contains(strings.ToLower(r.Name), strings.ToLower(name)):
			found = append(found, r)
		}
	}
	switch len(found) {
	case 1:
		return c, found[0].ID, nil
	case 0:
		among := "the shipped rules; --rules names others"
		if len(f.paths) > 0 {
			among = "the rules of " + strings.Join(f.paths, ", ")
		}
		return nil, "", fmt.Errorf("no rule %q: it is no file, and neither id nor name of one of %s; weir rules list shows them", name, among)
	default:
		var names []string
		for _, r := range found {
			names = append(names, fmt.Sprintf("%s (%s)", r.Name, r.ID))
		}
		return nil, "", fmt.Errorf("%q stands for several rules: %s", name, strings.Join(names, ", "))
	}
}

func notRunnable(f *rules.File) error {
	if f.Status == rules.StatusSkipped {
		return fmt.Errorf("%s: a rule of type %s can't be run", f.Path, f.Type)
	}
	return fmt.Errorf("%s has errors", f.Path)
}

func (a *app) explain(e rules.Explanation, r *rules.Rule) error {
	var b strings.Builder
	s := a.out
	fmt.Fprintf(&b, "%s\n", s.Bold(e.Name))
	line := func(title, text string) {
		if text == "" {
			return
		}
		for i, l := range term.Wrap(text, s.Columns()-14) {
			if i > 0 {
				title = ""
			}
			fmt.Fprintf(&b, "  %s %s\n", s.Faint(fmt.Sprintf("%-11s", title)), l)
		}
	}
	line("id", e.ID)
	line("file", e.Path)
	line("severity", fmt.Sprintf("%s, risk score %d", r.Severity, r.RiskScore))
	line("hash", e.Hash)
	index := "every data stream"
	if len(e.Index) > 0 {
		index = strings.Join(e.Index, ", ")
	}
	line("index", index)
	line("category", e.CategoryField)
	line("order by", e.TimestampField)
	if e.State != nil {
		line("lasts", fmt.Sprintf("at most %s (%s)", alert.Span(e.MaxSpanMillis), e.SpanSource))
	}
	line("partitions", e.Partition)
	explainState(line, e)
	line("not done", strings.Join(e.Unhonoured, ", "))
	fmt.Fprintf(&b, "\n%s\n", s.Bold("query"))
	for l := range strings.SplitSeq(e.Query, "\n") {
		for _, part := range wrapQuery(l, s.Columns()-2) {
			fmt.Fprintf(&b, "  %s\n", part)
		}
	}
	explainStages(&b, s, e)
	fmt.Fprintf(&b, "\n%s\n", s.Bold("reads "+count(len(e.Fields), "field")))
	width := 0
	for _, f := range e.Fields {
		width = max(width, len(f.Path))
	}
	for _, f := range e.Fields {
		fmt.Fprintf(&b, "  %-*s  %s\n", width, f.Path, s.Faint(f.Type))
	}
	_, err := io.WriteString(a.stdout, b.String())
	return err
}

// explainState says what a sequence or sample costs while it is unfinished.
func explainState(line func(title, text string), e rules.Explanation) {
	if e.State == nil {
		return
	}
	st := e.State
	text := "partials without a join key"
	if len(st.Key) > 0 {
		text = "partials per join key (" + strings.Join(st.Key, ", ") + ")"
	}
	if st.Begun > 1 {
		text += fmt.Sprintf(", up to %d of each, at different stages", st.Begun)
	}
	text += "; one holds at most " + count(st.Events, "event")
	if e.Kind == "sample" {
		text += fmt.Sprintf(" (for each of the %d stages the %d newest)", len(e.Stages), len(e.Stages))
	}
	text += fmt.Sprintf(": about %d bytes of memory", st.BytesFirst)
	if st.Events > 1 {
		text += fmt.Sprintf(" with the first, %d with all", st.BytesFull)
	}
	text += ", event ids included; the events themselves are on disk"
	if st.Remembers {
		text += "; and per key of the absence at the beginning the time of its last event"
	}
	line("state", text)
	held := "until it completes, or for %s (%s) and order.lateness"
	if e.Kind == "sample" {
		held = "each event until it is part of a sample or older than one, or for %s (%s) and order.lateness"
	}
	line("held", fmt.Sprintf(held, alert.Span(e.MaxSpanMillis), e.SpanSource))
	caps := "limits.partials_per_rule, limits.partials: the oldest goes first"
	if st.Waits {
		caps += "; limits.per_key for those under one key that only wait for the absence at the end"
	}
	line("caps", caps)
}

// wrapQuery breaks a line of a query where it has a space outside of text in quotes, so that what is shown is still the
// query; short lines keep their indentation.
func wrapQuery(line string, width int) []string {
	if utf8.RuneCountInString(line) <= width {
		return []string{line}
	}
	indent := line[:len(line)-len(strings.TrimLeft(line, " "))]
	var lines []string
	used := 0
	for _, word := range queryWords(line) {
		n := utf8.RuneCountInString(word)
		if len(lines) == 0 || used+1+n > width {
			if len(lines) > 0 {
				word, n = "  "+word, n+2
			}
			lines, used = append(lines, indent+word), len(indent)+n
			continue
		}
		lines[len(lines)-1] += " " + word
		used += 1 + n
	}
	return lines
}

// queryWords cuts a line of a printed query at its spaces, those inside quotes excepted.
func queryWords(line string) []string {
	var words []string
	start, quote := 0, ""
	for i := 0; i < len(line); {
		step := 1
		switch rest := line[i:]; {
		case quote == "" && rest[0] == ' ':
			if i > start {
				words = append(words, line[start:i])
			}
			start = i + 1
		case quote == `"` && rest[0] == '\\' && len(rest) > 1:
			step = 2
		case quote != "" && strings.HasPrefix(rest, quote):
			step, quote = len(quote), ""
		case quote == "":
			for _, q := range []string{`"""`, `"`, "`"} {
				if strings.HasPrefix(rest, q) {
					step, quote = len(q), q
					break
				}
			}
		}
		i += step
	}
	if start < len(line) {
		words = append(words, line[start:])
	}
	return words
}

// shownKeys is the number of alternatives of an index key that are listed.
const shownKeys = 12

func explainStages(b *strings.Builder, s term.Style, e rules.Explanation) {
	fmt.Fprintf(b, "\n%s\n", s.Bold("found by"))
	for _, st := range e.Stages {
		name := st.Name
		if st.Missing {
			name += " (missing)"
		}
		if st.Runs > 1 {
			name += fmt.Sprintf(" (%d runs)", st.Runs)
		}
		if len(st.By) > 0 {
			name += " by " + strings.Join(st.By, ", ")
		}
		fmt.Fprintf(b, "  %s\n", s.Cyan(name))
		if len(st.Key) == 0 {
			fmt.Fprintf(b, "    %s\n", s.Yellow("nothing: the condition is evaluated for every event"))
		}
		for i, k := range st.Key {
			if i == shownKeys && len(st.Key) > shownKeys+1 {
				fmt.Fprintf(b, "    or %d more\n", len(st.Key)-i)
				break
			}
			or := ""
			if i > 0 {
				or = "or "
			}
			fmt.Fprintf(b, "    %s%s\n", or, k)
		}
	}
}
