package sample_test

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-eql/weir/pipeline/sample"
	"github.com/weir-eql/weir/pipeline/sequence"
)

type input struct {
	ref  sequence.Ref
	hits sequence.Hits
}

func drawStream(t *rapid.T, stages, most int) []input {
	var stream []input
	now := int64(0)
	often := rapid.IntRange(1, 4).Draw(t, "often") // one in how many stages is hit
	for i := range rapid.IntRange(0, most).Draw(t, "events") {
		now += rapid.SampledFrom([]int64{0, 0, 1, 1, 2, 5}).Draw(t, "step")
		e := input{}
		e.ref.Time, e.ref.Offset = now, int64(i)
		e.ref.Topic = rapid.SampledFrom([]string{"a", "b"}).Draw(t, "topic")
		if e.ref.HasSeq = rapid.Bool().Draw(t, "hasseq"); e.ref.HasSeq {
			e.ref.Sequence = rapid.Int64Range(0, 3).Draw(t, "seq")
		}
		if rapid.IntRange(0, 3).Draw(t, "identified") > 0 {
			e.ref.ID = strconv.Itoa(rapid.IntRange(max(0, i-3), i).Draw(t, "id"))
		}
		for s := range stages + 1 { // one more than there are
			if rapid.IntRange(1, often).Draw(t, "hit") == 1 {
				e.hits = e.hits.With(s)
			}
		}
		stream = append(stream, e)
	}
	return stream
}

// everything lists all assignments of distinct events of a stream to the stages, in no particular order. It knows of no
// bound, no matching and no preference.
func everything(stages int, stream []input, taken []sequence.Ref, out [][]sequence.Ref) [][]sequence.Ref {
	if len(taken) == stages {
		return append(out, slices.Clone(taken))
	}
	for _, e := range stream {
		if e.hits.Has(len(taken)) && !slices.ContainsFunc(taken, e.ref.SameEvent) {
			out = everything(stages, stream, append(taken, e.ref), out)
		}
	}
	return out
}

func newestOf(refs []sequence.Ref) sequence.Ref {
	return slices.MaxFunc(refs, func(a, b sequence.Ref) int { return a.Compare(b.Ordinal) })
}

// byStages compares assignments by the event of stage 1, then of stage 2, and so on.
func byStages(a, b []sequence.Ref) int {
	return slices.CompareFunc(a, b, func(x, y sequence.Ref) int { return x.Compare(y.Ordinal) })
}

// streamModel says what a stream in order must give.
func streamModel(stages int, lookback int64, stream []input) []string {
	var out []string
	var alive []input // since the last sample
	var last *sequence.Ref
	for _, e := range stream {
		if last != nil && last.SameEvent(e.ref) && e.ref.Time <= last.Time+lookback {
			continue
		}
		alive = append(alive, e)
		var within []input
		for _, x := range alive {
			if x.ref.Time >= e.ref.Time-lookback {
				within = append(within, x)
			}
		}
		all := everything(stages, within, nil, nil)
		if len(all) == 0 {
			continue
		}
		best := slices.MaxFunc(all, byStages)
		newest := newestOf(best)
		out = append(out, offsets(best))
		alive, last = nil, &newest
	}
	return out
}

// batchModel says what a search over a stream must give.
func batchModel(stages, perKey int, stream []input) []string {
	all := everything(stages, stream, nil, nil)
	slices.SortFunc(all, func(a, b []sequence.Ref) int {
		return cmp.Or(newestOf(a).Compare(newestOf(b).Ordinal), byStages(a, b))
	})
	var out []string
	var chosen [][]sequence.Ref
	for _, refs := range all {
		same := func(other []sequence.Ref) bool { return slices.EqualFunc(refs, other, sequence.Ref.SameEvent) }
		if len(out) < perKey && !slices.ContainsFunc(chosen, same) {
			out, chosen = append(out, offsets(refs)), append(chosen, refs)
		}
	}
	return out
}

func offsets(refs []sequence.Ref) string {
	parts := make([]string, len(refs))
	for i, r := range refs {
		parts[i] = strconv.FormatInt(r.Offset, 10)
	}
	return strings.Join(parts, " ")
}

func matchOffsets(ms []sequence.Match) []string {
	var out []string
	for _, m := range ms {
		refs := make([]sequence.Ref, len(m.Events))
		for i, e := range m.Events {
			refs[i] = e.Ref
		}
		out = append(out, offsets(refs))
	}
	return out
}

func recoded(t *rapid.T, st *sample.State) sample.State {
	b := st.Append([]byte("before"))
	if !bytes.HasPrefix(b, []byte("before")) {
		t.Fatalf("Append overwrote dst: %q", b)
	}
	b = b[len("before"):]
	got, err := sample.DecodeState(b)
	if err != nil {
		t.Fatalf("decode: %v", err)
	}
	if again := got.Append(nil); !bytes.Equal(b, again) {
		t.Fatalf("recoded: got %x, want %x", again, b)
	}
	if got.Len() != st.Len() || got.Empty() != st.Empty() {
		t.Fatalf("decoded another state: got %d %t, want %d %t", got.Len(), got.Empty(), st.Len(), st.Empty())
	}
	return got
}

// bounded checks that a state holds at most keep events of each stage.
func bounded(t *rapid.T, st *sample.State, stream []input, stages, keep int) {
	held := 0
	for range st.Refs {
		held++
	}
	if held > stages*keep {
		t.Fatalf("%d events are held, more than %d × %d", held, stages, keep)
	}
	if held > len(stream) {
		t.Fatalf("%d events are held of %d", held, len(stream))
	}
}

// deadline checks that nothing happens before Deadline, and something at it.
func deadline(t *rapid.T, m *sample.Machine, st *sample.State) {
	want := st.Append(nil)
	probe := recoded(t, st)
	at, ok := m.Deadline(st)
	before := int64(math.MaxInt64)
	if ok {
		before = at - 1
	}
	if m.Tick(&probe, before, nil); !bytes.Equal(probe.Append(nil), want) {
		t.Fatalf("the tick at %d did something, the deadline was %d %t", before, at, ok)
	}
	if m.Tick(&probe, at, nil); ok && bytes.Equal(probe.Append(nil), want) {
		t.Fatalf("the tick at the deadline %d did nothing", at)
	}
}

// TestStreamModel compares the machine with the model on random streams, with watermarks and restarts at random places.
func TestStreamModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stages := rapid.IntRange(2, 4).Draw(t, "stages")
		lookback := rapid.Int64Range(1, 20).Draw(t, "lookback")
		stream := drawStream(t, stages, 18)
		slices.SortStableFunc(stream, func(a, b input) int { return a.ref.Compare(b.ref.Ordinal) })
		m, err := sample.New(sample.Spec{Stages: stages, Lookback: lookback})
		if err != nil {
			t.Fatal(err)
		}
		var st, plain sample.State // with ticks and restarts, and without
		var got, bare []sequence.Match
		for i, e := range stream {
			got = m.Advance(&st, e.hits, e.ref, got)
			bare = m.Advance(&plain, e.hits, e.ref, bare)
			deadline(t, m, &st)
			bounded(t, &plain, stream, stages, stages)
			if rapid.Bool().Draw(t, "recode") {
				st = recoded(t, &st)
			}
			if i+1 < len(stream) && rapid.Bool().Draw(t, "tick") {
				m.Tick(&st, rapid.Int64Range(0, stream[i+1].ref.Time).Draw(t, "watermark")-1, nil)
			}
		}
		want := fmt.Sprint(streamModel(stages, lookback, stream))
		if text := fmt.Sprint(matchOffsets(m.Finish(&st, got))); text != want {
			t.Fatalf("%d stages within %d: got %s, want %s", stages, lookback, text, want)
		}
		if text := fmt.Sprint(matchOffsets(m.Finish(&plain, bare))); text != want {
			t.Fatalf("%d stages within %d, without ticks: got %s, want %s", stages, lookback, text, want)
		}
		if !st.Empty() || !plain.Empty() {
			t.Fatal("the state isn't empty after Finish")
		}
	})
}

// TestBatchModel compares searches with the model, whatever the order in which the events arrive.
func TestBatchModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stages := rapid.IntRange(2, 4).Draw(t, "stages")
		perKey := rapid.SampledFrom([]int{1, 1, 2, 3, 10}).Draw(t, "per key")
		stream := drawStream(t, stages, 12)
		m, err := sample.New(sample.Spec{Stages: stages, PerKey: perKey})
		if err != nil {
			t.Fatal(err)
		}
		var st sample.State
		var got []sequence.Match
		for _, e := range rapid.Permutation(stream).Draw(t, "order") {
			got = m.Advance(&st, e.hits, e.ref, got)
			bounded(t, &st, stream, stages, stages+perKey-1)
			deadline(t, m, &st)
			if rapid.Bool().Draw(t, "recode") {
				st = recoded(t, &st)
			}
		}
		got = m.Finish(&st, got)
		if text, want := fmt.Sprint(matchOffsets(got)), fmt.Sprint(batchModel(stages, perKey, stream)); text != want {
			t.Fatalf("%d stages, %d per key: got %s, want %s", stages, perKey, text, want)
		}
	})
}

// TestLate checks what holds for streams in any order: each sample is one, and no event older than the newest of a sample is
// in a later one.
func TestLate(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		stages := rapid.IntRange(2, 4).Draw(t, "stages")
		lookback := rapid.Int64Range(1, 20).Draw(t, "lookback")
		m, err := sample.New(sample.Spec{Stages: stages, Lookback: lookback})
		if err != nil {
			t.Fatal(err)
		}
		var st sample.State
		var matches []sequence.Match
		stream := drawStream(t, stages, 40)
		ticks := rapid.Bool().Draw(t, "ticks")
		for _, e := range rapid.Permutation(stream).Draw(t, "order") {
			matches = m.Advance(&st, e.hits, e.ref, matches)
			if ticks && rapid.IntRange(0, 3).Draw(t, "tick") == 0 {
				m.Tick(&st, rapid.Int64Range(0, 100).Draw(t, "watermark"), nil)
			}
			bounded(t, &st, stream, stages, stages)
			st = recoded(t, &st)
			deadline(t, m, &st)
		}
		for i, match := range matches {
			var refs []sequence.Ref
			for s, e := range match.Events {
				from := stream[slices.IndexFunc(stream, func(x input) bool { return x.ref == e.Ref })]
				if !from.hits.Has(s) || slices.ContainsFunc(refs, e.Ref.SameEvent) {
					t.Fatalf("no sample: %v", matchOffsets(matches[i:i+1]))
				}
				if !ticks && i > 0 && e.Ref.Compare(matches[i-1].Completed().Ordinal) <= 0 {
					t.Fatalf("%d is consumed: %v", e.Ref.Offset, matchOffsets(matches))
				}
				refs = append(refs, e.Ref)
			}
			oldest := slices.MinFunc(refs, func(a, b sequence.Ref) int { return a.Compare(b.Ordinal) })
			if newestOf(refs).Time-oldest.Time > lookback {
				t.Fatalf("longer than %d: %v", lookback, matchOffsets(matches[i:i+1]))
			}
		}
	})
}
