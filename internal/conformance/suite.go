package conformance

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"

	"github.com/jedib0t/go-pretty/v6/table"
)

// Failure is a case whose answer differs.
type Failure struct {
	Case    string // its name in the suite, or its number
	Query   string // as it was run
	Problem string
}

// Result is what one suite came to.
type Result struct {
	Suite  string
	Passed int
	Failed []Failure
	// NotApplicable counts, by reason, the cases that ask for what isn't Weir's dialect.
	NotApplicable map[string]int
}

// Cases returns the number of cases of the suite.
func (r *Result) Cases() int {
	n := r.Passed + len(r.Failed)
	for _, count := range r.NotApplicable {
		n += count
	}
	return n
}

func (r *Result) skip(reason string) {
	if r.NotApplicable == nil {
		r.NotApplicable = map[string]int{}
	}
	r.NotApplicable[reason]++
}

// note counts a case that was run; no problem means that it passed.
func (r *Result) note(name, query, problem string) {
	if problem == "" {
		r.Passed++
		return
	}
	r.Failed = append(r.Failed, Failure{Case: name, Query: query, Problem: problem})
}

// suite is one file of cases and how it is run.
type suite struct {
	name string
	path string
	run  func(fsys fs.FS, path string, r *Result) error
}

func suites() []suite {
	return []suite{
		{"Elasticsearch: sequences", "elasticsearch/sequences.series-spec", seriesSpec},
		{"Elasticsearch: missing events", "elasticsearch/test_missing_events.toml", missingEvents},
		{"Elasticsearch: extra", "elasticsearch/test_extra.toml", extra},
		{"Elasticsearch: additional queries", "elasticsearch/additional_test_queries.toml", additional},
		{"Python: queries", "python-eql/test_queries.toml", pythonQueries},
		{"Python: string functions", "python-eql/test_string_functions.toml", pythonFolding},
		{"Python: folding", "python-eql/test_folding.toml", pythonFolding},
		{"Generated: events", "random/visible_stateless.jsonl.gz", generated},
		{"Generated: sequences", "random/visible_sequence.jsonl.gz", generated},
		{"Lucene: regular expressions", "random/lucene_regex.jsonl.gz", luceneRegex},
	}
}

// Run runs all suites that fsys holds, laid out as they come: a folder for each of their sources. A suite whose file isn't there is
// left out. An error means that a file could not be read.
func Run(fsys fs.FS) ([]Result, error) {
	var out []Result
	for _, s := range suites() {
		r := Result{Suite: s.name}
		err := s.run(fsys, s.path, &r)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("suite %s: %w", s.path, err)
		}
		out = append(out, r)
	}
	return out, nil
}

// Write prints a table of the results, with the reasons of what doesn't apply below it.
func Write(w io.Writer, results []Result) {
	t := table.NewWriter()
	t.SetOutputMirror(w)
	t.AppendHeader(table.Row{"suite", "cases", "passed", "failed", "not applicable"})
	for i := range results {
		r := &results[i]
		ran := r.Passed + len(r.Failed)
		t.AppendRow(table.Row{r.Suite, r.Cases(), r.Passed, len(r.Failed), r.Cases() - ran})
	}
	t.AppendSeparator()
	for i := range results {
		r := &results[i]
		for _, reason := range slices.Sorted(maps.Keys(r.NotApplicable)) {
			t.AppendRow(table.Row{r.Suite, "", "", "", fmt.Sprintf("%d × %s", r.NotApplicable[reason], reason)})
		}
	}
	t.Render()
}
