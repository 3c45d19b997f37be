package replay_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/replay"
)

// suiteCase is one line of the generated suites.
type suiteCase struct {
	Query  string            `json:"query"`
	Events []json.RawMessage `json:"events"`
	Expect []struct {
		JoinKeys []any `json:"join_keys"`
		Events   []int `json:"events"`
	} `json:"expect"`
}

// TestGeneratedSuites runs the generated queries and compares the matches, in completion order. Matches that one
// event completes may come in any order among themselves.
func TestGeneratedSuites(t *testing.T) {
	for _, name := range []string{"visible_stateless", "visible_sequence"} {
		t.Run(name, func(t *testing.T) {
			failed, total := 0, 0
			for _, c := range readSuite(t, shared(t, "suites", "random", name+".jsonl.gz")) {
				total++
				if problem := runCase(c); problem != "" {
					failed++
					if failed <= 10 {
						t.Errorf("%s\n%s", c.Query, problem)
					}
				}
			}
			t.Logf("%d of %d cases agree", total-failed, total)
		})
	}
}

func readSuite(t *testing.T, path string) []suiteCase {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var cases []suiteCase
	lines := bufio.NewScanner(zr)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var c suiteCase
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return cases
}

// runCase returns what is wrong with the answer, "" when nothing is.
func runCase(c suiteCase) string {
	var records []pipeline.Record
	for i, e := range c.Events {
		records = append(records, pipeline.Record{Offset: int64(i), Value: e})
	}
	res, err := replay.Query(c.Query, replay.FromRecords(records), replay.QueryOptions{})
	if err != nil {
		return err.Error()
	}
	var got, want []string
	var last []int
	for _, m := range res.Matches {
		events := positions(m)
		got = append(got, fmt.Sprint(events))
		last = append(last, slices.Max(events))
	}
	var wantLast []int
	for _, e := range c.Expect {
		want = append(want, fmt.Sprint(e.Events))
		wantLast = append(wantLast, slices.Max(e.Events))
	}
	if !slices.Equal(last, wantLast) {
		return fmt.Sprintf("got %v, want %v", got, want)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		return fmt.Sprintf("got %v, want %v", strings.Join(got, " "), strings.Join(want, " "))
	}
	return ""
}

func positions(m replay.QueryMatch) []int {
	var out []int
	for _, e := range m.Events {
		if e.Missing {
			out = append(out, -1)
		} else {
			out = append(out, e.Index)
		}
	}
	return out
}
