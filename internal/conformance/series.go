package conformance

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-eql/weir/pipeline/replay"
)

// drawnEvents is a line of a drawing: events with an optional key, a letter and a time.
var drawnEvents = regexp.MustCompile(`^\s*(?:[^\s|]+\|)?\pL\d+(?:\s+(?:[^\s|]+\|)?\pL\d+)*\s*$`)

// isSeries recognises drawings of sequences: lines of events, and lines of one semicolon.
func isSeries(data []byte) bool {
	events, ends := false, false
	for line := range bytes.Lines(data) {
		line = bytes.TrimSpace(line)
		events = events || drawnEvents.Match(line)
		ends = ends || string(line) == ";"
	}
	return events && ends
}

// runSeries runs the drawings of sequences: a line for each stage, with its events at the times that they have.
// They become a query with one bracket for each line, and events that carry the number of their line.
func runSeries(f *file, r *Result) error {
	data, err := readAll(f.path)
	if err != nil {
		return err
	}
	var spec series
	part, number := 0, 0
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		number++
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "//"):
		case line == ";":
			if part == 2 {
				r.note(spec.name, spec.query(), spec.check())
				spec, part = series{}, 0
			} else {
				part = 2
			}
		case part == 0:
			spec.name, part = line, 1
		case part == 1:
			if err := spec.stage(line); err != nil {
				return fmt.Errorf("line %d: %w", number, err)
			}
		default:
			spec.want = append(spec.want, strings.Join(strings.Fields(line), " "))
		}
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if part != 0 {
		return fmt.Errorf("%s: the drawing has no end", spec.name)
	}
	return nil
}

// series is one drawing.
type series struct {
	name   string
	stages int
	events []seriesEvent
	keyed  bool
	want   []string
}

type seriesEvent struct {
	name string // as the drawing has it: r|W2
	Time int    `json:"@timestamp"`
	Step int    `json:"step"` // the number of its line
	Key  string `json:"key,omitempty"`
}

// stage reads the events of one line. They belong to the line's stage whatever their letter is.
func (s *series) stage(line string) error {
	s.stages++
	for name := range strings.FieldsSeq(line) {
		key, rest, keyed := strings.Cut(name, "|")
		if !keyed {
			key, rest = "", name
		}
		digits := strings.IndexAny(rest, "0123456789")
		if digits < 1 {
			return fmt.Errorf("%s: event %q: a letter and a time are expected", s.name, name)
		}
		at, err := strconv.Atoi(rest[digits:])
		if err != nil {
			return fmt.Errorf("%s: event %q: %w", s.name, name, err)
		}
		s.keyed = s.keyed || keyed
		s.events = append(s.events, seriesEvent{name: name, Time: at, Step: s.stages, Key: key})
	}
	return nil
}

func (s *series) query() string {
	var b strings.Builder
	b.WriteString("sequence")
	if s.keyed {
		b.WriteString(" by key")
	}
	for n := range s.stages {
		fmt.Fprintf(&b, " [any where step == %d]", n+1)
	}
	return b.String()
}

func (s *series) check() outcome {
	slices.SortStableFunc(s.events, func(a, b seriesEvent) int { return cmp.Compare(a.Time, b.Time) })
	want := strings.Join(s.want, "; ")
	docs := make([][]byte, len(s.events))
	for i, e := range s.events {
		doc, err := json.Marshal(e)
		if err != nil {
			return failed(err, want)
		}
		docs[i] = doc
	}
	res, err := runQuery(s.query(), docs, replay.QueryOptions{})
	if err != nil {
		return failed(err, want)
	}
	var got []string
	for _, m := range res.Matches {
		var names []string
		for i, e := range m.Events {
			names = append(names, s.shown(e.Index, i == 0))
		}
		got = append(got, strings.Join(names, " "))
	}
	return outcome{strings.Join(got, "; "), want}
}

// shown returns an event as an expectation has it: only the first of a match says its key.
func (s *series) shown(index int, first bool) string {
	name := s.events[index].name
	if _, rest, keyed := strings.Cut(name, "|"); keyed && !first {
		return rest
	}
	return name
}
