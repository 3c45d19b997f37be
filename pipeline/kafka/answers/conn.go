package answers

import (
	"bufio"
	"encoding/binary"
	"io"
	"net"
	"sync"
)

// conn is a connection to a broker. The client writes on one goroutine and reads on another.
type conn struct {
	net.Conn
	memory *Memory
	in     *bufio.Reader
	closed sync.Once

	mu    sync.Mutex
	asked map[int32]int16 // versions of the fetches that weren't answered, by correlation id

	out   []byte  // what is read next
	small []byte  // the memory of out, where it isn't an answer's
	whole *answer // the answer whose memory out is
	rest  int     // bytes of the answer at hand behind out, which pass as they are
	plain int     // how many more fetches aren't looked at
	err   error
}

const (
	fetchKey    = 1  // of the protocol
	headerBytes = 14 // of a request: size, key, version, correlation id, and the length of the client's id
	headBytes   = 8  // of an answer: size, correlation id
	// leastAnswer is the size below which an answer passes: its memory isn't worth reading it twice.
	leastAnswer = 16 << 10
	// mostAnswer is what the client reads by default; it refuses more.
	mostAnswer = 100 << 20
	// plainAnswers is how many answers pass after one whose records aren't compressed, or as good as not.
	plainAnswers = 64
	// keepSmall is how much memory for what the client reads a connection keeps.
	keepSmall = 64 << 10
	// mostAsked is how many fetches may wait for an answer; the client sends one at a time.
	mostAsked = 64
)

func (m *Memory) newConn(c net.Conn) *conn {
	m.opened(1)
	return &conn{Conn: c, memory: m, in: bufio.NewReader(c), asked: map[int32]int16{}}
}

// Write notes whether p, a request as the client writes it, at once, is a fetch.
func (c *conn) Write(p []byte) (int, error) {
	if len(p) >= headerBytes && int(binary.BigEndian.Uint32(p)) == len(p)-4 && binary.BigEndian.Uint16(p[4:]) == fetchKey {
		c.mu.Lock()
		if len(c.asked) < mostAsked {
			c.asked[int32(binary.BigEndian.Uint32(p[8:]))] = int16(binary.BigEndian.Uint16(p[6:]))
		}
		c.mu.Unlock()
	}
	return c.Conn.Write(p)
}

// Close closes the connection.
func (c *conn) Close() error {
	c.closed.Do(func() { c.memory.opened(-1) })
	return c.Conn.Close()
}

// Read reads what the client is to see. After an error it returns that: an answer may be cut.
func (c *conn) Read(p []byte) (n int, err error) {
	if c.err != nil {
		return 0, c.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if len(c.out) == 0 && c.rest == 0 {
		if err := c.begin(); err != nil {
			c.err = err
			return 0, err
		}
	}
	if len(c.out) > 0 {
		n = copy(p, c.out)
		if c.out = c.out[n:]; len(c.out) == 0 {
			c.readOut()
		}
		return n, nil
	}
	n, err = c.in.Read(p[:min(len(p), c.rest)])
	c.rest -= n
	c.err = err
	return n, err
}

// readOut gives back what the client has read, where it is large.
func (c *conn) readOut() {
	if c.whole != nil {
		c.memory.put(c.whole)
		c.whole = nil
	}
	if cap(c.small) > keepSmall {
		c.small = nil
	}
}

// begin reads the beginning of the next answer, or all of it.
func (c *conn) begin() error {
	var head [headBytes]byte
	if _, err := io.ReadFull(c.in, head[:4]); err != nil {
		return err
	}
	size := int(int32(binary.BigEndian.Uint32(head[:])))
	if size < 4 || size > mostAnswer { // a token of an authentication, or the client's to complain of: as of the alert that TLS answers plain text with
		c.small = append(c.small[:0], head[:4]...)
		c.out, c.rest = c.small, max(size, 0)
		return nil
	}
	if _, err := io.ReadFull(c.in, head[4:]); err != nil {
		return unexpected(err)
	}
	version, fetch := c.answered(int32(binary.BigEndian.Uint32(head[4:])))
	if fetch && size >= leastAnswer {
		if c.plain == 0 {
			return c.take(head, size-4, version)
		}
		c.plain--
	}
	c.small = append(c.small[:0], head[:]...)
	c.out, c.rest = c.small, size-4
	return nil
}

// answered reports whether the answer of a correlation id is one to a fetch, and of which version.
func (c *conn) answered(id int32) (version int16, fetch bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	version, fetch = c.asked[id]
	delete(c.asked, id)
	return version, fetch
}

// take reads the n bytes of an answer to a fetch that stand behind its head.
func (c *conn) take(head [headBytes]byte, n int, version int16) error {
	a := c.memory.get(headBytes + n)
	copy(a.buf, head[:])
	if _, err := io.ReadFull(c.in, a.buf[headBytes:]); err != nil {
		return unexpected(err)
	}
	text, ok := c.memory.strip(c.small[:0], a, version, c)
	if ok {
		c.small, c.out = text, text
		return nil
	}
	c.out, c.whole, c.plain = a.buf, a, plainAnswers
	return nil
}

// unexpected is the error of an end in the middle of an answer.
func unexpected(err error) error {
	if err == io.EOF { //nolint:errorlint // as the connection returns it
		return io.ErrUnexpectedEOF
	}
	return err
}
