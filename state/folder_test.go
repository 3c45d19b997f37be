package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-eql/weir/state"
)

// removeAll deletes the files of a folder that match a pattern.
func removeAll(t *testing.T, dir, pattern string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatal(err, names)
	}
	for _, name := range names {
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// losses are the ways in which a store that is open can lose files.
var losses = map[string]struct {
	lose   func(t *testing.T, dir string)
	batch  bool // Attached sees it
	exists bool // something is left of the folder
}{
	"folder deleted": {func(t *testing.T, dir string) {
		t.Helper()
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}, true, false},
	"folder replaced": {func(t *testing.T, dir string) {
		t.Helper()
		if err := errors.Join(os.Rename(dir, dir+".old"), os.Mkdir(dir, 0o700)); err != nil {
			t.Fatal(err)
		}
	}, true, false},
	"a file in its place": {func(t *testing.T, dir string) {
		t.Helper()
		if err := errors.Join(os.RemoveAll(dir), os.WriteFile(dir, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}, true, false},
	"all files deleted": {func(t *testing.T, dir string) { t.Helper(); removeAll(t, dir, "*") }, true, true},
	"marker":            {func(t *testing.T, dir string) { t.Helper(); removeAll(t, dir, state.MarkerName) }, true, true},
	"list of tables":    {func(t *testing.T, dir string) { t.Helper(); removeAll(t, dir, "MANIFEST") }, true, true},
	"memory tables":     {func(t *testing.T, dir string) { t.Helper(); removeAll(t, dir, "*.mem") }, false, true},
	"value log":         {func(t *testing.T, dir string) { t.Helper(); removeAll(t, dir, "*.vlog") }, false, true},
	"tables":            {func(t *testing.T, dir string) { t.Helper(); removeAll(t, dir, "*.sst") }, false, true},
}

// withTables opens a store in dir that has tables, and something that is in a memory table only.
func withTables(t *testing.T, dir string) *state.Store {
	t.Helper()
	s, err := state.Open(small(dir))
	if err != nil {
		t.Fatal(err)
	}
	var o state.Overlay
	for b := range int64(8) {
		o.Reset()
		batch(&o, b)
		if err := s.Partition(0).Apply(&o, state.Checkpoint{Changelog: b}); err != nil {
			t.Fatal(err)
		}
		if b == 6 {
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if s, err = state.Open(small(dir)); err != nil {
				t.Fatal(err)
			}
		}
	}
	return s
}

// TestLost: a store whose files are deleted under it says so, doesn't write into what is there when it is closed, and isn't trusted by the next start.
func TestLost(t *testing.T) {
	for name, tt := range losses {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			s := withTables(t, dir)
			if err := errors.Join(s.Attached(), s.Check()); err != nil {
				t.Fatalf("whole: %v", err)
			}
			tt.lose(t, dir)
			if err := s.Attached(); errors.Is(err, state.ErrLost) != tt.batch {
				t.Errorf("attached: %v", err)
			}
			if err := s.Check(); !errors.Is(err, state.ErrLost) {
				t.Errorf("check: %v, want that it is lost", err)
			}
			if err := s.Attached(); !errors.Is(err, state.ErrLost) {
				t.Errorf("attached after check: %v, want that it is lost", err)
			}
			before, _ := os.ReadDir(dir)
			if err := s.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
			if after, _ := os.ReadDir(dir); len(after) != len(before) {
				t.Errorf("close changed the folder: %v, before %v", after, before)
			}
			if !tt.exists {
				return
			}
			// The folder's lock is the lost store's until its process ends: the next one is tried with a copy.
			next := filepath.Join(t.TempDir(), "store")
			if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if _, err := state.Open(small(next)); !errors.Is(err, state.ErrCorrupt) {
				t.Fatalf("open what is left: %v, want that it is corrupt", err)
			}
			if err := state.Destroy(next); err != nil {
				t.Fatal(err)
			}
			again, err := state.Open(small(next))
			if err != nil {
				t.Fatal(err)
			}
			if err := again.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestRemains: what is left where files were deleted just before the process was killed isn't trusted either.
func TestRemains(t *testing.T) {
	for _, name := range []string{"marker", "list of tables", "all files deleted", "tables"} {
		t.Run(name, func(t *testing.T) {
			dir, next := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "store")
			s := withTables(t, dir)
			losses[name].lose(t, dir)
			if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			if name == "all files deleted" { // what is made later
				if err := os.WriteFile(filepath.Join(next, "00009.mem"), []byte("something"), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := state.Open(small(next)); !errors.Is(err, state.ErrCorrupt) {
				t.Errorf("open: %v, want that it is corrupt", err)
			}
			if err := s.Close(); name != "tables" && !errors.Is(err, state.ErrLost) {
				t.Errorf("close: %v, want that it is lost", err)
			}
		})
	}
}

// TestReplacedByAnother: a store whose folder another process has made anew leaves it alone.
func TestReplacedByAnother(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "store")
	s := withTables(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	other := withTables(t, dir)
	if err := s.Attached(); !errors.Is(err, state.ErrLost) {
		t.Errorf("attached: %v, want that it is lost", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if err := errors.Join(other.Attached(), other.Check(), other.Close()); err != nil {
		t.Errorf("the other one: %v", err)
	}
	again, err := state.Open(small(dir))
	if err != nil {
		t.Fatal(err)
	}
	if cp, ok, err := again.Partition(0).Checkpoint(); err != nil || !ok || cp.Changelog != 7 {
		t.Errorf("checkpoint %+v, %v, %v; want that of batch 7", cp, ok, err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// BenchmarkAttached is what each commit pays, and what is paid every few seconds.
func BenchmarkAttached(b *testing.B) {
	s, err := state.Open(small(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	for name, check := range map[string]func() error{"commit": s.Attached, "all files": s.Check} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if err := check(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
}

// TestCheckOddName: a folder whose name would be a pattern has its files.
func TestCheckOddName(t *testing.T) {
	for _, name := range []string{"store[1]", "sto[re", `back\slash`, "*"} {
		s := withTables(t, filepath.Join(t.TempDir(), name))
		if err := errors.Join(s.Check(), s.Close()); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
