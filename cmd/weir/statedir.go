package main

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/state"
)

// openStore opens the local state. State that is damaged is thrown away: the changelog has it all.
func openStore(c config.State, log *slog.Logger) (*state.Store, error) {
	o := state.Options{
		Dir:          filepath.Join(c.Dir, "store"),
		MemTableSize: int64(c.MemtableMB) << 20, BlockCacheSize: int64(c.CacheMB) << 20, Logger: log,
	}
	store, err := state.Open(o)
	if errors.Is(err, state.ErrCorrupt) {
		log.Warn("the local state is damaged: it is rebuilt from the changelog", slog.Any("error", err))
		if err := state.Destroy(o.Dir); err != nil {
			return nil, fmt.Errorf("local state: %w", err)
		}
		store, err = state.Open(o)
	}
	if err != nil {
		return nil, fmt.Errorf("local state in %s: %w", o.Dir, err)
	}
	return store, nil
}

// instance returns the name of this member that is kept beside its state, making one up the first time.
func instance(dir string) (string, error) {
	path := filepath.Join(dir, "instance")
	data, err := os.ReadFile(path)
	if name := strings.TrimSpace(string(data)); err == nil && name != "" {
		return name, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("state.dir: the name of this member: %w", err)
	}
	raw := make([]byte, 8)
	if _, err := rand.Read(raw); err != nil {
		return "", fmt.Errorf("state.dir: the name of this member: %w", err)
	}
	name := hex.EncodeToString(raw)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return "", fmt.Errorf("state.dir: the name of this member: %w", err)
	}
	if err := os.WriteFile(path+".new", []byte(name+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("state.dir: the name of this member: %w", err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		return "", fmt.Errorf("state.dir: the name of this member: %w", err)
	}
	return name, nil
}
