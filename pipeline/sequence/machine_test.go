package sequence_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline/sequence"
)

// advanceCase is a script of events for a machine, and the matches that it gives.
type advanceCase struct {
	name    string
	shape   string
	maxSpan int64
	script  string
	want    string // matches separated by commas
}

func TestAdvance(t *testing.T) {
	for _, tt := range slices.Concat(orderedCases(), missingCases()) {
		t.Run(tt.name, func(t *testing.T) {
			got := strings.Join(parseShape(t, tt.shape, tt.maxSpan).run(t, tt.script), ", ")
			if got != tt.want {
				t.Errorf("%s with maxspan %d over %s\n got: %s\nwant: %s", tt.shape, tt.maxSpan, tt.script, got, tt.want)
			}
		})
	}
}

// orderedCases are about the order of events and what ends a sequence.
func orderedCases() []advanceCase {
	return []advanceCase{
		// Slots.
		{"one after the other", "A B", 0, "A1 B2 A3 B4", "A1 B2, A3 B4"},
		{"latest first event wins", "A B", 0, "A1 A2 B3", "A2 B3"},
		{"a match takes the partial", "A B", 0, "A1 B2 B3", "A1 B2"},
		{"no backtracking", "A B C", 0, "B1 A2 C3 B4 C5", "A2 B4 C5"},
		{"a second B needs a new A", "A B C", 0, "A1 B2 B4 C5", "A1 B2 C5"},
		{"chaining", "A A", 0, "A1 A2 A3", "A1 A2, A2 A3"},
		{"one event completes and begins", "A B", 0, "A1 AB2 B3", "A1 AB2, AB2 B3"},
		{"one event never fills two stages", "A B", 0, "AB1", ""},
		{"a later stage is advanced first", "A B B", 0, "A1 B2 A3 B4 B5", "A1 B2 B4, A3 B4 B5"},
		{"one stage", "A", 0, "A1 A2", "A1, A2"},

		// Order.
		{"equal times are ordered by place", "A B", 0, "A1 B1", "A1 B1"},
		{"equal times are ordered by event.sequence", "A B", 0, "A1@2 B1@1", ""},
		{"no event.sequence comes last", "A B", 0, "A1 B1@1", ""},

		// Runs.
		{"runs", "A*3", 0, "A1 A2 A3 A4", "A1 A2 A3, A2 A3 A4"},
		{"runs and a stage", "A*2 B", 0, "A1 B2 A3 B4 B5", "A1 A3 B4"},
		{"runs of a missing stage", "A !M*2 B", 9, "A1 B3", "A1 - - B3"},

		// maxspan.
		{"maxspan is inclusive", "A B", 5, "A1 B6", "A1 B6"},
		{"maxspan is over", "A B", 5, "A1 B7", ""},
		{"maxspan runs from the first event", "A B C", 5, "A1 B4 C7", ""},
		{"maxspan over, and the partial is gone", "A B C", 5, "A1 B7 B5 C6", ""},
		{"maxspan at the end of time", "A B", math.MaxInt64, "A1 B9223372036854775807", "A1 B9223372036854775807"},

		// until.
		{"until kills", "A B U", 0, "A1 U2 B3", ""},
		{"until of the previous match's event kills", "A B U", 0, "AU1 B2", ""},
		{"until of the completing event doesn't", "A B U", 0, "A1 BU2", "A1 BU2"},
		{"until clears every slot", "A B C U", 0, "A1 B2 A3 U4 B5 C6", ""},
		{"until without an until stage", "A B", 0, "A1 U2 B3", "A1 B3"},

		// Deliveries of one event.
		{"a duplicate advances nothing", "A A", 0, "A1#x A1#x A2#y", "A1#x A2#y"},
		{"a duplicate in the middle", "A B C", 0, "A1#x B2#y BC2#y C3#z", "A1#x B2#y C3#z"},
		{"a late duplicate keeps the noted hit", "A !M B", 9, "A1#x M2 A1#x B3", ""},
		{"events without ids differ by place", "A A", 0, "A1 A1", "A1 A1"},

		// Late events.
		{"late first event", "A B", 0, "A5 A3 B6", "A5 B6"},
		{"late last event", "A B", 0, "A5 A7 B6 B8", "A7 B8"},
		{"late completing event", "A B", 0, "A5 C9 B6", "A5 B6"},
		{"late middle event doesn't displace", "A B C", 0, "A5 B6 A1 B2 C7", "A5 B6 C7"},
		{"late event whose partial gives way begins another", "A B C", 0, "A5 B6 A1 AB2 C7 B8 C9", "A5 B6 C7, AB2 B8 C9"},
		{"late advance into a free slot", "A B C", 0, "A5 D9 B6 C7", "A5 B6 C7"},
		{"late until clears what is before it", "A B U", 0, "A5 U6 B7", ""},
		{"late until spares what is after it", "A B U", 0, "A5 U4 B7", "A5 B7"},
		{"late until at the same time, after in order", "A B U", 0, "A5@2 U5@1 B7", "A5@2 B7"},
		{"late hit of an open gap", "A !M B", 9, "A1 X3 M2 B4", ""},
		{"late hit of a closed gap", "A !M B C", 9, "A1 B4 M2 C5", ""},
		{"late hit of a decided gap", "A !M B", 9, "A1 B4 M2", "A1 - B4"},
		{"late hit in another gap than its own", "A !M B !N C D", 9, "A1 B3 C6 M4 D7", "A1 - B3 - C6 D7"},
		{"late leading hits", "!M A", 3, "M5 M1 M4 A5", ""},
		{"late leading hit", "!M A B", 9, "A3 M2 B4", ""},
		{"late first event with a remembered gap hit", "A !M B", 9, "A1 M5 A3 B6", ""},
		{"late middle event with a remembered gap hit", "A B !M C", 9, "A1 B2 M5 A3 B4 C6", ""},
	}
}

// missingCases are about missing stages: in the middle, leading, trailing.
func missingCases() []advanceCase {
	return []advanceCase{
		// Middle gaps.
		{"gap", "A !M B", 9, "A1 B3", "A1 - B3"},
		{"gap hit", "A !M B", 9, "A1 M2 B3", ""},
		{"gap hit in the millisecond before", "A !M B", 9, "A1 M1 B3", "A1 - B3"},
		{"gap hit in the millisecond after", "A !M B", 9, "A1 M3 B3", "A1 - B3"},
		{"gap: a hit at the edge and one inside", "A !M B", 9, "A1 M1 M2 M3 B3", ""},
		{"a discarded sequence has consumed", "A !M B", 9, "A1 M2 B3 B4", ""},
		{"a discarded partial goes on", "A !M B C", 9, "A1 M2 B3 C4 C5", ""},
		{"a discarded partial replaces", "A !M B C", 19, "A1 B2 A3 M4 B5 C6", ""},
		{"hit outside of its gap", "A !M B C", 9, "A1 B2 M3 C4", "A1 - B2 C4"},
		{"two missing stages of a gap are a union", "A !M !N B", 9, "A1 N2 B3", ""},
		{"two gaps", "A !M B !N C", 9, "A1 N2 B3 M4 C5", "A1 - B3 - C5"},
		{"second gap hit", "A !M B !N C", 9, "A1 B3 N4 C5", ""},
		{"hit and first event at once", "A !M B", 9, "AM1 B3", "AM1 - B3"},
		{"hit and new first event at once", "A !M B", 9, "A1 AM2 B3", "AM2 - B3"},

		// Leading.
		{"leading", "!M A B", 9, "A1 B2", "- A1 B2"},
		{"leading hit", "!M A B", 9, "M1 A2 B3", ""},
		{"leading hit a maxspan before the last", "!M A B", 9, "M1 A2 B10", ""},
		{"leading hit more than a maxspan before the last", "!M A B", 9, "M1 A2 B11", "- A2 B11"},
		{"leading hit in the millisecond of the first, before", "!M A B", 9, "M2 A2 B3", "- A2 B3"},
		{"leading hit in the millisecond of the first, after", "!M A B", 9, "A2 M2 B3", "- A2 B3"},
		{"leading hits in the millisecond and before", "!M A B", 9, "M1 M2 M2 A2 B3", ""},
		{"leading hit after the first", "!M A B", 9, "A2 M3 B4", "- A2 B4"},
		{"leading, one stage", "!M A", 9, "A1 M2 A3 A11 A12", "- A1, - A12"},
		{"leading memory survives ticks", "!M A", 9, "M1 W9 A10", ""},
		{"leading memory ends", "!M A", 9, "M1 W10 A11", "- A11"},

		// Trailing.
		{"trailing waits", "A !M", 9, "A1 W9", ""},
		{"trailing confirmed", "A !M", 9, "A1 W9 W10", "A1 -"},
		{"trailing hit", "A !M", 9, "A1 M2 W99", ""},
		{"trailing hit at maxspan", "A !M", 9, "A1 M10 W99", ""},
		{"trailing hit after maxspan", "A !M", 9, "A1 M11 W99", "A1 -"},
		{"trailing hit in the millisecond of the last", "A !M", 9, "M1 A1 M1 W99", "A1 -"},
		{"trailing maxspan runs from the first", "A B !M", 9, "A1 B5 M11 W99", "A1 B5 -"},
		{"trailing, nothing to wait for", "A B !M", 9, "A1 B10", "A1 B10 -"},
		{"trailing, open end", "A !M", 9, "A1 A5 W10 $", "A1 -, A5 - (open)"},
		{"several pending, one hit", "A !M", 9, "A1 A2 M2 W99", "A2 -"},

		// Leading and trailing.
		{"both ends, neither hit", "!M A !N", 9, "A5", "- A5 -"},
		{"both ends, leading hit only", "!M A !N", 9, "M1 A5 W9 W10", "- A5 -"},
		{"both ends, trailing hit only", "!M A !N", 9, "A5 N6 W99", "- A5 -"},
		{"both ends hit", "!M A !N", 9, "M1 A5 N10 W99", ""},
		{"both ends hit, too far apart", "!M A !N", 9, "M1 A5 N11 W99", "- A5 -"},
		{"both ends, maxspan exceeded by the last event", "!M A B !N", 9, "M1 A5 B10", "- A5 B10 -"},
	}
}

func TestNew(t *testing.T) {
	many := func(n, runs int) sequence.Spec {
		spec := sequence.Spec{}
		for range n {
			spec.Stages = append(spec.Stages, sequence.Stage{Runs: runs})
		}
		return spec
	}
	tests := []struct {
		name string
		spec sequence.Spec
		want string
	}{
		{"none", sequence.Spec{}, "a sequence needs a stage that isn't missing"},
		{"missing only", sequence.Spec{Stages: []sequence.Stage{{Missing: true}}, MaxSpan: 1}, "a sequence needs a stage that isn't missing"},
		{"no maxspan", sequence.Spec{Stages: []sequence.Stage{{}, {Missing: true}}}, "a sequence with a missing stage needs a maxspan"},
		{"negative maxspan", sequence.Spec{Stages: []sequence.Stage{{}}, MaxSpan: -1}, "a maxspan of -1 ms is negative"},
		{"too many runs", many(1, 101), "stage 1 runs 101 times: 1 to 100 are supported"},
		{"negative runs", many(2, -1), "stage 1 runs -1 times: 1 to 100 are supported"},
		{"too many stages", many(64, 1), "a sequence of 64 stages: at most 63 are supported"},
		{"too many after expansion", many(11, 100), "a sequence of 1100 stages after its runs are expanded: at most 1024 are supported"},
		{"the largest", many(63, 16), ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sequence.New(tt.spec)
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("New: got %q, want %q", got, tt.want)
			}
		})
	}
}

// TestState follows what a state says of itself through a life.
func TestState(t *testing.T) {
	type view struct {
		Empty    bool
		Len      int
		Refs     string
		Oldest   int64
		Deadline int64
	}
	s := parseShape(t, "!L A B !M", 10)
	m, err := sequence.New(s.spec)
	if err != nil {
		t.Fatal(err)
	}
	steps := []struct {
		word string
		want view
	}{
		{"X0", view{true, 0, "", -1, -1}},
		{"L1", view{false, 0, "", -1, 11}},
		{"A3", view{false, 1, "3", 3, 11}},
		{"A4", view{false, 1, "4", 4, 11}},
		{"B5", view{false, 1, "4 5", 4, 11}},
		{"A6", view{false, 2, "6 4 5", 4, 11}},
		{"B7", view{false, 2, "4 5 6 7", 4, 11}},
		{"L8", view{false, 2, "4 5 6 7", 4, 11}},
		{"A9", view{false, 3, "9 4 5 6 7", 4, 11}},
		{"W11", view{false, 1, "9", 9, 18}},
		{"B12", view{false, 1, "9 12", 9, 18}},
		{"M13", view{false, 0, "", -1, 18}},
		{"W18", view{true, 0, "", -1, -1}},
	}
	var st sequence.State
	for i, step := range steps {
		if step.word[0] == 'W' {
			m.Tick(&st, number(t, step.word[1:]), nil)
		} else {
			letters, ref := parseEvent(t, step.word, i)
			m.Advance(&st, s.hits(letters), ref, nil)
		}
		got := view{Empty: st.Empty(), Len: st.Len(), Refs: refTimes(&st), Oldest: -1, Deadline: -1}
		if at, ok := st.Oldest(); ok {
			got.Oldest = at
		}
		if at, ok := m.Deadline(&st); ok {
			got.Deadline = at
		}
		if diff := cmp.Diff(step.want, got); diff != "" {
			t.Errorf("after %s (-want +got):\n%s", step.word, diff)
		}
	}
}

// TestRefsStops checks that Refs heeds its yield in partials and in pending sequences.
func TestRefsStops(t *testing.T) {
	s := parseShape(t, "A A !M", 10)
	m, err := sequence.New(s.spec)
	if err != nil {
		t.Fatal(err)
	}
	var st sequence.State
	for i, word := range []string{"A1", "A2"} {
		letters, ref := parseEvent(t, word, i)
		m.Advance(&st, s.hits(letters), ref, nil)
	}
	for want := 1; want <= 3; want++ {
		got := 0
		st.Refs(func(sequence.Ref) bool {
			got++
			return got < want
		})
		if got != want {
			t.Errorf("Refs went on: got %d refs, want %d", got, want)
		}
	}
}

func TestCompleted(t *testing.T) {
	ref := sequence.Ref{ID: "x"}
	m := sequence.Match{Events: []sequence.MatchEvent{{Ref: sequence.Ref{ID: "w"}}, {Ref: ref}, {Missing: true}}}
	if got := m.Completed(); got != ref {
		t.Errorf("Completed: got %v, want %v", got, ref)
	}
	if got := (sequence.Match{}).Completed(); got != (sequence.Ref{}) {
		t.Errorf("Completed of nothing: got %v", got)
	}
}

func refTimes(st *sequence.State) string {
	var times []string
	st.Refs(func(r sequence.Ref) bool {
		times = append(times, itoa(r.Time))
		return true
	})
	return strings.Join(times, " ")
}
