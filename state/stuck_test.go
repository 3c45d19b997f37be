package state_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-eql/weir/state"
	"github.com/weir-eql/weir/state/statetest"
)

// blocked opens a store in which no memory table can be written: what is in the way of the next tables is removed at the end.
func blocked(t *testing.T, dir string) *state.Store {
	t.Helper()
	s := open(t, small(dir))
	s.SetPatience(2)
	var inTheWay []string
	for n := range 200 {
		name := filepath.Join(dir, fmt.Sprintf("%06d.sst", n+1))
		if err := os.Mkdir(name, 0o700); err != nil {
			t.Fatal(err)
		}
		inTheWay = append(inTheWay, name)
	}
	t.Cleanup(func() {
		for _, name := range inTheWay {
			if err := os.Remove(name); err != nil {
				t.Error(err)
			}
		}
		for range 100 { // the folder is deleted then: Badger goes on with what it couldn't do
			if names, err := filepath.Glob(filepath.Join(dir, "*.sst")); err != nil || len(names) > 1 {
				return
			}
			time.Sleep(50 * time.Millisecond)
		}
	})
	return s
}

// fill applies batches until an error, or to the end.
func fill(s *state.Store, batches int64) (err error) {
	var o state.Overlay
	for b := int64(0); b < batches && err == nil; b++ {
		o.Reset()
		for i := range 1000 {
			o.Put(fmt.Appendf(nil, "%d/%d", b, i), make([]byte, 1000))
		}
		err = s.Partition(0).Apply(&o, state.Checkpoint{Changelog: b})
	}
	return err
}

// TestFlushFails: a store whose memory tables can't be written says so, to the one who waits for that and to others, and its end doesn't wait for it. The
// next start doesn't trust it.
func TestFlushFails(t *testing.T) {
	dir := t.TempDir()
	s := blocked(t, dir)
	if err := fill(s, 100); !errors.Is(err, state.ErrStuck) {
		t.Fatalf("apply: %v, want that it can't be written", err)
	}
	for what, err := range map[string]error{"apply": fill(s, 1), "attached": s.Attached(), "check": s.Check()} {
		if !errors.Is(err, state.ErrStuck) {
			t.Errorf("%s: %v, want that it can't be written", what, err)
		}
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, state.MarkerName))
	if want := "not trusted: it couldn't be written to\n"; err != nil || string(text) != want {
		t.Errorf("marker %q, %v; want %q", text, err, want)
	}
}

// TestCloseWhileFlushFails: the end of a store doesn't wait for ever either. All that was applied is in its logs.
func TestCloseWhileFlushFails(t *testing.T) {
	if _, err := os.Stat(state.BootIDFile); err != nil {
		t.Skipf("a store that was not closed is never trusted here: %v", err)
	}
	dir := t.TempDir()
	s := blocked(t, dir)
	if err := fill(s, 5); err != nil { // one table is full
		t.Fatal(err)
	}
	if err := s.Close(); !errors.Is(err, state.ErrStuck) {
		t.Errorf("close: %v, want that it can't be written", err)
	}
	next := t.TempDir() // the lock is held until the process ends
	for _, pattern := range []string{"*.mem", "MANIFEST", "KEYREGISTRY", state.MarkerName} {
		names, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil || len(names) == 0 {
			t.Fatal(pattern, err)
		}
		for _, name := range names {
			content, err := os.ReadFile(name)
			if err := errors.Join(err, os.WriteFile(filepath.Join(next, filepath.Base(name)), content, 0o600)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if got := len(statetest.Dump(t, closing(t, open(t, small(next))).Partition(0))); got != 5*1000 {
		t.Errorf("the next start has %d entries, want 5000", got)
	}
}

// TestCompactionFails: a store in which tables couldn't be merged may have lost some of what they held. It says so before the next batch counts, and the next start
// doesn't trust it.
func TestCompactionFails(t *testing.T) {
	dir := t.TempDir()
	s := open(t, small(dir))
	if err := fill(s, 1); err != nil {
		t.Fatal(err)
	}
	s.Warn("[Compactor: %d] LOG Compact. Added %d keys", 1, 2)
	if err := s.Attached(); err != nil {
		t.Fatal(err)
	}
	s.Warn("[Compactor: %d] LOG Compact FAILED with error: %+v: %+v", 1, errors.New("too many open files"), 0) // the format of v4.9.6
	if err := s.Attached(); !errors.Is(err, state.ErrStuck) {
		t.Fatalf("attached: %v, want that tables couldn't be merged", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, state.MarkerName))
	if want := "not trusted: it couldn't be written to\n"; err != nil || string(text) != want {
		t.Errorf("marker %q, %v; want %q", text, err, want)
	}
}
