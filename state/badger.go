package state

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dgraph-io/badger/v4"
	"github.com/dgraph-io/badger/v4/options"
)

// disk is the engine on Badger: one database for all partitions, each key behind the number of its partition.
type disk struct {
	db    *badger.DB
	dir   string
	at    folder
	log   *slog.Logger
	count int
	size  int64

	mu     sync.Mutex // held by maintain and close
	closed bool
	dirty  atomic.Bool           // written to since the last maintain
	lost   atomic.Pointer[error] // why the folder isn't the store's any more, or can't be written to; nil: it is

	flushes  *flushes
	patience int

	distrusted atomic.Bool // the next start is to rebuild it
}

// openBadger opens or makes the database and marks it as open.
func openBadger(o Options) (*disk, error) {
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, err
	}
	if err := checkMarker(o.Dir); err != nil {
		return nil, err
	}
	at, failed := folder{dir: o.Dir, id: rand.Text()}, newFlushes()
	settings := badgerOptions(o).WithLogger(bridge{o.Logger, failed})
	before, err := preflight(settings, at.id)
	if err != nil {
		return nil, giveUp(before, &at, err)
	}
	db, err := openDatabase(settings)
	if err != nil {
		return nil, giveUp(before, &at, classify(err))
	}
	if err := at.occupy(); err != nil {
		if closed := db.Close(); closed != nil {
			return nil, errors.Join(err, closed)
		}
		return nil, errors.Join(err, at.release())
	}
	d := &disk{db: db, dir: o.Dir, at: at, log: o.Logger, flushes: failed, patience: patience}
	// A margin stays for what Badger adds to each entry, and room for the checkpoint.
	d.count = int(db.MaxBatchCount() * 9 / 10)
	d.size = db.MaxBatchSize() * 9 / 10
	d.dirty.Store(true)
	return d, nil
}

// giveUp returns why a store can't be opened. One that was closed before, and isn't damaged, is so again: by what the opening left it would
// be refused when the machine has started anew.
func giveUp(before found, at *folder, err error) error {
	if before != foundClosed || errors.Is(err, ErrCorrupt) {
		return err
	}
	return errors.Join(err, at.undo())
}

// openDatabase turns the panics that Badger answers some damaged files with into errors.
func openDatabase(o badger.Options) (db *badger.DB, err error) {
	defer func() {
		if r := recover(); r != nil {
			db, err = nil, fmt.Errorf("database panicked: %v", r)
		}
	}()
	return badger.Open(o)
}

// The shape of the tree. A base level as large as two memory tables, and a level 0 of a few more, halve what a restore compacts: its tables
// span all keys, so that each compaction of level 0 rewrites the whole base level.
const (
	levelZeroTables     = 4
	levelZeroStall      = 12
	baseLevelMemTables  = 2
	tablesOfOneMemTable = 4
	minTableSize        = 2 << 20
	maxTableSize        = 16 << 20
)

func badgerOptions(o Options) badger.Options {
	return badger.DefaultOptions(o.Dir).
		WithSyncWrites(false). // written to mapped files: survives the process; see docs/adr/0003
		WithNumVersionsToKeep(1).
		WithDetectConflicts(false). // one writer per partition, and partitions share no key
		WithMetricsEnabled(false).
		WithMemTableSize(o.MemTableSize).
		WithNumMemtables(2).
		WithNumLevelZeroTables(levelZeroTables).
		WithNumLevelZeroTablesStall(levelZeroStall).
		WithBaseLevelSize(baseLevelMemTables * o.MemTableSize).
		WithBaseTableSize(min(max(minTableSize, o.MemTableSize/tablesOfOneMemTable), maxTableSize)).
		WithNumCompactors(2).
		WithNumGoroutines(2).
		WithBlockCacheSize(o.BlockCacheSize).
		WithCompression(options.Snappy).
		WithValueThreshold(o.ValueThreshold).
		WithValueLogFileSize(o.ValueLogFileSize).
		WithChecksumVerificationMode(options.OnTableRead).
		WithVerifyValueChecksum(true)
}

// classify tells a lock and a shortage of the machine from damage. Badger's errors wrap nothing, so that only
// their text is left to look at.
func classify(err error) error {
	text := err.Error()
	if strings.Contains(text, "directory lock") {
		return ErrLocked
	}
	for _, shortage := range []string{
		"no space left", "permission denied", "read-only file system", "too many open files",
		"cannot allocate memory", "operation not permitted", "quota exceeded", "input/output error",
	} {
		if strings.Contains(text, shortage) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

func (d *disk) table(n int32) table {
	return &diskTable{disk: d, prefix: appendPartition(nil, n)}
}

func (d *disk) chunk() (count int, size int64) { return d.count, d.size }

// known hops from partition to partition.
func (d *disk) known() ([]int32, error) {
	var numbers []int32
	err := d.db.View(func(txn *badger.Txn) error {
		o := badger.DefaultIteratorOptions
		o.PrefetchValues = false
		it := txn.NewIterator(o)
		defer it.Close()
		for it.Rewind(); it.Valid(); {
			n := int32(binary.BigEndian.Uint32(it.Item().Key()))
			numbers = append(numbers, n)
			if uint32(n) == 1<<32-1 {
				break
			}
			it.Seek(binary.BigEndian.AppendUint32(nil, uint32(n)+1))
		}
		return nil
	})
	return numbers, knownError(err)
}

func (d *disk) attached() error {
	return d.noteLost(func() error {
		if err := d.at.attached(); err != nil {
			return err
		}
		if d.flushes.halfCompacted.Load() {
			return fmt.Errorf("%w: tables couldn't be merged, see the log, and some of what they held may be lost", ErrStuck)
		}
		return nil
	})
}

func (d *disk) whole() error {
	if d.db.IsClosed() {
		return ErrClosed
	}
	return d.noteLost(func() error { return d.at.whole(d.db.Tables) })
}

// noteLost looks whether the folder is still the store's. What is lost once stays so.
func (d *disk) noteLost(look func() error) error {
	if cause := d.lost.Load(); cause != nil {
		return *cause
	}
	cause := look()
	if cause == nil {
		return nil
	}
	d.setLost(cause)
	return cause
}

func (d *disk) setLost(cause error) {
	if !d.lost.CompareAndSwap(nil, &cause) {
		return
	}
	if err := d.at.distrust(cause); err != nil {
		d.log.Error("what is left of the local state can't be marked as such: delete the folder before the next start",
			slog.String("folder", d.dir), slog.Any("error", err))
	}
}

func (d *disk) sizes() (lsm, vlog int64) { return diskUsage(d.dir) }

// discardRatio is the part of a value log file that must be dead before the rest of it is written anew.
const discardRatio = 0.5

// maintain flattens the tree, since compaction alone leaves deleted keys in the lowest level, and then rewrites
// the value log files of which flattening found enough to be dead.
func (d *disk) maintain(ctx context.Context) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if !d.dirty.Swap(false) {
		return nil
	}
	// Compaction drops only what is older than the newest read: read once.
	if err := d.db.View(func(*badger.Txn) error { return nil }); err != nil {
		return knownError(err)
	}
	if err := d.db.Flatten(1); err != nil {
		d.dirty.Store(true)
		return fmt.Errorf("flatten: %w", err)
	}
	for {
		if err := ctx.Err(); err != nil {
			d.dirty.Store(true)
			return err
		}
		collected := make(chan error, 1)
		go func() { collected <- d.db.RunValueLogGC(discardRatio) }()
		err := d.awaitWrite(collected)
		switch {
		case errors.Is(err, badger.ErrNoRewrite), errors.Is(err, badger.ErrRejected):
			return nil
		case err != nil:
			return fmt.Errorf("collect value log: %w", err)
		}
	}
}

func (d *disk) distrust() { d.distrusted.Store(true) }

// close leaves a database whose folder is lost as it is, for the end of the process: it would write into what is there now.
func (d *disk) close() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return nil
	}
	d.closed = true
	told := d.lost.Load() != nil
	if err := d.attached(); told {
		return nil
	} else if err != nil {
		return err
	}
	if d.distrusted.Load() { // before it is closed: also for one who kills the process meanwhile
		return errors.Join(distrust(d.dir, "what it held was found to be damaged"), d.closeDatabase())
	}
	if err := d.closeDatabase(); err != nil {
		return err
	}
	return d.at.release()
}

// closeDatabase leaves a database that can't be written as it is. Its logs of memory tables have it all, as when the process is killed.
func (d *disk) closeDatabase() error {
	closed := make(chan error, 1)
	go func() { closed <- d.db.Close() }()
	return d.await(closed)
}

// diskTable is one partition of a disk.
type diskTable struct {
	disk   *disk
	prefix []byte
	key    []byte // scratch of get
	arena  []byte // scratch of commit
}

func (t *diskTable) get(key []byte) (value []byte, ok bool, err error) {
	t.key = append(append(t.key[:0], t.prefix...), key...)
	return t.disk.read(t.key)
}

func (t *diskTable) scan(prefix, from []byte, values bool, fn func(key, value []byte) error) error {
	txn := t.disk.db.NewTransaction(false)
	defer txn.Discard()
	o := badger.DefaultIteratorOptions
	o.PrefetchValues = false // a goroutine per value, for values that lie beside their keys
	o.Prefix = append(bytes.Clone(t.prefix), prefix...)
	start := o.Prefix
	if from != nil {
		start = append(bytes.Clone(t.prefix), from...)
	}
	it := txn.NewIterator(o)
	defer it.Close()
	for it.Seek(start); it.Valid(); it.Next() {
		item := it.Item()
		key := item.Key()[partitionKey:]
		var err error
		if values {
			err = t.disk.value(item, func(value []byte) error { return fn(key, value) })
		} else { // those of the value log aren't read
			err = fn(key, nil)
		}
		if err != nil {
			return knownError(err)
		}
	}
	return nil
}

func (t *diskTable) commit(changes []change) error {
	d := t.disk
	if cause := d.lost.Load(); cause != nil {
		return *cause
	}
	d.dirty.Store(true)
	txn := d.db.NewTransaction(true)
	defer txn.Discard()
	t.arena = t.arena[:0]
	for _, c := range changes {
		start := len(t.arena)
		t.arena = append(append(t.arena, t.prefix...), c.key...)
		key := t.arena[start:len(t.arena):len(t.arena)]
		var err error
		if c.value == nil {
			err = txn.Delete(key)
		} else {
			err = txn.Set(key, c.value)
		}
		if err != nil {
			return knownError(err)
		}
	}
	done := make(chan error, 1)
	txn.CommitWith(func(err error) { done <- err })
	return knownError(d.awaitWrite(done))
}

// knownError gives the errors that callers tell apart their names.
func knownError(err error) error {
	if errors.Is(err, badger.ErrDBClosed) || errors.Is(err, badger.ErrBlockedWrites) {
		return ErrClosed
	}
	if err != nil && strings.Contains(err.Error(), "checksum mismatch") {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return err
}

// bridge gives Badger's log to slog. What it tells at the level of info is of interest to its developers.
type bridge struct {
	log     *slog.Logger
	flushes *flushes
}

func (b bridge) Errorf(format string, args ...any) {
	b.write(slog.LevelError, format, args)
	b.flushes.note(format)
}

func (b bridge) Warningf(format string, args ...any) {
	b.write(slog.LevelWarn, format, args)
	b.flushes.noteWarning(format)
}

func (b bridge) Infof(format string, args ...any) { b.write(slog.LevelDebug, format, args) }
func (b bridge) Debugf(string, ...any)            {}

func (b bridge) write(level slog.Level, format string, args []any) {
	ctx := context.Background()
	if !b.log.Enabled(ctx, level) {
		return
	}
	text := strings.TrimSpace(fmt.Sprintf(format, args...))
	b.log.LogAttrs(ctx, level, "state store", slog.String("detail", text))
}
