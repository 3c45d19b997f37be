package sequence_test

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/weir-eql/weir/pipeline/sequence"
)

func drawSpec(t *rapid.T) sequence.Spec {
	spec := sequence.Spec{Until: rapid.Bool().Draw(t, "until")}
	n := rapid.IntRange(1, 5).Draw(t, "stages")
	positive := rapid.IntRange(0, n-1).Draw(t, "positive")
	missing := false
	for i := range n {
		s := sequence.Stage{Runs: rapid.SampledFrom([]int{1, 1, 1, 2, 3}).Draw(t, "runs")}
		s.Missing = i != positive && rapid.IntRange(0, 2).Draw(t, "missing") == 0
		missing = missing || s.Missing
		spec.Stages = append(spec.Stages, s)
	}
	if missing || rapid.Bool().Draw(t, "bounded") {
		spec.MaxSpan = rapid.Int64Range(1, 20).Draw(t, "maxspan")
	}
	return spec
}

func drawStream(t *rapid.T, spec sequence.Spec) []input {
	var stream []input
	now := int64(0)
	often := rapid.IntRange(1, 4).Draw(t, "often") // one in how many stages is hit
	for i := range rapid.IntRange(0, 40).Draw(t, "events") {
		now += rapid.SampledFrom([]int64{0, 0, 1, 1, 2, 5}).Draw(t, "step")
		e := input{hits: map[int]sequence.Hits{}}
		e.ref.Time, e.ref.Offset = now, int64(i)
		e.ref.Topic = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "topic")
		e.ref.SubMillis = rapid.Int32Range(0, 1).Draw(t, "submillis")
		if e.ref.HasSeq = rapid.Bool().Draw(t, "hasseq"); e.ref.HasSeq {
			e.ref.Sequence = rapid.Int64Range(0, 3).Draw(t, "seq")
		}
		if rapid.IntRange(0, 3).Draw(t, "identified") > 0 {
			e.ref.ID = strconv.Itoa(rapid.IntRange(max(0, i-3), i).Draw(t, "id"))
		}
		for key := range rapid.IntRange(1, 3).Draw(t, "keys") {
			var h sequence.Hits
			for s := range spec.Stages {
				if rapid.IntRange(1, often).Draw(t, "hit") == 1 {
					h = h.With(s)
				}
			}
			if rapid.IntRange(0, 9).Draw(t, "untilhit") == 0 {
				h = h.With(sequence.UntilStage)
			}
			e.hits[key] = h
		}
		stream = append(stream, e)
	}
	return stream
}

// runner feeds a stream to a machine with a state for each key.
type runner struct {
	m      *sequence.Machine
	states [4]sequence.State
	out    []outcome
}

func (r *runner) take(key int, matches []sequence.Match) {
	for _, m := range matches {
		var text strings.Builder
		fmt.Fprintf(&text, "key %d open %t:", key, m.OpenEnd)
		for _, e := range m.Events {
			if e.Missing {
				text.WriteString(" -")
				continue
			}
			fmt.Fprintf(&text, " %d", e.Ref.Offset)
		}
		r.out = append(r.out, outcome{key: key, last: m.Completed().Ordinal, text: text.String()})
	}
}

func (r *runner) advance(e input) {
	for key := range r.states {
		if h, ok := e.hits[key]; ok {
			r.take(key, r.m.Advance(&r.states[key], h, e.ref, nil))
		}
	}
}

func (r *runner) tick(watermark int64) {
	for key := range r.states {
		r.take(key, r.m.Tick(&r.states[key], watermark, nil))
	}
}

func (r *runner) finish() {
	for key := range r.states {
		r.take(key, r.m.Finish(&r.states[key], nil))
	}
}

// failer is what ends a test, of package testing or of rapid.
type failer interface {
	Fatalf(format string, args ...any)
}

// recode replaces every state by what its encoding decodes to.
func (r *runner) recode(t failer) {
	for key := range r.states {
		r.states[key] = recoded(t, &r.states[key])
	}
}

func recoded(t failer, st *sequence.State) sequence.State {
	b := st.Append([]byte("before"))
	if !bytes.HasPrefix(b, []byte("before")) {
		t.Fatalf("Append overwrote dst: %q", b)
	}
	b = b[len("before"):]
	got, err := sequence.DecodeState(b)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if again := got.Append(nil); !bytes.Equal(b, again) {
		t.Fatalf("recoded: got %x, want %x", again, b)
	}
	if got.Len() != st.Len() || got.Empty() != st.Empty() || refTimes(&got) != refTimes(st) {
		t.Fatalf("decoded another state: got %d %t %s, want %d %t %s",
			got.Len(), got.Empty(), refTimes(&got), st.Len(), st.Empty(), refTimes(st))
	}
	repacked(t, st, b)
	return got
}

// repacked checks that a packed state is the state, in memory that was used before, whatever topic it is packed for.
func repacked(t failer, st *sequence.State, encoded []byte) {
	var scratch sequence.Scratch
	for _, topic := range []string{"", "events", "another topic"} {
		packed := st.Pack(nil, topic)
		got, err := scratch.Unpack(packed, topic)
		if err != nil {
			t.Fatalf("unpack: %v", err)
		}
		if again := got.Append(nil); !bytes.Equal(encoded, again) {
			t.Fatalf("repacked for %q: got %x, want %x", topic, again, encoded)
		}
		got, err = sequence.DecodeState(sequence.AppendPacked(nil, topic, packed))
		if err != nil {
			t.Fatalf("decode what was packed: %v", err)
		}
		if again := got.Append(nil); !bytes.Equal(encoded, again) {
			t.Fatalf("packed for %q and stored: got %x, want %x", topic, again, encoded)
		}
		if st := scratch.Empty(); !st.Empty() || st.Len() != 0 {
			t.Fatalf("an empty state isn't: %v", st)
		}
	}
}

// deadline checks that nothing happens before Deadline, and something at it.
func deadline(t *rapid.T, m *sequence.Machine, st *sequence.State) {
	want := st.Append(nil)
	probe := recoded(t, st)
	at, ok := m.Deadline(st)
	before := int64(math.MaxInt64)
	if ok {
		before = at - 1
	}
	if matches := m.Tick(&probe, before, nil); len(matches) > 0 || !bytes.Equal(probe.Append(nil), want) {
		t.Fatalf("the tick at %d did something, the deadline was %d %t", before, at, ok)
	}
	if !ok {
		return
	}
	if matches := m.Tick(&probe, at, nil); len(matches) == 0 && bytes.Equal(probe.Append(nil), want) {
		t.Fatalf("the tick at the deadline %d did nothing", at)
	}
}

func machine(t *rapid.T, spec sequence.Spec) *sequence.Machine {
	m, err := sequence.New(spec)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func trails(spec sequence.Spec) bool { return spec.Stages[len(spec.Stages)-1].Missing }

// TestModel compares the machine with the model on random streams, with watermarks and restarts at random places.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		stream := drawStream(t, spec)
		slices.SortStableFunc(stream, func(a, b input) int { return a.ref.Compare(b.ref.Ordinal) })
		r := &runner{m: machine(t, spec)}
		plain := &runner{m: r.m} // the same without ticks and restarts before the end
		ticked := int64(-1)
		for i, e := range stream {
			r.advance(e)
			plain.advance(e)
			deadline(t, r.m, &r.states[0])
			if rapid.Bool().Draw(t, "recode") {
				r.recode(t)
			}
			newest := e.ref.Time + 30 // after the last event, any watermark will do
			if i+1 < len(stream) {
				newest = stream[i+1].ref.Time - 1
			}
			if newest > ticked && rapid.Bool().Draw(t, "tick") {
				ticked = rapid.Int64Range(ticked, newest).Draw(t, "watermark")
				r.tick(ticked)
			}
		}
		plain.tick(ticked)
		r.finish()
		plain.finish()
		want := texts(model(spec, stream, ticked))
		if trails(spec) { // what waits for a watermark comes later than its completion
			sortOutcomes(r.out)
			sortOutcomes(plain.out)
		}
		if diff := cmp.Diff(want, texts(r.out)); diff != "" {
			t.Fatalf("%s, ticked to %d (-model +machine):\n%s", describe(spec), ticked, diff)
		}
		if diff := cmp.Diff(want, texts(plain.out)); diff != "" {
			t.Fatalf("%s, ticked at the end (-model +machine):\n%s", describe(spec), diff)
		}
	})
}

// TestLate checks what holds for streams in any order.
func TestLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		m := machine(t, spec)
		var st sequence.State
		var matches []sequence.Match
		stream := drawStream(t, spec)
		for _, e := range rapid.Permutation(stream).Draw(t, "order") {
			matches = m.Advance(&st, e.hits[0], e.ref, matches)
			if rapid.IntRange(0, 3).Draw(t, "tick") == 0 {
				matches = m.Tick(&st, rapid.Int64Range(0, 100).Draw(t, "watermark"), matches)
			}
			st = recoded(t, &st)
			deadline(t, m, &st)
		}
		for _, match := range m.Finish(&st, matches) {
			check(t, spec, stream, match)
		}
	})
}

// check verifies a match on its own: hits, order, span and identity.
func check(t *rapid.T, spec sequence.Spec, stream []input, match sequence.Match) {
	var stages []int
	for i, s := range spec.Stages {
		stages = append(stages, slices.Repeat([]int{i}, s.Runs)...)
	}
	if len(stages) != len(match.Events) {
		t.Fatalf("%d events for %d stages", len(match.Events), len(stages))
	}
	var refs []sequence.Ref
	for i, e := range match.Events {
		if e.Missing {
			continue
		}
		refs = append(refs, e.Ref)
		if from := stream[e.Ref.Offset]; from.ref != e.Ref || !from.hits[0].Has(stages[i]) {
			t.Fatalf("event %d doesn't satisfy stage %d: %+v", e.Ref.Offset, stages[i], match)
		}
	}
	for i := 1; i < len(refs); i++ {
		if refs[i-1].Compare(refs[i].Ordinal) >= 0 {
			t.Fatalf("not in order: %+v", match)
		}
		if slices.ContainsFunc(refs[:i], refs[i].SameEvent) {
			t.Fatalf("one event twice: %+v", match)
		}
	}
	if spec.MaxSpan > 0 && refs[len(refs)-1].Time-refs[0].Time > spec.MaxSpan {
		t.Fatalf("longer than maxspan %d: %+v", spec.MaxSpan, match)
	}
}

// TestHolds: nothing that a machine remembers or finds refers to an event of which Holds says so.
func TestHolds(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spec := drawSpec(t)
		m, err := sequence.New(spec)
		if err != nil {
			t.Fatal(err)
		}
		var st sequence.State
		held := map[int64]bool{} // by offset
		check := func(matches []sequence.Match) {
			for ref := range st.Refs {
				if !held[ref.Offset] {
					t.Fatalf("the state refers to event %d", ref.Offset)
				}
			}
			for _, match := range matches {
				for _, e := range match.Events {
					if !e.Missing && !held[e.Ref.Offset] {
						t.Fatalf("a match refers to event %d", e.Ref.Offset)
					}
				}
			}
		}
		for _, e := range drawStream(t, spec) {
			held[e.ref.Offset] = m.Holds(e.hits[0])
			check(m.Advance(&st, e.hits[0], e.ref, nil))
			check(m.Tick(&st, e.ref.Time-1, nil))
		}
		check(m.Finish(&st, nil))
	})
}
