package main

import (
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/goccy/go-json"
	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/conformance"
	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/rules"
)

func newConformanceCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "conformance PATH…",
		Short: "Run EQL test suites and report what passes",
		Long: `Run EQL test suites, files or folders of them, and print for each how many cases passed, failed, and don't apply, with the reasons.

A file's content tells what suite it is: Elasticsearch's query suites (TOML) and drawings of sequences, the original Python
implementation's queries and expressions (TOML), generated queries with their events and answers, regular expressions with
Lucene's answers (both JSON lines), and the expected matches of rules (JSON, the events beside it; needs --rules). Any of
them may be packed (.gz, .zst). The documents that a file of queries is about are looked for among the paths, beside the
file, and in the folders beside its own. See docs/conformance.md.

With -o json one object per suite is printed, one a line:
  {"path","format","data","cases","passed","failed","not_applicable","reasons":{…},"failures":[{"case","query","want","got"}],
   "skipped":[{"case","query","reason"}]}
The exit code is 1 where a case fails.`,
		Example: `  weir conformance ../shared/suites
  weir conformance -v --fields internal/conformance/fields.yaml ../shared/suites/elasticsearch
  weir conformance --rules rules/ expected/monday.json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("weir conformance needs suites: files, or folders of them")
			}
			return nil
		},
	}
	verbose := cmd.Flags().BoolP("verbose", "v", false, "show each case that failed: query, expected, got")
	list := cmd.Flags().Bool("list", false, "show each case that doesn't apply, with its reason")
	paths := cmd.Flags().StringArray("rules", nil, "rule file or folder of rule files, for expected matches of rules; repeat it for more")
	declared := fieldsFlag(cmd)
	format := outputFlag(cmd, "table", "json")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		table, err := readFields(*declared)
		if err != nil {
			return err
		}
		o := conformance.Options{Fields: table}
		if len(*paths) > 0 {
			if o.Rules, err = (&ruleFlags{paths: *paths, table: table}).load(); err != nil {
				return err
			}
			if err := a.renderErrors(o.Rules.Files); err != nil {
				return err
			}
		}
		results, err := conformance.Run(args, o)
		r := conformanceReport{results: results, verbose: *verbose, list: *list}
		if *format == "json" {
			err = errors.Join(err, r.json(a.stdout))
		} else {
			err = errors.Join(err, r.text(a))
		}
		if err == nil && (r.failed() > 0 || brokenRules(o.Rules)) {
			return errFindings
		}
		return err
	}
	return cmd
}

func brokenRules(c *rules.Collection) bool { return c != nil && c.Errors() > 0 }

// conformanceReport is what the suites came to, and how much of it is shown.
type conformanceReport struct {
	results       []conformance.Result
	verbose, list bool
}

func (r *conformanceReport) failed() int {
	n := 0
	for i := range r.results {
		n += len(r.results[i].Failed)
	}
	return n
}

func (r *conformanceReport) text(a *app) error {
	if len(r.results) == 0 {
		return nil
	}
	t := term.NewTable(a.out.Width,
		term.Column{Title: "suite", Flex: true}, term.Column{Title: "kind"}, term.Column{Title: "cases", Right: true},
		term.Column{Title: "passed", Right: true}, term.Column{Title: "failed", Right: true},
		term.Column{Title: "not applicable", Right: true})
	cases, passed := 0, 0
	for i := range r.results {
		s := &r.results[i]
		cases, passed = cases+s.Cases(), passed+s.Passed
		failed := strconv.Itoa(len(s.Failed))
		if len(s.Failed) > 0 {
			failed = a.out.Red(failed)
		}
		t.Row(s.Path, s.Format, strconv.Itoa(s.Cases()), strconv.Itoa(s.Passed), failed, strconv.Itoa(len(s.NotApplicable)))
	}
	if err := t.Write(a.stdout); err != nil {
		return err
	}
	var b strings.Builder
	for i := range r.results {
		r.details(&b, a, &r.results[i])
	}
	fmt.Fprintf(&b, "\n%s of %s: %d passed, %d failed, %d not applicable\n", count(cases, "case"), count(len(r.results), "suite"),
		passed, r.failed(), cases-passed-r.failed())
	if r.failed() > 0 && !r.verbose {
		b.WriteString("-v shows what failed\n")
	}
	_, err := io.WriteString(a.stdout, b.String())
	return err
}

// details writes the reasons of one suite, and its cases as far as they are asked for.
func (r *conformanceReport) details(b *strings.Builder, a *app, s *conformance.Result) {
	reasons := s.Reasons()
	if len(reasons) == 0 && (len(s.Failed) == 0 || !r.verbose) {
		return
	}
	fmt.Fprintf(b, "\n%s\n", s.Path)
	for _, reason := range reasons {
		fmt.Fprintf(b, "  %d × %s\n", reason.Cases, reason.Text)
		if !r.list {
			continue
		}
		for _, c := range s.NotApplicable {
			if c.Reason == reason.Text {
				fmt.Fprintf(b, "      %s: %s\n", c.Name, oneLine(c.Query))
			}
		}
	}
	if !r.verbose {
		return
	}
	for _, c := range s.Failed {
		fmt.Fprintf(b, "  %s %s\n      query     %s\n      expected  %s\n      got       %s\n", a.out.Red("FAIL"), c.Name,
			oneLine(c.Query), oneLine(c.Want), oneLine(c.Got))
	}
}

// oneLine returns text without line ends, which mean nothing in a query.
func oneLine(s string) string {
	s = strings.Join(strings.Fields(s), " ")
	if s == "" {
		return "nothing"
	}
	return s
}

// suiteJSON is one suite in the JSON form.
type suiteJSON struct {
	Path          string         `json:"path"`
	Format        string         `json:"format"`
	Data          string         `json:"data,omitempty"`
	Cases         int            `json:"cases"`
	Passed        int            `json:"passed"`
	Failed        int            `json:"failed"`
	NotApplicable int            `json:"not_applicable"`
	Reasons       map[string]int `json:"reasons"`
	Failures      []failureJSON  `json:"failures"`
	Skipped       []skippedJSON  `json:"skipped"`
}

type failureJSON struct {
	Case  string `json:"case"`
	Query string `json:"query"`
	Want  string `json:"want"`
	Got   string `json:"got"`
}

type skippedJSON struct {
	Case   string `json:"case"`
	Query  string `json:"query"`
	Reason string `json:"reason"`
}

func (r *conformanceReport) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	for i := range r.results {
		s := &r.results[i]
		row := suiteJSON{
			Path: s.Path, Format: s.Format, Data: s.Data, Cases: s.Cases(), Passed: s.Passed, Failed: len(s.Failed),
			NotApplicable: len(s.NotApplicable), Reasons: map[string]int{}, Failures: []failureJSON{}, Skipped: []skippedJSON{},
		}
		for _, reason := range s.Reasons() {
			row.Reasons[reason.Text] = reason.Cases
		}
		for _, c := range s.Failed {
			row.Failures = append(row.Failures, failureJSON{c.Name, c.Query, c.Want, c.Got})
		}
		for _, c := range s.NotApplicable {
			row.Skipped = append(row.Skipped, skippedJSON{c.Name, c.Query, c.Reason})
		}
		if err := enc.Encode(row); err != nil {
			return err
		}
	}
	return nil
}
