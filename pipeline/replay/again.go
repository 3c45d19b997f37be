package replay

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/weir-eql/weir/pipeline"
)

// mark is where a line of a file begins.
type mark struct{ line, at int64 }

// maxMarks bounds the marks of a file: 1 MB, and one for each chunk of its last 16 GB.
const maxMarks = 64 << 10

// mark notes where a chunk begins. Of what lies long back every second mark goes when there are too many: reading there takes longer.
func (l *lineStream) mark(m mark) {
	if len(l.marks) == maxMarks {
		for i := range maxMarks / 4 {
			l.marks[i] = l.marks[2*i]
		}
		l.marks = slices.Delete(l.marks, maxMarks/4, maxMarks/2)
	}
	l.marks = append(l.marks, m)
}

// linesAgain is a worker's input where records are lines of plain files: they are read again while a replay goes on, so that of most
// waiting events a note is enough. It belongs to the goroutine that consumes the chunks.
type linesAgain struct {
	files map[string]*lineStream
}

func (a *linesAgain) add(l *lineStream) { a.files[l.file.name] = l }

// input returns cfg with a as the worker's input, cfg as it is where a file can't be read again. It looks at what the files begin with.
func (a *linesAgain) input(cfg *pipeline.Config) (*pipeline.Config, error) {
	for _, l := range a.files {
		if l.file.plain == nil {
			return cfg, nil
		}
		if err := l.file.start(); err != nil {
			return nil, err
		}
		if l.file.array != nil {
			return cfg, nil
		}
	}
	own := *cfg
	own.Input = a
	return &own, nil
}

var errChanged = errors.New("the file has become shorter while it was read")

// Read is pipeline.Input's.
func (a *linesAgain) Read(span pipeline.Span, take func([]pipeline.Record)) error {
	l := a.files[span.Topic]
	if l == nil {
		return fmt.Errorf("BUG: no file %s", span.Topic)
	}
	i, found := slices.BinarySearchFunc(l.marks, span.From, func(m mark, line int64) int { return cmp.Compare(m.line, line) })
	if !found {
		i--
	}
	from := mark{}
	if i >= 0 {
		from = l.marks[i]
	}
	section := io.NewSectionReader(l.file.plain, from.at, math.MaxInt64-from.at)
	file := &File{name: l.file.name, r: bufio.NewReaderSize(section, readBuffer), line: from.line, started: true}
	var one [1]pipeline.Record
	for {
		d, err := file.Next()
		switch {
		case errors.Is(err, io.EOF):
			return errChanged
		case err != nil:
			return err
		case d.Offset >= span.To:
			return nil
		case d.Offset >= span.From:
			one[0] = pipeline.Record{Topic: d.Topic, Offset: d.Offset, Value: d.Data, Clock: pipeline.ClockEvent}
			take(one[:])
		}
		if d.Offset == span.To-1 {
			return nil
		}
	}
}
