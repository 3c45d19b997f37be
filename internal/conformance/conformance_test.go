package conformance_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/weir-eql/weir/internal/conformance"
)

// reached is the number of cases of each suite that pass, and may not become fewer.
func reached() map[string]int {
	return map[string]int{
		"Elasticsearch: sequences":          25,
		"Elasticsearch: missing events":     26,
		"Elasticsearch: extra":              36,
		"Elasticsearch: additional queries": 34,
		"Python: queries":                   139,
		"Python: string functions":          89,
		"Python: folding":                   96,
		"Generated: events":                 1000,
		"Generated: sequences":              1000,
		"Lucene: regular expressions":       1236,
	}
}

// sharedSuites returns the suites that lie beside the repository, and skips the test where they are absent.
func sharedSuites(t *testing.T) fs.FS {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "suites")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the suites are not there: %v", err)
	}
	return os.DirFS(dir)
}

func TestSuites(t *testing.T) {
	results, err := conformance.Run(sharedSuites(t))
	if err != nil {
		t.Fatal(err)
	}
	want := reached()
	for i := range results {
		r := &results[i]
		least, ok := want[r.Suite]
		if !ok {
			t.Errorf("nothing says how many cases of %q pass", r.Suite)
		}
		delete(want, r.Suite)
		report := t.Logf
		if r.Passed < least {
			t.Errorf("%s: %d cases pass, there were %d", r.Suite, r.Passed, least)
			report = t.Errorf
		}
		for _, f := range r.Failed[:min(len(r.Failed), 10)] {
			report("%s: %s: %s\n%s", r.Suite, f.Case, f.Query, f.Problem)
		}
	}
	for name := range want {
		t.Errorf("suite %q was not run", name)
	}
	var table bytes.Buffer
	conformance.Write(&table, results)
	t.Logf("\n%s", table.String())
}

// TestFailuresAreSeen runs cases of our own whose expectations are wrong, and some that don't apply.
func TestFailuresAreSeen(t *testing.T) {
	data := `[{"@timestamp":1,"event_type":"a","sequence":1,"timestamp":116444736000000000,"serial_event_id":1,"name":"x"}]`
	fsys := fstest.MapFS{
		"elasticsearch/missing-events.json": {Data: []byte(data)},
		"elasticsearch/test_missing_events.toml": {Data: []byte(
			"[[queries]]\nname = \"right\"\nquery = 'a where true'\nexpected_event_ids = [1]\n" +
				"[[queries]]\nname = \"wrong\"\nquery = 'a where true'\nexpected_event_ids = [2]\n" +
				"[[queries]]\nname = \"refused\"\nquery = 'a where'\nexpected_event_ids = []\n",
		)},
		"elasticsearch/sequences.series-spec": {Data: []byte("good\nA1\n B2\n;\nA1 B2\n;\nbad\nA1\n B2\n;\nB2 A1\n;\n")},
		"python-eql/test_data.json":           {Data: []byte(data)},
		"python-eql/test_queries.toml": {Data: []byte(
			"[[queries]]\nquery = \"a where serial_event_id = 1 and name == 'X*'\"\ncase_insensitive = true\nexpected_event_ids = [1]\n" +
				"[[queries]]\nquery = 'a where name == \"X\"'\nexpected_event_ids = [1]\n" +
				"[[queries]]\nquery = 'join [a where true] [a where true]'\nexpected_event_ids = [1]\n" +
				"[[queries]]\nquery = 'a where true | count'\nexpected_event_ids = [1]\n" +
				"[[queries]]\nquery = 'a where not (other == 5)'\nexpected_event_ids = []\n",
		)},
		"python-eql/test_folding.toml": {Data: []byte(
			"[sum]\n[[sum.fold.tests]]\nexpression = '1 + 1'\nexpected = 2\n[[sum.fold.tests]]\nexpression = '1 + 1'\nexpected = 3\n",
		)},
	}
	results, err := conformance.Run(fsys)
	if err != nil {
		t.Fatal(err)
	}
	type counts struct{ passed, failed, skipped int }
	want := map[string]counts{
		"Elasticsearch: missing events": {1, 2, 0},
		"Elasticsearch: sequences":      {1, 1, 0},
		"Python: queries":               {1, 1, 3},
		"Python: folding":               {1, 1, 0},
	}
	for i := range results {
		r := &results[i]
		got := counts{r.Passed, len(r.Failed), r.Cases() - r.Passed - len(r.Failed)}
		if got != want[r.Suite] {
			t.Errorf("%s: got %+v, want %+v; %+v", r.Suite, got, want[r.Suite], r.Failed)
		}
	}
	if len(results) != len(want) {
		t.Errorf("got %d suites, want %d: those without a file are left out", len(results), len(want))
	}
	var table bytes.Buffer
	conformance.Write(&table, results)
	if !strings.Contains(table.String(), "1 × join is Endgame's") {
		t.Errorf("the table doesn't give the reasons:\n%s", table.String())
	}
}

// TestDamagedSuites sees that a file that can't be read is an error, not a suite without cases.
func TestDamagedSuites(t *testing.T) {
	for name, data := range map[string]string{
		"elasticsearch/test_missing_events.toml": "[[queries",
		"elasticsearch/sequences.series-spec":    "name\nAx\n;\n",
		"python-eql/test_folding.toml":           "[a",
		"random/visible_sequence.jsonl.gz":       "plain",
	} {
		if results, err := conformance.Run(fstest.MapFS{name: {Data: []byte(data)}}); err == nil {
			t.Errorf("%s: got %+v, want an error", name, results)
		}
	}
}
