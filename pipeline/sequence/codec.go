package sequence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"unsafe"
)

// The first byte of an encoded state. A layout that this one can't read gets another number.
const (
	codecVersion  = 2 // a topic, then the packed state
	codecVersion1 = 1 // the packed state without a topic
)

// The flags of an encoded ref and of an encoded partial.
const (
	refHasSeq = 1 << iota
	refSubMillis
	refTopic // absent: the topic of the ref before
	refID
)

const (
	partialDoomed = 1 << iota
	partialHit
	partialLead
)

const truncated = "the end is missing"

// Append appends the encoded state to dst. Equal states that were decoded encode to equal bytes.
//
// The layout is: version, a topic, and the state as Pack writes it for that topic.
func (st *State) Append(dst []byte) []byte {
	topic := ""
	for r := range st.Refs {
		topic = r.Topic
		break
	}
	return st.Pack(appendTopic(dst, topic), topic)
}

// AppendPacked appends to dst what Append would for a state that was packed for the topic.
func AppendPacked(dst []byte, topic string, packed []byte) []byte {
	return append(appendTopic(dst, topic), packed...)
}

func appendTopic(dst []byte, topic string) []byte {
	w := writer{b: append(dst, codecVersion)}
	w.text(topic)
	return w.b
}

// Pack appends the state to dst in the fewest bytes, for whoever keeps many of them in memory. Refs of the topic don't name
// it: Unpack must be given the same.
//
// The layout is: the table of refs; the partials, as lengths and places in the table; the leading hits; the pending
// sequences. Integers are varints, times the difference to the time before.
func (st *State) Pack(dst []byte, topic string) []byte {
	w := writer{b: dst, topic: topic}
	// Places are numbered as they are first used, so that holes in the table don't show.
	var room [2 * packedRoom]uint32
	places, order := room[:packedRoom], room[packedRoom:packedRoom]
	if len(st.table) > packedRoom {
		places, order = make([]uint32, len(st.table)), nil
	}
	for k := range st.live {
		for _, i := range st.live[k].at {
			if places[i] == 0 {
				order = append(order, i)
				places[i] = uint32(len(order))
			}
		}
	}
	w.uint(uint64(len(order)))
	for _, i := range order {
		w.ref(&st.table[i].Ref)
	}
	w.uint(uint64(len(st.live)))
	for k := range st.live {
		p := &st.live[k]
		w.uint(uint64(len(p.at)))
		for _, i := range p.at {
			w.uint(uint64(places[i] - 1))
		}
		w.partial(p)
	}
	w.extras(st.more)
	return w.b
}

// packedRoom is the number of events up to which packing a state allocates nothing.
const packedRoom = 16

// DecodeState decodes what Append wrote. The state keeps no reference to b. An error means that b is damaged or of
// another version.
func DecodeState(b []byte) (State, error) {
	if len(b) == 0 {
		return State{}, errors.New("decode sequence state: " + truncated)
	}
	r := reader{b: b[1:]}
	switch b[0] {
	case codecVersion:
		r.topic = r.text()
	case codecVersion1:
	default:
		return State{}, fmt.Errorf("decode sequence state: version %d is unknown", b[0])
	}
	var s Scratch
	st := r.state(&s)
	if r.err != nil {
		return State{}, fmt.Errorf("decode sequence state: %w", r.err)
	}
	return st, nil
}

// Scratch is memory for one state at a time, used again for the next. The zero value is ready.
type Scratch struct {
	table  []entry
	live   []partial
	places []uint32
}

// Empty returns an empty state. It is the caller's until the next call of a method of s.
func (s *Scratch) Empty() State { return State{table: s.table[:0], live: s.live[:0]} }

// Unpack decodes what Pack wrote for the topic. The state is the caller's until the next call of a method of s, and its
// strings point into b. An error means that b is damaged.
func (s *Scratch) Unpack(b []byte, topic string) (State, error) {
	r := reader{b: b, topic: topic, alias: true}
	st := r.state(s)
	if r.err != nil {
		return State{}, fmt.Errorf("unpack sequence state: %w", r.err)
	}
	return st, nil
}

// state reads a packed state, all of b, into the memory of s.
func (r *reader) state(s *Scratch) (st State) {
	n := r.count()
	s.table = slices.Grow(s.table[:0], n)
	for range n {
		s.table = append(s.table, entry{Ref: r.ref()})
	}
	st.table = s.table
	n = r.count()
	s.live = slices.Grow(s.live[:0], n)
	s.places = s.places[:0]
	for k := range n {
		p := partial{at: r.places(s, &st)}
		r.partial(&p)
		if len(p.at) == 0 || k > 0 && len(p.at) <= len(s.live[k-1].at) {
			r.fail("partials are out of order")
		}
		if r.err != nil {
			break
		}
		s.live = append(s.live, p)
	}
	st.live = s.live
	for i := range st.table {
		if st.table[i].uses == 0 {
			r.fail("an event is held by no partial")
		}
	}
	r.extras(&st)
	if r.err == nil && len(r.b) > 0 {
		r.fail("trailing bytes")
	}
	if r.err == nil {
		st.trim()
	}
	return st
}

// places reads the places in the table of one partial's events, and counts them there.
func (r *reader) places(s *Scratch, st *State) []uint32 {
	first, n := len(s.places), r.count()
	for range n {
		i := r.uint()
		if i >= uint64(len(st.table)) {
			r.fail("a partial holds an event that isn't there")
			break
		}
		s.places = append(s.places, uint32(i))
		st.table[i].uses++
	}
	return s.places[first:len(s.places):len(s.places)]
}

type writer struct {
	b     []byte
	at    int64 // the time written last
	topic string
}

func (w *writer) uint(v uint64) { w.b = binary.AppendUvarint(w.b, v) }

func (w *writer) int(v int64) { w.b = binary.AppendVarint(w.b, v) }

// time wraps around where the difference overflows, and so does the reader.
func (w *writer) time(t int64) {
	w.int(t - w.at)
	w.at = t
}

func (w *writer) text(s string) {
	w.uint(uint64(len(s)))
	w.b = append(w.b, s...)
}

// extras writes what only rules with leading or trailing missing stages have.
func (w *writer) extras(x *extras) {
	if x == nil {
		w.uint(0)
		w.uint(0)
		return
	}
	w.uint(uint64(x.leads))
	for _, l := range x.lead[:x.leads] {
		w.time(l)
	}
	w.uint(uint64(len(x.pending)))
	for _, p := range x.pending {
		w.uint(uint64(len(p.refs)))
		for i := range p.refs {
			w.ref(&p.refs[i])
		}
		w.time(p.end)
	}
}

func (w *writer) ref(r *Ref) {
	var flags uint64
	if r.HasSeq {
		flags |= refHasSeq
	}
	if r.SubMillis != 0 {
		flags |= refSubMillis
	}
	if r.Topic != w.topic {
		flags |= refTopic
	}
	if r.ID != "" {
		flags |= refID
	}
	w.uint(flags)
	w.time(r.Time)
	w.int(r.Sequence)
	if flags&refSubMillis != 0 {
		w.int(int64(r.SubMillis))
	}
	if flags&refTopic != 0 {
		w.text(r.Topic)
		w.topic = r.Topic
	}
	w.int(int64(r.Partition))
	w.int(r.Offset)
	if flags&refID != 0 {
		w.text(r.ID)
	}
}

func (w *writer) partial(p *partial) {
	var flags uint64
	if p.doomed {
		flags |= partialDoomed
	}
	if p.hit != noHit {
		flags |= partialHit
	}
	if p.lead != noLead {
		flags |= partialLead
	}
	w.uint(flags)
	if p.hit != noHit {
		w.time(p.hit)
	}
	if p.lead != noLead {
		w.time(p.lead)
	}
}

// reader reads zeros after the first error.
type reader struct {
	b     []byte
	err   error
	at    int64
	topic string
	alias bool // text points into b
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = errors.New(what)
	}
	r.b = nil
}

func (r *reader) uint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.fail(truncated)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.fail(truncated)
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) int32() int32 {
	v := r.int()
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.fail("a number is too large")
		return 0
	}
	return int32(v)
}

// count reads the number of things that follow, each of which takes a byte at least.
func (r *reader) count() int {
	n := r.uint()
	if n > uint64(len(r.b)) {
		r.fail(truncated)
		return 0
	}
	return int(n)
}

func (r *reader) time() int64 {
	r.at += r.int()
	return r.at
}

func (r *reader) text() string {
	n := r.count()
	b := r.b[:n]
	r.b = r.b[n:]
	if r.alias {
		return unsafe.String(unsafe.SliceData(b), n)
	}
	return string(b)
}

func (r *reader) ref() Ref {
	flags := r.uint()
	var ref Ref
	ref.HasSeq = flags&refHasSeq != 0
	ref.Time = r.time()
	ref.Sequence = r.int()
	if flags&refSubMillis != 0 {
		ref.SubMillis = r.int32()
	}
	if flags&refTopic != 0 {
		r.topic = r.text()
	}
	ref.Topic = r.topic
	ref.Partition = r.int32()
	ref.Offset = r.int()
	if flags&refID != 0 {
		ref.ID = r.text()
	}
	return ref
}

func (r *reader) partial(p *partial) {
	p.hit, p.lead = noHit, noLead
	flags := r.uint()
	p.doomed = flags&partialDoomed != 0
	if flags&partialHit != 0 {
		p.hit = r.time()
	}
	if flags&partialLead != 0 {
		p.lead = r.time()
	}
}

func (r *reader) extras(st *State) {
	if r.err == nil && len(r.b) == 2 && r.b[0] == 0 && r.b[1] == 0 { // as nearly always
		r.b = nil
		return
	}
	leads := r.count()
	var x extras
	if leads > len(x.lead) {
		r.fail("too many leading hits")
		return
	}
	x.leads = leads
	for i := range leads {
		x.lead[i] = r.time()
	}
	if leads == 2 && x.lead[0] <= x.lead[1] {
		r.fail("leading hits are out of order")
	}
	x.pending = make([]pending, r.count())
	for i := range x.pending {
		p := &x.pending[i]
		p.refs = make([]Ref, r.count())
		if len(p.refs) == 0 {
			r.fail("a pending sequence is empty")
			return
		}
		for j := range p.refs {
			p.refs[j] = r.ref()
		}
		p.end = r.time()
	}
	st.more = &x
}
