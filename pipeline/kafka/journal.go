package kafka

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/state"
)

// The changelog of at-least-once delivery: see docs/adr/0013. A batch goes to keys of its own first, in chunks that a checkpoint record
// ends, and to the keys of the state with the batch after it. So the keys of the state hold whole batches only, also after compaction, and
// the state is what they say with the last whole batch on top.

// batchID names a batch on the changelog of a partition. Those of a later owner, and later ones of one owner, are greater.
type batchID struct {
	epoch uint64 // of the owner: greater than any that it saw when it took the partition over
	seq   uint64 // counts the owner's batches from 1
}

func (b batchID) after(o batchID) bool {
	return b.epoch > o.epoch || b.epoch == o.epoch && b.seq > o.seq
}

// batchHeader is the record header that says to what batch a record of the changelog belongs.
const batchHeader = "weir.batch"

func (b batchID) header() kgo.RecordHeader {
	return kgo.RecordHeader{Key: batchHeader, Value: binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, b.epoch), b.seq)}
}

// batchOf returns the batch of a record, false for one that was written in a transaction.
func batchOf(r *kgo.Record) (batchID, bool) {
	for _, h := range r.Headers {
		if h.Key == batchHeader && len(h.Value) == 16 {
			return batchID{binary.BigEndian.Uint64(h.Value), binary.BigEndian.Uint64(h.Value[8:])}, true
		}
	}
	return batchID{}, false
}

// The kinds of keys of a journal, which follow the family and the epoch. Chunks of batches with odd and with even numbers have keys
// of their own, so that a batch that is never ended spares the last whole one.
const (
	journalCheckpoint = 'c'
	journalChunk      = 'j' // and the slot and the chunk's number
)

func checkpointKey(epoch uint64) []byte {
	return append(binary.BigEndian.AppendUint64([]byte{byte(state.FamilyJournal)}, epoch), journalCheckpoint)
}

func chunkKey(epoch uint64, slot, chunk int) []byte {
	key := append(binary.BigEndian.AppendUint64([]byte{byte(state.FamilyJournal)}, epoch), journalChunk, byte(slot))
	return binary.BigEndian.AppendUint32(key, uint32(chunk))
}

// journalKey takes a key of a journal apart; chunk is -1 for that of a checkpoint.
func journalKey(key []byte) (epoch uint64, slot, chunk int, ok bool) {
	if len(key) < 10 || key[0] != byte(state.FamilyJournal) {
		return 0, 0, 0, false
	}
	epoch = binary.BigEndian.Uint64(key[1:])
	switch {
	case len(key) == 10 && key[9] == journalCheckpoint:
		return epoch, 0, -1, true
	case len(key) == 15 && key[9] == journalChunk && key[10] < 2:
		return epoch, int(key[10]), int(binary.BigEndian.Uint32(key[11:])), true
	}
	return 0, 0, 0, false
}

// slots counts the chunks that an owner ever wrote under each slot: what a later owner has to delete.
type slots [2]int

// keys yields the keys of an owner's journal, that of the checkpoint last: while it is there, others may be.
func (s slots) keys(epoch uint64) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for slot, n := range s {
			for i := range n {
				if !yield(chunkKey(epoch, slot, i)) {
					return
				}
			}
		}
		yield(checkpointKey(epoch))
	}
}

// checkpointRecord ends a batch on the changelog.
type checkpointRecord struct {
	Version int                  `json:"version"`
	Inputs  map[string]inputMark `json:"inputs"` // by topic
	Chunks  int                  `json:"chunks"` // of this batch
	Slots   slots                `json:"slots"`
}

// inputMark is where the input goes on behind a batch.
type inputMark struct {
	ID     string `json:"id"` // of the topic: one that was made anew begins anew
	Offset int64  `json:"offset"`
}

const checkpointVersion = 1

// changes are changes of the state by key; nil deletes.
type changes map[string][]byte

// chunkBytes is the size from which a chunk of a journal ends.
const chunkBytes = 128 << 10

// chunks packs changes, in key order.
func (c changes) chunks() [][]byte {
	var out [][]byte
	var buf []byte
	for _, key := range slices.Sorted(maps.Keys(c)) {
		value := c[key]
		if len(buf) > 0 && len(buf)+len(key)+len(value) > chunkBytes {
			out, buf = append(out, buf), nil
		}
		buf = append(binary.AppendUvarint(buf, uint64(len(key))), key...)
		if value == nil {
			buf = binary.AppendUvarint(buf, 0)
			continue
		}
		buf = append(binary.AppendUvarint(buf, uint64(len(value))+1), value...)
	}
	if len(buf) > 0 {
		out = append(out, buf)
	}
	return out
}

var errChunk = errors.New("a chunk of a batch on the changelog is damaged")

// unpack adds the changes of a chunk.
func (c changes) unpack(b []byte) error {
	take := func(n uint64, used int) ([]byte, bool) {
		if used <= 0 || n > uint64(len(b)-used) {
			return nil, false
		}
		out := b[used : used+int(n) : used+int(n)]
		b = b[used+int(n):]
		return out, true
	}
	for len(b) > 0 {
		key, ok := take(binary.Uvarint(b))
		if !ok {
			return errChunk
		}
		n, used := binary.Uvarint(b)
		if n == 0 && used > 0 {
			c[string(key)], b = nil, b[used:]
			continue
		}
		value, ok := take(n-1, used)
		if !ok {
			return errChunk
		}
		c[string(key)] = value
	}
	return nil
}

// journal is what a reader of a partition's changelog knows of its batches.
type journal struct {
	last   *wholeBatch // the last whole one; nil where the partition is written in transactions
	open   map[batchID]*openBatch
	old    map[uint64]slots    // journals on the changelog, by their owner's epoch
	newest uint64              // greatest epoch that was seen
	floor  uint64              // epoch of the last whole batch: also where that lies before what is read; 0 where there is none
	stale  map[string]struct{} // keys of the state that a member wrote after it had been replaced
}

// wholeBatch is one that its checkpoint record ended.
type wholeBatch struct {
	id      batchID
	start   int64 // changelog offset of its first record
	record  checkpointRecord
	changes changes
	err     error // it can't be read
}

// openBatch is one whose checkpoint record hasn't come.
type openBatch struct {
	start  int64
	chunks map[int][]byte
}

// newJournal begins to read where a copy of the state ends that has seen a whole batch of an owner of the epoch floor.
func newJournal(floor uint64) *journal {
	return &journal{floor: floor, newest: floor, open: map[batchID]*openBatch{}, old: map[uint64]slots{}, stale: map[string]struct{}{}}
}

// take looks at a record of the changelog. It returns whether the record is a change of the state that counts.
func (j *journal) take(r *kgo.Record) bool {
	id, batched := batchOf(r)
	if batched {
		j.newest = max(j.newest, id.epoch)
	}
	replaced := batched && id.epoch < j.floor
	epoch, slot, chunk, ok := journalKey(r.Key)
	switch {
	case !ok && replaced:
		j.stale[string(r.Key)] = struct{}{}
		return false
	case !ok:
		return true
	case r.Value == nil:
		j.newest = max(j.newest, epoch)
		j.erased(epoch, chunk)
	default:
		j.newest = max(j.newest, epoch)
		s := j.old[epoch]
		if chunk >= 0 {
			s[slot] = max(s[slot], chunk+1)
		}
		j.old[epoch] = s
		switch {
		case replaced || !batched:
		case chunk < 0:
			j.end(id, r)
		default:
			j.add(id, chunk, r)
		}
	}
	return false
}

// erased notes that a record of a journal was deleted.
func (j *journal) erased(epoch uint64, chunk int) {
	if chunk >= 0 {
		return
	}
	delete(j.old, epoch)
	if j.floor == epoch {
		j.floor = 0
	}
	if j.last != nil && j.last.id.epoch == epoch {
		j.last = nil // the partition is written in transactions from here on
	}
}

func (j *journal) add(id batchID, chunk int, r *kgo.Record) {
	b := j.open[id]
	if b == nil {
		b = &openBatch{start: r.Offset, chunks: map[int][]byte{}}
		j.open[id] = b
	}
	b.chunks[chunk] = r.Value
}

// end takes a checkpoint record. What is missing of the batch was compacted away by a later one, or is lost.
func (j *journal) end(id batchID, r *kgo.Record) {
	if j.last != nil && !id.after(j.last.id) {
		return
	}
	w := &wholeBatch{id: id, start: r.Offset, changes: changes{}}
	w.err = json.Unmarshal(r.Value, &w.record)
	if w.err == nil && w.record.Version != checkpointVersion {
		w.err = fmt.Errorf("%w: checkpoint record of version %d", state.ErrVersion, w.record.Version)
	}
	b := j.open[id]
	if b != nil {
		w.start = b.start
	}
	for i := 0; i < w.record.Chunks && w.err == nil; i++ {
		if b == nil || b.chunks[i] == nil {
			w.err = fmt.Errorf("%w: chunk %d of %d is missing", errChunk, i, w.record.Chunks)
			break
		}
		w.err = w.changes.unpack(b.chunks[i])
	}
	s := j.old[id.epoch]
	for i := range s {
		s[i] = max(s[i], w.record.Slots[i])
	}
	j.old[id.epoch] = s
	j.last, j.floor = w, id.epoch
	for other := range j.open {
		if !other.after(id) {
			delete(j.open, other)
		}
	}
}

// safe returns the changelog offset from which all has to be read again that isn't in the state's keys yet.
func (j *journal) safe(next int64) int64 {
	if j.last != nil {
		next = min(next, j.last.start)
	}
	for _, b := range j.open {
		next = min(next, b.start)
	}
	return next
}

// finish puts the last whole batch on top of what was read.
func (j *journal) finish(o *state.Overlay) error {
	if j.last == nil {
		return nil
	}
	if j.last.err != nil {
		return fmt.Errorf("the last batch, ended at offset %d or later, can't be read: %w", j.last.start, j.last.err)
	}
	for key, value := range j.last.changes {
		if value == nil {
			o.Delete([]byte(key))
		} else {
			o.Put([]byte(key), value)
		}
	}
	return nil
}
