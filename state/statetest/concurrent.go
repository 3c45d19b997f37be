package statetest

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"testing"

	"github.com/weir-eql/weir/state"
)

func testConcurrent(t *testing.T, s *state.Store) {
	t.Helper()
	const partitions, batches, perBatch = 4, 20, 200
	var wg sync.WaitGroup
	errs := make([]error, partitions)
	for n := range partitions {
		wg.Go(func() { errs[n] = work(s, int32(n), batches, perBatch) })
	}
	for range 3 { // while they work
		s.Sizes()
		if _, err := s.Partitions(); err != nil {
			t.Error(err)
		}
		if err := s.Maintain(t.Context()); err != nil {
			t.Error(err)
		}
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// testGetWhileApplying: who looks a key up while another goroutine applies changes gets its value of before or after them.
func testGetWhileApplying(t *testing.T, s *state.Store) {
	t.Helper()
	const keys, batches = 500, 10
	p := s.Partition(7)
	apply := func(b int) error {
		var o state.Overlay
		for i := range keys {
			o.Put(fmt.Appendf(nil, "changed/%d", i), strconv.AppendInt(nil, int64(b), 10))
			o.Put(fmt.Appendf(nil, "new/%d/%d", b, i), bytes.Repeat([]byte("x"), 100))
		}
		return p.Apply(&o, state.Checkpoint{Changelog: int64(b)})
	}
	if err := apply(0); err != nil {
		t.Fatal(err)
	}
	for b := 1; b <= batches; b++ {
		done := make(chan error, 1)
		go func() { done <- apply(b) }()
		for i := range keys {
			got, ok, err := p.Get(fmt.Appendf(nil, "changed/%d", i))
			if before, after := strconv.Itoa(b-1), strconv.Itoa(b); err != nil || !ok || string(got) != before && string(got) != after {
				t.Errorf("key %d while batch %d is applied: %q, %v, %v", i, b, got, ok, err)
				break
			}
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
}

// work applies batches that create, change and delete, and looks up what it wrote.
func work(s *state.Store, n int32, batches, perBatch int) error {
	p := s.Partition(n)
	var o state.Overlay
	for b := range batches {
		o.Reset()
		for i := range perBatch {
			o.Put(fmt.Appendf(nil, "%d/%d", b, i), fmt.Appendf(nil, "%d/%d/%d", n, b, i))
			if b > 0 {
				o.Delete(fmt.Appendf(nil, "%d/%d", b-1, i))
			}
		}
		if err := p.Apply(&o, state.Checkpoint{Changelog: int64(b)}); err != nil {
			return err
		}
		for i := range perBatch {
			want := fmt.Sprintf("%d/%d/%d", n, b, i)
			got, ok, err := p.Get(fmt.Appendf(nil, "%d/%d", b, i))
			if err != nil || !ok || string(got) != want {
				return fmt.Errorf("partition %d: got %q, %v, %w, want %q", n, got, ok, err, want)
			}
		}
	}
	count := 0
	if err := p.Scan(nil, func(_, _ []byte) error { count++; return nil }); err != nil {
		return err
	}
	if count != perBatch {
		return fmt.Errorf("partition %d: %d keys are left, want %d", n, count, perBatch)
	}
	return nil
}
