package eql_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// sharedPath returns a path under the data that comes beside the repository, and skips the test where it is absent.
func sharedPath(tb testing.TB, path ...string) string {
	tb.Helper()
	p := filepath.Join(append([]string{"..", "..", "shared"}, path...)...)
	if _, err := os.Stat(p); err != nil {
		tb.Skipf("the shared data is not there: %v", err)
	}
	return p
}

type suiteCase struct {
	Query  string            `json:"query"`
	Events []json.RawMessage `json:"events"`
	Expect []struct {
		Events []int `json:"events"`
	} `json:"expect"`
}

func loadSuite(tb testing.TB, name string) []suiteCase {
	tb.Helper()
	file, err := os.Open(sharedPath(tb, "suites", "random", name))
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		tb.Fatal(err)
	}
	var cases []suiteCase
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 8<<20)
	for lines.Scan() {
		var c suiteCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			tb.Fatal(err)
		}
		cases = append(cases, c)
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
	return cases
}

// matches returns, for each stage of the query, the events that satisfy it.
func matches(tb testing.TB, c suiteCase, opts eql.EnvOptions) [][]int {
	tb.Helper()
	schema := event.NewSchema(ecs.TypeOf)
	env := eql.NewEnv(schema, opts)
	q, err := env.Compile(c.Query, eql.QueryOptions{})
	if err != nil {
		tb.Errorf("%s: %v", c.Query, err)
		return nil
	}
	stages := q.Stages
	if q.Until != nil {
		stages = append(slices.Clone(stages), q.Until)
	}
	got := make([][]int, len(stages))
	decoder, ev, memo := event.NewDecoder(schema), event.New(schema), env.NewMemo()
	for i, doc := range c.Events {
		if err := decoder.Decode(doc, ev); err != nil {
			tb.Fatalf("decode %s: %v", doc, err)
		}
		memo.Reset()
		for s, stage := range stages {
			if stage.Match(ev, memo) {
				got[s] = append(got[s], i)
				checkNeeds(tb, c.Query, stage, ev)
			}
		}
	}
	return got
}

// checkNeeds reports groups of needs of which a matching event satisfies none.
func checkNeeds(tb testing.TB, query string, s *eql.Stage, ev *event.Event) {
	tb.Helper()
	for _, group := range s.Needs() {
		if !slices.ContainsFunc(group, func(n eql.Need) bool { return satisfies(ev, n) }) {
			tb.Errorf("%s: a matching event satisfies none of the needs %v", query, group)
		}
	}
}

func satisfies(ev *event.Event, n eql.Need) bool {
	return slices.ContainsFunc(ev.Values(n.Slot), func(v event.Value) bool {
		text := lowerASCII(v.Text())
		switch n.Op {
		case eql.NeedEqual:
			return text == n.Text
		case eql.NeedPrefix:
			return strings.HasPrefix(text, n.Text)
		case eql.NeedSuffix:
			return strings.HasSuffix(text, n.Text)
		default:
			return strings.Contains(text, n.Text)
		}
	})
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func TestStatelessSuite(t *testing.T) {
	cases := loadSuite(t, "visible_stateless.jsonl.gz")
	agreed := 0
	for _, c := range cases {
		var want []int
		for _, e := range c.Expect {
			want = append(want, e.Events...)
		}
		got := matches(t, c, eql.EnvOptions{})
		if len(got) == 1 && slices.Equal(got[0], want) {
			agreed++
			continue
		}
		t.Errorf("%s:\ngot  %v\nwant %v", c.Query, got, want)
	}
	t.Logf("%d of %d queries agree", agreed, len(cases))
}

func TestPlansAgree(t *testing.T) {
	for _, name := range []string{"visible_stateless.jsonl.gz", "visible_sequence.jsonl.gz"} {
		for _, c := range loadSuite(t, name) {
			want := matches(t, c, eql.EnvOptions{NoSharing: true, NoOptimise: true})
			for _, opts := range []eql.EnvOptions{{}, {NoSharing: true}} {
				got := matches(t, c, opts)
				if !slices.EqualFunc(got, want, slices.Equal) {
					t.Errorf("%s with %+v:\ngot  %v\nwant %v", c.Query, opts, got, want)
				}
			}
		}
	}
}

// corpus returns the EQL queries of the rule files beside the repository, by file, each with its category field.
func corpus(tb testing.TB) map[string][2]string {
	tb.Helper()
	files := map[string][2]string{}
	err := filepath.WalkDir(sharedPath(tb, "rules"), func(path string, _ os.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".toml" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		var file struct {
			Rule struct {
				Language string `toml:"language"`
				Query    string `toml:"query"`
				Category string `toml:"event_category_override"`
			} `toml:"rule"`
		}
		if err := toml.Unmarshal(data, &file); err != nil {
			return err
		}
		if file.Rule.Language == "eql" {
			files[path] = [2]string{file.Rule.Query, file.Rule.Category}
		}
		return nil
	})
	if err != nil {
		tb.Fatal(err)
	}
	return files
}

func TestCorpusCompiles(t *testing.T) {
	env := eql.NewEnv(event.NewSchema(ecs.TypeOf), eql.EnvOptions{})
	rules := corpus(t)
	indexed := 0
	for path, rule := range rules {
		q, err := env.Compile(rule[0], eql.QueryOptions{CategoryField: rule[1]})
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(path), err)
			continue
		}
		if len(q.Stages[0].Needs()) > 0 {
			indexed++
		}
		x := q.Explain()
		if len(x.Stages) != len(q.Stages) || x.Text == "" {
			t.Errorf("%s: got explanation %+v", filepath.Base(path), x)
		}
		again, err := env.Compile(q.String(), eql.QueryOptions{CategoryField: rule[1]})
		if err != nil {
			t.Errorf("%s: the canonical text doesn't compile: %v", filepath.Base(path), err)
		} else if again.String() != q.String() {
			t.Errorf("%s: the canonical text isn't stable: %s", filepath.Base(path), again)
		}
	}
	t.Logf("%d rules, %d with needs; %d atoms over %d fields", len(rules), indexed, env.Atoms(), env.Schema().Len())
}

// TestSharing runs many queries of one environment, whose atoms are shared, over the events of all of them.
func TestSharing(t *testing.T) {
	cases := loadSuite(t, "visible_stateless.jsonl.gz")[:200]
	run := func(opts eql.EnvOptions) (got []string, atoms int) {
		schema := event.NewSchema(ecs.TypeOf)
		env := eql.NewEnv(schema, opts)
		var stages []*eql.Stage
		for _, c := range cases {
			q, err := env.Compile(c.Query, eql.QueryOptions{})
			if err != nil {
				t.Fatal(err)
			}
			stages = append(stages, q.Stages...)
		}
		decoder, ev, memo := event.NewDecoder(schema), event.New(schema), env.NewMemo()
		for _, c := range cases {
			if err := decoder.Decode(c.Events[0], ev); err != nil {
				t.Fatal(err)
			}
			memo.Reset()
			var line strings.Builder
			for _, s := range stages {
				if s.Match(ev, memo) {
					line.WriteByte('x')
				} else {
					line.WriteByte('.')
				}
			}
			got = append(got, line.String())
		}
		return got, env.Atoms()
	}
	got, atoms := run(eql.EnvOptions{})
	want, none := run(eql.EnvOptions{NoSharing: true})
	if !slices.Equal(got, want) {
		t.Error("shared atoms change what matches")
	}
	if atoms == 0 || none != 0 {
		t.Errorf("got %d atoms with sharing and %d without, want some and none", atoms, none)
	}
}
