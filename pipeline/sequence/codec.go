package sequence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// codecVersion is the first byte of an encoded state. A layout that this one can't read gets another number.
const codecVersion = 1

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
// The layout is: version; the table of refs; the partials, as lengths and places in the table; the leading hits; the
// pending sequences. Integers are varints, times the difference to the time before.
func (st *State) Append(dst []byte) []byte {
	w := writer{b: append(dst, codecVersion)}
	// Places are numbered as they are first used, so that holes in the table don't show.
	places := make([]uint64, len(st.table))
	var order []uint32
	for k := range st.live {
		for _, i := range st.live[k].at {
			if places[i] == 0 {
				order = append(order, i)
				places[i] = uint64(len(order))
			}
		}
	}
	w.uint(uint64(len(order)))
	for _, i := range order {
		w.ref(st.table[i].Ref)
	}
	w.uint(uint64(len(st.live)))
	for k := range st.live {
		p := &st.live[k]
		w.uint(uint64(len(p.at)))
		for _, i := range p.at {
			w.uint(places[i] - 1)
		}
		w.partial(p)
	}
	if st.more == nil {
		w.uint(0)
		w.uint(0)
		return w.b
	}
	w.uint(uint64(st.more.leads))
	for _, l := range st.more.lead[:st.more.leads] {
		w.time(l)
	}
	w.uint(uint64(len(st.more.pending)))
	for _, p := range st.more.pending {
		w.uint(uint64(len(p.refs)))
		for _, r := range p.refs {
			w.ref(r)
		}
		w.time(p.end)
	}
	return w.b
}

// DecodeState decodes what Append wrote. The state keeps no reference to b. An error means that b is damaged or of
// another version.
func DecodeState(b []byte) (State, error) {
	if len(b) == 0 {
		return State{}, errors.New("decode sequence state: " + truncated)
	}
	if b[0] != codecVersion {
		return State{}, fmt.Errorf("decode sequence state: version %d is unknown", b[0])
	}
	r := reader{b: b[1:]}
	st := State{table: make([]entry, r.count())}
	for i := range st.table {
		st.table[i].Ref = r.ref()
	}
	st.live = make([]partial, r.count())
	for k := range st.live {
		p := &st.live[k]
		p.at = make([]uint32, r.count())
		for j := range p.at {
			i := r.uint()
			if i >= uint64(len(st.table)) {
				r.fail("a partial holds an event that isn't there")
				break
			}
			p.at[j] = uint32(i)
			st.table[i].uses++
		}
		r.partial(p)
		if len(p.at) == 0 || k > 0 && len(p.at) <= len(st.live[k-1].at) {
			r.fail("partials are out of order")
		}
		if r.err != nil {
			break
		}
	}
	for i := range st.table {
		if st.table[i].uses == 0 {
			r.fail("an event is held by no partial")
		}
	}
	r.extras(&st)
	if r.err == nil && len(r.b) > 0 {
		r.fail("trailing bytes")
	}
	if r.err != nil {
		return State{}, fmt.Errorf("decode sequence state: %w", r.err)
	}
	st.trim()
	return st, nil
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

func (w *writer) ref(r Ref) {
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
	s := string(r.b[:n])
	r.b = r.b[n:]
	return s
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
