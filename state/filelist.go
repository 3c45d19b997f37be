package state

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// listName is the file of a store that was closed which lists the files of its value log, with their sizes. Badger has no such list. Where the newest of
// them is gone it gives its name to the next, in which it finds, for a key of the old one, what may be another key's.
const listName = "VALUES"

func writeList(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var list strings.Builder
	for _, e := range entries {
		if filepath.Ext(e.Name()) != ".vlog" {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		fmt.Fprintf(&list, "%s %d\n", e.Name(), info.Size())
	}
	return writeWhole(dir, listName, list.String())
}

// checkList returns ErrCorrupt where the value log lacks what it had when the store was closed. A store without a list is as good as its files.
func checkList(dir string) error {
	list, err := os.ReadFile(filepath.Join(dir, listName))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(list)) {
		var name string
		var size int64
		if _, err := fmt.Sscanf(line, "%s %d\n", &name, &size); err != nil {
			return fmt.Errorf("%w: its file %s: %w", ErrCorrupt, listName, err)
		}
		info, err := os.Stat(filepath.Join(dir, name))
		switch {
		case gone(err):
			return fmt.Errorf("%w: its file %s is gone", ErrCorrupt, name)
		case err != nil:
			return err
		case info.Size() < size:
			return fmt.Errorf("%w: its file %s has %d bytes, %d when it was closed", ErrCorrupt, name, info.Size(), size)
		}
	}
	return nil
}

// removeList removes the list of a store that changes from now on.
func removeList(dir string) error {
	if err := os.Remove(filepath.Join(dir, listName)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
