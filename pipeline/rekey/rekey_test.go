package rekey_test

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/pipeline/sequence"
)

func ref(r *rand.Rand) sequence.Ref {
	ref := sequence.Ref{Ordinal: sequence.Ordinal{
		Time: r.Int64() - math.MaxInt64/2, SubMillis: r.Int32N(1_000_000), Topic: text(r), Partition: r.Int32(), Offset: r.Int64(),
	}, ID: text(r)}
	if r.IntN(2) == 0 {
		ref.HasSeq, ref.Sequence = true, r.Int64()-math.MaxInt64/2
	}
	return ref
}

func text(r *rand.Rand) string {
	b := make([]byte, r.IntN(20))
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	return string(b)
}

// epoch returns that of a leader, which isn't always known.
func epoch(r *rand.Rand) int32 {
	if r.IntN(3) == 0 {
		return -1
	}
	return r.Int32N(300)
}

func random(r *rand.Rand) (rekey.Record, []byte) {
	if r.IntN(2) == 0 {
		var p rekey.Report
		for range r.IntN(4) {
			s := rekey.Progress{Source: r.Int32(), Clock: r.Int64(), Delay: r.Int64()}
			if r.IntN(3) == 0 {
				s.Delay, s.Empty = 0, true
			}
			p.Progress = append(p.Progress, s)
		}
		for range r.IntN(3) {
			p.Hosts = append(p.Hosts, rekey.Host{Source: r.Int32(), Name: text(r)})
		}
		for range r.IntN(3) {
			p.Sent = append(p.Sent, rekey.Sent{Log: r.Uint64(), Next: r.Int64(), LeaderEpoch: epoch(r)})
		}
		for range r.IntN(4) - 1 {
			p.Delays = append(p.Delays, rekey.Delay{Source: r.Int32(), Clock: r.Int64(), Field: text(r), Delay: r.Int64()})
		}
		return rekey.Record{Report: p}, p.Append(nil)
	}
	e := &rekey.Event{Ref: ref(r), Host: text(r), Source: []byte(text(r)), Repeats: r.IntN(2) == 0, LeaderEpoch: -1}
	if r.IntN(2) == 0 {
		e.Log, e.LeaderEpoch = r.Uint64(), epoch(r)
	}
	for range r.IntN(4) {
		e.Candidates = append(e.Candidates, rekey.Candidate{Rule: r.Uint64(), Hits: sequence.Hits(r.Uint64()), Join: []byte(text(r))})
	}
	return rekey.Record{Event: e}, e.Append(nil)
}

// TestRoundTrip: what was encoded is decoded to the same, and no shorter part of it is taken for a record of candidates and
// progress, nor anything longer for a report.
func TestRoundTrip(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		want, b := random(r)
		got, err := rekey.Decode(b)
		if err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if diff := cmp.Diff(want, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
		if want.Event != nil {
			continue
		}
		for n := range b {
			if _, err := rekey.Decode(b[:n]); err == nil {
				t.Fatalf("the first %d of %d bytes of a report are taken for one", n, len(b))
			}
		}
		if _, err := rekey.Decode(append(b, 0)); err == nil {
			t.Fatal("a report with a byte too many is taken for one")
		}
	}
}

// TestRecordsOfEarlierVersions: what names no epoch of a leader is written as before there were any, and read as of an unknown one.
func TestRecordsOfEarlierVersions(t *testing.T) {
	e := rekey.Event{Log: 7, LeaderEpoch: -1, Repeats: true}
	p := rekey.Report{Sent: []rekey.Sent{{Log: 7, Next: 5, LeaderEpoch: -1}}}
	for name, b := range map[string][]byte{"event": e.Append(nil), "report": p.Append(nil)} {
		if b[0] != 2 {
			t.Errorf("%s: version %d, want 2", name, b[0])
		}
	}
	waiting := rekey.Event{LeaderEpoch: 3} // as it is stored: without a log
	if b := waiting.Append(nil); b[0] != 2 {
		t.Errorf("an event without a log has version %d, want 2", b[0])
	}
	rec, err := rekey.Decode([]byte{2, 2, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 7, 10})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(p, rec.Report); diff != "" {
		t.Errorf("a report of version 2 (-want +got):\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing": nil, "one byte": {1}, "another version": {5, 1, 0}, "another kind": {1, 3, 0},
		"unknown flags": {4, 1, 32, 0, 0, 0, 0, 0, 0, 0}, "an epoch before there were any": {2, 1, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0},
		"an epoch of no log": {4, 1, 16, 0, 0, 0, 0, 0, 1, 0, 0}, "an epoch out of range": {4, 1, 20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f, 0, 0},
		"flags of a later version": {1, 1, 4, 0, 0, 0, 0, 0, 0, 0},
		"no log":                   {2, 1, 4, 0, 0, 0, 0, 0, 0, 0}, "partition out of range": {1, 2, 1, 0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0},
		"unknown state": {1, 2, 1, 0, 0, 2, 0}, "more candidates than bytes": {1, 1, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0x0f},
	} {
		if rec, err := rekey.Decode(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, rec)
		}
	}
}

// TestPartition: a join key has one target, of those that there are; many keys are spread over all.
func TestPartition(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	counts := make([]int, 12)
	for range 12_000 {
		rule, join := r.Uint64(), []byte(text(r))
		n := rekey.Partition(rule, join, 12)
		if m := rekey.Partition(rule, append([]byte(nil), join...), 12); n != m || n < 0 || n >= 12 {
			t.Fatalf("targets %d and %d of one key", n, m)
		}
		counts[n]++
	}
	for n, count := range counts {
		if count < 800 || count > 1200 {
			t.Errorf("target %d of 12 has %d of 12,000 keys", n, count)
		}
	}
	if n := rekey.Partition(7, []byte("x"), 0); n != 0 {
		t.Errorf("target %d without partitions, want 0", n)
	}
}

// FuzzDecode: no bytes make the decoder panic, and what it takes it writes so that it reads the same.
func FuzzDecode(f *testing.F) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 20 {
		_, b := random(r)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := rekey.Decode(b)
		if err != nil {
			return
		}
		var again []byte
		if rec.Event != nil {
			again = rec.Event.Append(nil)
		} else {
			again = rec.Report.Append(nil)
		}
		got, err := rekey.Decode(again)
		if err != nil {
			t.Fatalf("%x became %x: %v", b, again, err)
		}
		if diff := cmp.Diff(rec, got, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("(-want +got):\n%s", diff)
		}
	})
}
