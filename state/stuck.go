package state

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
)

// Badger tries for ever to write a memory table to disk, and what has to write meanwhile waits for it without an end, as does its Close. It tells of
// each attempt that fails, about one a second, in its log only.

// flushes tells of attempts to write a memory table that failed.
type flushes struct {
	mu     sync.Mutex
	failed chan struct{} // closed, and replaced, by each

	// halfCompacted says that merging tables failed. Badger tries that again, but one that ends well meanwhile may lack a table that couldn't be made: its
	// error is dropped (levels.go of v4.9.6, subcompact, which defers Done with the error of before), and what it was made of is deleted.
	halfCompacted atomic.Bool
}

// noteWarning takes in the format of a warning that Badger logs.
func (f *flushes) noteWarning(format string) {
	if strings.Contains(format, "LOG Compact FAILED") {
		f.halfCompacted.Store(true)
	}
}

func newFlushes() *flushes { return &flushes{failed: make(chan struct{})} }

// next is closed when the next attempt fails.
func (f *flushes) next() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// note takes in the format of an error that Badger logs.
func (f *flushes) note(format string) {
	if !strings.HasPrefix(format, "error flushing memtable") {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	close(f.failed)
	f.failed = make(chan struct{})
}

// patience is how many attempts may fail while something waits for a memory table to be written.
const patience = 30

// await returns the error of what Badger does, or ErrStuck where it is still waiting.
func (d *disk) await(done <-chan error) error {
	for range d.patience {
		failed := d.flushes.next()
		select {
		case err := <-done:
			return err
		case <-failed:
		}
	}
	return fmt.Errorf("%w: %d attempts failed, see the log", ErrStuck, d.patience)
}

// awaitWrite is await for what writes. That may come to be written with what its caller's memory holds by then: the store isn't to be trusted.
func (d *disk) awaitWrite(done <-chan error) error {
	err := d.await(done)
	if errors.Is(err, ErrStuck) {
		d.setLost(err)
	}
	return err
}
