package pipeline

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/pipeline/sequence"
)

// repeats is a target's memory of what may be sent again.
type repeats struct{ w *Worker }

func newRepeats() repeats {
	w := &Worker{shared: sharedOrders{taken: map[uint64]*takenLog{}}}
	return repeats{w}
}

// take returns how many of the rules get an event.
func (r repeats) take(log uint64, offset int64, again bool, rules ...uint64) int {
	e := &rekey.Event{Ref: sequence.Ref{Ordinal: sequence.Ordinal{Offset: offset}}, Log: log, Repeats: again}
	for _, rule := range rules {
		e.Candidates = append(e.Candidates, rekey.Candidate{Rule: rule, Hits: 1, Join: []byte("j")})
	}
	if !r.w.takeOnce(e) {
		return 0
	}
	return len(e.Candidates)
}

func TestCandidatesAreTakenOnce(t *testing.T) {
	r := newRepeats()
	for _, step := range []struct {
		what        string
		log         uint64
		offset      int64
		transaction bool
		rules       []uint64
		want        int
	}{
		{"the first copy", 1, 10, false, []uint64{1, 2}, 2},
		{"its other part", 1, 10, false, []uint64{3}, 1},
		{"the second copy", 1, 10, false, []uint64{1, 2}, 0},
		{"a later copy, with another rule", 1, 10, false, []uint64{1, 4}, 1},
		{"one that came before, and wasn't written the first time", 1, 9, false, []uint64{1}, 1},
		{"the same offset of another log", 2, 10, false, []uint64{1}, 1},
		{"the same batch in a transaction, after the mode was changed", 1, 10, true, []uint64{1, 2, 5}, 1},
		{"in a transaction nothing comes twice", 1, 11, true, []uint64{1}, 1},
		{"so it isn't remembered", 1, 11, true, []uint64{1}, 1},
		{"a source that doesn't say", 0, 10, false, []uint64{1}, 1},
	} {
		if got := r.take(step.log, step.offset, !step.transaction, step.rules...); got != step.want {
			t.Errorf("%s: %d rules get it, want %d", step.what, got, step.want)
		}
	}
	r.w.shared.allSent(rekey.Sent{Log: 1, Next: 10})
	r.w.shared.allSent(rekey.Sent{Log: 1, Next: 5}) // of a member that was replaced
	if got := r.take(1, 8, true, 7); got != 0 {
		t.Errorf("an event before what was all sent is taken by %d rules", got)
	}
	if got := r.take(1, 10, true, 1, 8); got != 1 {
		t.Errorf("an event behind what was all sent is taken by %d rules, want the new one", got)
	}
	if got := r.take(1, 8, false, 7); got != 1 {
		t.Errorf("an input that was set back, read with transactions, is taken by %d rules, want 1", got)
	}
	if n := len(r.w.shared.taken[1].got); n != 5 {
		t.Errorf("%d candidates are remembered, want the 5 of offset 10", n)
	}
	if got := r.w.counts.rekeyRepeated; got != 2+1+2+1+1 {
		t.Errorf("%d repetitions are counted, want 7", got)
	}
}

// TestTakenIsBounded: a source that says nothing of what it has sent makes its target remember a bounded part.
func TestTakenIsBounded(t *testing.T) {
	r := newRepeats()
	for i := range int64(maxTaken + 100) {
		r.take(1, i, true, 1)
	}
	taken := r.w.shared.taken[1]
	if len(taken.got) != maxTaken || taken.got[0].offset != 100 || r.w.counts.rekeyForgotten != 100 {
		t.Errorf("%d candidates from offset %d on, %d forgotten", len(taken.got), taken.got[0].offset, r.w.counts.rekeyForgotten)
	}
	if size := len(taken.value()); size > maxPartialBytes {
		t.Errorf("a value of %d bytes is more than the changelog takes", size)
	}
}

func TestTakenCodec(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		r := newRepeats()
		base := rnd.Int64N(1 << 40)
		for range rnd.IntN(40) {
			r.take(1, base+rnd.Int64N(30), true, rnd.Uint64N(4))
		}
		r.w.shared.allSent(rekey.Sent{Log: 1, Next: base + rnd.Int64N(20)})
		want := r.w.shared.taken[1]
		value := want.value()
		got, err := decodeTaken(value)
		if err != nil {
			t.Fatal(err)
		}
		want.changed = false
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(takenLog{}, takenCandidate{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		for n := range value {
			if _, err := decodeTaken(value[:n]); err == nil {
				t.Fatalf("%d of %d bytes are taken for all", n, len(value))
			}
		}
	}
}
