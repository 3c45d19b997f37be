package sample_test

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline/sample"
	"github.com/weir-eql/weir/pipeline/sequence"
)

// encoded is a state with everything in it: events of several stages, copies, the place of a sample.
func encoded(tb testing.TB) []byte {
	tb.Helper()
	m := machine(tb, sample.Spec{Stages: 3, Lookback: 90})
	var st sample.State
	for i, word := range strings.Fields("A1 B2 C3#x AB5#y A7#y B8 A9#z") {
		hits, ref := event(tb, word, i)
		ref.SubMillis = int32(i)
		m.Advance(&st, hits, ref, nil)
	}
	return st.Append(nil)
}

// TestDecodeStable pins the layout of version 1: what was stored yesterday has to be read tomorrow.
func TestDecodeStable(t *testing.T) {
	const want = "01040e0a00060174000601790a040008000801790202000a000a0a02000c000c017a010e06000401740004017802010201"
	if got := hex.EncodeToString(encoded(t)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestDecodeState(t *testing.T) {
	if _, err := sample.DecodeState((&sample.State{}).Append(nil)); err != nil {
		t.Errorf("decode the empty state: %v", err)
	}
	whole := encoded(t)
	tests := []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "the end is missing"},
		{"another version", []byte{9}, "version 9 is unknown"},
		{"more than there is", append(bytes.Clone(whole), 0), "trailing bytes"},
		{"too few refs", []byte{1, 1}, "refs: the end is missing"},
		{"an event without a stage", []byte{1, 1, 0, 0, 0, 0, 0, 0, 0}, "an event fills no stage"},
		{"one event twice", []byte{1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1}, "events are out of order"},
		{"two newest events", []byte{1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, "more than one newest event"},
		{"a partition beyond 32 bits", []byte{1, 1, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0, 0}, "refs: a number is too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sample.DecodeState(tt.b)
			if want := "decode sample state: " + tt.want; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
	for n := range whole {
		if _, err := sample.DecodeState(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes decode", n, len(whole))
		}
	}
}

// TestForeignState runs a state under machines that are others than the one it came from: nothing sensible can come of it,
// but a match of the wrong length or a crash must not.
func TestForeignState(t *testing.T) {
	for _, spec := range []sample.Spec{{Stages: 2, Lookback: 5}, {Stages: 9, Lookback: 1}, {Stages: 3, PerKey: 9}} {
		m := machine(t, spec)
		st, err := sample.DecodeState(encoded(t))
		if err != nil {
			t.Fatal(err)
		}
		var matches []sequence.Match
		for i, word := range strings.Fields("A20 B21 C22 D23 AB24 J25 CDEFGHI26") {
			hits, ref := event(t, word, 100+i)
			matches = m.Advance(&st, hits, ref, matches)
		}
		matches = m.Finish(&st, m.Tick(&st, 1000, matches))
		if !st.Empty() {
			t.Errorf("%+v: %d are left", spec, st.Len())
		}
		for _, match := range matches {
			if len(match.Events) != spec.Stages {
				t.Errorf("%+v: a match of %d events", spec, len(match.Events))
			}
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add(encoded(f))
	f.Add((&sample.State{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := sample.DecodeState(b)
		if err != nil {
			return
		}
		first := st.Append(nil)
		again, err := sample.DecodeState(first)
		if err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		if diff := cmp.Diff(first, again.Append(nil)); diff != "" {
			t.Errorf("encoded twice (-first +second):\n%s", diff)
		}
		// Whatever was decoded can be worked with.
		for _, spec := range []sample.Spec{{Stages: 3, Lookback: 50}, {Stages: 3, PerKey: 2}} {
			st, err := sample.DecodeState(first)
			if err != nil {
				t.Fatal(err)
			}
			m := machine(t, spec)
			for i, word := range []string{"A1", "ABC2", "B3#x", "AB9", "C60"} {
				hits, ref := event(t, word, i)
				m.Advance(&st, hits, ref, nil)
			}
			m.Deadline(&st)
			st.Oldest()
			m.Tick(&st, 70, nil)
			if m.Finish(&st, nil); !st.Empty() {
				t.Error("the state isn't empty after Finish")
			}
		}
	})
}

// FuzzMachine compares the machine with the models of the property tests on streams that the bytes stand for: stages and
// bound first, then for each event a byte for its stages, its time and its identity.
func FuzzMachine(f *testing.F) {
	f.Add([]byte{2, 10, 0x13, 0x21, 0x92})
	f.Add([]byte{3, 5, 0x07, 0x17, 0x46, 0x95, 0xc3})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) < 2 || len(b) > 16 {
			return
		}
		stages, lookback := 2+int(b[0]%3), 1+int64(b[1]%30)
		perKey := 1 + int(b[1]/30)
		var stream []input
		now := int64(0)
		for i, c := range b[2:] {
			now += int64(c >> 4 & 3)
			e := input{hits: sequence.Hits(c & 0xf)}
			e.ref.Time, e.ref.Offset = now, int64(i)
			if c>>6 > 0 {
				e.ref.ID = strconv.Itoa(max(0, i-int(c>>6)+1))
			}
			stream = append(stream, e)
		}
		live, search := machine(t, sample.Spec{Stages: stages, Lookback: lookback}), machine(t, sample.Spec{Stages: stages, PerKey: perKey})
		var a, z sample.State
		var got, found []sequence.Match
		for _, e := range stream {
			live.Tick(&a, e.ref.Time-1, nil)
			got = live.Advance(&a, e.hits, e.ref, got)
			search.Advance(&z, e.hits, e.ref, nil)
		}
		found = search.Finish(&z, found)
		if diff := cmp.Diff(streamModel(stages, lookback, stream), matchOffsets(got)); diff != "" {
			t.Errorf("stream (-model +machine):\n%s", diff)
		}
		if diff := cmp.Diff(batchModel(stages, perKey, stream), matchOffsets(found)); diff != "" {
			t.Errorf("batch (-model +machine):\n%s", diff)
		}
	})
}
