package state_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-eql/weir/state"
	"github.com/weir-eql/weir/state/statetest"
)

// onLine is a log that does something when a line of Badger's begins in a way.
type onLine struct {
	slog.Handler

	begins string
	do     func() error
	done   *bool
}

func (h onLine) Enabled(context.Context, slog.Level) bool { return true }

func (h onLine) Handle(_ context.Context, r slog.Record) (err error) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == "detail" && strings.HasPrefix(a.Value.String(), h.begins) && !*h.done {
			*h.done, err = true, h.do()
		}
		return true
	})
	return err
}

// when returns a log for which do is called at a line of Badger's. The test fails where it doesn't come.
func when(t *testing.T, begins string, do func() error) *slog.Logger {
	t.Helper()
	done := false
	t.Cleanup(func() {
		if !done {
			t.Errorf("the log has no line that begins with %q", begins)
		}
	})
	return slog.New(onLine{slog.DiscardHandler, begins, func() error {
		err := do()
		if err != nil {
			t.Error(err)
		}
		return err
	}, &done})
}

// wantClosed checks that a folder is of a store that was closed.
func wantClosed(t *testing.T, dir string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.Name() == state.MarkerName || filepath.Ext(e.Name()) == ".mem" {
			t.Errorf("%s was left", e.Name())
		}
	}
}

// TestOpeningFails: a store that was closed, and that can't be opened for want of something, is as it was: nothing has it rebuilt when the machine has
// started anew. Badger is let come as far as it can.
func TestOpeningFails(t *testing.T) {
	for name, at := range map[string]string{"database": "", "marker": "Set nextTxnTs"} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			withDocuments(t, dir)
			o, inTheWay := small(dir), filepath.Join(dir, state.MarkerName+".new")
			if at == "" {
				inTheWay = oneOf(t, dir, "*.sst") + ".aside"
				file := strings.TrimSuffix(inTheWay, ".aside")
				if err := errors.Join(os.Rename(file, inTheWay), os.Symlink(file, file)); err != nil {
					t.Fatal(err)
				}
			} else {
				o.Logger = when(t, at, func() error { return os.Mkdir(inTheWay, 0o700) })
			}
			if _, err := state.Open(o); err == nil || errors.Is(err, state.ErrCorrupt) {
				t.Fatalf("open: %v, want that it can't be", err)
			}
			wantClosed(t, dir)
			if at == "" {
				if err := os.Rename(inTheWay, strings.TrimSuffix(inTheWay, ".aside")); err != nil {
					t.Fatal(err)
				}
			} else if err := os.Remove(inTheWay); err != nil {
				t.Fatal(err)
			}
			s := closing(t, open(t, small(dir)))
			if got := len(statetest.Dump(t, s.Partition(0))); got != documents+2 {
				t.Errorf("%d keys, want %d", got, documents+2)
			}
		})
	}
}

// TestOpeningFailsAfterKill: a store that wasn't closed keeps its marker, and what is only in logs of memory tables, through an opening that fails.
func TestOpeningFailsAfterKill(t *testing.T) {
	dir := killed(t)
	want := statetest.Dump(t, closing(t, open(t, small(copyOf(t, dir)))).Partition(0))
	file := oneOf(t, dir, "*.sst")
	if err := errors.Join(os.Rename(file, file+".aside"), os.Symlink(file, file)); err != nil {
		t.Fatal(err)
	}
	if _, err := state.Open(small(dir)); err == nil || errors.Is(err, state.ErrCorrupt) {
		t.Fatalf("open: %v, want that it can't be", err)
	}
	if err := os.Rename(file+".aside", file); err != nil {
		t.Fatal(err)
	}
	if got := statetest.Dump(t, closing(t, open(t, small(dir))).Partition(0)); !maps.Equal(got, want) {
		t.Errorf("%d keys, which aren't the %d that there were", len(got), len(want))
	}
}

// TestMarkerOfTheNext: a process that opens the store when another one that closes it has let go of the lock keeps its marker.
func TestMarkerOfTheNext(t *testing.T) {
	dir := t.TempDir()
	marker, next := filepath.Join(dir, state.MarkerName), "the boot\nthe next process\n"
	o := small(dir)
	o.Logger = when(t, "Lifetime L0 stalled", func() error { return os.WriteFile(marker, []byte(next), 0o600) })
	if err := open(t, o).Close(); err != nil {
		t.Error(err)
	}
	if got, err := os.ReadFile(marker); err != nil || string(got) != next {
		t.Errorf("marker %q, %v; want that of the next process", got, err)
	}
}

// TestOpeningWithFewFiles: wherever the file descriptors are all used up while a store is opened, it isn't corrupt, and is closed after it as before it.
// Badger ends the process over some; nobody can undo then.
func TestOpeningWithFewFiles(t *testing.T) {
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip(err)
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	whole, failed := t.TempDir(), 0
	withDocuments(t, whole)
	for files := 5; files < 60; files++ {
		dir := copyOf(t, whole)
		cmd := exec.CommandContext(t.Context(), shell, "-c", fmt.Sprintf("ulimit -n %d; exec %q", files, exe))
		cmd.Env = append(os.Environ(), childDir+"="+dir, childOpens+"=1")
		out, err := cmd.Output()
		switch text := string(out); {
		case err != nil:
			t.Logf("%d files: %v", files, err)
		case strings.HasPrefix(text, "failed:"):
			failed++
			wantClosed(t, dir)
			if got := len(statetest.Dump(t, closing(t, open(t, small(dir))).Partition(0))); got != documents+2 {
				t.Errorf("%d keys, want %d", got, documents+2)
			}
		case text == "opened\n":
			if failed == 0 {
				t.Error("no opening failed")
			}
			return
		default:
			t.Errorf("%d files: %s", files, text)
		}
	}
	t.Error("the store was never opened")
}
