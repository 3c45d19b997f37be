package pipeline

// documents is the memory of the raw events that wait. They come and go in about one order, so they are copied one behind the
// other into chunks that are used again once all that they hold was released: neither is memory asked for with each event, nor
// does the collector see it. It belongs to one goroutine.
type documents struct {
	filling *chunk
	free    []*chunk
}

// chunk is a piece of memory with documents in it.
type chunk struct {
	mem  []byte
	refs int        // the documents in it
	from *documents // whose it is
}

// document is a copy of a raw event. The zero value is none.
type document struct {
	raw   []byte
	chunk *chunk // nil where raw is memory of its own
}

const (
	chunkBytes = 128 << 10
	freeChunks = 8 // that are kept; a worker whose buffer has shrunk gives the others back
)

// copy returns a copy of a raw event, valid until it is released.
func (d *documents) copy(raw []byte) document {
	if len(raw) == 0 { // nothing is kept of it
		return document{}
	}
	if len(raw) > chunkBytes/8 {
		return document{raw: append(make([]byte, 0, len(raw)), raw...)}
	}
	if d.filling == nil || cap(d.filling.mem)-len(d.filling.mem) < len(raw) {
		d.next()
	}
	c := d.filling
	start := len(c.mem)
	c.mem = append(c.mem, raw...)
	c.refs++
	return document{raw: c.mem[start:len(c.mem):len(c.mem)], chunk: c}
}

// next takes another chunk to fill.
func (d *documents) next() {
	full := d.filling
	if n := len(d.free); n > 0 {
		d.filling, d.free[n-1] = d.free[n-1], nil
		d.free = d.free[:n-1]
	} else {
		d.filling = &chunk{mem: make([]byte, 0, chunkBytes), from: d}
	}
	if full != nil && full.refs == 0 {
		d.recycle(full)
	}
}

// release gives a document's memory back to where it is from, and makes it the zero value.
func (doc *document) release() {
	c := doc.chunk
	*doc = document{}
	if c == nil {
		return
	}
	d := c.from
	if c.refs--; c.refs > 0 {
		return
	}
	if c == d.filling {
		c.mem = c.mem[:0]
		return
	}
	d.recycle(c)
}

func (d *documents) recycle(c *chunk) {
	if len(d.free) < freeChunks {
		c.mem = c.mem[:0]
		d.free = append(d.free, c)
	}
}
