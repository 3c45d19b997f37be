// Package rekey is the codec of the re-key topic: the internal topic on which the events of rules whose join keys don't imply the
// host go from the partition where they arrived, the source, to the one that their join key names, the target. It knows neither
// rules nor Kafka.
package rekey

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"math"

	"github.com/weir-eql/weir/pipeline/sequence"
)

// version is the first byte of most records. A layout that this one can't read gets another number.
const version = 2

// withDelays is the version of reports that have delays by field: only those, so that earlier programs can read the rest.
const withDelays = 3

// withEpochs is the version of events and reports that name the epochs of leaders of their logs. Reports may have delays by field too.
const withEpochs = 4

// withoutLogs is the version before events named their log, and reports how far logs were taken. It is read.
const withoutLogs = 1

// The second byte of a record.
const (
	kindEvent  = 1
	kindReport = 2
)

// The flags of an event.
const (
	hasSequence = 1 << iota
	hasID
	hasLog
	mayRepeat
	hasEpoch

	flagsWithoutLogs   = hasSequence | hasID
	flagsWithoutEpochs = flagsWithoutLogs | hasLog | mayRepeat
	allFlags           = flagsWithoutEpochs | hasEpoch
)

// Record is one record of the topic: an event, or a report of sources where Event is nil.
type Record struct {
	Event  *Event
	Report Report
}

// Event is an event that hits stages of rules under join keys of the target.
type Event struct {
	Ref        sequence.Ref // its place is that on the input topic
	Host       string       // as the pipeline names it; empty where it has none
	Candidates []Candidate
	Source     []byte // the document

	// Log names the log that the event's offset is of: the partition of an input topic, and not that of a topic of the same name that
	// there was before. 0 where the source doesn't say it.
	Log uint64
	// LeaderEpoch is that of the leader that wrote the event to its log, negative where the log or the source doesn't say it. Where a leader
	// was elected that lacked records, their offsets are given anew, under a greater epoch. It isn't sent where Log is 0.
	LeaderEpoch int32
	// Repeats says that the source may send the event again: its delivery has no transactions.
	Repeats bool
}

// Candidate says what an event may do: hit stages of one rule under one join key.
type Candidate struct {
	Rule uint64 // hash of the rule's id and normalised query
	Hits sequence.Hits
	Join []byte // encoded join key
}

// Report is what sources say of themselves. It stands behind all events that they sent before.
type Report struct {
	Progress []Progress
	Hosts    []Host
	Sent     []Sent
	Delays   []Delay
}

// Delay says, beside the progress of a source, by how much its events are behind its clock at the least by a field that orders them
// instead of @timestamp.
type Delay struct {
	Source int32
	Clock  int64 // that of the progress
	Field  string
	Delay  int64 // milliseconds
}

// Sent says that all that concerns a target in the events of a log before an offset is on the topic, before the report. What comes of
// them later was sent again.
type Sent struct {
	Log  uint64
	Next int64
	// LeaderEpoch is that of the last event before Next, negative where it isn't known. What later leaders wrote before Next isn't meant.
	LeaderEpoch int32
}

// Progress is the promise of a source that every event that it sends later came to its partition when the partition's clock
// stood at Clock or later.
type Progress struct {
	Source int32
	// Clock is the record clock, in milliseconds since the epoch. Of a partition that never had an event it is a clock of another one
	// that was known when this one was seen to be empty; 0 where none was.
	Clock int64
	// Delay is the least time that an event of the partition was behind the record clock when it came, in milliseconds.
	Delay int64
	// Empty is set where the partition has never had an event: then there is no Delay.
	Empty bool
}

// Host is a host that a source saw for the first time.
type Host struct {
	Source int32
	Name   string
}

// Partition returns the target of a join key of a rule, of so many.
func Partition(rule uint64, join []byte, partitions int32) int32 {
	h := fnv.New64a()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], rule)
	_, _ = h.Write(b[:]) // never fails
	_, _ = h.Write(join)
	return int32(h.Sum64() % uint64(max(partitions, 1)))
}

// HostPartition returns the target of what is said of a host.
func HostPartition(name string, partitions int32) int32 {
	return Partition(0, []byte(name), partitions)
}

// Append appends an encoded event to dst.
func (e *Event) Append(dst []byte) []byte {
	var flags byte
	if e.Ref.HasSeq {
		flags |= hasSequence
	}
	if e.Ref.ID != "" {
		flags |= hasID
	}
	if e.Log != 0 {
		flags |= hasLog
	}
	if e.Repeats {
		flags |= mayRepeat
	}
	v := byte(version)
	if e.Log != 0 && e.LeaderEpoch >= 0 {
		v, flags = withEpochs, flags|hasEpoch
	}
	dst = append(dst, v, kindEvent, flags)
	dst = binary.AppendVarint(dst, e.Ref.Time)
	dst = binary.AppendVarint(dst, int64(e.Ref.SubMillis))
	if e.Ref.HasSeq {
		dst = binary.AppendVarint(dst, e.Ref.Sequence)
	}
	dst = appendText(dst, e.Ref.Topic)
	dst = binary.AppendVarint(dst, int64(e.Ref.Partition))
	dst = binary.AppendVarint(dst, e.Ref.Offset)
	if e.Ref.ID != "" {
		dst = appendText(dst, e.Ref.ID)
	}
	if e.Log != 0 {
		dst = binary.BigEndian.AppendUint64(dst, e.Log)
	}
	if flags&hasEpoch != 0 {
		dst = binary.AppendUvarint(dst, uint64(e.LeaderEpoch))
	}
	dst = appendText(dst, e.Host)
	dst = binary.AppendUvarint(dst, uint64(len(e.Candidates)))
	for _, c := range e.Candidates {
		dst = binary.BigEndian.AppendUint64(dst, c.Rule)
		dst = binary.AppendUvarint(dst, uint64(c.Hits))
		dst = appendText(dst, string(c.Join))
	}
	return append(dst, e.Source...)
}

// Append appends an encoded report to dst.
func (p *Report) Append(dst []byte) []byte {
	v := p.version()
	dst = append(dst, v, kindReport)
	dst = binary.AppendUvarint(dst, uint64(len(p.Progress)))
	for _, s := range p.Progress {
		dst = binary.AppendVarint(binary.AppendVarint(dst, int64(s.Source)), s.Clock)
		if s.Empty {
			dst = append(dst, 1)
			continue
		}
		dst = binary.AppendVarint(append(dst, 0), s.Delay)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Hosts)))
	for _, h := range p.Hosts {
		dst = appendText(binary.AppendVarint(dst, int64(h.Source)), h.Name)
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Sent)))
	for _, s := range p.Sent {
		dst = binary.AppendVarint(binary.BigEndian.AppendUint64(dst, s.Log), s.Next)
		if v == withEpochs {
			dst = binary.AppendVarint(dst, int64(s.LeaderEpoch))
		}
	}
	if v < withDelays {
		return dst
	}
	dst = binary.AppendUvarint(dst, uint64(len(p.Delays)))
	for _, d := range p.Delays {
		dst = binary.AppendVarint(binary.AppendVarint(dst, int64(d.Source)), d.Clock)
		dst = binary.AppendVarint(appendText(dst, d.Field), d.Delay)
	}
	return dst
}

// version returns the least version that can say the report.
func (p *Report) version() byte {
	for _, s := range p.Sent {
		if s.LeaderEpoch >= 0 {
			return withEpochs
		}
	}
	if len(p.Delays) > 0 {
		return withDelays
	}
	return version
}

func appendText(dst []byte, s string) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(s))), s...)
}

var errDamaged = errors.New("record of the re-key topic is damaged")

// Decode decodes a record. Its Join and Source share b's memory; its texts don't. An error means that b is damaged or was
// written by another version.
func Decode(b []byte) (Record, error) {
	if len(b) < 2 {
		return Record{}, fmt.Errorf("%w: %d bytes", errDamaged, len(b))
	}
	if b[0] < withoutLogs || b[0] > withEpochs {
		return Record{}, fmt.Errorf("record of the re-key topic has version %d, this program knows up to %d", b[0], withEpochs)
	}
	r := reader{rest: b[2:], version: b[0]}
	var rec Record
	switch b[1] {
	case kindEvent:
		rec.Event = r.event()
	case kindReport:
		rec.Report = r.report()
	default:
		return Record{}, fmt.Errorf("%w: kind %d", errDamaged, b[1])
	}
	if r.bad || len(r.rest) > 0 {
		return Record{}, errDamaged
	}
	return rec, nil
}

// reader takes a record apart; bad is set, and stays, where the bytes don't suffice.
type reader struct {
	rest    []byte
	bad     bool
	version byte
}

// flags returns the flags that an event may have.
func (r *reader) flags() byte {
	switch {
	case r.version >= withEpochs:
		return allFlags
	case r.version > withoutLogs:
		return flagsWithoutEpochs
	}
	return flagsWithoutLogs
}

func (r *reader) event() *Event {
	e := &Event{LeaderEpoch: -1}
	flags := r.byte()
	if flags > r.flags() || flags&hasEpoch != 0 && flags&hasLog == 0 {
		r.fail()
	}
	e.Ref.Time, e.Ref.SubMillis = r.varint(), r.int32()
	if e.Ref.HasSeq = flags&hasSequence != 0; e.Ref.HasSeq {
		e.Ref.Sequence = r.varint()
	}
	e.Ref.Topic = string(r.bytes())
	e.Ref.Partition, e.Ref.Offset = r.int32(), r.varint()
	if flags&hasID != 0 {
		e.Ref.ID = string(r.bytes())
	}
	if flags&hasLog != 0 {
		e.Log = r.hash()
	}
	if flags&hasEpoch != 0 {
		if epoch := r.epoch(); e.Log != 0 { // else it says nothing
			e.LeaderEpoch = epoch
		}
	}
	e.Repeats = flags&mayRepeat != 0
	e.Host = string(r.bytes())
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		e.Candidates = append(e.Candidates, Candidate{Rule: r.hash(), Hits: sequence.Hits(r.uvarint()), Join: r.bytes()})
	}
	if !r.bad {
		e.Source, r.rest = r.rest, nil
	}
	return e
}

func (r *reader) report() Report {
	var p Report
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		s := Progress{Source: r.int32(), Clock: r.varint()}
		switch r.byte() {
		case 0:
			s.Delay = r.varint()
		case 1:
			s.Empty = true
		default:
			r.fail()
		}
		p.Progress = append(p.Progress, s)
	}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		p.Hosts = append(p.Hosts, Host{Source: r.int32(), Name: string(r.bytes())})
	}
	if r.version <= withoutLogs {
		return p
	}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		s := Sent{Log: r.hash(), Next: r.varint(), LeaderEpoch: -1}
		if r.version >= withEpochs {
			s.LeaderEpoch = max(r.int32(), -1) // one of those that say it is unknown
		}
		p.Sent = append(p.Sent, s)
	}
	if r.version < withDelays {
		return p
	}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		p.Delays = append(p.Delays, Delay{Source: r.int32(), Clock: r.varint(), Field: string(r.bytes()), Delay: r.varint()})
	}
	return p
}

func (r *reader) fail() { r.rest, r.bad = nil, true }

func (r *reader) skip(n int) {
	if n <= 0 {
		r.fail()
		return
	}
	r.rest = r.rest[n:]
}

func (r *reader) byte() byte {
	if len(r.rest) == 0 {
		r.fail()
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	return b
}

func (r *reader) hash() uint64 {
	if len(r.rest) < 8 {
		r.fail()
		return 0
	}
	v := binary.BigEndian.Uint64(r.rest)
	r.rest = r.rest[8:]
	return v
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.rest)
	r.skip(n)
	return v
}

func (r *reader) int32() int32 {
	v := r.varint()
	if v != int64(int32(v)) {
		r.fail()
		return 0
	}
	return int32(v)
}

func (r *reader) epoch() int32 {
	v := r.uvarint()
	if v > math.MaxInt32 {
		r.fail()
		return 0
	}
	return int32(v)
}

func (r *reader) bytes() []byte {
	n := r.uvarint()
	if r.bad || n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}
