// Package state keeps what a partition of a source must remember between batches: partials, buffered
// candidates, evidence, watermarks and the checkpoint that says up to where they are complete. It is a local
// cache of the truth, which is the changelog: a store that is lost or damaged is wiped and rebuilt from there.
//
// A batch collects its changes in an Overlay. Once the batch is committed elsewhere, Partition.Apply writes them
// with the new checkpoint. The package does not know what the values mean, it never reads the clock, and it
// is the only one that knows Badger.
package state

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
)

// Errors that callers tell apart with errors.Is.
var (
	// ErrLocked says that another process has the store's directory open.
	ErrLocked = errors.New("another process has the state directory open: stop it, or use another directory")
	// ErrCorrupt says that the files can't be trusted: remove them with Destroy and rebuild from the changelog.
	ErrCorrupt = errors.New("state is corrupt")
	// ErrLost says that files of an open store, or its folder, were deleted or replaced: what is written goes nowhere. Stop using it, and end the
	// process; the next one rebuilds it from the changelog.
	ErrLost = errors.New("the folder of the local state isn't this process's any more: it is left alone, and the next start rebuilds the state")
	// ErrStuck says that what was written can't be brought to disk, for want of room, file descriptors or whatever. Stop using the store, and end the
	// process, as with ErrLost.
	ErrStuck = errors.New("the local state can't be written to disk")
	// ErrClosed says that the store was used after Close.
	ErrClosed = errors.New("state store is closed")
	// ErrTooLarge says that a key or value is above MaxKeyBytes or MaxValueBytes. Overlay.Put never fails, so
	// whoever builds values checks their size before the batch is committed.
	ErrTooLarge = errors.New("state entry is too large")
)

// The largest key and value that a store accepts, in bytes. The key constructors of this package stay below
// the limit whatever they are given.
const (
	MaxKeyBytes   = 32 << 10
	MaxValueBytes = 16 << 20
)

// Options of a store on disk. The zero value of every field but Dir means its default.
type Options struct {
	// Dir is the folder of the store, made if it does not exist. Required. One process at a time.
	Dir string
	// MemTableSize is the size in bytes of a memory table; two are kept. What Apply writes at once is 15 % of
	// it. Default 16 MiB, at least 1 MiB.
	MemTableSize int64
	// BlockCacheSize is the memory in bytes for blocks that were read and decompressed. Default 16 MiB.
	BlockCacheSize int64
	// ValueThreshold is the size in bytes from which values are kept in a value log, apart from their keys.
	// Default 1 KiB: partials beside their keys, evidence in the log.
	ValueThreshold int64
	// ValueLogFileSize is the size in bytes of one file of the value log. Default 64 MiB, at least 32 MiB.
	ValueLogFileSize int64
	// Logger receives what the store has to say. Default none.
	Logger *slog.Logger
}

// The limits of options, in bytes.
const (
	minMemTableSize       = 1 << 20
	maxMemTableSize       = 1 << 30
	minValueLogFileSize   = 2 * MaxValueBytes
	maxValueLogFileSize   = 1 << 30
	maxInlineValue        = 1 << 20
	defaultMemTableSize   = 16 << 20
	defaultBlockCache     = 16 << 20
	defaultValueLogFile   = 64 << 20
	defaultValueThreshold = 1 << 10
	inlineShareOfBatch    = 2  // a value that is kept with its key takes at most half of a transaction
	batchPercentMemTable  = 15 // the part of a memory table that Badger takes in one transaction
)

// EnsureDefaults fills the fields that are zero.
func (o *Options) EnsureDefaults() {
	if o.MemTableSize == 0 {
		o.MemTableSize = defaultMemTableSize
	}
	if o.BlockCacheSize == 0 {
		o.BlockCacheSize = defaultBlockCache
	}
	if o.ValueThreshold == 0 {
		o.ValueThreshold = defaultValueThreshold
	}
	if o.ValueLogFileSize == 0 {
		o.ValueLogFileSize = defaultValueLogFile
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
}

// Validate reports all that is wrong with options that have their defaults.
func (o *Options) Validate() error {
	var errs []error
	within := func(name string, got, low, high int64) {
		if got < low || got > high {
			errs = append(errs, fmt.Errorf("%s %d is not within %d and %d", name, got, low, high))
		}
	}
	if o.Dir == "" {
		errs = append(errs, errors.New("no state directory"))
	}
	within("memtable size", o.MemTableSize, minMemTableSize, maxMemTableSize)
	within("block cache size", o.BlockCacheSize, 1<<20, 1<<40)
	within("value threshold", o.ValueThreshold, 64, max(64, o.largestInline()))
	within("value log file size", o.ValueLogFileSize, minValueLogFileSize, maxValueLogFileSize)
	return errors.Join(errs...)
}

func (o *Options) largestInline() int64 {
	return min(maxInlineValue, o.MemTableSize*batchPercentMemTable/100/inlineShareOfBatch)
}

// Store holds the state of all partitions that a process owns. Its methods are safe for concurrent use; each
// Partition belongs to one goroutine. Close it only when the owners of its partitions have stopped.
type Store struct {
	engine engine

	mu         sync.Mutex // guards the rest
	partitions map[int32]*Partition
	closed     bool
}

// engine is what a Store is built on. Implementations are safe for concurrent use.
type engine interface {
	// table returns the keys of one partition. A table is used by one goroutine at a time, but that another one may get while it commits.
	table(n int32) table
	// known lists partitions that have keys, in any order.
	known() ([]int32, error)
	// chunk is the most that one commit of a table takes: changes, and bytes of keys and values.
	chunk() (count int, size int64)
	sizes() (lsm, vlog int64)
	attached() error
	whole() error
	// distrust has close leave what the next open refuses.
	distrust()
	maintain(ctx context.Context) error
	close() error
}

// table is the ordered map of one partition. Keys are those of space, which the caller puts in front.
type table interface {
	get(key []byte) (value []byte, ok bool, err error)
	// scan goes through the keys with the prefix, beginning at from, which is nil or has the prefix. Without values, what fn
	// is given as one is nil. It returns an error of fn as it is.
	scan(prefix, from []byte, values bool, fn func(key, value []byte) error) error
	// commit makes all changes or none; the slices are the caller's again when it returns.
	commit(changes []change) error
}

// change is one write; a nil value deletes.
type change struct{ key, value []byte }

// Open opens the store in a directory, or makes it. The error is ErrLocked while another process has it, and
// ErrCorrupt where the files are damaged or were written by a machine that stopped without closing them. What a
// process wrote before it was killed is there.
func Open(o Options) (*Store, error) {
	o.EnsureDefaults()
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("state options: %w", err)
	}
	e, err := openBadger(o)
	if err != nil {
		return nil, fmt.Errorf("open state in %s: %w", o.Dir, err)
	}
	return newStore(e), nil
}

// OpenMemory returns a store without files, with the same contract as one on disk, for replays and tests.
func OpenMemory() *Store { return newStore(newMemory()) }

func newStore(e engine) *Store {
	return &Store{engine: e, partitions: map[int32]*Partition{}}
}

// Partition returns the state of partition n of the source, always the same value for the same n.
func (s *Store) Partition(n int32) *Partition {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, ok := s.partitions[n]
	if !ok {
		count, size := s.engine.chunk()
		p = &Partition{number: n, table: s.engine.table(n), maxCount: count, maxBytes: size}
		p.closed.Store(s.closed)
		s.partitions[n] = p
	}
	return p
}

// Partitions lists the partitions that have anything stored, in ascending order.
func (s *Store) Partitions() ([]int32, error) {
	known, err := s.engine.known()
	if err != nil {
		return nil, fmt.Errorf("list partitions: %w", err)
	}
	slices.Sort(known)
	return slices.Compact(known), nil
}

// Sizes returns the bytes that the store takes on disk: its sorted tables with the logs of memory tables, and its
// value log. A store in memory reports the bytes of its keys and values as the first.
func (s *Store) Sizes() (lsm, vlog int64) { return s.engine.sizes() }

// Maintain gives back the space of what was deleted or overwritten. Nothing else does it in full: call it every
// few minutes, from any goroutine, while partitions are in use. It costs a rewrite of the whole store and does
// nothing when nothing was written since the last call. ctx is looked at between its steps.
func (s *Store) Maintain(ctx context.Context) error {
	if err := s.engine.maintain(ctx); err != nil {
		return fmt.Errorf("maintain state: %w", err)
	}
	return nil
}

// Attached returns ErrStuck where something couldn't be written for long, and ErrLost where the store's folder was deleted or replaced, another process has opened it, or it lacks the files that each store
// has. It costs some look-ups of files: call it with each batch.
func (s *Store) Attached() error { return wrapCheck(s.engine.attached()) }

// Check is Attached, and returns ErrLost too where any file of the database that is known by its name is gone. It costs a look-up for each: call it
// every few seconds.
func (s *Store) Check() error { return wrapCheck(s.engine.whole()) }

// Distrust has Close leave the store so that the next Open returns ErrCorrupt, and what it holds is rebuilt: for those who can't go on
// because of what it holds. The next start would come upon the same.
func (s *Store) Distrust() { s.engine.distrust() }

func wrapCheck(err error) error {
	if err != nil {
		return fmt.Errorf("check state: %w", err)
	}
	return nil
}

// Close writes out what is in memory and releases the directory. Closing twice does nothing. A store that is lost stays open until the process ends,
// since closing would write into what is in its place; the error is ErrLost where Attached or Check hasn't said so yet.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for _, p := range s.partitions {
		p.closed.Store(true)
	}
	if err := s.engine.close(); err != nil {
		return fmt.Errorf("close state: %w", err)
	}
	return nil
}
