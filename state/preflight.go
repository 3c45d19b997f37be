package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"
	sst "github.com/dgraph-io/badger/v4/table"
)

// found is how a start finds a store.
type found int

const (
	foundUnknown found = iota
	foundClosed        // it was closed, or there is none yet
	foundOpen          // its process was killed, or couldn't open it
)

// preflight looks at what Badger would end the process over when it opens a database: tables whose ends, which say
// where their indexes are, make no sense. Checksums are Badger's part. It marks the store as open, with the id of this opening.
func preflight(o badger.Options, id string) (before found, err error) {
	unlock, err := lockDir(o.Dir)
	if err != nil {
		return foundUnknown, err
	}
	defer unlock()
	if err := checkRemains(o.Dir); err != nil {
		return foundUnknown, err
	}
	if err := removeUnborn(o.Dir); err != nil {
		return foundUnknown, err
	}
	switch _, err := os.Stat(filepath.Join(o.Dir, markerName)); {
	case errors.Is(err, fs.ErrNotExist):
		if err := checkList(o.Dir); err != nil {
			return foundUnknown, err
		}
		before = foundClosed
	case err != nil:
		return foundUnknown, err
	default:
		before = foundOpen
	}
	// Before there are files of memory tables: without it they are those of a store that somebody deleted files of.
	if err := writeMarker(o.Dir, bootID()+"\n"+id+"\n"); err != nil {
		return before, err
	}
	if err := removeList(o.Dir); err != nil {
		return before, err
	}
	return before, checkTables(o)
}

// checkTables returns ErrCorrupt only where what it reads makes no sense, or a file is gone: what can't be read for want of something else may be whole.
func checkTables(o badger.Options) error {
	manifest, err := readManifest(o)
	if err != nil {
		return fmt.Errorf("list of tables: %w", err)
	}
	for id := range manifest.Tables {
		if err := checkFooter(sst.NewFilename(id, o.Dir)); err != nil {
			return fmt.Errorf("table %d: %w", id, err)
		}
	}
	return nil
}

// readManifest returns an empty list of tables where there is none.
func readManifest(o badger.Options) (m badger.Manifest, err error) {
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	// Badger tells a file that can't be read from one that makes no sense by no error of its own: read it once before.
	if _, err := io.Copy(io.Discard, f); err != nil {
		return m, err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return m, err
	}
	if m, _, err = badger.ReplayManifestFile(f, o.ExternalMagicVersion, o); err != nil {
		return m, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return m, nil
}

// removeUnborn removes the logs of memory tables and files of the value log that are empty. A process that is killed between
// making such a file and giving it its size leaves one behind; nothing was written to it yet, but Badger refuses to open the
// database because of it.
func removeUnborn(dir string) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if ext := filepath.Ext(f.Name()); ext != ".mem" && ext != ".vlog" {
			continue
		}
		info, err := f.Info()
		if err == nil && info.Size() == 0 {
			err = os.Remove(filepath.Join(dir, f.Name()))
		}
		if err != nil {
			return fmt.Errorf("empty file of the state: %w", err)
		}
	}
	return nil
}

// checkFooter reads a table from its end: the length of the checksum, the checksum, the length of the index.
func checkFooter(name string) error {
	f, err := os.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	rest := size
	for _, part := range []string{"checksum", "index"} {
		var word [4]byte
		if rest -= int64(len(word)); err == nil {
			err = readWord(f, &word, rest)
		}
		length := int64(binary.BigEndian.Uint32(word[:]))
		rest -= length
		if err == nil && (length == 0 || rest < 0) {
			err = fmt.Errorf("%w: %s of %d bytes in a file of %d", ErrCorrupt, part, length, size)
		}
	}
	return errors.Join(err, f.Close())
}

// readWord reads four bytes of a file. Before its beginning there are zeros.
func readWord(f *os.File, word *[4]byte, at int64) error {
	if at < 0 {
		return nil
	}
	_, err := f.ReadAt(word[:], at)
	if errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}
