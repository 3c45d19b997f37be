package state_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-eql/weir/state"
	"github.com/weir-eql/weir/state/statetest"
)

// TestUnreadableIsNotCorrupt: a file that can't be opened or read, but for what it holds, says nothing about the store: it opens when the file can be read again.
func TestUnreadableIsNotCorrupt(t *testing.T) {
	for name, inTheWay := range map[string]func(name string) error{
		"*.sst":    func(name string) error { return os.Symlink(name, name) }, // can't be opened, by nobody
		"MANIFEST": func(name string) error { return os.Mkdir(name, 0o700) },  // can be opened, not read
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			filled(t, dir)
			file, aside := oneOf(t, dir, name), filepath.Join(t.TempDir(), "aside")
			if err := errors.Join(os.Rename(file, aside), inTheWay(file)); err != nil {
				t.Fatal(err)
			}
			if _, err := state.Open(small(dir)); err == nil || errors.Is(err, state.ErrCorrupt) || errors.Is(err, state.ErrLocked) {
				t.Fatalf("open: %v, want that a file can't be read", err)
			}
			if err := errors.Join(os.Remove(file), os.Rename(aside, file)); err != nil {
				t.Fatal(err)
			}
			if got := len(statetest.Dump(t, closing(t, open(t, small(dir))).Partition(0))); got != 30_000 {
				t.Errorf("%d keys, want 30000", got)
			}
		})
	}
}
