package state

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/dgraph-io/badger/v4"
	sst "github.com/dgraph-io/badger/v4/table"
)

// A store whose folder is deleted or replaced under it notices nothing by itself: files that are open and mapped stay what they are, and new ones
// are made by their path, in whatever folder is there by then. What is left of the old one may look whole to the next start, and not be.

// folder is the folder of an open store, as it was when it was opened.
type folder struct {
	dir  string
	info fs.FileInfo
	id   string // of this opening; the marker has it
}

// occupy marks the folder of a database that is open as this one's.
func (f *folder) occupy() (err error) {
	if err := writeMarker(f.dir, bootID()+"\n"+f.id+"\n"); err != nil {
		return err
	}
	f.info, err = os.Stat(f.dir)
	return err
}

// release makes the folder that of a database which was closed. A list of its files that can't be written is only missed when some are deleted.
func (f *folder) release() error {
	return f.whileOurs(func() error {
		if writeList(f.dir) != nil {
			if err := removeList(f.dir); err != nil {
				return err
			}
		}
		return removeMarker(f.dir)
	})
}

// undo makes a store that was closed what it was before an opening that failed. Logs of memory tables, of which it had none, hold nothing yet.
func (f *folder) undo() error {
	return f.whileOurs(func() error {
		entries, err := os.ReadDir(f.dir)
		for _, e := range entries {
			if err == nil && filepath.Ext(e.Name()) == ".mem" {
				err = os.Remove(filepath.Join(f.dir, e.Name()))
			}
		}
		if err != nil {
			return fmt.Errorf("undo the opening: %w", err)
		}
		return removeMarker(f.dir)
	})
}

// whileOurs calls fn where the marker is still this opening's. Another process may have opened the store since Badger has let go of its lock.
func (f *folder) whileOurs(fn func() error) error {
	unlock, err := lockDir(f.dir)
	if errors.Is(err, ErrLocked) || gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer unlock()
	text, err := os.ReadFile(filepath.Join(f.dir, markerName))
	if gone(err) || err == nil && markerID(text) != f.id {
		return nil
	}
	if err != nil {
		return err
	}
	return fn()
}

// attached returns ErrLost where the folder isn't the one that was opened, another process has opened it since, or what each store has is gone from
// it. What can't be looked at isn't lost.
func (f *folder) attached() error {
	info, err := os.Stat(f.dir)
	switch {
	case gone(err):
		return lost("it was deleted")
	case err == nil && !os.SameFile(f.info, info):
		return lost("another folder is in its place")
	}
	text, err := os.ReadFile(filepath.Join(f.dir, markerName))
	switch {
	case gone(err):
		return lost("its file %s was deleted", markerName)
	case err == nil && markerID(text) != f.id:
		return fmt.Errorf("%w: %w", lost("its file %s isn't the one that was written", markerName), errForeign)
	}
	if _, err := os.Stat(filepath.Join(f.dir, badger.ManifestFilename)); gone(err) {
		return lost("its file %s was deleted", badger.ManifestFilename)
	}
	return nil
}

// errForeign says that the folder is another process's.
var errForeign = errors.New("another process has opened it, or a copy was put there")

func lost(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrLost, fmt.Sprintf(format, args...))
}

func gone(err error) bool { return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) }

// whole returns ErrLost also where files of the database are gone. Tables come and go meanwhile.
func (f *folder) whole(tables func() []badger.TableInfo) error {
	if err := f.attached(); err != nil {
		return err
	}
	for _, ext := range []string{".mem", ".vlog"} { // there is always one
		// The next one is made before the last is deleted, but a large folder that changes meanwhile may be read without either: look again.
		if f.lacks(ext) {
			if f.lacks(ext) {
				return lost("its *%s files were deleted", ext)
			}
		}
	}
	for _, t := range tables() {
		name := sst.NewFilename(t.ID, f.dir)
		if _, err := os.Stat(name); !gone(err) {
			continue
		}
		// A compaction takes a table from the list before it deletes its file.
		if slices.ContainsFunc(tables(), func(u badger.TableInfo) bool { return u.ID == t.ID }) {
			return lost("its file %s was deleted", filepath.Base(name))
		}
	}
	return nil
}

// lacks reports whether the folder has no file of a kind. It may have a name that a pattern would be read in.
func (f *folder) lacks(ext string) bool {
	entries, err := os.ReadDir(f.dir)
	return err == nil && !slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return filepath.Ext(e.Name()) == ext })
}

// distrust has the next start rebuild what is left of a store in the folder, unless it is another's by now.
func (f *folder) distrust(cause error) error {
	info, err := os.Stat(f.dir)
	if err != nil || !os.SameFile(f.info, info) || errors.Is(cause, errForeign) {
		return nil //nolint:nilerr // there is nothing of ours that a start could find
	}
	reason := "files of it were deleted while it was open"
	if errors.Is(cause, ErrStuck) {
		reason = "it couldn't be written to"
	}
	return distrust(f.dir, reason)
}

func markerID(text []byte) string {
	_, id, _ := bytes.Cut(text, []byte("\n"))
	return strings.TrimSpace(string(id))
}

// checkRemains refuses files of a store that lacks those without which what the others hold isn't known: somebody has deleted them.
func checkRemains(dir string) error {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	has := map[string]bool{}
	for _, e := range entries {
		info, err := e.Info()
		if gone(err) {
			continue
		}
		if err != nil {
			return err
		}
		name := e.Name()
		if ext := filepath.Ext(name); ext == ".mem" && info.Size() > 0 || ext == ".sst" || ext == ".vlog" {
			name = ext
		}
		has[name] = true
	}
	switch {
	case (has[".mem"] || has[".sst"] || has[".vlog"]) && !has[badger.ManifestFilename]:
		return fmt.Errorf("%w: its file %s is gone", ErrCorrupt, badger.ManifestFilename)
	case has[".mem"] && !has[markerName]: // a store that was closed has none
		return fmt.Errorf("%w: its file %s is gone", ErrCorrupt, markerName)
	}
	return nil
}
