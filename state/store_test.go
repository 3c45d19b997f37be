package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/state"
	"github.com/weir-eql/weir/state/statetest"
)

// small are options under which limits are met early.
func small(dir string) state.Options { return state.Options{Dir: dir, MemTableSize: 4 << 20} }

func open(tb testing.TB, o state.Options) *state.Store {
	tb.Helper()
	s, err := state.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func closing(tb testing.TB, s *state.Store) *state.Store {
	tb.Helper()
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

func TestMemory(t *testing.T) {
	statetest.Run(t, func(*testing.T) *state.Store { return state.OpenMemory() })
}

func TestDisk(t *testing.T) {
	statetest.Run(t, func(t *testing.T) *state.Store { t.Helper(); return open(t, small(t.TempDir())) })
	statetest.RunDurable(t, func(t *testing.T, dir string) *state.Store { t.Helper(); return open(t, small(dir)) })
}

func TestDiskDefaults(t *testing.T) {
	statetest.Run(t, func(t *testing.T) *state.Store { t.Helper(); return open(t, state.Options{Dir: t.TempDir()}) })
}

func TestDiskInline(t *testing.T) {
	o := state.Options{MemTableSize: 4 << 20, ValueThreshold: 128 << 10, ValueLogFileSize: 32 << 20}
	statetest.RunDurable(t, func(t *testing.T, dir string) *state.Store { t.Helper(); o.Dir = dir; return open(t, o) })
	statetest.Run(t, func(t *testing.T) *state.Store { t.Helper(); o.Dir = t.TempDir(); return open(t, o) })
}

// An Apply that ends between any two of its chunks leaves the old checkpoint, and the same or a longer batch can
// be applied over what it left.
func TestApplyInterrupted(t *testing.T) {
	stores := map[string]func(t *testing.T) *state.Store{
		"memory": func(*testing.T) *state.Store { return state.OpenMemory() },
		"disk":   func(t *testing.T) *state.Store { t.Helper(); return open(t, small(t.TempDir())) },
	}
	died := errors.New("died")
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			s := closing(t, open(t))
			const chunk, keys = 10, 100
			for at := 1; ; at++ {
				p := s.Partition(int32(at))
				p.SetChunk(chunk)
				var before, batch state.Overlay
				want := map[string]string{}
				for i := range keys {
					before.Put(fmt.Appendf(nil, "%03d", i), []byte("old"))
					if i%2 == 0 {
						batch.Delete(fmt.Appendf(nil, "%03d", i))
					} else {
						batch.Put(fmt.Appendf(nil, "%03d", i), []byte("new"))
						want[fmt.Sprintf("%03d", i)] = "new"
					}
				}
				if err := p.Apply(&before, state.Checkpoint{Changelog: 1}); err != nil {
					t.Fatal(err)
				}
				p.SetFault(func(committed int) error {
					if committed == at {
						return died
					}
					return nil
				})
				err := p.Apply(&batch, state.Checkpoint{Changelog: 2})
				c, ok, cerr := p.Checkpoint()
				if cerr != nil || !ok {
					t.Fatalf("checkpoint: %v, %v", ok, cerr)
				}
				if err == nil {
					if at < keys/chunk {
						t.Fatalf("only %d chunks", at)
					}
					if c.Changelog != 2 {
						t.Errorf("checkpoint of a whole apply: %d", c.Changelog)
					}
					return
				}
				if !errors.Is(err, died) || c.Changelog != 1 {
					t.Fatalf("died after chunk %d: %v, checkpoint %d, want 1", at, err, c.Changelog)
				}
				if got := len(statetest.Dump(t, p)); got == keys {
					t.Fatalf("chunk %d: nothing was applied before the fault", at)
				}
				p.SetFault(nil)
				batch.Put([]byte("one more"), []byte("1"))
				want["one more"] = "1"
				if err := p.Apply(&batch, state.Checkpoint{Changelog: 3}); err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(want, statetest.Dump(t, p)); diff != "" {
					t.Errorf("chunk %d (-want +got):\n%s", at, diff)
				}
			}
		})
	}
}

func TestWipeInterrupted(t *testing.T) {
	s := closing(t, open(t, small(t.TempDir())))
	p := s.Partition(0)
	p.SetChunk(10)
	var o state.Overlay
	for i := range 100 {
		o.Put(fmt.Appendf(nil, "%03d", i), []byte("v"))
	}
	if err := p.Apply(&o, state.Checkpoint{}); err != nil {
		t.Fatal(err)
	}
	died := errors.New("died")
	p.SetFault(func(committed int) error {
		if committed == 3 {
			return died
		}
		return nil
	})
	if err := p.Wipe(); !errors.Is(err, died) {
		t.Fatalf("wipe: %v", err)
	}
	if _, ok, err := p.Checkpoint(); ok || err != nil {
		t.Errorf("a wipe that was cut off left a checkpoint: %v, %v", ok, err)
	}
	if got := len(statetest.Dump(t, p)); got == 0 || got == 100 {
		t.Errorf("%d keys are left, want some", got)
	}
	p.SetFault(nil)
	if err := p.Wipe(); err != nil {
		t.Fatal(err)
	}
	if got := len(statetest.Dump(t, p)); got != 0 {
		t.Errorf("%d keys are left", got)
	}
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	s := closing(t, open(t, small(dir)))
	if _, err := state.Open(small(dir)); !errors.Is(err, state.ErrLocked) || !strings.Contains(err.Error(), dir) {
		t.Errorf("second open: got %v, want ErrLocked and the directory", err)
	}
	if err := state.Destroy(dir); !errors.Is(err, state.ErrLocked) {
		t.Errorf("destroy: got %v, want ErrLocked", err)
	}
	if err := s.Partition(0).Apply(nil, state.Checkpoint{}); err != nil {
		t.Errorf("the first one is disturbed: %v", err)
	}
}

func TestValidate(t *testing.T) {
	_, err := state.Open(state.Options{MemTableSize: 1, BlockCacheSize: 2, ValueThreshold: 3, ValueLogFileSize: 4})
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"directory", "memtable", "block cache", "threshold", "value log"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %q", err, want)
		}
	}
}

// A directory that can't be used is not a corrupt one: wiping would not help.
func TestUnusableDirectory(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := state.Open(small(filepath.Join(file, "dir")))
	if err == nil || errors.Is(err, state.ErrCorrupt) || errors.Is(err, state.ErrLocked) {
		t.Errorf("got %v, want an error of its own", err)
	}
}

func filled(t *testing.T, dir string) {
	t.Helper()
	s := open(t, small(dir))
	var o state.Overlay
	rnd := rand.NewChaCha8([32]byte{1})
	for i := range 30_000 {
		noise := make([]byte, 200) // what is compressed well may hide a damaged byte
		_, _ = rnd.Read(noise)
		o.Put(fmt.Appendf(nil, "%08d", i), noise)
	}
	if err := s.Partition(0).Apply(&o, state.Checkpoint{Changelog: 4}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestCorrupt(t *testing.T) {
	damage := map[string]func(t *testing.T, dir string){
		"manifest cut": func(t *testing.T, dir string) {
			t.Helper()
			overwrite(t, dir, "MANIFEST", func([]byte) []byte { return []byte("Bdg") })
		},
		"manifest bytes": func(t *testing.T, dir string) {
			t.Helper()
			overwrite(t, dir, "MANIFEST", func(b []byte) []byte { b[len(b)/2] ^= 0xff; return b })
		},
		"table missing": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.Remove(oneOf(t, dir, "*.sst")); err != nil {
				t.Fatal(err)
			}
		},
		"table block": func(t *testing.T, dir string) {
			t.Helper()
			overwrite(t, dir, "*.sst", func(b []byte) []byte { b[len(b)/3] ^= 0x10; return b })
		},
		"table index": func(t *testing.T, dir string) {
			t.Helper()
			overwrite(t, dir, "*.sst", func(b []byte) []byte { b[len(b)-200] ^= 0x10; return b })
		},
		"table cut": func(t *testing.T, dir string) {
			t.Helper()
			overwrite(t, dir, "*.sst", func(b []byte) []byte { return b[:len(b)/2] })
		},
		"other boot": func(t *testing.T, dir string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, state.MarkerName), []byte("another boot\n"), 0o600); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, harm := range damage {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			filled(t, dir)
			foreign := filepath.Join(dir, "notes.txt")
			if err := os.WriteFile(foreign, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
			harm(t, dir)
			s, err := state.Open(small(dir))
			if err == nil {
				t.Cleanup(func() { _ = s.Close() })
			}
			if !errors.Is(err, state.ErrCorrupt) {
				t.Fatalf("open: got %v, want ErrCorrupt", err)
			}
			if err := state.Destroy(dir); err != nil {
				t.Fatal(err)
			}
			s = closing(t, open(t, small(dir)))
			if got := statetest.Dump(t, s.Partition(0)); len(got) > 0 {
				t.Errorf("%d keys after destroy", len(got))
			}
			if _, err := os.Stat(foreign); err != nil {
				t.Errorf("destroy took a file that is not the store's: %v", err)
			}
		})
	}
}

func oneOf(t *testing.T, dir, pattern string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(names) == 0 {
		t.Fatalf("no %s in the store: %v", pattern, err)
	}
	return names[0]
}

func overwrite(t *testing.T, dir, pattern string, edit func([]byte) []byte) {
	t.Helper()
	name := oneOf(t, dir, pattern)
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, edit(b), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestDestroyNothing(t *testing.T) {
	if err := state.Destroy(filepath.Join(t.TempDir(), "none")); err != nil {
		t.Error(err)
	}
}

func TestMaintainCancelled(t *testing.T) {
	s := closing(t, open(t, small(t.TempDir())))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Maintain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want Canceled", err)
	}
}

func TestLogger(t *testing.T) {
	var log bytes.Buffer
	o := small(t.TempDir())
	o.Logger = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s := open(t, o)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(log.String(), `msg="state store" detail=`) {
		t.Errorf("log: %q", log.String())
	}
}
