package state

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
)

// Presence is what an overlay knows of a key.
type Presence uint8

// What an overlay may know of a key.
const (
	Unknown Presence = iota // not changed in this batch: the committed value stands
	Present                 // has a value in this batch
	Deleted                 // deleted in this batch
)

// String returns the name of the presence.
func (p Presence) String() string {
	switch p {
	case Present:
		return "present"
	case Deleted:
		return "deleted"
	default:
		return "unknown"
	}
}

// Overlay is the set of changes of a batch that is not committed yet: the last write of each key. The zero value
// is empty and ready. It copies what it is given. It belongs to one goroutine.
type Overlay struct {
	index   map[string]int32
	entries []overlayEntry
	free    []int32 // entries that were taken back, for reuse
	size    int
	sorted  []int32 // entries in key order; nil when it has to be made again
	arena   arena
	peak    int // most entries that the index held since it was made
}

type overlayEntry struct {
	key   []byte
	value []byte
	state Presence
	fresh bool // there is no committed value: a delete takes the entry back
}

// Put sets the value of a key of which a committed value may exist.
func (o *Overlay) Put(key, value []byte) { o.put(key, value, false) }

// Create sets the value of a key that has no committed value, which the caller knows, because it looked it up or
// because keys of its kind are never written twice. Deleting it within the batch then leaves nothing to write at all,
// neither to the store nor to the changelog. For a key that was changed in this batch already it is the same as Put.
func (o *Overlay) Create(key, value []byte) { o.put(key, value, true) }

func (o *Overlay) put(key, value []byte, fresh bool) {
	i, ok := o.index[string(key)]
	if !ok {
		i = o.insert(key)
		o.entries[i].fresh = fresh
	}
	e := &o.entries[i]
	o.size += len(value) - len(e.value)
	switch {
	case e.value == nil:
		e.value = o.arena.copy(value, 0)
	case cap(e.value) < len(value): // it grows: leave room, or each step would leave a dead copy behind
		e.value = o.arena.copy(value, len(value)/2)
	default:
		e.value = append(e.value[:0], value...)
	}
	e.state = Present
}

// Delete removes a key: what Create began in this batch vanishes, for any other key the deletion is a change.
func (o *Overlay) Delete(key []byte) {
	i, ok := o.index[string(key)]
	if !ok {
		i = o.insert(key)
		o.entries[i].state = Deleted
		return
	}
	e := &o.entries[i]
	o.size -= len(e.value)
	if !e.fresh {
		e.value, e.state = nil, Deleted
		return
	}
	o.size -= len(e.key)
	delete(o.index, string(key))
	*e = overlayEntry{}
	o.free = append(o.free, i)
	o.sorted = nil
}

func (o *Overlay) insert(key []byte) int32 {
	if o.index == nil {
		o.index = map[string]int32{}
	}
	var i int32
	if n := len(o.free); n > 0 {
		i, o.free = o.free[n-1], o.free[:n-1]
	} else {
		i = int32(len(o.entries))
		o.entries = append(o.entries, overlayEntry{})
	}
	o.entries[i] = overlayEntry{key: o.arena.copy(key, 0)}
	o.index[string(key)] = i
	o.peak = max(o.peak, len(o.index))
	o.size += len(key)
	o.sorted = nil
	return i
}

// Get returns the value of a key that is Present. It is valid until the key is changed again or Reset, and must
// not be written to. Unknown means: ask the store.
func (o *Overlay) Get(key []byte) ([]byte, Presence) {
	i, ok := o.index[string(key)]
	if !ok {
		return nil, Unknown
	}
	return o.entries[i].value, o.entries[i].state
}

// Len returns the number of changes.
func (o *Overlay) Len() int { return len(o.index) }

// Bytes returns the size of the keys and values of all changes.
func (o *Overlay) Bytes() int { return o.size }

// All yields the changes in key order, a nil value for a deletion; an empty value is not nil. The overlay must
// not be changed meanwhile, and the slices not be written to; they are valid until then.
func (o *Overlay) All() iter.Seq2[[]byte, []byte] {
	return func(yield func(key, value []byte) bool) {
		o.sort()
		for _, i := range o.sorted {
			if e := &o.entries[i]; !yield(e.key, e.value) {
				return
			}
		}
	}
}

func (o *Overlay) sort() {
	if o.sorted != nil {
		return
	}
	o.sorted = make([]int32, 0, len(o.index))
	for i := range o.entries {
		if o.entries[i].state != Unknown {
			o.sorted = append(o.sorted, int32(i))
		}
	}
	slices.SortFunc(o.sorted, func(a, b int32) int {
		return bytes.Compare(o.entries[a].key, o.entries[b].key)
	})
}

// check reports the first entry that no store takes.
func (o *Overlay) check() error {
	for i := range o.entries {
		e := &o.entries[i]
		switch {
		case e.state == Unknown:
		case len(e.key) == 0:
			return fmt.Errorf("%w: empty key", ErrTooLarge)
		case len(e.key) > MaxKeyBytes:
			return fmt.Errorf("%w: key of %d bytes", ErrTooLarge, len(e.key))
		case len(e.value) > MaxValueBytes:
			return fmt.Errorf("%w: value of %d bytes", ErrTooLarge, len(e.value))
		}
	}
	return nil
}

// shrinkFrom is the size from which an index that is mostly empty is thrown away rather than cleared.
const shrinkFrom = 4096

// Reset empties the overlay for the next batch. It keeps a moderate amount of memory.
func (o *Overlay) Reset() {
	if o.peak > shrinkFrom && len(o.entries) < o.peak/8 {
		*o = Overlay{arena: o.arena}
	}
	clear(o.index)
	clear(o.entries)
	o.entries, o.free, o.size, o.sorted = o.entries[:0], o.free[:0], 0, nil
	o.arena.reset()
}

// arena hands out copies of byte slices from large blocks.
type arena struct {
	blocks [][]byte // the last one is being filled
	spare  [][]byte // empty blocks
}

const (
	arenaBlock = 64 << 10
	arenaKeep  = 16 // blocks that stay allocated when the arena is reset
)

// copy returns a copy of b that is not nil and has room for as many bytes more.
func (a *arena) copy(b []byte, room int) []byte {
	need := len(b) + room
	if need > arenaBlock/4 {
		return append(make([]byte, 0, need), b...)
	}
	n := len(a.blocks)
	if n == 0 || cap(a.blocks[n-1])-len(a.blocks[n-1]) < need {
		a.grow()
		n = len(a.blocks)
	}
	block := a.blocks[n-1]
	start := len(block)
	a.blocks[n-1] = block[:start+need]
	return append(block[start:start:start+need], b...)
}

func (a *arena) grow() {
	if n := len(a.spare); n > 0 {
		a.blocks = append(a.blocks, a.spare[n-1])
		a.spare = a.spare[:n-1]
		return
	}
	a.blocks = append(a.blocks, make([]byte, 0, arenaBlock))
}

func (a *arena) reset() {
	for _, b := range a.blocks {
		if len(a.spare) < arenaKeep {
			a.spare = append(a.spare, b[:0])
		}
	}
	clear(a.blocks)
	a.blocks = a.blocks[:0]
}
