package replay

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"slices"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/internal/minheap"
)

// fileHead is a file of a replay and where in it the next record is.
type fileHead struct {
	lines  *lineStream
	stream *stream
	order  int
	chunk  *chunk
	clock  int64 // newest record time of the file, up to its next record
}

func (h *fileHead) before(i *fileHead) bool {
	if h.clock != i.clock {
		return h.clock < i.clock
	}
	return h.order < i.order
}

// fileMerge replays files: the lines of one in their order, those of several merged by record time as fileSource
// merges them.
type fileMerge struct {
	*backtest

	ahead *ahead
	timer *timer
	heads minheap.Heap[*fileHead]
	merge bool
}

// minChunk is the least that is read of one of many files in one go.
const minChunk = 32 << 10

func (b *backtest) runFiles(ctx context.Context, src *fileSource) error {
	src.began = true
	size := max(b.o.ChunkBytes/max(1, len(src.files)), min(b.o.ChunkBytes, minChunk)) // all files have chunks in memory
	m := &fileMerge{backtest: b, timer: src.timer, heads: minheap.New((*fileHead).before), merge: len(src.files) > 1}
	var heads []*fileHead
	var streams []*stream
	again := &linesAgain{files: map[string]*lineStream{}}
	for i, f := range src.files {
		lines := &lineStream{file: f, size: size}
		s := &stream{fill: lines.fill, split: lines.split}
		again.add(lines)
		streams = append(streams, s)
		heads = append(heads, &fileHead{lines: lines, stream: s, order: i, clock: math.MinInt64})
	}
	var err error
	if b.o.Config, err = again.input(b.o.Config); err != nil {
		return err
	}
	m.ahead = startAhead(streams, b.o.Ahead, func() worksAhead { return prepares(b.o.Config) })
	defer m.ahead.stop()
	for _, h := range heads {
		switch open, err := m.settle(ctx, h); {
		case err != nil:
			return err
		case open:
			m.heads.Push(h)
		}
	}
	for m.heads.Len() > 0 {
		if err := m.step(ctx); err != nil {
			return err
		}
	}
	b.counted()
	return nil
}

// step processes the records of the first file that come before those of the others, as far as its chunk goes.
func (m *fileMerge) step(ctx context.Context) error {
	h := m.heads.Top()
	c, from := h.chunk, h.chunk.next
	for last := len(c.batch.Records); c.next < last; {
		if !m.merge {
			c.next = last
			break
		}
		if c.next++; c.next < last {
			m.tell(h)
			if m.heads.Fix(); m.heads.Top() != h {
				break
			}
		}
	}
	if err := m.process(c, 0, from, c.next); err != nil {
		return err
	}
	if m.full() {
		if err := m.commit(0); err != nil {
			return err
		}
		m.counted()
	}
	if c.next < len(c.batch.Records) {
		return nil // another file is first
	}
	open, err := m.settle(ctx, h)
	switch {
	case err != nil:
		return err
	case open:
		m.heads.Fix()
	default:
		m.heads.Pop()
	}
	return nil
}

// settle makes sure that a file has a next record; open is false where it has none.
func (m *fileMerge) settle(ctx context.Context, h *fileHead) (open bool, err error) {
	for {
		if c := h.chunk; c != nil {
			if c.next < len(c.batch.Records) {
				m.tell(h)
				return true, nil
			}
			err := c.err
			m.ahead.recycle(c)
			h.chunk = nil
			if errors.Is(err, io.EOF) {
				return false, nil
			}
			if err != nil { // the others go on
				m.unread = m.unread.note(err)
				return false, nil
			}
		}
		c, err := h.stream.pop(ctx)
		if err != nil {
			return false, err
		}
		h.lines.number(c)
		h.chunk = c
	}
}

// tell moves the clock of a file to its next record.
func (m *fileMerge) tell(h *fileHead) {
	if !m.merge {
		return
	}
	c := h.chunk
	at, ok := c.batch.Clock(c.next)
	if value := c.batch.Records[c.next].Value; !ok && len(value) > m.o.Config.Limits.EventBytes {
		_, at, ok = m.timer.times(value) // it wasn't decoded, and has its place all the same
	}
	if ok {
		h.clock = max(h.clock, at)
	}
}

// runRecords replays any source: its records by partition, as many at a time as are committed at once.
func (b *backtest) runRecords(ctx context.Context, src Source) error {
	s := &stream{fill: func(c *chunk) error { return fillRecords(c, src) }}
	a := startAhead([]*stream{s}, b.o.Ahead, func() worksAhead { return prepares(b.o.Config) })
	defer a.stop()
	for {
		c, err := s.pop(ctx)
		if err != nil {
			return err
		}
		for _, g := range c.groups {
			if err := b.process(c, g.partition, g.from, g.to); err != nil {
				return err
			}
			if err := b.commit(g.partition); err != nil {
				return err
			}
		}
		if err := b.passEnded(c.ended); err != nil {
			return err
		}
		if b.target != nil {
			if err := b.reportOutput(b.target); err != nil {
				return err
			}
		}
		b.counted()
		err = c.err
		a.recycle(c)
		if unread, ok := errors.AsType[*UnreadError](err); ok {
			b.unread, err = unread, io.EOF
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fillRecords reads the records of a chunk and puts those of one partition together.
func fillRecords(c *chunk, src Source) error {
	records := c.batch.Records
	var err error
	for size := 0; len(records) < batchSize && size < batchBytes; {
		var r pipeline.Record
		if r, err = src.Next(); err != nil {
			break
		}
		size += len(r.Value)
		records = append(records, r)
	}
	if p, ok := src.(Partitioned); ok {
		c.ended = p.Ended()
	}
	c.batch.Records = records
	slices.SortStableFunc(records, func(a, b pipeline.Record) int { return cmp.Compare(a.Partition, b.Partition) })
	for i := range records {
		if n := records[i].Partition; i == 0 || n != records[i-1].Partition {
			c.groups = append(c.groups, group{partition: n, from: i})
		}
		c.groups[len(c.groups)-1].to = i + 1
	}
	return err
}
