package replay

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"

	"github.com/weir-eql/weir/pipeline"
)

// Reading, decoding and matching run ahead of the workers, on as many goroutines as there are cores. Each takes an
// empty chunk, fills it with what comes next in its stream, which only one may do at a time, and prepares it outside the
// lock. A stream's chunks lie in its queue in the order in which they were filled; whoever consumes them waits for
// each to be ready and gives it back. So the number of chunks bounds the memory, and what comes out doesn't depend on
// how many goroutines there are or where the chunks end.

// chunk is some records of a stream, in order.
type chunk struct {
	stream  *stream
	raw     []byte // lines, where the stream is a file of them
	lines   int64  // in raw, and blank ones before them
	blank   int64  // of these the blank ones before raw
	at      int64  // the place of raw in the file, bytes
	batch   pipeline.Batch
	decoded Decoded // in place of preparing the batch: see Decode
	groups  []group // the records by partition, where the stream has several
	ended   []int32 // partitions that end with the chunk
	ready   chan struct{}
	err     error // what came behind the records; io.EOF at the end
	next    int   // the record that is consumed next
}

// group is a run of records of one partition in a chunk.
type group struct {
	partition int32
	from, to  int
}

// stream is a source that is read ahead.
type stream struct {
	fill  func(*chunk) error // reads what comes next; io.EOF or another error with the last records
	split func(*chunk)       // makes records of what was read; nil where fill did
	queue chan *chunk

	mu    sync.Mutex
	ended bool
}

// ahead is the goroutines that work ahead.
type ahead struct {
	todo chan *chunk
	wait sync.WaitGroup
}

// chunksAhead is the number of chunks of one stream that are filled while one is consumed.
const chunksAhead = 4

// worksAhead is what a goroutine does with each chunk that was filled, and what it does when there are no more.
type worksAhead struct {
	each func(*chunk)
	end  func()
}

// prepares decodes and matches the records of chunks.
func prepares(cfg *pipeline.Config) worksAhead {
	p := pipeline.NewPreparer(cfg)
	return worksAhead{each: func(c *chunk) { p.Prepare(&c.batch) }, end: p.Report}
}

// startAhead lets goroutines read the streams' records and work on them, each in its own way. The caller ends with stop.
func startAhead(streams []*stream, goroutines int, work func() worksAhead) *ahead {
	each := chunksAhead
	if len(streams) > 1 {
		each = 2
	}
	a := &ahead{todo: make(chan *chunk, each*len(streams))}
	for _, s := range streams {
		s.queue = make(chan *chunk, each)
	}
	for range each {
		for _, s := range streams {
			a.todo <- &chunk{stream: s, ready: make(chan struct{}, 1)}
		}
	}
	for range goroutines {
		a.wait.Go(func() {
			w := work()
			for c := range a.todo {
				if c.stream.take(c) {
					if c.stream.split != nil {
						c.stream.split(c)
					}
					w.each(c)
					c.ready <- struct{}{}
				}
			}
			w.end()
		})
	}
	return a
}

// take fills a chunk and queues it; false where the stream has ended.
func (s *stream) take(c *chunk) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return false
	}
	c.raw, c.lines, c.next = c.raw[:0], 0, 0
	c.batch.Records, c.groups = c.batch.Records[:0], c.groups[:0]
	c.err = s.fill(c)
	s.ended = c.err != nil
	s.queue <- c // it has room for all chunks of the stream
	return true
}

// pop waits for the stream's next chunk.
func (s *stream) pop(ctx context.Context) (*chunk, error) {
	select {
	case c := <-s.queue:
		select {
		case <-c.ready:
			return c, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// recycle gives a chunk back that was consumed.
func (a *ahead) recycle(c *chunk) {
	if cap(c.raw) > keepChunk {
		c.raw = nil
	}
	a.todo <- c
}

// stop ends the goroutines and waits for them.
func (a *ahead) stop() {
	close(a.todo)
	a.wait.Wait()
}

// How much a chunk holds.
const (
	chunkBytes = 512 << 10 // of a file's lines
	keepChunk  = 4 << 20   // a chunk that a long line has made larger is not kept
)

// lineStream reads a file ahead: raw lines, which are told apart outside the lock, or the elements of an array.
type lineStream struct {
	file  *File
	carry []byte // the beginning of a line whose end wasn't read yet
	size  int
	begun bool
	at    int64  // the place of the next chunk in the file; says nothing of a compressed one
	base  int64  // lines before the chunk that is consumed next; the consumer's
	marks []mark // of chunks that were consumed; the consumer's
}

// fill reads as many lines as fit.
func (l *lineStream) fill(c *chunk) error {
	if err := l.file.start(); err != nil {
		return err
	}
	if l.file.array != nil {
		return l.fillElements(c)
	}
	if !l.begun { // blank lines before the first event were passed over
		l.begun, c.lines, l.at = true, l.file.line, l.file.passed
	}
	c.blank, c.at = c.lines, l.at
	defer func() { l.at += int64(len(c.raw)) }()
	if cap(c.raw) < l.size+l.size/2 {
		c.raw = make([]byte, 0, l.size+l.size/2)
	}
	c.raw = append(c.raw, l.carry...)
	l.carry = l.carry[:0]
	searched := len(c.raw)
	for {
		if len(c.raw) == cap(c.raw) { // a line that is longer than a chunk
			c.raw = append(make([]byte, 0, 2*cap(c.raw)), c.raw...)
		}
		n, err := l.file.r.Read(c.raw[len(c.raw):cap(c.raw)])
		c.raw = c.raw[:len(c.raw)+n]
		if err != nil {
			if !errors.Is(err, io.EOF) { // half a line is none
				c.raw = c.raw[:bytes.LastIndexByte(c.raw, '\n')+1]
			}
			return err
		}
		if len(c.raw) < l.size {
			continue
		}
		if end := bytes.LastIndexByte(c.raw[searched:], '\n'); end >= 0 {
			end += searched + 1
			l.carry = append(l.carry, c.raw[end:]...)
			c.raw = c.raw[:end]
			return nil
		}
		if searched = len(c.raw); searched > maxLine {
			c.raw = c.raw[:0]
			return errLongLine
		}
	}
}

// fillElements reads elements of an array.
func (l *lineStream) fillElements(c *chunk) error {
	size := 0
	for size < l.size {
		d, err := l.file.Next()
		if err != nil {
			return err
		}
		size += len(d.Data)
		c.batch.Records = append(c.batch.Records, pipeline.Record{
			Topic: d.Topic, Offset: d.Offset, Value: d.Data, Clock: pipeline.ClockEvent,
		})
	}
	return nil
}

// split makes records of a chunk's lines. Their offsets begin with the chunk: see number.
func (l *lineStream) split(c *chunk) {
	rest := c.raw
	for len(rest) > 0 {
		line, n := rest, len(rest)
		if end := bytes.IndexByte(rest, '\n'); end >= 0 {
			line, n = rest[:end], end+1
		}
		rest = rest[n:]
		if line = bytes.TrimSpace(line); len(line) > 0 {
			c.batch.Records = append(c.batch.Records, pipeline.Record{
				Topic: l.file.name, Offset: c.lines, Value: line, Clock: pipeline.ClockEvent,
			})
		}
		c.lines++
	}
}

// number completes a chunk that is consumed: its offsets count from the beginning of the file, and so does the place
// of what went wrong behind it. Chunks come in their order.
func (l *lineStream) number(c *chunk) {
	if l.file.array != nil {
		return // elements are numbered as they are read
	}
	for i := range c.batch.Records {
		c.batch.Records[i].Offset += l.base
	}
	l.mark(mark{line: l.base + c.blank, at: c.at})
	l.base += c.lines
	if c.err != nil && !errors.Is(c.err, io.EOF) {
		c.err = l.file.lineError(l.base, c.err)
	}
}
