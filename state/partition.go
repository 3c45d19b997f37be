package state

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync/atomic"
)

// The two spaces of a partition's keys. The checkpoint stays on this machine; the rest is in the changelog too.
const (
	spaceMeta  = 0
	spaceState = 1
)

const metaCheckpoint = 'c'

// Partition is the state of one partition of a source. It belongs to one goroutine at a time, but for Get, which another one may call
// while it is in Apply: what it gets is of before or after each key's change.
type Partition struct {
	number   int32
	table    table
	maxCount int
	maxBytes int64
	closed   atomic.Bool // the store is closed

	key     []byte   // scratch: the key of a get or scan
	arena   []byte   // scratch: the keys of a chunk
	changes []change // scratch: a chunk

	// afterChunk is called with the number of chunks committed so far; only tests of crashes set it.
	afterChunk func(committed int) error
}

// Number returns the number of the partition.
func (p *Partition) Number() int32 { return p.number }

// Checkpoint returns the checkpoint of the last Apply that was completed, false where there is none. Without one,
// what is stored is of no known age: Wipe it before rebuilding. The same holds for a checkpoint of another Version
// than CodecVersion, which has no other field set.
func (p *Partition) Checkpoint() (Checkpoint, bool, error) {
	if p.closed.Load() {
		return Checkpoint{}, false, ErrClosed
	}
	value, ok, err := p.table.get([]byte{spaceMeta, metaCheckpoint})
	if err != nil || !ok {
		return Checkpoint{}, false, p.wrap("read checkpoint", err)
	}
	c, err := decodeCheckpoint(value)
	if err != nil {
		return Checkpoint{}, false, p.wrap("read checkpoint", err)
	}
	return c, true, nil
}

// Get returns the committed value of a key, as a copy, and whether there is one. An empty value is not nil.
func (p *Partition) Get(key []byte) (value []byte, ok bool, err error) {
	if p.closed.Load() {
		return nil, false, ErrClosed
	}
	p.key = append(append(p.key[:0], spaceState), key...)
	value, ok, err = p.table.get(p.key)
	return value, ok, p.wrap("get", err)
}

// Scan calls fn with the committed entries whose keys begin with prefix, in key order. The slices are valid
// during the call only. An error of fn ends the scan and is returned as it is. fn may call Get, not Apply or Wipe.
func (p *Partition) Scan(prefix []byte, fn func(key, value []byte) error) error {
	return p.scan(prefix, true, fn)
}

// ScanKeys is Scan for keys alone: large values, which lie apart from their keys, are not read.
func (p *Partition) ScanKeys(prefix []byte, fn func(key []byte) error) error {
	return p.scan(prefix, false, func(key, _ []byte) error { return fn(key) })
}

func (p *Partition) scan(prefix []byte, values bool, fn func(key, value []byte) error) error {
	if p.closed.Load() {
		return ErrClosed
	}
	var failed error
	full := append([]byte{spaceState}, prefix...)
	err := p.table.scan(full, nil, values, func(key, value []byte) error {
		failed = fn(key[1:], value)
		return failed
	})
	if failed != nil {
		return failed
	}
	return p.wrap("scan", err)
}

// Apply writes the changes of a committed batch and its checkpoint. It may take several transactions, of which
// the last one holds the checkpoint: after an error or a crash the old checkpoint stands, and the same or a longer
// batch from there can be applied again to the same end, because changes are absolute values. An entry above the
// limits is refused with ErrTooLarge before anything is written. changes may be nil.
func (p *Partition) Apply(changes *Overlay, c Checkpoint) error {
	if p.closed.Load() {
		return ErrClosed
	}
	c.Version = CodecVersion
	record := c.append(nil)
	all := iter.Seq2[[]byte, []byte](none)
	if changes != nil {
		if err := changes.check(); err != nil {
			return p.wrap("apply", err)
		}
		all = changes.All()
	}
	w := p.chunks()
	for key, value := range all {
		if err := w.add(spaceState, key, value); err != nil {
			return p.wrap("apply", err)
		}
	}
	if err := w.add(spaceMeta, []byte{metaCheckpoint}, record); err != nil {
		return p.wrap("apply", err)
	}
	return p.wrap("apply", w.flush())
}

// none yields no changes.
func none(func(key, value []byte) bool) {}

// errEnough ends a scan that has collected a chunk.
var errEnough = errors.New("enough")

// Wipe deletes everything of the partition, the checkpoint first, so that an interrupted Wipe leaves no partition
// that looks complete. Other partitions are not held up. Maintain gives the space back.
func (p *Partition) Wipe() error {
	if p.closed.Load() {
		return ErrClosed
	}
	w := p.chunks()
	if err := w.add(spaceMeta, []byte{metaCheckpoint}, nil); err != nil {
		return p.wrap("wipe", err)
	}
	if err := w.flush(); err != nil {
		return p.wrap("wipe", err)
	}
	var from []byte // not to pass over what was just deleted again and again
	for {
		// Keys are collected first: a table may not be changed while it is scanned.
		var keys [][]byte
		err := p.table.scan([]byte{spaceState}, from, false, func(key, _ []byte) error {
			if keys = append(keys, slices.Clone(key)); len(keys) == p.maxCount {
				return errEnough
			}
			return nil
		})
		if err != nil && !errors.Is(err, errEnough) {
			return p.wrap("wipe", err)
		}
		for _, key := range keys {
			if err := w.add(key[0], key[1:], nil); err != nil {
				return p.wrap("wipe", err)
			}
		}
		if err := w.flush(); err != nil {
			return p.wrap("wipe", err)
		}
		if len(keys) < p.maxCount {
			return nil
		}
		from = keys[len(keys)-1]
	}
}

func (p *Partition) wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: partition %d: %w", what, p.number, err)
}

// chunkWriter cuts a row of changes into commits that the table takes.
type chunkWriter struct {
	p         *Partition
	size      int64
	committed int
}

func (p *Partition) chunks() *chunkWriter {
	p.changes, p.arena = p.changes[:0], p.arena[:0]
	return &chunkWriter{p: p}
}

// entryOverhead is what a transaction counts for an entry beyond its key and value, rounded up.
const entryOverhead = 64

func (w *chunkWriter) add(space byte, key, value []byte) error {
	p := w.p
	size := int64(len(key) + len(value) + entryOverhead)
	if len(p.changes) > 0 && (len(p.changes) >= p.maxCount || w.size+size > p.maxBytes) {
		if err := w.flush(); err != nil {
			return err
		}
	}
	start := len(p.arena)
	p.arena = append(append(p.arena, space), key...) // earlier keys keep the array that they were cut from
	p.changes = append(p.changes, change{key: p.arena[start:len(p.arena):len(p.arena)], value: value})
	w.size += size
	return nil
}

func (w *chunkWriter) flush() error {
	p := w.p
	if len(p.changes) == 0 {
		return nil
	}
	if w.committed > 0 && p.afterChunk != nil {
		if err := p.afterChunk(w.committed); err != nil {
			return err
		}
	}
	if err := p.table.commit(p.changes); err != nil {
		return err
	}
	w.committed++
	clear(p.changes)
	p.changes, p.arena, w.size = p.changes[:0], p.arena[:0], 0
	return nil
}

// partitionKey is the length of the number in front of the keys of a store that partitions share.
const partitionKey = 4

func appendPartition(dst []byte, n int32) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}
