package ruletest_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/detections"
	"github.com/weir-eql/weir/rules/ruletest"
)

func TestParse(t *testing.T) {
	f, err := ruletest.Parse([]byte(`rule_id = "r1"

[[case]]
name = "a block"
note = "why"
events = '''
# a comment
{"event":{"category":"process"}}

 {"@timestamp":"2026-01-05T10:00:07Z","a":"\\"}
{}
'''
matches = [[0, -1, 2], [1]]

[[case]]
name = "a list"
events = ['{"a":1}', '''
  {"b": 2}''']
matches = []
`))
	if err != nil {
		t.Fatal(err)
	}
	want := &ruletest.File{RuleID: "r1", Cases: []ruletest.Case{
		{
			Name: "a block", Note: "why", Line: 3,
			Events: [][]byte{
				[]byte(`{"@timestamp":"2026-01-01T00:00:00Z","event":{"category":"process"}}`),
				[]byte(`{"@timestamp":"2026-01-05T10:00:07Z","a":"\\"}`),
				[]byte(`{"@timestamp":"2026-01-01T00:00:02Z"}`),
			},
			Matches: [][]int{{0, -1, 2}, {1}},
		},
		{
			Name: "a list", Line: 15,
			Events: [][]byte{
				[]byte(`{"@timestamp":"2026-01-01T00:00:00Z","a":1}`),
				[]byte(`{"@timestamp":"2026-01-01T00:00:01Z","b": 2}`),
			},
			Matches: [][]int{},
		},
	}}
	if diff := cmp.Diff(want, f); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	for _, tc := range []struct{ text, want string }{
		{"", "there is no [[case]]"},
		{"x = 1\n[[case]]\nname='a'\nevents='{}'\nmatches=[]\n", "line 1: unknown key x"},
		{"[[case]]\nname='a'\nevents='{}'\nmatch=[]\n", "line 4: unknown key case.match"},
		{"[[case]\n", "line 1: "},
		{"\n[[case]]\nevents='{}'\nmatches=[]\n", `line 2: case "": name is missing`},
		{"[[case]]\nname='a'\nmatches=[]\n", `line 1: case "a": events is missing`},
		{"[[case]]\nname='a'\nevents='{}'\n", `line 1: case "a": matches is missing`},
		{"[[case]]\nname='a'\nevents=3\nmatches=[]\n", `line 1: case "a": events is neither`},
		{"[[case]]\nname='a'\nevents=[3]\nmatches=[]\n", `line 1: case "a": event 0 is not a string`},
		{"[[case]]\nname='a'\nevents='''\n{}\n{\"a\":\n'''\nmatches=[]\n", `line 1: case "a": event 1: not a JSON object`},
		{"[[case]]\nname='a'\nevents='null'\nmatches=[]\n", `line 1: case "a": event 0: not a JSON object`},
		{"[[case]]\nname='a'\nevents='{}'\nmatches=[[1]]\n", `line 1: case "a": matches name event 1, but there are 1`},
		{"[[case]]\nname='a'\nevents='{}'\nmatches=[[-2]]\n", `line 1: case "a": matches name event -2`},
		{"[[case]]\nname='a'\nevents='{}'\nmatches=[[-1]]\n", `line 1: case "a": a match without events`},
		{"[[case]]\nname='a'\nevents='{}'\nmatches=[]\n[[case]]\nname='a'\nevents='{}'\nmatches=[]\n", `line 5: case "a": there are two`},
		{"case = [{name='a', events='{', matches=[]}]\n", `case "a": event 0`},
	} {
		_, err := ruletest.Parse([]byte(tc.text))
		if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
			t.Errorf("%q: got %v, want it to begin with %q", tc.text, err, tc.want)
		}
	}
}

func TestRun(t *testing.T) {
	rule := &rules.Rule{ID: "r1", Path: "dir/r.toml"}
	f := &ruletest.File{Cases: []ruletest.Case{
		{Name: "as expected, in another order", Matches: [][]int{{2}, {0, 1}}},
		{Name: "one absent", Matches: [][]int{{0, 1}, {2}, {3}}},
		{Name: "one unexpected", Matches: [][]int{{2}}},
		{Name: "twice is not once", Matches: [][]int{{0, 1}, {2}, {2}}},
	}}
	run := func(*rules.Rule, [][]byte) ([][]int, error) { return [][]int{{2}, {0, 1}}, nil }
	r, err := ruletest.Run(rule, f, run)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range r.Cases {
		got = append(got, c.Failure())
	}
	want := []string{
		"", "got matches [[0 1] [2]], want [[0 1] [2] [3]]", "got matches [[0 1] [2]], want [[2]]",
		"got matches [[0 1] [2]], want [[0 1] [2] [2]]",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]int{{3}}, r.Cases[1].Absent); diff != "" {
		t.Errorf("absent (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]int{{0, 1}}, r.Cases[2].Unexpected); diff != "" {
		t.Errorf("unexpected (-want +got):\n%s", diff)
	}
	if r.Failed() != 3 || r.Path != "dir/r_test.toml" {
		t.Errorf("got %d failed in %s, want 3 in dir/r_test.toml", r.Failed(), r.Path)
	}
	if _, err := ruletest.Run(rule, &ruletest.File{RuleID: "r2"}, run); err == nil {
		t.Error("cases of another rule: got no error")
	}
	broken := errors.New("broken")
	r, err = ruletest.Run(rule, f, func(*rules.Rule, [][]byte) ([][]int, error) { return nil, broken })
	if err != nil || r.Failed() != 4 || !errors.Is(r.Cases[0].Err, broken) {
		t.Errorf("a runner that fails: got %v, %d failed, want all to fail with its error", err, r.Failed())
	}
}

func TestRead(t *testing.T) {
	fsys := fstest.MapFS{"r_test.toml": {Data: []byte("[[case]]\nname='a'\nevents='{}'\nmatches=[]\n")}}
	f, err := ruletest.Read(fsys, "r.toml")
	if err != nil || f == nil || len(f.Cases) != 1 {
		t.Errorf("got %v, %v, want one case", f, err)
	}
	f, err = ruletest.Read(fsys, "other.toml")
	if err != nil || f != nil {
		t.Errorf("no file: got %v, %v, want neither", f, err)
	}
}

// singles is a Runner for event queries: sequences need the pipeline's machine, which this package must not know.
func singles(rule *rules.Rule, events [][]byte) ([][]int, error) {
	s, err := rules.NewSet([]*rules.Rule{rule}, rules.SetOptions{})
	if err != nil {
		return nil, err
	}
	m, dec, ev := s.NewMatcher(), event.NewDecoder(s.Schema()), event.New(s.Schema())
	var matches [][]int
	for i, doc := range events {
		if err := dec.Decode(doc, ev); err != nil {
			return nil, err
		}
		if len(m.Match(ev, "").Single) > 0 {
			matches = append(matches, []int{i})
		}
	}
	return matches, nil
}

// TestShippedRules loads the rules that ship with Weir, reads the cases of all and runs those of event queries.
func TestShippedRules(t *testing.T) {
	fsys := detections.FS()
	c, err := rules.LoadFS(fsys, "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	tests, _ := fs.Glob(fsys, "*_test.toml")
	if len(c.Files) == 0 || len(tests) != len(c.Files) {
		t.Errorf("got %d rules and %d files of cases, want as many", len(c.Files), len(tests))
	}
	for _, f := range c.Files {
		if f.Status != rules.StatusOK || len(f.Problems) > 0 {
			t.Errorf("%s: got status %s, problems %v", f.Path, f.Status, f.Problems)
			continue
		}
		cases, err := ruletest.Read(fsys, f.Path)
		if err != nil || cases == nil {
			t.Errorf("%s: got cases %v, error %v", f.Path, cases, err)
			continue
		}
		s, err := rules.NewSet([]*rules.Rule{f.Rule}, rules.SetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if s.Rules()[0].Sequence() {
			continue
		}
		r, err := ruletest.Run(f.Rule, cases, singles)
		if err != nil {
			t.Errorf("%s: %v", f.Path, err)
		}
		for _, res := range r.Cases {
			if !res.Pass() {
				t.Errorf("%s: case %q: %s", r.Path, res.Case.Name, res.Failure())
			}
		}
	}
	if diff := cmp.Diff(len(c.Files), len(c.Rules), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("rules of distinct ids (-want +got):\n%s", diff)
	}
}
