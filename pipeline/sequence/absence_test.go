package sequence_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/pipeline/sequence"
)

const suiteDir = "../../../shared/suites/elasticsearch"

// The queries of the suite are so regular that the machine can be tested without the language.
var (
	absenceHead  = regexp.MustCompile(`^\s*sequence(?: by (\w+))? with maxspan=(\d+)(s|m|h)$`)
	absenceStage = regexp.MustCompile(`^\s*(!?)\[\s*(\w+) where (?:tag == "(\w+)"|true)(?: and .sequence. > (\d+))?\s*\](?: by (\w+))?(?: with runs=(\d+))?$`)
	absencePipe  = regexp.MustCompile(`^\s*\| (head|tail) (\d+)$`)
)

type absenceQuery struct {
	Name  string `toml:"name"`
	Query string `toml:"query"`
	IDs   []int  `toml:"expected_event_ids"`

	spec   sequence.Spec
	stages []absenceCondition
	pipe   string
	limit  int
}

type absenceCondition struct {
	kind, tag string
	above     float64 // the id has to be greater
	keys      []string
}

// TestAbsence runs Elasticsearch's own cases of missing stages.
func TestAbsence(t *testing.T) {
	events, queries := loadAbsence(t)
	if len(queries) != 26 {
		t.Errorf("got %d queries, want 26", len(queries))
	}
	for _, q := range queries {
		t.Run(q.Name, func(t *testing.T) {
			q.parse(t)
			if diff := cmp.Diff(q.IDs, q.run(t, events)); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", q.Query, diff)
			}
		})
	}
}

func loadAbsence(t *testing.T) ([]map[string]any, []*absenceQuery) {
	t.Helper()
	read := func(name string) []byte {
		data, err := os.ReadFile(filepath.Join(filepath.FromSlash(suiteDir), name))
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("Elasticsearch's missing events are not beside the repository")
		}
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	var events []map[string]any
	if err := json.Unmarshal(read("missing-events.json"), &events); err != nil {
		t.Fatal(err)
	}
	var file struct {
		Queries []*absenceQuery `toml:"queries"`
	}
	if err := toml.Unmarshal(read("test_missing_events.toml"), &file); err != nil {
		t.Fatal(err)
	}
	return events, file.Queries
}

func (q *absenceQuery) parse(t *testing.T) {
	t.Helper()
	var global []string
	for line := range strings.Lines(strings.TrimSpace(q.Query)) {
		line = strings.TrimRight(line, " \n")
		if m := absenceHead.FindStringSubmatch(line); m != nil {
			unit := map[string]int64{"s": 1e3, "m": 60e3, "h": 3600e3}[m[3]]
			q.spec.MaxSpan = number(t, m[2]) * unit
			if m[1] != "" {
				global = []string{m[1]}
			}
			continue
		}
		if m := absenceStage.FindStringSubmatch(line); m != nil {
			c := absenceCondition{kind: m[2], tag: m[3], keys: slices.Clone(global)}
			if m[4] != "" {
				c.above = float64(number(t, m[4]))
			}
			if m[5] != "" {
				c.keys = append(c.keys, m[5])
			}
			s := sequence.Stage{Missing: m[1] != "", Runs: 1}
			if m[6] != "" {
				s.Runs = int(number(t, m[6]))
			}
			q.stages, q.spec.Stages = append(q.stages, c), append(q.spec.Stages, s)
			continue
		}
		if m := absencePipe.FindStringSubmatch(line); m != nil {
			q.pipe, q.limit = m[1], int(number(t, m[2]))
			continue
		}
		t.Fatalf("the test can't read %q", line)
	}
}

// key is the join key under which an event satisfies a condition.
func (c absenceCondition) key(e map[string]any) (string, bool) {
	if e["event_type"] != c.kind || c.tag != "" && e["tag"] != c.tag {
		return "", false
	}
	if id, ok := e["sequence"].(float64); !ok || id <= c.above {
		return "", false
	}
	var key strings.Builder
	for _, name := range c.keys {
		if e[name] == nil {
			return "", false
		}
		fmt.Fprintf(&key, "%v\x00", e[name])
	}
	return key.String(), true
}

func (q *absenceQuery) run(t *testing.T, events []map[string]any) []int {
	t.Helper()
	type event struct {
		doc map[string]any
		ref sequence.Ref
	}
	var sorted []event
	for i, doc := range events {
		e := event{doc: doc}
		e.ref.Offset = int64(i)
		text := fmt.Sprint(doc["@timestamp"])
		ms, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			at, err := time.Parse(time.RFC3339, text)
			if err != nil {
				t.Fatal(err)
			}
			ms = at.UnixMilli()
		}
		e.ref.Time = ms
		sorted = append(sorted, e)
	}
	slices.SortStableFunc(sorted, func(a, b event) int { return a.ref.Compare(b.ref.Ordinal) })
	m, err := sequence.New(q.spec)
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]*sequence.State{}
	var matches []sequence.Match
	for _, e := range sorted {
		for _, st := range states {
			matches = m.Tick(st, e.ref.Time-1, matches)
		}
		hits := map[string]sequence.Hits{}
		for i, c := range q.stages {
			if key, ok := c.key(e.doc); ok {
				hits[key] = hits[key].With(i)
			}
		}
		for key, h := range hits {
			if states[key] == nil {
				states[key] = new(sequence.State)
			}
			matches = m.Advance(states[key], h, e.ref, matches)
		}
	}
	for _, st := range states {
		matches = m.Finish(st, matches)
	}
	slices.SortStableFunc(matches, func(a, b sequence.Match) int { return a.Completed().Compare(b.Completed().Ordinal) })
	switch {
	case q.pipe == "head" && len(matches) > q.limit:
		matches = matches[:q.limit]
	case q.pipe == "tail" && len(matches) > q.limit:
		matches = matches[len(matches)-q.limit:]
	}
	ids := []int{}
	for _, match := range matches {
		for _, me := range match.Events {
			if me.Missing {
				ids = append(ids, -1)
				continue
			}
			id, ok := events[me.Ref.Offset]["sequence"].(float64)
			if !ok {
				t.Fatalf("event %d has no id", me.Ref.Offset)
			}
			ids = append(ids, int(id))
		}
	}
	return ids
}
