// Package statetest is the contract of a state.Store: what every implementation must do, as tests that each of
// them runs. It knows the exported interface only.
package statetest

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/state"
)

// Run tests the contract on stores that open makes, each of which is empty and closed by Run.
func Run(t *testing.T, open func(t *testing.T) *state.Store) {
	t.Helper()
	tests := []struct {
		name string
		run  func(t *testing.T, s *state.Store)
	}{
		{"Empty", testEmpty},
		{"PutGetDelete", testPutGetDelete},
		{"ValuesAreCopies", testValuesAreCopies},
		{"Scan", testScan},
		{"ScanStops", testScanStops},
		{"ScanManyBlocks", testScanManyBlocks},
		{"Checkpoint", testCheckpoint},
		{"ApplyTwice", testApplyTwice},
		{"LargeOverlay", testLargeOverlay},
		{"LargeValues", testLargeValues},
		{"Refused", testRefused},
		{"Wipe", testWipe},
		{"PartitionsApart", testPartitionsApart},
		{"Concurrent", testConcurrent},
		{"GetWhileApplying", testGetWhileApplying},
		{"Maintain", testMaintain},
		{"Model", testModel},
		{"Closed", testClosed},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			s := open(t)
			t.Cleanup(func() {
				if err := s.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			test.run(t, s)
		})
	}
}

// RunDurable tests what stores with files promise beyond Run: that what was applied is there after a store was
// closed and opened again. open opens the store in dir, of which the first is empty.
func RunDurable(t *testing.T, open func(t *testing.T, dir string) *state.Store) {
	t.Helper()
	t.Run("Reopen", func(t *testing.T) {
		dir := t.TempDir()
		want := map[string]string{}
		for round := range 3 {
			s := open(t, dir)
			p := s.Partition(7)
			if got := Dump(t, p); !cmp.Equal(got, want) {
				t.Fatalf("round %d: %s", round, cmp.Diff(want, got))
			}
			if c := mustCheckpoint(t, p, round > 0); c.Changelog != int64(round) {
				t.Errorf("round %d: changelog offset %d", round, c.Changelog)
			}
			var o state.Overlay
			for i := range 2000 {
				key, value := fmt.Sprintf("k%04d", i), fmt.Sprintf("%d of %d", i, round)
				if i%3 == round {
					o.Delete([]byte(key))
					delete(want, key)
					continue
				}
				o.Put([]byte(key), []byte(value))
				want[key] = value
			}
			mustApply(t, p, &o, state.Checkpoint{Changelog: int64(round + 1)})
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		}
	})
	t.Run("WipeReopen", func(t *testing.T) {
		dir := t.TempDir()
		s := open(t, dir)
		mustApply(t, s.Partition(1), overlay("a", "1"), state.Checkpoint{})
		mustApply(t, s.Partition(2), overlay("a", "2"), state.Checkpoint{})
		if err := s.Partition(1).Wipe(); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = open(t, dir)
		mustCheckpoint(t, s.Partition(1), false)
		if got := Dump(t, s.Partition(1)); len(got) > 0 {
			t.Errorf("wiped partition has %v", got)
		}
		if got, want := Dump(t, s.Partition(2)), map[string]string{"a": "2"}; !cmp.Equal(got, want) {
			t.Errorf("other partition: %s", cmp.Diff(want, got))
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// Dump returns everything that a partition has stored, checkpoint apart.
func Dump(t *testing.T, p *state.Partition) map[string]string {
	t.Helper()
	got := map[string]string{}
	err := p.Scan(nil, func(key, value []byte) error {
		got[string(key)] = string(value)
		return nil
	})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	return got
}

// overlay makes an overlay of pairs of key and value.
func overlay(pairs ...string) *state.Overlay {
	var o state.Overlay
	for i := 0; i < len(pairs); i += 2 {
		o.Put([]byte(pairs[i]), []byte(pairs[i+1]))
	}
	return &o
}

func mustApply(t *testing.T, p *state.Partition, o *state.Overlay, c state.Checkpoint) {
	t.Helper()
	if err := p.Apply(o, c); err != nil {
		t.Fatalf("apply: %v", err)
	}
}

func mustCheckpoint(t *testing.T, p *state.Partition, want bool) state.Checkpoint {
	t.Helper()
	c, ok, err := p.Checkpoint()
	if err != nil {
		t.Fatalf("checkpoint: %v", err)
	}
	if ok != want {
		t.Fatalf("has a checkpoint: got %v, want %v", ok, want)
	}
	return c
}

func expect(t *testing.T, p *state.Partition, key, want string, wantOK bool) {
	t.Helper()
	got, ok, err := p.Get([]byte(key))
	if err != nil {
		t.Fatalf("get %q: %v", key, err)
	}
	if ok != wantOK || string(got) != want || ok == (got == nil) {
		t.Errorf("get %q: got %q, %v (nil: %v), want %q, %v", key, got, ok, got == nil, want, wantOK)
	}
}

func testEmpty(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	mustCheckpoint(t, p, false)
	expect(t, p, "a", "", false)
	if got := Dump(t, p); len(got) > 0 {
		t.Errorf("empty partition has %v", got)
	}
	if err := p.Wipe(); err != nil {
		t.Errorf("wipe: %v", err)
	}
	if got, err := s.Partitions(); err != nil || len(got) > 0 {
		t.Errorf("partitions: got %v, %v", got, err)
	}
	if s.Partition(0) != p {
		t.Error("partition 0 is another one the second time")
	}
	if got := s.Partition(4).Number(); got != 4 {
		t.Errorf("number of partition 4: %d", got)
	}
}

func testPutGetDelete(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(3)
	o := overlay("a", "1", "b", "", "\x00\xff", "bin\x00ary", "c", "3")
	mustApply(t, p, o, state.Checkpoint{})
	expect(t, p, "a", "1", true)
	expect(t, p, "b", "", true)
	expect(t, p, "\x00\xff", "bin\x00ary", true)
	expect(t, p, "aa", "", false)
	expect(t, p, "", "", false)

	o.Reset()
	o.Put([]byte("a"), []byte("2"))
	o.Delete([]byte("b"))
	o.Delete([]byte("never there"))
	mustApply(t, p, o, state.Checkpoint{})
	expect(t, p, "a", "2", true)
	expect(t, p, "b", "", false)
	expect(t, p, "c", "3", true)
}

func testValuesAreCopies(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	o := overlay("a", "first", "b", "second")
	mustApply(t, p, o, state.Checkpoint{})
	o.Reset()
	o.Put([]byte("zzzzz"), []byte("zzzzzzzzzzzzzzzzzz"))
	got, _, err := p.Get([]byte("a"))
	if err != nil {
		t.Fatal(err)
	}
	copy(got, "XXXXX")
	_ = append(got, "YYYYYYYYY"...)
	expect(t, p, "a", "first", true)
	expect(t, p, "b", "second", true)
}

func testScan(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	mustApply(t, p, overlay("b", "1", "a", "2", "ab\xff", "3", "ab", "4", "ab\x00", "5", "ac", "6", "\xff\xff", "7"),
		state.Checkpoint{})
	tests := []struct {
		prefix string
		want   []string
	}{
		{"", []string{"a", "ab", "ab\x00", "ab\xff", "ac", "b", "\xff\xff"}},
		{"a", []string{"a", "ab", "ab\x00", "ab\xff", "ac"}},
		{"ab", []string{"ab", "ab\x00", "ab\xff"}},
		{"ac", []string{"ac"}},
		{"ad", nil},
		{"\xff", []string{"\xff\xff"}},
		{"\xff\xff\xff", nil},
	}
	for _, test := range tests {
		var got []string
		err := p.Scan([]byte(test.prefix), func(key, value []byte) error {
			got = append(got, string(key))
			// A look-up during a scan is allowed, and sees the same.
			if v, ok, err := p.Get(key); err != nil || !ok || !bytes.Equal(v, value) {
				t.Errorf("get %q in scan: got %q, %v, %v, want %q", key, v, ok, err, value)
			}
			return nil
		})
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("scan %q: got %q, %v, want %q", test.prefix, got, err, test.want)
		}
		got = got[:0]
		err = p.ScanKeys([]byte(test.prefix), func(key []byte) error { got = append(got, string(key)); return nil })
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("scan keys %q: got %q, %v, want %q", test.prefix, got, err, test.want)
		}
	}
}

func testScanStops(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	mustApply(t, p, overlay("a", "1", "b", "2", "c", "3"), state.Checkpoint{})
	stop, seen := errors.New("stop"), 0
	err := p.Scan(nil, func(_, _ []byte) error {
		if seen++; seen == 2 {
			return stop
		}
		return nil
	})
	if err != stop || seen != 2 { //nolint:errorlint // it must be the error itself
		t.Errorf("scan: got %v after %d, want %v after 2", err, seen, stop)
	}
}

func testScanManyBlocks(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	const n = 3000
	var o state.Overlay
	for i := range n { // in an order that is neither ascending nor descending
		o.Put(fmt.Appendf(nil, "%05d", i*1237%n), []byte("v"))
	}
	mustApply(t, p, &o, state.Checkpoint{})
	next := 0
	err := p.Scan(nil, func(key, _ []byte) error {
		if want := fmt.Sprintf("%05d", next); string(key) != want {
			return fmt.Errorf("got key %q, want %q", key, want)
		}
		next++
		return nil
	})
	if err != nil || next != n {
		t.Errorf("scan ended at %d: %v", next, err)
	}
	for _, prefix := range []string{"00", "012", "0299"} {
		count := 0
		if err := p.Scan([]byte(prefix), func(_, _ []byte) error { count++; return nil }); err != nil {
			t.Fatal(err)
		}
		if want := map[int]int{2: 1000, 3: 100, 4: 10}[len(prefix)]; count != want {
			t.Errorf("scan %q: got %d keys, want %d", prefix, count, want)
		}
	}
}

func testCheckpoint(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	for _, want := range []state.Checkpoint{
		{Cluster: "c", Topic: "t", Inputs: map[string]int64{"a": 1, "b": 1 << 60}, Changelog: 77, At: 1_700_000_000_000},
		{Changelog: -1, At: -5},
		{Inputs: map[string]int64{"": 0}},
	} {
		mustApply(t, p, nil, want)
		got := mustCheckpoint(t, p, true)
		want.Version = state.CodecVersion
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("checkpoint (-want +got):\n%s", diff)
		}
	}
	if got := Dump(t, p); len(got) > 0 {
		t.Errorf("the checkpoint shows among the state: %v", got)
	}
	mustCheckpoint(t, s.Partition(1), false)
}

func testApplyTwice(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	mustApply(t, p, overlay("a", "1", "b", "2"), state.Checkpoint{})
	o := overlay("b", "3", "c", "4")
	o.Delete([]byte("a"))
	want := map[string]string{"b": "3", "c": "4"}
	for range 2 {
		mustApply(t, p, o, state.Checkpoint{Changelog: 9})
		if got := Dump(t, p); !cmp.Equal(got, want) {
			t.Error(cmp.Diff(want, got))
		}
	}
}

func testLargeOverlay(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	const n = 50_000
	var o state.Overlay
	for i := range n {
		o.Put(fmt.Appendf(nil, "partial/%08d", i), fmt.Appendf(nil, "%0200d", i))
	}
	mustApply(t, p, &o, state.Checkpoint{Changelog: 1})
	expect(t, p, "partial/00000000", fmt.Sprintf("%0200d", 0), true)
	expect(t, p, "partial/00049999", fmt.Sprintf("%0200d", n-1), true)
	count := 0
	if err := p.Scan(nil, func(_, _ []byte) error { count++; return nil }); err != nil || count != n {
		t.Errorf("scan: got %d, %v, want %d", count, err, n)
	}
	o.Reset()
	for i := range n {
		o.Delete(fmt.Appendf(nil, "partial/%08d", i))
	}
	mustApply(t, p, &o, state.Checkpoint{Changelog: 2})
	if got := Dump(t, p); len(got) > 0 {
		t.Errorf("%d keys are left of %d deleted", len(got), n)
	}
	if c := mustCheckpoint(t, p, true); c.Changelog != 2 {
		t.Errorf("changelog offset: got %d, want 2", c.Changelog)
	}
}

func testLargeValues(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	want := map[string]string{}
	var o state.Overlay
	for i, size := range []int{1, 100, 2 << 10, 64 << 10, 1<<20 - 1, 1 << 20, 1<<20 + 1, 3 << 20, state.MaxValueBytes} {
		value := make([]byte, size)
		for j := range value {
			value[j] = byte(i + j*7)
		}
		key := strconv.Itoa(size)
		want[key] = string(value)
		o.Put([]byte(key), value)
	}
	longest := string(make([]byte, state.MaxKeyBytes))
	o.Put([]byte(longest), []byte("long key"))
	want[longest] = "long key"
	mustApply(t, p, &o, state.Checkpoint{})
	if got := Dump(t, p); !cmp.Equal(got, want) {
		t.Errorf("large values differ: got %d entries, want %d", len(got), len(want))
	}
}

func testRefused(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	mustApply(t, p, nil, state.Checkpoint{Changelog: 1})
	for name, o := range map[string]*state.Overlay{
		"empty key": overlay("a", "1", "", "2"),
		"long key":  overlay("a", "1", string(make([]byte, state.MaxKeyBytes+1)), "2"),
		"value":     overlay("a", "1", "b", string(make([]byte, state.MaxValueBytes+1))),
	} {
		if err := p.Apply(o, state.Checkpoint{Changelog: 2}); !errors.Is(err, state.ErrTooLarge) {
			t.Errorf("%s: got %v, want ErrTooLarge", name, err)
		}
	}
	if got := Dump(t, p); len(got) > 0 {
		t.Errorf("refused batches left %d keys", len(got))
	}
	if c := mustCheckpoint(t, p, true); c.Changelog != 1 {
		t.Errorf("refused batches moved the checkpoint to %d", c.Changelog)
	}
}

func testWipe(t *testing.T, s *state.Store) {
	t.Helper()
	p, other := s.Partition(1), s.Partition(2)
	const n = 30_000 // several chunks
	var o state.Overlay
	for i := range n {
		o.Put(fmt.Appendf(nil, "%06d", i), []byte("v"))
	}
	mustApply(t, p, &o, state.Checkpoint{Changelog: 1})
	mustApply(t, other, overlay("a", "1"), state.Checkpoint{Changelog: 2})
	if got, err := s.Partitions(); err != nil || !slices.Equal(got, []int32{1, 2}) {
		t.Errorf("partitions: got %v, %v, want [1 2]", got, err)
	}
	if err := p.Wipe(); err != nil {
		t.Fatal(err)
	}
	mustCheckpoint(t, p, false)
	if got := Dump(t, p); len(got) > 0 {
		t.Errorf("%d keys are left", len(got))
	}
	expect(t, other, "a", "1", true)
	mustCheckpoint(t, other, true)
	if got, err := s.Partitions(); err != nil || !slices.Equal(got, []int32{2}) {
		t.Errorf("partitions: got %v, %v, want [2]", got, err)
	}
	mustApply(t, p, overlay("b", "2"), state.Checkpoint{Changelog: 3})
	if got, want := Dump(t, p), map[string]string{"b": "2"}; !cmp.Equal(got, want) {
		t.Error(cmp.Diff(want, got))
	}
}

func testPartitionsApart(t *testing.T, s *state.Store) {
	t.Helper()
	numbers := []int32{0, 1, 255, 256, 1<<31 - 1}
	for _, n := range numbers {
		mustApply(t, s.Partition(n), overlay("k", strconv.Itoa(int(n))), state.Checkpoint{Changelog: int64(n)})
	}
	for _, n := range numbers {
		if got, want := Dump(t, s.Partition(n)), map[string]string{"k": strconv.Itoa(int(n))}; !cmp.Equal(got, want) {
			t.Errorf("partition %d: %s", n, cmp.Diff(want, got))
		}
		if c := mustCheckpoint(t, s.Partition(n), true); c.Changelog != int64(n) {
			t.Errorf("partition %d: changelog offset %d", n, c.Changelog)
		}
	}
	if got, err := s.Partitions(); err != nil || !slices.Equal(got, numbers) {
		t.Errorf("partitions: got %v, %v, want %v", got, err, numbers)
	}
}

func testMaintain(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	mustApply(t, p, overlay("a", "1", "b", "2"), state.Checkpoint{})
	o := overlay("a", "3")
	o.Delete([]byte("b"))
	mustApply(t, p, o, state.Checkpoint{Changelog: 5})
	for range 2 {
		if err := s.Maintain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got, want := Dump(t, p), map[string]string{"a": "3"}; !cmp.Equal(got, want) {
			t.Error(cmp.Diff(want, got))
		}
		mustCheckpoint(t, p, true)
	}
	if lsm, _ := s.Sizes(); lsm <= 0 {
		t.Errorf("size of a store with an entry: %d", lsm)
	}
}

func testClosed(t *testing.T, s *state.Store) {
	t.Helper()
	p := s.Partition(0)
	for range 2 {
		if err := s.Close(); err != nil {
			t.Fatalf("close: %v", err)
		}
	}
	_, _, checkpoint := p.Checkpoint()
	_, _, get := p.Get([]byte("a"))
	for name, err := range map[string]error{
		"checkpoint": checkpoint,
		"get":        get,
		"scan":       p.Scan(nil, func(_, _ []byte) error { return nil }),
		"apply":      p.Apply(nil, state.Checkpoint{}),
		"wipe":       p.Wipe(),
		"late":       s.Partition(9).Wipe(),
		"maintain":   s.Maintain(t.Context()),
	} {
		if !errors.Is(err, state.ErrClosed) {
			t.Errorf("%s: got %v, want ErrClosed", name, err)
		}
	}
}
