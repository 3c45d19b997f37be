package main

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/state"
)

// TestGuardOfTheStateFolder: that the state folder is deleted is noticed also where nothing is committed.
func TestGuardOfTheStateFolder(t *testing.T) {
	c := config.State{Dir: t.TempDir(), MemtableMB: 8, CacheMB: 4}
	store, err := openStore(c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	e := &engine{store: store}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := e.guard(ctx, time.Millisecond); err != nil {
		t.Errorf("whole: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(c.Dir, "store")); err != nil {
		t.Fatal(err)
	}
	if err := e.guard(t.Context(), time.Millisecond); !errors.Is(err, state.ErrLost) {
		t.Errorf("deleted: %v, want that it is lost", err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
