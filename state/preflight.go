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

// preflight looks at what Badger would end the process over when it opens a database: tables whose ends, which say
// where their indexes are, make no sense. Checksums are Badger's part. It marks the store as open.
func preflight(o badger.Options) error {
	unlock, err := lockDir(o.Dir)
	if err != nil {
		return err
	}
	defer unlock()
	if err := checkRemains(o.Dir); err != nil {
		return err
	}
	if err := removeUnborn(o.Dir); err != nil {
		return err
	}
	// Before there are files of memory tables: without it they are those of a store that somebody deleted files of.
	if err := writeMarker(o.Dir, bootID()+"\n"); err != nil {
		return err
	}
	f, err := os.Open(filepath.Join(o.Dir, badger.ManifestFilename))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	manifest, _, err := badger.ReplayManifestFile(f, o.ExternalMagicVersion, o)
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("%w: list of tables: %w", ErrCorrupt, err)
	}
	for id := range manifest.Tables {
		if err := checkFooter(sst.NewFilename(id, o.Dir)); err != nil {
			return fmt.Errorf("%w: table %d: %w", ErrCorrupt, id, err)
		}
	}
	return nil
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
	if err != nil {
		return err
	}
	size, err := f.Seek(0, io.SeekEnd)
	rest := size
	for _, part := range []string{"checksum", "index"} {
		var word [4]byte
		rest -= int64(len(word))
		if err == nil && rest >= 0 {
			_, err = f.ReadAt(word[:], rest)
		}
		length := int64(binary.BigEndian.Uint32(word[:]))
		rest -= length
		if err == nil && (length == 0 || rest < 0) {
			err = fmt.Errorf("%s of %d bytes in a file of %d", part, length, size)
		}
	}
	return errors.Join(err, f.Close())
}
