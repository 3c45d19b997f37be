package sequence_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-eql/weir/pipeline/sequence"
)

// shape is a sequence in the notation of these tests: "A !M*2 B*3" are stages by letter, ! for missing, *n for
// runs; U is the letter of until.
type shape struct {
	spec    sequence.Spec
	letters string // by stage as written
}

func parseShape(tb testing.TB, text string, maxSpan int64) shape {
	tb.Helper()
	s := shape{spec: sequence.Spec{MaxSpan: maxSpan}}
	for word := range strings.FieldsSeq(text) {
		if word == "U" {
			s.spec.Until = true
			continue
		}
		name, missing := strings.CutPrefix(word, "!")
		letter, times, _ := strings.Cut(name, "*")
		runs := 1
		if times != "" {
			n, err := strconv.Atoi(times)
			if err != nil {
				tb.Fatal(err)
			}
			runs = n
		}
		s.spec.Stages = append(s.spec.Stages, sequence.Stage{Missing: missing, Runs: runs})
		s.letters += letter
	}
	return s
}

// hits are the stages of the letters.
func (s shape) hits(letters string) sequence.Hits {
	var h sequence.Hits
	for i := range s.letters {
		if strings.Contains(letters, s.letters[i:i+1]) {
			h = h.With(i)
		}
	}
	if strings.Contains(letters, "U") {
		h = h.With(sequence.UntilStage)
	}
	return h
}

// run feeds a script to a machine, one word after the other: "AB3" is an event of A and B at time 3, "A3#x" has the
// id x, "A3@7" the event.sequence 7, "W9" is a watermark, "$" the end of the input. The place of a word is its offset.
// It returns a line for each match: its events as written, - for missing.
func (s shape) run(tb testing.TB, script string) []string {
	tb.Helper()
	m, err := sequence.New(s.spec)
	if err != nil {
		tb.Fatal(err)
	}
	var st sequence.State
	var lines []string
	words := strings.Fields(script)
	for i, word := range words {
		var matches []sequence.Match
		switch {
		case word == "$":
			matches = m.Finish(&st, nil)
			if !st.Empty() || st.Len() != 0 {
				tb.Errorf("the state isn't empty after Finish")
			}
		case word[0] == 'W':
			matches = m.Tick(&st, number(tb, word[1:]), nil)
			if at, ok := m.Deadline(&st); ok && at <= number(tb, word[1:]) {
				tb.Errorf("after %s the deadline is %d", word, at)
			}
		default:
			letters, ref := parseEvent(tb, word, i)
			matches = m.Advance(&st, s.hits(letters), ref, nil)
		}
		for _, match := range matches {
			lines = append(lines, render(match, words))
		}
	}
	return lines
}

func parseEvent(tb testing.TB, word string, offset int) (string, sequence.Ref) {
	tb.Helper()
	ref := sequence.Ref{Ordinal: sequence.Ordinal{Topic: "t", Offset: int64(offset)}}
	word, ref.ID, _ = strings.Cut(word, "#")
	word, seq, found := strings.Cut(word, "@")
	if found {
		ref.Sequence, ref.HasSeq = number(tb, seq), true
	}
	digits := strings.TrimLeft(word, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
	ref.Time = number(tb, digits)
	return strings.TrimSuffix(word, digits), ref
}

func number(tb testing.TB, s string) int64 {
	tb.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		tb.Fatal(err)
	}
	return n
}

func render(m sequence.Match, words []string) string {
	var parts []string
	for _, e := range m.Events {
		if e.Missing {
			parts = append(parts, "-")
			continue
		}
		parts = append(parts, words[e.Ref.Offset])
	}
	if m.OpenEnd {
		parts = append(parts, "(open)")
	}
	return strings.Join(parts, " ")
}

func describe(s sequence.Spec) string {
	return fmt.Sprintf("%+v", s)
}
