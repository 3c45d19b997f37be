package conformance

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/weir-eql/weir/internal/fields"
	"github.com/weir-eql/weir/rules"
)

// Options configure Run.
type Options struct {
	// Fields declares the types of the documents' own fields; nil declares none.
	Fields *fields.Table
	// Rules are run where a suite holds the matches of rules; nil leaves such suites out, which is said.
	Rules *rules.Collection
}

// Case is one case that did not simply pass.
type Case struct {
	Name  string // in the suite, or its number
	Query string // as it was run
	Want  string
	Got   string
	// Reason says why a case doesn't apply; empty for one that failed.
	Reason string
}

// Result is what one suite came to.
type Result struct {
	Path   string // of the file with the cases
	Format string // what kind of suite it is
	Data   string // the file of its events, where they are not among the cases
	Passed int
	Failed []Case
	// NotApplicable are the cases that ask for what isn't Elasticsearch's dialect, or for what was not given.
	NotApplicable []Case
}

// Cases returns the number of cases of the suite.
func (r *Result) Cases() int { return r.Passed + len(r.Failed) + len(r.NotApplicable) }

// Reason is why cases don't apply, and how many.
type Reason struct {
	Text  string
	Cases int
}

// Reasons returns why cases don't apply, sorted by text.
func (r *Result) Reasons() []Reason {
	counts := map[string]int{}
	for _, c := range r.NotApplicable {
		counts[c.Reason]++
	}
	var out []Reason
	for _, text := range slices.Sorted(maps.Keys(counts)) {
		out = append(out, Reason{text, counts[text]})
	}
	return out
}

// outcome is an answer and what it should have been, as text.
type outcome struct{ got, want string }

func (o outcome) ok() bool { return o.got == o.want }

// failed is the outcome of what could not be run.
func failed(err error, want string) outcome { return outcome{got: "error: " + err.Error(), want: want} }

func (r *Result) skip(name, query, reason string) {
	r.NotApplicable = append(r.NotApplicable, Case{Name: name, Query: query, Reason: reason})
}

// note counts a case that was run.
func (r *Result) note(name, query string, o outcome) {
	if o.ok() {
		r.Passed++
		return
	}
	r.Failed = append(r.Failed, Case{Name: name, Query: query, Want: o.want, Got: o.got})
}

// refuse counts a case that doesn't apply because Elasticsearch refuses its query. It fails where Weir takes it.
func (r *Result) refuse(name, query, reason string, err error) {
	if err == nil {
		r.Failed = append(r.Failed, Case{Name: name, Query: query, Want: "an error: " + reason, Got: "the query runs"})
		return
	}
	r.skip(name, query, reason)
}

// format is a kind of suite, told by what a file holds.
type format uint8

const (
	noSuite format = iota
	seriesFormat
	queryFormat
	pythonFormat
	expressionFormat
	generatedFormat
	regexFormat
	matchesFormat
)

// String returns the format's name in reports.
func (f format) String() string {
	return [...]string{
		"", "sequences", "queries", "Python queries", "Python expressions", "generated queries", "Lucene regex", "matches of rules",
	}[f]
}

// run runs the cases of a file.
func (s *session) run(f *file, r *Result) error {
	switch f.format {
	case seriesFormat:
		return runSeries(f, r)
	case queryFormat:
		return runQueries(s, f, r)
	case pythonFormat:
		return runPythonQueries(s, f, r)
	case expressionFormat:
		return runExpressions(f, r)
	case generatedFormat:
		return runGenerated(s, f, r)
	case regexFormat:
		return runRegex(f, r)
	case matchesFormat:
		return runMatches(s, f, r)
	default:
		panic("BUG: a file that is no suite is run")
	}
}

// session is one call of Run.
type session struct {
	o     Options
	files []*file // everything that was found, suites or not
	sets  map[string]*dataSet
	rules *rules.Set
}

// Run runs the suites among files, and in folders at any depth. What a file is tells its content. A named file that is no suite, and
// a folder without one, is an error, and so is a suite that can't be read: the results of the others are returned beside it.
func Run(paths []string, o Options) ([]Result, error) {
	if o.Fields == nil {
		o.Fields = &fields.Table{}
	}
	s := &session{o: o, sets: map[string]*dataSet{}}
	var errs []error
	for _, p := range paths {
		if err := s.find(p); err != nil {
			errs = append(errs, err)
		}
	}
	var out []Result
	for _, f := range s.files {
		if f.format == noSuite {
			continue
		}
		r := Result{Path: f.path, Format: f.format.String()}
		if err := s.run(f, &r); err != nil {
			errs = append(errs, fmt.Errorf("suite %s: %w", f.path, err))
			continue
		}
		out = append(out, r)
	}
	return out, errors.Join(errs...)
}

// find adds the files behind a path.
func (s *session) find(path string) error {
	path = filepath.Clean(path)
	found, err := discover(path)
	suites := 0
	var fault error
	for _, f := range found {
		switch {
		case f.format != noSuite:
			suites++
		case f.path == path && f.documents:
			suites++ // what other suites are about
		case f.path == path:
			fault = f.fault
		}
		s.files = append(s.files, f)
	}
	switch {
	case suites > 0 || err != nil:
		return err
	case fault != nil:
		return fmt.Errorf("%s: no suite in a format that is known: %w", path, fault)
	default:
		return fmt.Errorf("%s: no suite in a format that is known", path)
	}
}
