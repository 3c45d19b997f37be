package conformance_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/internal/conformance"
	"github.com/weir-eql/weir/internal/fields"
	"github.com/weir-eql/weir/rules"
)

// reached is, by the name of a suite's file, the number of cases that pass, and may not become fewer.
func reached() map[string]int {
	return map[string]int{
		"sequences.series-spec":        25,
		"test_missing_events.toml":     26,
		"test_extra.toml":              40,
		"additional_test_queries.toml": 34,
		"test_queries.toml":            139,
		"test_string_functions.toml":   90,
		"test_folding.toml":            96,
		"visible_stateless.jsonl.gz":   1000,
		"visible_sequence.jsonl.gz":    1000,
		"lucene_regex.jsonl.gz":        1239,
	}
}

func TestSuites(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "suites")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the suites are not there: %v", err)
	}
	var declared fields.Table
	if err := declared.Read("fields.yaml"); err != nil {
		t.Fatal(err)
	}
	results, err := conformance.Run([]string{dir}, conformance.Options{Fields: &declared})
	if err != nil {
		t.Fatal(err)
	}
	want := reached()
	for i := range results {
		r := &results[i]
		name := filepath.Base(r.Path)
		least, ok := want[name]
		if !ok {
			t.Errorf("nothing says how many cases of %s pass", name)
		}
		delete(want, name)
		if r.Passed < least {
			t.Errorf("%s: %d cases pass, there were %d", name, r.Passed, least)
		}
		for _, f := range r.Failed[:min(len(r.Failed), 10)] {
			t.Errorf("%s: %s: %s\ngot  %s\nwant %s", name, f.Name, f.Query, f.Got, f.Want)
		}
		t.Logf("%s: %d cases, %d passed, %d failed, %d don't apply", name, r.Cases(), r.Passed, len(r.Failed), len(r.NotApplicable))
	}
	for name := range want {
		t.Errorf("suite %s was not run", name)
	}
}

// write puts files into a folder of their own; those that end in .gz are packed.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		data := []byte(text)
		if filepath.Ext(name) == ".gz" {
			var b bytes.Buffer
			z := gzip.NewWriter(&b)
			if _, err := z.Write(data); err != nil {
				t.Fatal(err)
			}
			if err := z.Close(); err != nil {
				t.Fatal(err)
			}
			data = b.Bytes()
		}
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The documents of the suites below, and the line of a generated case.
const (
	documents = `[{"@timestamp":"1","event_type":"a","sequence":1,"name":"x","state":null,"build":"1.10.0"},
{"@timestamp":"2","event_type":"b","sequence":2,"name":["x","y"],"build":"1.9.0"},
{"@timestamp":"3","event_type":"b","sequence":3,"name":"y"}]`
	python = `[{"timestamp":116444736000010000,"event_type":"a","serial_event_id":1,"name":"x"}]`
	line   = `{"query": "sequence by k [any where true] [any where true]", "seed": 7, "events": [` +
		`{"@timestamp": 1, "k": [1, 2]}, {"@timestamp": 1, "k": [2, 1]}], "expect": [{"join_keys": [2], "events": [0, 1]}, {"join_keys": [1], "events": [0, 1]}]}`
)

// TestFormats runs suites of our own, whose files have names of no meaning, with cases that pass, fail and don't apply.
func TestFormats(t *testing.T) {
	type counts struct {
		format                  string
		passed, failed, outside int
	}
	tests := []struct {
		name  string
		files map[string]string
		want  map[string]counts
	}{
		{"queries", map[string]string{
			"one/t.toml": "[[queries]]\nname = \"right\"\nquery = 'a where true'\nexpected_event_ids = [1]\n" +
				"[[queries]]\nname = \"one of two\"\nquery = 'a where true'\nexpected_event_ids = [[2], [1]]\n" +
				"[[queries]]\nname = \"tie\"\nquery = 'sequence by name [b where true] [b where true]'\nexpected_event_ids = [2, 3]\njoin_keys = [\"y\"]\n" +
				"[[queries]]\nname = \"samples\"\nquery = 'sample by name [any where true] [any where true]'\nexpected_event_ids = [2, 3, 1, 2]\n" +
				"[[queries]]\nname = \"wrong\"\nquery = 'a where true'\nexpected_event_ids = [2]\n" +
				"[[queries]]\nname = \"wrong key\"\nquery = 'sequence by name [b where true] [b where true]'\nexpected_event_ids = [2, 3]\njoin_keys = [\"x\"]\n" +
				"[[queries]]\nname = \"too few\"\nquery = 'b where true'\nexpected_event_ids = [2]\n" +
				"[[queries]]\nname = \"refused\"\nquery = 'a where'\nexpected_event_ids = []\n" +
				"[[queries]]\nname = \"mapped null\"\nquery = 'a where state == \"none\"'\nexpected_event_ids = [1]\n" +
				"[[queries]]\nname = \"version\"\nquery = 'any where build > \"1.9.5\"'\nexpected_event_ids = [1]\n" +
				"[[queries]]\nname = \"Endgame's\"\nquery = 'any where match(name, \"x\")'\nexpected_event_ids = [1]\n",
			"two/docs.json":  documents,
			"two/other.json": `[{"@timestamp":"1","event_type":"z","sequence":8}]`,
		}, map[string]counts{"one/t.toml": {"queries", 4, 4, 3}}},
		{"python", map[string]string{
			"p.toml": "[[queries]]\nquery = \"a where serial_event_id = 1 and name == 'X*'\"\ncase_insensitive = true\nexpected_event_ids = [1]\n" +
				"[[queries]]\nquery = 'a where name == \"X\"'\nexpected_event_ids = [1]\n" +
				"[[queries]]\nquery = 'join [a where true] [a where true]'\nexpected_event_ids = [1]\n" +
				"[[queries]]\nquery = 'a where true | count'\nexpected_event_ids = [1]\n" +
				"[[queries]]\nquery = 'a where not (other == 5)'\nexpected_event_ids = []\n" +
				"[[queries]]\nquery = 'a where other != 5'\nexpected_event_ids = [1]\n", // as in Elasticsearch
			"events.json.gz": python,
		}, map[string]counts{"p.toml": {"Python queries", 2, 1, 3}}},
		{"expressions", map[string]string{
			"x.toml": "[sum]\n[[sum.fold.tests]]\nexpression = '1 + 1'\nexpected = 2\n[[sum.fold.tests]]\nexpression = '1 + 1'\nexpected = 3\n" +
				// Where Python's answer is Elasticsearch's too, the case applies.
				"[[sum.fold.tests]]\nexpression = \"substring('ab', null, null)\"\nexpected = 'ab'\n" +
				"[[sum.fold.tests]]\nexpression = \"substring('ab', null, 1)\"\nexpected = 'a'\n" +
				"[any]\ncase_insensitive = true\n[[any.fold.tests]]\nexpression = '\"a\" < \"b\"'\nexpected = true\n" +
				"[[any.fold.tests]]\nexpression = '\"B\" < \"a\"'\nexpected = false\n",
		}, map[string]counts{"x.toml": {"Python expressions", 3, 1, 2}}},
		{
			"drawings",
			map[string]string{"s.txt": "// ours\ngood\nA1\n B2\n;\nA1 B2\n;\nbad\nk|A1\n k|B2\n;\nk|B2 A1\n;\n"},
			map[string]counts{"s.txt": {"sequences", 1, 1, 0}},
		},
		{"generated", map[string]string{
			"plain": line + "\n" + line, "packed.bin.gz": line, "list.json": "[" + line + ",\n" + line + "]",
			"wrong.jsonl": strings.Replace(line, "[0, 1]", "[1, 0]", 1),
		}, map[string]counts{
			"plain": {"generated queries", 2, 0, 0}, "packed.bin.gz": {"generated queries", 1, 0, 0},
			"list.json": {"generated queries", 2, 0, 0}, "wrong.jsonl": {"generated queries", 0, 1, 0},
		}},
		{"regex", map[string]string{
			"r": `{"regex": "a.", "ignore_case": true, "inputs": ["AB", "a"], "match": [true, false]}
{"regex": "a(", "error": true}
{"regex": "a.", "inputs": ["ab"], "match": [false]}
{"regex": "a#*", "inputs": ["a"], "match": [false]}`,
		}, map[string]counts{"r": {"Lucene regex", 3, 1, 0}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tt.files["README.md"], tt.files["sub/empty.json"], tt.files["sub/.hidden.toml"] = "# Nothing\n", "", "[["
			dir := write(t, tt.files)
			results, err := conformance.Run([]string{dir}, conformance.Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := map[string]counts{}
			for i := range results {
				r := &results[i]
				name, err := filepath.Rel(dir, r.Path)
				if err != nil {
					t.Fatal(err)
				}
				got[filepath.ToSlash(name)] = counts{r.Format, r.Passed, len(r.Failed), len(r.NotApplicable)}
				for _, f := range r.Failed {
					if f.Query == "" || f.Got == f.Want {
						t.Errorf("the failure says nothing: %+v", f)
					}
				}
			}
			if diff := cmp.Diff(tt.want, got, cmp.AllowUnexported(counts{})); diff != "" {
				t.Errorf("results (-want +got):\n%s", diff)
			}
		})
	}
}

// TestDeclaredFields sees that cases which depend on a mapping run once it is declared.
func TestDeclaredFields(t *testing.T) {
	dir := write(t, map[string]string{
		"t.toml": "[[queries]]\nname = \"null\"\nquery = 'a where state == \"none\"'\nexpected_event_ids = [1]\n" +
			"[[queries]]\nname = \"version\"\nquery = 'any where build > \"1.9.5\"'\nexpected_event_ids = [1]\n",
		"d.json": documents,
	})
	var table fields.Table
	if err := table.Parse([]byte("build: version\nstate: {type: keyword, null_value: none}")); err != nil {
		t.Fatal(err)
	}
	results, err := conformance.Run([]string{filepath.Join(dir, "t.toml")}, conformance.Options{Fields: &table})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) != 1 || results[0].Passed != 2 {
		t.Errorf("got %+v, want two cases that pass", results)
	}
}

// TestMatchesOfRules compares rules with expected matches.
func TestMatchesOfRules(t *testing.T) {
	rule := func(id, query string) string {
		return fmt.Sprintf("[rule]\nrule_id = %q\nname = \"r\"\nseverity = \"low\"\nrisk_score = 1\ntype = \"eql\"\nlanguage = \"eql\"\n"+
			"index = [\"logs-none-*\"]\nquery = '''%s'''\n", id, query)
	}
	dir := write(t, map[string]string{
		"rules/a.toml": rule("right", `process where process.name == "a"`),
		"rules/b.toml": rule("wrong", `process where true`),
		"rules/c.toml": rule("unbounded", `sequence [process where true] [process where true]`),
		"rules/d.toml": rule("quiet", `file where true`),
		"day.ndjson.gz": `{"@timestamp":1,"event":{"category":"process"},"process":{"name":"a"}}` + "\n\n" +
			`{"@timestamp":2,"event":{"category":"process"},"process":{"name":"b"}}` + "\n",
		"expected/day.json": `{"right": [[0]], "wrong": [[0]], "unbounded": [[0, 2]], "elsewhere": [[1]]}`,
	})
	c, err := rules.Load([]string{filepath.Join(dir, "rules")}, rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	results, err := conformance.Run([]string{filepath.Join(dir, "expected")}, conformance.Options{Rules: c})
	if err != nil {
		t.Fatal(err)
	}
	r := results[0]
	if r.Passed != 1 || len(r.Failed) != 1 || r.Failed[0].Name != "wrong" || len(r.NotApplicable) != 2 {
		t.Errorf("got %+v", r)
	}
	if results, err = conformance.Run([]string{filepath.Join(dir, "expected")}, conformance.Options{}); err != nil || results[0].Cases() != 4 ||
		len(results[0].NotApplicable) != 4 {
		t.Errorf("without rules: got %+v, %v", results, err)
	}
}

// TestUnreadable sees that what can't be run is an error, not a suite without cases.
func TestUnreadable(t *testing.T) {
	for name, text := range map[string]string{
		"broken.toml":    "[[queries",
		"nothing.md":     "# Nothing\n",
		"no_expect.json": strings.Replace(line, "expect", "expekt", 1),
		"later.jsonl":    line + "\n" + strings.Replace(line, "expect", "expekt", 1),
		"short.jsonl":    `{"regex": "a", "inputs": ["a", "b"], "match": [true]}`,
		"cut.jsonl":      line + "\n" + line[:len(line)-9],
		"no_data.toml":   "[[queries]]\nname = 'x'\nquery = 'any where true'\nexpected_event_ids = [1]\n",
		"series.txt":     "name\nA1\nB\n;\n;\n",
		"unended.txt":    "name\nA1\n;\nA1\n",
		"matches.json":   `{"a": [[1]]}`,
		"answers.toml":   "[[queries]]\nname = 'x'\nquery = 'any where true'\nexpected_event_ids = [\"x\"]\n",
		"not_there.txt":  "",
	} {
		dir := write(t, map[string]string{name: text})
		c := &rules.Collection{}
		if results, err := conformance.Run([]string{filepath.Join(dir, name)}, conformance.Options{Rules: c}); err == nil {
			t.Errorf("%s: got %+v, want an error", name, results)
		}
	}
}

// TestBrokenBeside sees that a file that can't be read is named, with its place where that is known, and the others run.
func TestBrokenBeside(t *testing.T) {
	dir := write(t, map[string]string{
		"a.toml": "[[queries]]\nname = 'x'\nquery = 'any where true\n", "fine.jsonl": line, "packed.gz": strings.Repeat(line+"\n", 3), "half.json": line[:40],
	})
	packed := filepath.Join(dir, "packed.gz")
	data, err := os.ReadFile(packed) //nolint:gosec // a file of this test
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(packed, data[:60], 0o600); err != nil {
		t.Fatal(err)
	}
	results, err := conformance.Run([]string{dir}, conformance.Options{})
	if err == nil || !strings.Contains(err.Error(), "a.toml: line 3, column 24: toml: ") || !strings.Contains(err.Error(), "packed.gz: unexpected EOF") {
		t.Errorf("got error %v", err)
	}
	if len(results) != 1 || results[0].Passed != 1 {
		t.Errorf("got %+v, want the suite that is fine", results)
	}
	if _, err := conformance.Run([]string{filepath.Join(dir, "half.json")}, conformance.Options{}); err == nil ||
		!strings.Contains(err.Error(), "no suite in a format that is known: unexpected EOF") {
		t.Errorf("half a document: got error %v", err)
	}
}
