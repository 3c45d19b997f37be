package state_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-eql/weir/state"
	"github.com/weir-eql/weir/state/statetest"
)

// document is a value of the value log.
func document(i int) []byte { return bytes.Repeat([]byte{byte('a' + i)}, 4<<10) }

const documents = 4

// withDocuments makes a store that was closed, and has values in its log.
func withDocuments(t *testing.T, dir string) {
	t.Helper()
	s := open(t, small(dir))
	var o state.Overlay
	for i := range documents {
		o.Put(fmt.Appendf(nil, "key %d", i), document(i))
	}
	o.Put([]byte("small"), []byte("value"))
	o.Put([]byte("void"), nil)
	if err := errors.Join(s.Partition(0).Apply(&o, state.Checkpoint{Changelog: 7}), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// TestValueLogDamaged: a value that can't be read is damage, and no empty value. A store that is distrusted for it is refused by the next start.
func TestValueLogDamaged(t *testing.T) {
	const of = 2 // the document that is harmed
	for name, harm := range map[string]func(t *testing.T, dir string){
		"byte": func(t *testing.T, dir string) {
			t.Helper()
			overwrite(t, dir, "*.vlog", func(b []byte) []byte { b[bytes.Index(b, document(of))+1000] ^= 1; return b })
		},
		"cut": func(t *testing.T, dir string) {
			t.Helper()
			overwrite(t, dir, "*.vlog", func(b []byte) []byte { return b[:bytes.Index(b, document(of))+1000] })
		},
		"file deleted": func(t *testing.T, dir string) { t.Helper(); removeAll(t, dir, "*.vlog") },
		"file empty": func(t *testing.T, dir string) {
			t.Helper()
			overwrite(t, dir, "*.vlog", func([]byte) []byte { return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			withDocuments(t, dir)
			removeAll(t, dir, state.ListName) // as where it couldn't be written
			harm(t, dir)
			s := open(t, small(dir))
			p := s.Partition(0)
			if value, ok, err := p.Get(fmt.Appendf(nil, "key %d", of)); !errors.Is(err, state.ErrCorrupt) {
				t.Errorf("get: %d bytes, %v, %v; want that it is corrupt", len(value), ok, err)
			}
			if err := p.Scan([]byte("key"), func(_, value []byte) error {
				if len(value) == 0 {
					t.Error("scan: an empty value")
				}
				return nil
			}); !errors.Is(err, state.ErrCorrupt) {
				t.Errorf("scan: %v, want that it is corrupt", err)
			}
			for key, want := range map[string]string{"small": "value", "void": ""} {
				if value, ok, err := p.Get([]byte(key)); err != nil || !ok || string(value) != want {
					t.Errorf("%s: %q, %v, %v", key, value, ok, err)
				}
			}
			s.Distrust()
			if err := s.Close(); err != nil {
				t.Error(err)
			}
			if _, err := state.Open(small(dir)); !errors.Is(err, state.ErrCorrupt) {
				t.Fatalf("open: %v, want that it is corrupt", err)
			}
			if err := state.Destroy(dir); err != nil {
				t.Fatal(err)
			}
			if got := statetest.Dump(t, closing(t, open(t, small(dir))).Partition(0)); len(got) > 0 {
				t.Errorf("%d keys after destroy", len(got))
			}
		})
	}
}

// TestDistrustOnFullDisk: where the marker can't be replaced, an empty one says that the store isn't to be trusted.
func TestDistrustOnFullDisk(t *testing.T) {
	dir := t.TempDir()
	s := open(t, small(dir))
	inTheWay := filepath.Join(dir, state.MarkerName+".new")
	if err := os.Mkdir(inTheWay, 0o700); err != nil {
		t.Fatal(err)
	}
	s.Distrust()
	if err := errors.Join(s.Close(), os.Remove(inTheWay)); err != nil {
		t.Error(err)
	}
	if _, err := state.Open(small(dir)); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("open: %v, want that it is corrupt", err)
	}
}

// TestValueLogDeletedWhileDown: a file of the value log that is gone, or cut, since the store was closed isn't taken for the one that has its name next.
func TestValueLogDeletedWhileDown(t *testing.T) {
	for name, harm := range map[string]func(t *testing.T, dir string){
		"deleted": func(t *testing.T, dir string) { t.Helper(); removeAll(t, dir, "*.vlog") },
		"cut": func(t *testing.T, dir string) {
			t.Helper()
			overwrite(t, dir, "*.vlog", func(b []byte) []byte { return b[:len(b)-1] })
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			withDocuments(t, dir)
			harm(t, dir)
			if s, err := state.Open(small(dir)); err == nil {
				wantDocuments(t, s)
				t.Error("it opened")
			} else if !errors.Is(err, state.ErrCorrupt) {
				t.Errorf("open: %v, want that it is corrupt", err)
			}
		})
	}
}

// wantDocuments checks that no document is another's when there are new ones.
func wantDocuments(t *testing.T, s *state.Store) {
	t.Helper()
	p := closing(t, s).Partition(0)
	var o state.Overlay
	for i := range documents {
		o.Put(fmt.Appendf(nil, "new %d", i), document(i+documents))
	}
	if err := p.Apply(&o, state.Checkpoint{Changelog: 8}); err != nil {
		t.Fatal(err)
	}
	for i := range documents {
		if value, _, err := p.Get(fmt.Appendf(nil, "key %d", i)); err == nil && !bytes.Equal(value, document(i)) {
			t.Errorf("key %d: what is of another key, %q…", i, value[:4])
		}
	}
}

// TestListOfTheLog: what a store does by itself with files of its value log, also in openings without a change, is no damage.
func TestListOfTheLog(t *testing.T) {
	dir := t.TempDir()
	withDocuments(t, dir)
	for round := range 4 {
		s := open(t, small(dir))
		var o state.Overlay
		if round%2 == 1 {
			o.Put([]byte("one more"), document(round))
		}
		if err := errors.Join(s.Partition(0).Apply(&o, state.Checkpoint{Changelog: 8}), s.Maintain(t.Context()), s.Close()); err != nil {
			t.Fatal(err)
		}
	}
	wantDocuments(t, open(t, small(dir)))
}
