package pipeline

import (
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/state"
)

// repeats is a target's memory of what may be sent again.
type repeats struct{ w *Worker }

func newRepeats() repeats {
	w := &Worker{shared: sharedOrders{taken: map[uint64]*takenLog{}}}
	return repeats{w}
}

// take returns how many of the rules get an event.
func (r repeats) take(log uint64, offset int64, again bool, rules ...uint64) int {
	return r.takeOf(0, log, offset, again, rules...)
}

// takeOf is take for an event that the leader with an epoch wrote.
func (r repeats) takeOf(epoch int32, log uint64, offset int64, again bool, rules ...uint64) int {
	e := &rekey.Event{Ref: sequence.Ref{Ordinal: sequence.Ordinal{Offset: offset}}, Log: log, LeaderEpoch: epoch, Repeats: again}
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

// TestOffsetsOfALaterLeader: a leader that lacked the last records gives their offsets anew. What it wrote is new, and copies of that and of what
// there was before are copies. A position that was set back brings the same leaders' records.
func TestOffsetsOfALaterLeader(t *testing.T) {
	r := newRepeats()
	for i, step := range []struct {
		what      string
		report    bool
		epoch     int32
		offset    int64
		exactOnce bool
		want      int
	}{
		{what: "the first leader's", epoch: 3, offset: 10, want: 1},
		{what: "the next leader's, at the offset of a batch that didn't count", epoch: 4, offset: 10, want: 1},
		{what: "a copy of that", epoch: 4, offset: 10},
		{what: "a late copy of the first one", epoch: 3, offset: 10},
		{what: "in a transaction it is a copy too", epoch: 4, offset: 10, exactOnce: true},
		{what: "in a transaction, of a third leader", epoch: 5, offset: 10, exactOnce: true, want: 1},
		{report: true, epoch: 4, offset: 20},
		{what: "a late copy of the first leader's", epoch: 3, offset: 19},
		{what: "the first leader's, behind the report: it isn't on the log any more, and nobody sent it", epoch: 3, offset: 30, want: 1},
		{what: "set back by hand", epoch: 4, offset: 15},
		{what: "behind the report", epoch: 4, offset: 20, want: 1},
		{what: "a third leader's, far before the report", epoch: 6, offset: 5, want: 1},
		{what: "a copy of that", epoch: 6, offset: 5},
		{report: true, epoch: 6, offset: 6},
		{what: "a late copy of the third leader's", epoch: 6, offset: 5},
		{what: "a late copy of the second one's", epoch: 4, offset: 20},
		{what: "a late copy of the second one's, before its report", epoch: 4, offset: 12},
		{report: true, epoch: 4, offset: 40}, // of a member that was replaced
		{what: "the third leader's go on", epoch: 6, offset: 6, want: 1},
		{what: "and again", epoch: 6, offset: 7, want: 1},
		{report: true, epoch: 6, offset: 40},
		{what: "it has come to where the log was", epoch: 6, offset: 39},
	} {
		if step.report {
			r.w.shared.allSent(rekey.Sent{Log: 1, Next: step.offset, LeaderEpoch: step.epoch})
		} else if got := r.takeOf(step.epoch, 1, step.offset, !step.exactOnce, 1); got != step.want {
			t.Errorf("step %d, %s: taken %d times, want %d", i, step.what, got, step.want)
		}
	}
	if diff := cmp.Diff([]logPlace{{6, 40}}, r.w.shared.taken[1].sent, cmp.AllowUnexported(logPlace{})); diff != "" {
		t.Errorf("what is remembered of reports (-want +got):\n%s", diff)
	}
}

// TestLeadersUnknown: members of an earlier version, and old logs, name no leader. Then the offset decides, as it did before.
func TestLeadersUnknown(t *testing.T) {
	r := newRepeats()
	for i, step := range []struct {
		report bool
		epoch  int32
		offset int64
		want   int
	}{
		{epoch: -1, offset: 10, want: 1},
		{epoch: -1, offset: 10},
		{epoch: 4, offset: 10}, // the batch again, by a member that was upgraded
		{epoch: 4, offset: 11, want: 1},
		{epoch: -1, offset: 11}, // and by one that was set back to the earlier version
		{epoch: -1, offset: 12, want: 1},
		{report: true, epoch: -1, offset: 12},
		{epoch: 4, offset: 11},
		{epoch: 5, offset: 11}, // nothing says that it is new
		{epoch: 4, offset: 12}, // what came is remembered behind the report
		{report: true, epoch: 5, offset: 13},
		{epoch: -1, offset: 12},
		{epoch: 5, offset: 12},
		{epoch: 6, offset: 12, want: 1}, // it is told from here on
	} {
		if step.report {
			r.w.shared.allSent(rekey.Sent{Log: 1, Next: step.offset, LeaderEpoch: step.epoch})
		} else if got := r.takeOf(step.epoch, 1, step.offset, true, 1); got != step.want {
			t.Errorf("step %d: taken %d times, want %d", i, got, step.want)
		}
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
			r.takeOf(rnd.Int32N(5)-1, 1, base+rnd.Int64N(30), true, rnd.Uint64N(4))
		}
		for range 1 + rnd.IntN(3) {
			r.w.shared.allSent(rekey.Sent{Log: 1, Next: base + rnd.Int64N(20), LeaderEpoch: rnd.Int32N(4) - 1})
		}
		want := r.w.shared.taken[1]
		value := want.value()
		got, err := decodeTaken(value)
		if err != nil {
			t.Fatal(err)
		}
		want.changed = false
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(takenLog{}, takenCandidate{}, logPlace{}), cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		for n := range value {
			if _, err := decodeTaken(value[:n]); err == nil {
				t.Fatalf("%d of %d bytes are taken for all", n, len(value))
			}
		}
	}
}

// TestTakenOfAnEarlierVersion: a value from before leaders were named is read, with leaders that aren't known.
func TestTakenOfAnEarlierVersion(t *testing.T) {
	value := state.AppendVersion(nil)
	value = append(binary.AppendVarint(value, 40), 2)
	value = binary.BigEndian.AppendUint64(binary.AppendVarint(value, 0), 7)
	value = binary.BigEndian.AppendUint64(binary.AppendVarint(value, 3), 5)
	got, err := decodeTaken(value)
	if err != nil {
		t.Fatal(err)
	}
	want := &takenLog{sent: []logPlace{{-1, 40}}, got: []takenCandidate{{logPlace{-1, 40}, 7}, {logPlace{-1, 43}, 5}}}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(takenLog{}, takenCandidate{}, logPlace{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
