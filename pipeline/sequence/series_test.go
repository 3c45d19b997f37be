package sequence_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline/sequence"
)

const seriesFile = "../../../shared/suites/elasticsearch/sequences.series-spec"

// series is a case of Elasticsearch's sequence tests: a line of events for each stage, and the matches.
type series struct {
	name   string
	stages []string
	want   []string
}

// TestSeries runs Elasticsearch's own cases of positive sequences.
func TestSeries(t *testing.T) {
	data, err := os.ReadFile(filepath.FromSlash(seriesFile))
	if errors.Is(err, fs.ErrNotExist) {
		t.Skip("Elasticsearch's series are not beside the repository")
	}
	if err != nil {
		t.Fatal(err)
	}
	cases := parseSeries(string(data))
	if len(cases) != 25 {
		t.Errorf("got %d cases, want 25", len(cases))
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, c.run(t)); diff != "" {
				t.Errorf("%s\n(-want +got):\n%s", strings.Join(c.stages, "\n"), diff)
			}
		})
	}
}

func parseSeries(text string) []series {
	var cases []series
	var c series
	section := 0 // 0: between cases, 1: stages, 2: matches
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, " \r\n")
		switch {
		case strings.HasPrefix(line, "//"), line == "" && section != 2:
		case section == 0:
			c, section = series{name: line}, 1
		case line == ";" && section == 1:
			section = 2
		case line == ";":
			cases, section = append(cases, c), 0
		case section == 1:
			c.stages = append(c.stages, line)
		default:
			c.want = append(c.want, line)
		}
	}
	return cases
}

func (c series) run(t *testing.T) []string {
	t.Helper()
	type event struct {
		word, key string
		hits      sequence.Hits
		ref       sequence.Ref
	}
	var events []event
	for stage, line := range c.stages {
		for word := range strings.FieldsSeq(line) {
			e := event{word: word}
			name := word
			if key, rest, found := strings.Cut(word, "|"); found {
				e.key, name = key, rest
			}
			e.ref.Time = number(t, name[1:])
			if e.ref.Time != 99 { // X99 is an event of no stage
				e.hits = e.hits.With(stage)
			}
			events = append(events, e)
		}
	}
	slices.SortStableFunc(events, func(a, b event) int { return a.ref.Compare(b.ref.Ordinal) })
	m, err := sequence.New(sequence.Spec{Stages: make([]sequence.Stage, len(c.stages))})
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]*sequence.State{}
	var got []string
	for i, e := range events {
		e.ref.Offset = int64(i)
		if states[e.key] == nil {
			states[e.key] = new(sequence.State)
		}
		for _, match := range m.Advance(states[e.key], e.hits, e.ref, nil) {
			var words []string
			for j, me := range match.Events {
				word := events[me.Ref.Offset].word
				if j > 0 {
					_, after, found := strings.Cut(word, "|")
					if found {
						word = after
					}
				}
				words = append(words, word)
			}
			got = append(got, strings.Join(words, " "))
		}
	}
	return got
}
