package ruletest

import (
	"fmt"
	"slices"

	"github.com/weir-eql/weir/rules"
)

// Runner finds the matches of one rule over events: the positions of each match's events in stage order, with
// MissingStage for a missing stage. It must treat the end of the events as the end of the input.
type Runner func(rule *rules.Rule, events [][]byte) ([][]int, error)

// Result is the outcome of all cases of one rule.
type Result struct {
	Rule  *rules.Rule
	Path  string // of the file of cases
	Cases []CaseResult
}

// CaseResult is the outcome of one case.
type CaseResult struct {
	Case Case
	// Got holds the matches that were found, sorted.
	Got [][]int
	// Absent holds the expected matches that were not found, Unexpected the found ones that were not expected.
	Absent, Unexpected [][]int
	// Err is set where the case could not be run.
	Err error
}

// Pass reports whether the case came out as expected.
func (c CaseResult) Pass() bool { return c.Err == nil && len(c.Absent) == 0 && len(c.Unexpected) == 0 }

// Failure says in one line why a case failed, "" where it passed.
func (c CaseResult) Failure() string {
	switch {
	case c.Err != nil:
		return c.Err.Error()
	case c.Pass():
		return ""
	default:
		return fmt.Sprintf("got matches %v, want %v", c.Got, c.Case.Matches)
	}
}

// Failed returns the number of cases that did not pass.
func (r Result) Failed() int {
	n := 0
	for _, c := range r.Cases {
		if !c.Pass() {
			n++
		}
	}
	return n
}

// Run runs all cases of a file on a rule. The error says that the file belongs to another rule; what goes wrong in
// a case is in its result.
func Run(rule *rules.Rule, f *File, run Runner) (Result, error) {
	if f.RuleID != "" && f.RuleID != rule.ID {
		return Result{}, fmt.Errorf("ruletest: the cases are for rule %s, not for %s", f.RuleID, rule.ID)
	}
	result := Result{Rule: rule, Path: Path(rule.Path)}
	for _, c := range f.Cases {
		got, err := run(rule, c.Events)
		result.Cases = append(result.Cases, compare(c, got, err))
	}
	return result, nil
}

// compare tells matches apart as a multiset: their order doesn't matter, their number does.
func compare(c Case, got [][]int, err error) CaseResult {
	r := CaseResult{Case: c, Err: err, Got: slices.Clone(got)}
	slices.SortFunc(r.Got, slices.Compare[[]int])
	rest := slices.Clone(r.Got)
	for _, want := range c.Matches {
		i := slices.IndexFunc(rest, func(m []int) bool { return slices.Equal(m, want) })
		if i < 0 {
			r.Absent = append(r.Absent, want)
			continue
		}
		rest = slices.Delete(rest, i, i+1)
	}
	r.Unexpected = rest
	return r
}
