package main

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-json"
	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/detections"
	"github.com/weir-eql/weir/rules/ruletest"
)

func newRulesTestCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test [P…]",
		Short: "Run the test cases that stand beside rules",
		Long: `Run the test cases that stand beside rules: foo_test.toml beside foo.toml. Without P, those of the shipped rules.

A file of cases has any number of
  [[case]]
  name    = "netcat listens in a container"
  events  = '''one JSON document a line'''
  matches = [[0]]

matches holds, per match, the positions of its events in stage order, -1 for a missing stage; [] means that nothing may match.
An event without @timestamp comes a second after the one before it. Index patterns apply to events with data_stream.* fields.
Of a case that fails, each event is shown with the stages that it hits and the fields that the rule reads.
P may name a rule file, the file of its cases, or a folder. The exit code is 1 where a case fails.`,
		Example: `  weir rules test
  weir rules test rules/ -o junit > report.xml`,
	}
	declared := fieldsFlag(cmd)
	format := outputFlag(cmd, "text", "json", "junit")
	verbose := cmd.Flags().BoolP("verbose", "v", false, "name the cases that passed too")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		f := &ruleFlags{paths: besideCases(args), fields: declared}
		c, err := f.load()
		if err != nil {
			return err
		}
		run, err := a.testRules(cmd.Context(), c, f.setOptions())
		if err != nil {
			return err
		}
		switch *format {
		case "json":
			err = run.json(a.stdout)
		case "junit":
			err = run.junit(a.stdout)
		default:
			err = run.text(a, *verbose)
		}
		if err == nil && run.failed() {
			return errFindings
		}
		return err
	}
	return cmd
}

// testRun is the outcome of the cases of all rules.
type testRun struct {
	results []fileResult
	broken  int // rule files that didn't load
	without int // rules without cases
}

// fileResult is the outcome of one file of cases; err says that it could not be run at all.
type fileResult struct {
	ruletest.Result

	err error
}

func (t *testRun) failed() bool {
	return t.broken > 0 || slices.ContainsFunc(t.results, func(r fileResult) bool { return r.err != nil || r.Failed() > 0 })
}

func (a *app) testRules(ctx context.Context, c *rules.Collection, o rules.SetOptions) (*testRun, error) {
	if err := a.renderErrors(c.Files); err != nil {
		return nil, err
	}
	run := &testRun{broken: c.Errors()}
	for _, f := range c.Files {
		if f.Rule == nil {
			continue
		}
		cases, err := readCases(f.Path)
		if cases == nil && err == nil {
			run.without++
			continue
		}
		r := fileResult{Result: ruletest.Result{Rule: f.Rule, Path: ruletest.Path(f.Path)}, err: err}
		if err == nil {
			r.Result, r.err = testRule(ctx, f.Rule, cases, o)
		}
		r.Path = ruletest.Path(f.Path)
		r.Rule = f.Rule
		run.results = append(run.results, r)
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	return run, nil
}

// readCases reads the cases beside a rule file, nil where there are none.
func readCases(path string) (*ruletest.File, error) {
	var fsys fs.FS
	dir, name := filepath.Split(path)
	if filepath.Clean(dir) == shippedPrefix {
		if _, err := os.Stat(path); err != nil {
			fsys = detections.FS()
		}
	}
	if fsys == nil {
		fsys = os.DirFS(filepath.Clean(dir))
	}
	return ruletest.Read(fsys, name)
}

func testRule(ctx context.Context, rule *rules.Rule, cases *ruletest.File, o rules.SetOptions) (ruletest.Result, error) {
	set, err := rules.NewSet([]*rules.Rule{rule}, o)
	if err != nil {
		return ruletest.Result{}, err
	}
	builder := alert.NewECS(alert.Options{MaxBytes: config.DefaultAlertBytes})
	return ruletest.Run(rule, cases, func(_ *rules.Rule, events [][]byte) ([][]int, error) {
		return replay.RunRule(ctx, &pipeline.Config{Set: set, Alerts: builder, Limits: replay.NoCaps()}, events)
	})
}

func (t *testRun) text(a *app, verbose bool) error {
	var b strings.Builder
	s := a.out
	passed, failed := 0, 0
	for _, r := range t.results {
		if r.err != nil {
			failed++
			fmt.Fprintf(&b, "%s %s\n", s.Red("FAIL"), r.Rule.Name)
			for l := range strings.SplitSeq(r.err.Error(), "\n") {
				fmt.Fprintf(&b, "     %s: %s\n", r.Path, l)
			}
			continue
		}
		passed += len(r.Cases) - r.Failed()
		failed += r.Failed()
		if r.Failed() == 0 {
			fmt.Fprintf(&b, "%s %s %s\n", s.Green("ok  "), r.Rule.Name, s.Faint("("+count(len(r.Cases), "case")+")"))
		} else {
			fmt.Fprintf(&b, "%s %s\n", s.Red("FAIL"), r.Rule.Name)
		}
		for _, c := range r.Cases {
			switch {
			case !c.Pass():
				failureText(&b, a, r.Result, c)
			case verbose:
				fmt.Fprintf(&b, "     %s %s\n", s.Green("ok"), c.Case.Name)
			}
		}
	}
	fmt.Fprintf(&b, "\n%s passed, %d failed, of %s; %s without cases", count(passed, "case"), failed,
		count(len(t.results), "rule"), count(t.without, "rule"))
	if t.broken > 0 {
		fmt.Fprintf(&b, "; %s that didn't load", count(t.broken, "rule file"))
	}
	b.WriteByte('\n')
	_, err := io.WriteString(a.stdout, b.String())
	return err
}

// caseJSON is one case in the JSON form.
type caseJSON struct {
	RuleID   string  `json:"rule_id"`
	Rule     string  `json:"rule"`
	Path     string  `json:"path"`
	Line     int     `json:"line"`
	Case     string  `json:"case"`
	Passed   bool    `json:"passed"`
	Expected [][]int `json:"expected"`
	Got      [][]int `json:"got"`
	Error    string  `json:"error,omitempty"`
}

func (t *testRun) json(w io.Writer) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	var errs []error
	for _, r := range t.results {
		if r.err != nil {
			errs = append(errs, enc.Encode(caseJSON{
				RuleID: r.Rule.ID, Rule: r.Rule.Name, Path: r.Path, Expected: [][]int{}, Got: [][]int{}, Error: r.err.Error(),
			}))
		}
		for _, c := range r.Cases {
			row := caseJSON{
				RuleID: r.Rule.ID, Rule: r.Rule.Name, Path: r.Path, Line: c.Case.Line, Case: c.Case.Name, Passed: c.Pass(),
				Expected: append([][]int{}, c.Case.Matches...), Got: append([][]int{}, c.Got...),
			}
			if c.Err != nil {
				row.Error = c.Err.Error()
			}
			errs = append(errs, enc.Encode(row))
		}
	}
	return errors.Join(errs...)
}

// The elements of a JUnit report.
type (
	junitReport struct {
		XMLName  xml.Name     `xml:"testsuites"`
		Tests    int          `xml:"tests,attr"`
		Failures int          `xml:"failures,attr"`
		Suites   []junitSuite `xml:"testsuite"`
	}
	junitSuite struct {
		Name     string      `xml:"name,attr"`
		Tests    int         `xml:"tests,attr"`
		Failures int         `xml:"failures,attr"`
		Cases    []junitCase `xml:"testcase"`
	}
	junitCase struct {
		Name    string        `xml:"name,attr"`
		Class   string        `xml:"classname,attr"`
		File    string        `xml:"file,attr"`
		Line    int           `xml:"line,attr,omitempty"`
		Failure *junitFailure `xml:"failure,omitempty"`
	}
	junitFailure struct {
		Message string `xml:"message,attr"`
	}
)

func (t *testRun) junit(w io.Writer) error {
	report := junitReport{}
	for _, r := range t.results {
		suite := junitSuite{Name: r.Rule.Name}
		if r.err != nil {
			suite.Cases = append(suite.Cases, junitCase{
				Name: "read cases", Class: r.Rule.ID, File: r.Path, Failure: &junitFailure{Message: r.err.Error()},
			})
		}
		for _, c := range r.Cases {
			jc := junitCase{Name: c.Case.Name, Class: r.Rule.ID, File: r.Path, Line: c.Case.Line}
			if text := c.Failure(); text != "" {
				jc.Failure = &junitFailure{Message: text}
			}
			suite.Cases = append(suite.Cases, jc)
		}
		for _, c := range suite.Cases {
			suite.Tests++
			if c.Failure != nil {
				suite.Failures++
			}
		}
		report.Tests += suite.Tests
		report.Failures += suite.Failures
		report.Suites = append(report.Suites, suite)
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	enc := xml.NewEncoder(w)
	enc.Indent("", "  ")
	if err := enc.Encode(report); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
