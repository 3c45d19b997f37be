package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-eql/weir/state"
	"github.com/weir-eql/weir/state/statetest"
)

// killed returns the folder of a store that was open when its process was killed.
func killed(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat(state.BootIDFile); err != nil {
		t.Skipf("a store that was not closed is never trusted here: %v", err)
	}
	dir, copied := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "store")
	s := withTables(t, dir)
	var o state.Overlay
	for b := int64(8); b < 14; b++ {
		if b == 13 { // compacted, so that there are files of values with lower numbers than tables
			if err := s.Maintain(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		o.Reset()
		batch(&o, b)
		for i := range childKeys {
			if b == 8 {
				o.Put(fmt.Appendf(nil, "for good/%d", i), []byte(childValue(b, 0)))
			}
		}
		if err := s.Partition(0).Apply(&o, state.Checkpoint{Changelog: b}); err != nil {
			t.Fatal(err)
		}
		if b < 12 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, small(dir))
		}
	}
	if err := errors.Join(os.CopyFS(copied, os.DirFS(dir)), s.Close()); err != nil {
		t.Fatal(err)
	}
	logs, err := filepath.Glob(filepath.Join(copied, "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range logs { // which are allocated ahead
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, append(bytes.TrimRight(content, "\x00"), make([]byte, 64)...), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return copied
}

// TestDestroyInterrupted: a process that is killed while it destroys a store, which a start has marked as open before it found it corrupt, leaves nothing
// that the next start trusts and that isn't all of it, wherever it is killed and also where a full disk takes no other marker.
func TestDestroyInterrupted(t *testing.T) {
	whole := killed(t)
	marker, err := os.ReadFile(filepath.Join(whole, state.MarkerName))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(whole)
	if err != nil {
		t.Fatal(err)
	}
	want := statetest.Dump(t, closing(t, open(t, small(copyOf(t, whole)))).Partition(0))
	for n := range len(entries) {
		for _, full := range []bool{false, true} {
			dir := copyOf(t, whole)
			if err := state.DestroyPart(dir, n); err != nil && !strings.Contains(err.Error(), "killed") {
				t.Fatal(err)
			}
			if full {
				if err := os.WriteFile(filepath.Join(dir, state.MarkerName), marker, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s, err := state.Open(small(dir))
			switch {
			case errors.Is(err, state.ErrCorrupt):
			case err != nil:
				t.Fatalf("%d files removed, full disk %v: %v", n, full, err)
			default:
				if got := statetest.Dump(t, closing(t, s).Partition(0)); len(got) > 0 && !maps.Equal(got, want) {
					t.Errorf("%d files removed, full disk %v: opened with %d keys of %d", n, full, len(got), len(want))
				}
				continue
			}
			if err := state.Destroy(dir); err != nil {
				t.Fatal(err)
			}
			if got := statetest.Dump(t, closing(t, open(t, small(dir))).Partition(0)); len(got) > 0 {
				t.Errorf("%d keys after destroy", len(got))
			}
		}
	}
}

func copyOf(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "store")
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}
