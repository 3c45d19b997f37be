package sample_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline/sample"
	"github.com/weir-eql/weir/pipeline/sequence"
)

// letters are the stages of these tests: A is stage 0.
const letters = "ABCDEFGHIJ"

func machine(tb testing.TB, spec sample.Spec) *sample.Machine {
	tb.Helper()
	m, err := sample.New(spec)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// run feeds a script to a machine: "AB3" is an event of the stages A and B at time 3, "A3#x" has the id x, "W9" is a
// watermark, "R" a restart from the stored state, "$" the end of the input. The place of a word is its offset. It returns a line
// for each match, its events as written, and for the events that are left in the state.
func run(tb testing.TB, spec sample.Spec, script string) []string {
	tb.Helper()
	m := machine(tb, spec)
	var st sample.State
	var lines []string
	words := strings.Fields(script)
	for i, word := range words {
		var matches []sequence.Match
		switch {
		case word == "$":
			matches = m.Finish(&st, nil)
		case word == "R":
			var err error
			if st, err = sample.DecodeState(st.Append(nil)); err != nil {
				tb.Fatal(err)
			}
		case word[0] == 'W':
			mark := number(tb, word[1:])
			matches = m.Tick(&st, mark, nil)
			if at, ok := m.Deadline(&st); ok && at <= mark {
				tb.Errorf("after %s the deadline is %d", word, at)
			}
		default:
			hits, ref := event(tb, word, i)
			matches = m.Advance(&st, hits, ref, nil)
		}
		for _, match := range matches {
			lines = append(lines, render(match, words))
		}
	}
	var left []string
	for ref := range st.Refs {
		left = append(left, words[ref.Offset])
	}
	if len(left) > 0 {
		lines = append(lines, "left "+strings.Join(left, " "))
	}
	return lines
}

func event(tb testing.TB, word string, offset int) (sequence.Hits, sequence.Ref) {
	tb.Helper()
	ref := sequence.Ref{Ordinal: sequence.Ordinal{Topic: "t", Offset: int64(offset)}}
	word, ref.ID, _ = strings.Cut(word, "#")
	digits := strings.TrimLeft(word, letters)
	ref.Time = number(tb, digits)
	var h sequence.Hits
	for _, letter := range strings.TrimSuffix(word, digits) {
		h = h.With(strings.IndexRune(letters, letter))
	}
	return h, ref
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
	parts := make([]string, len(m.Events))
	for i, e := range m.Events {
		parts[i] = words[e.Ref.Offset]
	}
	return strings.Join(parts, " ")
}

// TestStream has a lookback of 10.
func TestStream(t *testing.T) {
	tests := []struct {
		name   string
		stages int
		script string
		want   []string
	}{
		{"any order", 2, "B1 A2", []string{"A2 B1"}},
		{"the order of the stages is that of the query", 3, "C1 A2 B3", []string{"A2 B3 C1"}},
		{"one event fills one stage", 2, "AB1", []string{"left AB1"}},
		{"two events of both stages are a sample, the most recent in stage 1", 2, "AB1 AB2", []string{"AB2 AB1"}},
		{"a greedy choice would miss it", 3, "AB1 A2 C3", []string{"A2 AB1 C3"}},
		{"three events for stages that overlap", 3, "AB1 AC2 BC3", []string{"AC2 AB1 BC3"}},
		{"as many events as stages, but two of them fit one stage only", 3, "A1 A2 ABC3", []string{"left A1 A2 ABC3"}},
		{"both ends of the lookback count", 2, "A0 B10", []string{"A0 B10"}},
		{"one more is too long", 2, "A0 B11", []string{"left A0 B11"}},
		{"the most recent events", 2, "A1 A2 A3 B4", []string{"A3 B4"}},
		{"what the window has left, a newer one replaces", 2, "A0 A5 B12", []string{"A5 B12"}},
		{"a sample consumes itself and what is older", 2, "A1 A2 B3 B4", []string{"A2 B3", "left B4"}},
		{"a further one needs a whole new set", 2, "A1 B2 B3 A4 B5", []string{"A1 B2", "A4 B3", "left B5"}},
		{"as many events per stage as there are stages", 2, "A1 A2 A3 A4 A5", []string{"left A4 A5"}},
		{"an event of several stages is kept for those where it counts", 3, "AB1 A2 A3 A4 A5", []string{"left AB1 A3 A4 A5"}},
		{"and only for those", 3, "AB1 A2 A3 A4 BC5 C6", []string{"A4 AB1 BC5", "left C6"}},
		{"the watermark forgets", 2, "A1 W10 A2 W11 B3", []string{"A2 B3"}},
		{"a copy is the same event", 2, "AB1#x AB2#x", []string{"left AB2#x"}},
		{"a copy renews the event", 2, "A1#x A9#x B15", []string{"A9#x B15"}},
		{"a copy may satisfy other stages, and is still one event", 2, "A1#x B2#x", []string{"left A1#x B2#x"}},
		{"and each fills its own stage", 2, "A1#x B2#x A3", []string{"A3 B2#x"}},
		{"a copy of the newest event of a sample is consumed", 2, "A1 B2#x B2#x A3", []string{"A1 B2#x", "left A3"}},
		{"a late event completes", 2, "B5 A3", []string{"A3 B5"}},
		{"a late event at the end of the lookback", 2, "B15 A5", []string{"A5 B15"}},
		{"a late event beyond it", 2, "B16 A5", []string{"left A5 B16"}},
		{"the earliest newest event decides", 2, "B5 B6 A3", []string{"A3 B5", "left B6"}},
		{"a late event older than the last sample is consumed", 2, "A4 B5 A3 B6", []string{"A4 B5", "left B6"}},
		{"until a lookback has passed", 2, "A4 B5 W15 A3 B6", []string{"A4 B5", "A3 B6"}},
		{"restarts change nothing", 3, "AB1 R AC2 R BC3 R A2", []string{"AC2 AB1 BC3"}},
		{"stages that the sample doesn't have", 2, "AJ1 J2 BJ3", []string{"AJ1 BJ3"}},
		{"the end decides nothing", 2, "A1 $", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, sample.Spec{Stages: tt.stages, Lookback: 10}, tt.script)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.script, diff)
			}
		})
	}
}

func TestBatch(t *testing.T) {
	tests := []struct {
		name   string
		stages int
		perKey int
		script string
		want   []string
	}{
		{"decided at the end", 2, 1, "A1 B2", []string{"left A1 B2"}},
		{"the earliest", 2, 1, "A1 A2 B3 B4 $", []string{"A1 B3"}},
		{"whatever the order of arrival", 2, 1, "B4 A2 B3 A1 $", []string{"A1 B3"}},
		{"the earliest newest event goes first", 2, 1, "B1 A5 B6 A2 $", []string{"A2 B1"}},
		{"then the earliest events, stage by stage", 2, 1, "AB1 AB2 $", []string{"AB1 AB2"}},
		{"no bound in time", 2, 1, "A1 B99999999999 $", []string{"A1 B99999999999"}},
		{"watermarks forget nothing", 2, 1, "A1 W50 B60 $", []string{"A1 B60"}},
		{"all samples of a key", 2, 9, "A1 A2 B3 B4 $", []string{"A1 B3", "A2 B3", "A1 B4", "A2 B4"}},
		{"as many as asked for", 2, 3, "A1 A2 B3 B4 $", []string{"A1 B3", "A2 B3", "A1 B4"}},
		{"the same events may change places", 2, 9, "AB1 AB2 $", []string{"AB1 AB2", "AB2 AB1"}},
		{"copies make no further samples", 2, 9, "A1#x A2#x B3 $", []string{"A1#x B3"}},
		{"a copy for another stage makes no further sample", 2, 9, "A1#x B2 B5#x $", []string{"A1#x B2"}},
		{"the earliest copy counts for each stage", 2, 9, "A1#x AB2#x B3 $", []string{"A1#x B3"}},
		{"one distinct event for each stage", 3, 9, "AB1 AB2 BC1 $", []string{"AB1 AB2 BC1", "AB2 AB1 BC1"}},
		{"the events that are kept", 2, 2, "A1 A2 A3 A4 A5 A0", []string{"left A0 A1 A2"}},
		{"restarts change nothing", 2, 2, "A1 R A2 R B3 R $", []string{"A1 B3", "A2 B3"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := run(t, sample.Spec{Stages: tt.stages, PerKey: tt.perKey}, tt.script)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tt.script, diff)
			}
		})
	}
}

func TestNew(t *testing.T) {
	tests := []struct {
		spec sample.Spec
		want string
	}{
		{sample.Spec{Stages: 1}, "a sample of 1 stages: 2 to 63 are supported"},
		{sample.Spec{Stages: 64}, "a sample of 64 stages: 2 to 63 are supported"},
		{sample.Spec{Stages: 2, Lookback: -1}, "a lookback of -1 ms is negative"},
		{sample.Spec{Stages: 2, PerKey: -1}, "-1 samples per key: at least 1"},
	}
	for _, tt := range tests {
		if _, err := sample.New(tt.spec); fmt.Sprint(err) != tt.want {
			t.Errorf("%+v: got %v, want %s", tt.spec, err, tt.want)
		}
	}
}

// TestLargest runs the longest sample that there may be, with events that satisfy all stages.
func TestLargest(t *testing.T) {
	m := machine(t, sample.Spec{Stages: sample.MaxStages, Lookback: 1000})
	var st sample.State
	all := ^sequence.Hits(0)
	for i := range int64(sample.MaxStages) {
		matches := m.Advance(&st, all, sequence.Ref{Ordinal: sequence.Ordinal{Time: i, Offset: i}}, nil)
		if want := i == sample.MaxStages-1; (len(matches) == 1) != want {
			t.Fatalf("event %d: %d matches", i, len(matches))
		}
	}
	if st.Len() != 0 || st.Empty() {
		t.Errorf("got %d partials, empty %t: only the place of the sample is kept", st.Len(), st.Empty())
	}
	if m.Tick(&st, 2000, nil); !st.Empty() {
		t.Error("the state isn't empty after a lookback")
	}
}
