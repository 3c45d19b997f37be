package state

import (
	"context"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// memory is the engine without files: one map per partition, each touched by its owner only.
type memory struct {
	mu     sync.Mutex // guards the rest
	tables map[int32]*memoryTable
	closed bool
}

// memoryChunk is how many changes a table in memory takes at once. The limit makes the rules of Apply the same as
// those of a store on disk.
const memoryChunk = 10_000

func newMemory() *memory { return &memory{tables: map[int32]*memoryTable{}} }

func (m *memory) table(n int32) table {
	m.mu.Lock()
	defer m.mu.Unlock()
	t, ok := m.tables[n]
	if !ok {
		t = &memoryTable{values: map[string][]byte{}}
		m.tables[n] = t
	}
	return t
}

func (m *memory) known() ([]int32, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var numbers []int32
	for n, t := range m.tables {
		if t.bytes.Load() > 0 {
			numbers = append(numbers, n)
		}
	}
	return numbers, nil
}

func (m *memory) chunk() (count int, size int64) { return memoryChunk, 4 << 20 }

func (m *memory) sizes() (lsm, vlog int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, t := range m.tables {
		lsm += t.bytes.Load()
	}
	return lsm, 0
}

func (m *memory) attached() error { return nil }

func (m *memory) whole() error { return nil }

func (m *memory) distrust() {} // there is no next start

func (m *memory) maintain(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return ErrClosed
	}
	return ctx.Err()
}

func (m *memory) close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	return nil
}

// memoryTable is a hash map: look-ups and writes are what a replay does for each event. A scan collects and sorts
// the keys it needs, since it comes once, when a partition is taken over.
type memoryTable struct {
	mu     sync.RWMutex // guards values between get and commit
	values map[string][]byte
	bytes  atomic.Int64 // of keys and values; read by others
}

func (t *memoryTable) get(key []byte) (value []byte, ok bool, err error) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	v, ok := t.values[string(key)]
	if !ok {
		return nil, false, nil
	}
	return append(make([]byte, 0, len(v)), v...), true, nil
}

func (t *memoryTable) scan(prefix, from []byte, values bool, fn func(key, value []byte) error) error {
	var keys []string
	for key := range t.values {
		if strings.HasPrefix(key, string(prefix)) && key >= string(from) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	for _, key := range keys {
		var value []byte
		if values {
			value = t.values[key]
		}
		if err := fn([]byte(key), value); err != nil {
			return err
		}
	}
	return nil
}

func (t *memoryTable) commit(changes []change) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range changes {
		old, ok := t.values[string(c.key)]
		if ok {
			t.bytes.Add(-int64(len(c.key) + len(old)))
		}
		if c.value == nil {
			delete(t.values, string(c.key))
			continue
		}
		t.bytes.Add(int64(len(c.key) + len(c.value)))
		// The old array is not used again: a scan may have handed it out.
		t.values[string(c.key)] = append(make([]byte, 0, len(c.value)), c.value...)
	}
	return nil
}
