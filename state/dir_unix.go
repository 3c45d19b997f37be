//go:build unix

package state

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// diskUsage adds up what files occupy, not their lengths: logs are allocated ahead and mostly empty.
func diskUsage(dir string) (lsm, vlog int64) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return 0, 0
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			continue // a compaction removed it
		}
		size := occupied(info)
		switch filepath.Ext(e.Name()) {
		case ".sst", ".mem":
			lsm += size
		case ".vlog":
			vlog += size
		}
	}
	return lsm, vlog
}

const statBlock = 512 // bytes; fixed, whatever the file system's own blocks are

func occupied(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return min(st.Blocks*statBlock, info.Size())
	}
	return info.Size()
}

// lockDir takes the lock that an open store holds.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		closed := f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(ErrLocked, closed)
		}
		return nil, errors.Join(err, closed)
	}
	return func() { _ = f.Close() }, nil // releases the lock; the file was only read
}
