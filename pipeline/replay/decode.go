package replay

import (
	"context"
	"errors"
	"io"
	"runtime"

	"github.com/weir-eql/weir/event"
)

// Decoded counts what Decode read.
type Decoded struct {
	Records  uint64 // blank lines aside
	Bytes    uint64 // of the records, without the ends of lines
	Rejected uint64 // records that are no events
	Fields   uint64 // that had a value, of all records together
}

// Decode reads a file of events as Backtest does, on ahead goroutines (0: one per core) and in chunks that are given back
// in their order, and does nothing but decode them onto the fields of a schema. It is what a backtest is compared with.
// The caller closes the file, of which nothing was read before.
func Decode(ctx context.Context, file *File, schema *event.Schema, ahead int) (d Decoded, err error) {
	if ahead <= 0 {
		ahead = runtime.GOMAXPROCS(0)
	}
	lines := &lineStream{file: file, size: chunkBytes}
	s := &stream{fill: lines.fill, split: lines.split}
	a := startAhead([]*stream{s}, ahead, func() worksAhead { return decodes(schema) })
	defer a.stop()
	for {
		c, err := s.pop(ctx)
		if err := errors.Join(err, ctx.Err()); err != nil {
			return d, err
		}
		lines.number(c)
		d.Records += c.decoded.Records
		d.Bytes += c.decoded.Bytes
		d.Rejected += c.decoded.Rejected
		d.Fields += c.decoded.Fields
		err = c.err
		a.recycle(c)
		if errors.Is(err, io.EOF) {
			return d, nil
		}
		if err != nil {
			return d, err
		}
	}
}

// decodes decodes the records of chunks and counts them.
func decodes(schema *event.Schema) worksAhead {
	decoder, ev := event.NewDecoder(schema), event.New(schema)
	return worksAhead{
		each: func(c *chunk) {
			c.decoded = Decoded{Records: uint64(len(c.batch.Records))}
			for i := range c.batch.Records {
				value := c.batch.Records[i].Value
				c.decoded.Bytes += uint64(len(value))
				if decoder.Decode(value, ev) != nil {
					c.decoded.Rejected++
					continue
				}
				c.decoded.Fields += uint64(len(ev.Touched()))
			}
		},
		end: func() {},
	}
}
