package replay

import (
	"errors"
	"io"
	"math"
	"slices"
	"strconv"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/internal/minheap"
)

// Source yields the records of a replay in the order in which the engine is to take them. Next returns io.EOF
// at the end. The value of a record stays valid.
type Source interface {
	Next() (pipeline.Record, error)
	Close() error
}

// UnreadError is the error of event files that couldn't be read to their ends. What came before, and the other files, was replayed.
type UnreadError struct{ Files []error }

// Error names the files, each on a line.
func (u *UnreadError) Error() string { return errors.Join(u.Files...).Error() }

// Unwrap returns what is wrong with each file.
func (u *UnreadError) Unwrap() []error { return u.Files }

// note adds a file, and makes u where there is none yet.
func (u *UnreadError) note(err error) *UnreadError {
	if u == nil {
		u = &UnreadError{}
	}
	u.Files = append(u.Files, err)
	return u
}

// timer tells a document's record time and event time without decoding more of it than that.
type timer struct {
	schema  *event.Schema
	meta    event.Meta
	decoder *event.Decoder
	ev      *event.Event
}

func newTimer() *timer {
	s := event.NewSchema(event.MetaTypes)
	t := &timer{schema: s, meta: event.AddMeta(s, event.MetaOptions{})}
	t.decoder, t.ev = event.NewDecoder(s), event.New(s)
	return t
}

// times returns the document's event time and, where it says so, the time at which it was ingested.
func (t *timer) times(doc []byte) (at, ingested int64, ok bool) {
	if t.decoder.Decode(doc, t.ev) != nil {
		return 0, 0, false
	}
	at, _, ok = t.meta.Time(t.ev)
	if !ok {
		return 0, 0, false
	}
	if ms, _, has := t.meta.IngestTime(t.ev); has {
		return at, ms, true
	}
	return at, at, true
}

// record makes a record of a document; its data is copied.
func record(d Doc) pipeline.Record {
	return pipeline.Record{
		Topic: d.Topic, Offset: d.Offset, Value: slices.Clone(d.Data), Clock: pipeline.ClockEvent,
	}
}

// fileSource merges files by record time, as a worker merges several topics. A single file keeps its own order.
type fileSource struct {
	heads minheap.Heap[*head] // by record time
	timer *timer
	files []*File
	merge bool
	all   bool // a file that is broken doesn't keep the others from being read
	began bool

	unread *UnreadError // files that are broken, where others go on; nil: none
}

// head is a file and its next record.
type head struct {
	file   *File
	order  int
	next   pipeline.Record
	clock  int64 // newest record time of the file so far
	isOpen bool
}

func (h *head) before(i *head) bool {
	if h.clock != i.clock {
		return h.clock < i.clock
	}
	return h.order < i.order
}

// Placer is a source that can say where a record stands in its file. Those of OpenFiles and Concat are.
type Placer interface {
	Place(name string, offset int64) string
}

// OpenFiles returns a source over event files, in file order; several files are merged by record time. Files that can't be read to their
// ends are told of when all are over, by an error that is an *UnreadError.
func OpenFiles(paths []string, stdin io.Reader) (Source, error) {
	return openFiles(paths, stdin, &fileSource{merge: len(paths) > 1, all: true})
}

// Concat returns a source over event files one after the other. It ends with the first that can't be read.
func Concat(paths []string, stdin io.Reader) (Source, error) {
	return openFiles(paths, stdin, &fileSource{})
}

func openFiles(paths []string, stdin io.Reader, s *fileSource) (Source, error) {
	s.timer, s.heads = newTimer(), minheap.New((*head).before)
	for _, p := range paths {
		f, err := OpenFile(p, stdin)
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.files = append(s.files, f)
	}
	return s, nil
}

// begin reads the first record of each file.
func (s *fileSource) begin() error {
	s.began = true
	for i, f := range s.files {
		h := &head{file: f, order: i, clock: math.MinInt64}
		if err := s.pull(h); err != nil {
			return err
		}
		if h.isOpen {
			s.heads.Push(h)
		}
	}
	return nil
}

// pull reads the next record of a file.
func (s *fileSource) pull(h *head) error {
	d, err := h.file.Next()
	switch {
	case errors.Is(err, io.EOF):
		h.isOpen = false
		return nil
	case err != nil && s.all:
		h.isOpen, s.unread = false, s.unread.note(err)
		return nil
	case err != nil:
		return err
	}
	h.isOpen = true
	h.next = record(d)
	if s.merge {
		if _, ingested, ok := s.timer.times(h.next.Value); ok {
			h.clock = max(h.clock, ingested)
		}
	}
	return nil
}

// Next returns the record with the smallest record time among the files.
func (s *fileSource) Next() (pipeline.Record, error) {
	if !s.began {
		if err := s.begin(); err != nil {
			return pipeline.Record{}, err
		}
	}
	if s.heads.Len() == 0 {
		if s.unread != nil {
			return pipeline.Record{}, s.unread
		}
		return pipeline.Record{}, io.EOF
	}
	h := s.heads.Top()
	r := h.next
	if err := s.pull(h); err != nil {
		return r, err
	}
	if h.isOpen {
		s.heads.Fix()
	} else {
		s.heads.Pop()
	}
	return r, nil
}

// Place says where in a file a record stands, as people and editors count: the line or the element of the array, from 1.
func (s *fileSource) Place(name string, offset int64) string {
	separator := ":"
	for _, f := range s.files {
		if f.name == name && f.array != nil {
			separator = ", element "
		}
	}
	if name == "-" {
		name = "standard input"
	}
	return name + separator + strconv.FormatInt(offset+1, 10)
}

// Close closes the files.
func (s *fileSource) Close() error {
	errs := make([]error, 0, len(s.files))
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// Sorted returns a source over all records of src in the order of event time, position breaking ties. It holds
// them in memory. Records without a time keep their place behind the record before them.
func Sorted(src Source) (Source, error) {
	type timed struct {
		at int64
		r  pipeline.Record
	}
	var all []timed
	t := newTimer()
	last := int64(math.MinInt64)
	end := io.EOF
	for {
		r, err := src.Next()
		if unread, ok := errors.AsType[*UnreadError](err); ok {
			end = unread
			break
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.Join(err, src.Close())
		}
		if at, _, ok := t.times(r.Value); ok {
			last = at
		}
		all = append(all, timed{last, r})
	}
	slices.SortStableFunc(all, func(a, b timed) int {
		switch {
		case a.at < b.at:
			return -1
		case a.at > b.at:
			return 1
		default:
			return 0
		}
	})
	s := &sliceSource{close: src.Close, end: end}
	for _, e := range all {
		s.records = append(s.records, e.r)
	}
	return s, nil
}

// sliceSource yields records that are in memory.
type sliceSource struct {
	records []pipeline.Record
	next    int
	last    map[int32]int // of the partitions that haven't ended; nil before the first look
	end     error         // what comes behind the last record
	close   func() error
}

// FromRecords returns a source over records that are in memory.
func FromRecords(records []pipeline.Record) Source {
	return &sliceSource{records: records, end: io.EOF, close: func() error { return nil }}
}

func (s *sliceSource) Next() (pipeline.Record, error) {
	if s.next == len(s.records) {
		return pipeline.Record{}, s.end
	}
	s.next++
	return s.records[s.next-1], nil
}

// Partitions returns the partitions of the records.
func (s *sliceSource) Partitions() (partitions []int32) {
	for i := range s.records {
		if n := s.records[i].Partition; !slices.Contains(partitions, n) {
			partitions = append(partitions, n)
		}
	}
	return partitions
}

// Ended returns the partitions whose last record was returned since the last call.
func (s *sliceSource) Ended() (partitions []int32) {
	if s.last == nil {
		s.last = map[int32]int{}
		for i := range s.records {
			s.last[s.records[i].Partition] = i
		}
	}
	for n, i := range s.last {
		if i < s.next {
			partitions = append(partitions, n)
			delete(s.last, n)
		}
	}
	return partitions
}

func (s *sliceSource) Close() error { return s.close() }
