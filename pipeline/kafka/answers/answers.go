// Package answers keeps what a broker answers to fetches in memory that is used again.
//
// The client (franz-go) reads each answer into a new piece of memory, which was two thirds of all that a service allocated, and most of the work of its
// garbage collector; it has no way to be given another. So a connection reads large answers itself, and hands the client in their place the same
// answers with a stub for the compressed records of each batch. The client passes the stub to its decompressor, which asks for the records. Anything that isn't as expected reaches the client
// as it came, so that it is the client that says what is wrong with it. See docs/adr/0022-answers.md.
package answers

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"hash/crc32"
	"net"
	"slices"
	"sync"
	"sync/atomic"
)

// Memory is that of the answers of clients that have one decompressor. Safe for concurrent use.
type Memory struct {
	secret [secretBytes]byte // what stubs begin with: records that a producer made can't be taken for one
	table  *crc32.Table
	free   sync.Pool // of *answer
	next   atomic.Uint64
	kept   atomic.Uint64
	spoil  func([]byte) // of tests: is given memory that nothing may look at any more

	mu      sync.Mutex
	pending []*answer // those with batches that weren't done with, the oldest first
	conns   int       // that are open
}

// answer is one that was read.
type answer struct {
	buf     []byte
	number  uint64
	records [][]byte // by number of the batch; nil for one that was asked for
	left    int      // batches that weren't done with
	conn    *conn    // that it came by
}

const (
	secretBytes = 16
	stubBytes   = secretBytes + 8 + 4 // and the numbers of the answer and the batch
	// mostPending is how many answers, beside one for each connection, may have batches that the client hasn't asked for: those of connections that were closed, which it may
	// be looking at still, or has dropped.
	mostPending = 4
)

// New returns a Memory with nothing in it.
func New() *Memory {
	m := &Memory{table: crc32.MakeTable(crc32.Castagnoli)}
	_, _ = rand.Read(m.secret[:]) // never fails
	return m
}

// Dial opens a connection, as net.Dialer.DialContext does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Dialer returns a Dial whose connections keep large answers to fetches in m. The decompressor of the clients that use it asks Records for each batch.
func (m *Memory) Dialer(dial Dial) Dial {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return m.newConn(c), nil
	}
}

// Batch is what a stub stands for.
type Batch struct {
	Records []byte // compressed; valid until Done
	answer  *answer
	memory  *Memory
}

// Records returns what text is a stub of; ok is false where it isn't one, which is known at once. Each stub is good for one call, of which Done must follow.
// What is returned of a stub that isn't good any more has no records.
func (m *Memory) Records(text []byte) (b Batch, ok bool) {
	if len(text) != stubBytes || [secretBytes]byte(text) != m.secret {
		return Batch{}, false
	}
	number, batch := binary.BigEndian.Uint64(text[secretBytes:]), binary.BigEndian.Uint32(text[stubBytes-4:])
	m.mu.Lock()
	defer m.mu.Unlock()
	i := slices.IndexFunc(m.pending, func(a *answer) bool { return a.number == number })
	if i < 0 {
		return Batch{}, true
	}
	records := &m.pending[i].records[batch]
	b = Batch{*records, m.pending[i], m}
	*records = nil
	return b, true
}

// Done gives the memory of the batch back.
func (b Batch) Done() {
	m := b.memory
	if b.Records == nil {
		return
	}
	m.mu.Lock()
	b.answer.left--
	i := -1
	if b.answer.left == 0 {
		i = slices.Index(m.pending, b.answer) // it isn't there where it was dropped
	}
	if i >= 0 {
		m.pending = slices.Delete(m.pending, i, i+1)
	}
	m.mu.Unlock()
	if i >= 0 {
		m.put(b.answer)
	}
}

// Forget leaves what wasn't asked for to the garbage collector. It is for the end of a client.
func (m *Memory) Forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.pending = nil
}

// get returns an answer with room for n bytes.
func (m *Memory) get(n int) *answer {
	a, ok := m.free.Get().(*answer)
	if !ok {
		a = new(answer)
	}
	if cap(a.buf) < n {
		a.buf = make([]byte, n+n/8)
	}
	a.buf = a.buf[:n]
	return a
}

// put takes an answer back.
func (m *Memory) put(a *answer) {
	a.records, a.conn = nil, nil
	if m.spoil != nil {
		m.spoil(a.buf)
	}
	m.free.Put(a)
}

// newStub returns what the stubs of an answer begin with.
func (m *Memory) newStub() []byte {
	return binary.BigEndian.AppendUint64(append(make([]byte, 0, stubBytes), m.secret[:]...), m.next.Add(1))
}

// keep notes the batches of an answer that came by c. The client is done with those that came by it before: it takes one answer before it asks for the next. Some of their batches may
// be in use all the same, so their memory isn't used again.
func (m *Memory) keep(a *answer, s *stripper, c *conn) {
	a.number, a.records, a.left, a.conn = binary.BigEndian.Uint64(s.stub[secretBytes:]), s.records, len(s.records), c
	m.mu.Lock()
	defer m.mu.Unlock()
	m.kept.Add(1)
	m.pending = append(slices.DeleteFunc(m.pending, func(a *answer) bool { return a.conn == c }), a)
	if over := len(m.pending) - mostPending - m.conns; over > 0 {
		m.pending = slices.Delete(m.pending, 0, over)
	}
}

// Kept returns how many answers were kept so far: those of which the client saw stubs.
func (m *Memory) Kept() uint64 { return m.kept.Load() }

func (m *Memory) opened(n int) {
	m.mu.Lock()
	m.conns += n
	m.mu.Unlock()
}
