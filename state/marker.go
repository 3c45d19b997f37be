package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dgraph-io/badger/v4"
)

// The marker is a file that exists while a store is open and holds the id of the machine's boot, and one of this opening. Writes are not
// synced, so that after a loss of power any part of them may be missing, also one before a later checkpoint. A
// marker of another boot is how that shows.
const (
	markerName = "OPEN"
	newSuffix  = ".new" // of the name of a file that isn't whole yet
)

// bootIDFile is where Linux tells which boot this is. Elsewhere there is none, and a store that was not closed is
// never trusted.
const bootIDFile = "/proc/sys/kernel/random/boot_id"

// checkMarker refuses a store that was left open by a boot of the machine that is over or unknown.
func checkMarker(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, markerName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	first, _, _ := strings.Cut(string(text), "\n")
	if reason, ok := strings.CutPrefix(first, distrusted); ok {
		return fmt.Errorf("%w: %s", ErrCorrupt, reason)
	}
	if boot := bootID(); boot == "" || strings.TrimSpace(first) != boot {
		return fmt.Errorf("%w: it was not closed before the machine stopped, and may lack its last writes", ErrCorrupt)
	}
	return nil
}

func bootID() string {
	text, err := os.ReadFile(bootIDFile)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text))
}

// writeMarker returns when the marker is on disk. Nothing may be written to the store before. A marker that is there is replaced by a whole
// one: of a process that was killed in between, or of a full disk, an empty one would be left, which says that the store can't be trusted.
func writeMarker(dir, text string) error {
	if err := writeWhole(dir, markerName, text); err != nil {
		return fmt.Errorf("mark store as open: %w", err)
	}
	return nil
}

// writeWhole writes a file, or leaves the one that is there.
func writeWhole(dir, name, text string) error {
	f, err := os.OpenFile(filepath.Join(dir, name+newSuffix), os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return err
	}
	return syncDir(dir)
}

// distrusted begins the marker of a store that isn't to be trusted, before the reason. It is no boot's id.
const distrusted = "not trusted: "

// distrust has the next start refuse the store.
func distrust(dir, reason string) error {
	err := writeMarker(dir, distrusted+reason+"\n")
	if err == nil {
		return nil
	}
	// An empty marker isn't trusted either, and takes no room on a disk that is full.
	if empty := os.WriteFile(filepath.Join(dir, markerName), nil, 0o600); empty != nil {
		return errors.Join(err, empty)
	}
	return syncDir(dir)
}

func removeMarker(dir string) error {
	if err := os.Remove(filepath.Join(dir, markerName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// Destroy removes the files of a store that is not open, and no others, so that Open makes it anew. What it held
// must then be rebuilt from the changelog. A directory that does not exist is fine.
func Destroy(dir string) error { return destroy(dir, os.Remove) }

func destroy(dir string, remove func(name string) error) error {
	unlock, err := lockDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("destroy state in %s: %w", dir, err)
	}
	defer unlock()
	names, err := filesOf(dir)
	if err != nil {
		return fmt.Errorf("destroy state: %w", err)
	}
	// A store of which half is gone stays refused, for a process that is killed in between. The list of tables goes first too, without which the other
	// files are refused: no marker can be written where the disk can't be.
	if len(names) > 0 {
		_ = distrust(dir, "not all of it was deleted")
	}
	for _, name := range names {
		if err := remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("destroy state: %w", err)
		}
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("destroy state: %w", err)
	}
	if err := removeMarker(dir); err != nil {
		return fmt.Errorf("destroy state: %w", err)
	}
	return nil
}

// filesOf returns the names of a store's files but the marker, the list of tables first.
func filesOf(dir string) (names []string, err error) {
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		switch name := e.Name(); {
		case e.IsDir() || !ours(name) || name == markerName:
		case name == badger.ManifestFilename:
			names = slices.Insert(names, 0, name)
		default:
			names = append(names, name)
		}
	}
	return names, err
}

// ours reports whether a store makes files of this name.
func ours(name string) bool {
	switch name {
	case markerName, markerName + newSuffix, listName, listName + newSuffix, "MANIFEST", "MANIFEST-REWRITE", "KEYREGISTRY", "REWRITE-KEYREGISTRY", "DISCARD", "LOCK":
		return true
	}
	switch filepath.Ext(name) {
	case ".sst", ".vlog", ".mem":
		return true
	}
	return false
}
