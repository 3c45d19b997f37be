// Package event holds what one decoded record looks like to the rest of Weir: an Event of typed Values
// in numbered slots. A Schema says which field has which slot and type; a Decoder projects a JSON document
// onto the slots in one pass and skips everything else. The package knows neither rules nor Kafka, and it
// never reads the clock.
package event

// Event is one decoded record: the values of the fields that its Schema names. An Event is reused from
// record to record by the goroutine that owns it; it is not safe for concurrent use.
type Event struct {
	// Raw is the document that the event was decoded from. It belongs to the caller of Decode, and is not to be changed while the event has values.
	Raw []byte

	spans   []span  // by slot: where its values are
	values  []Value // in document order, but for fields that occur again after others; see newValues
	first   uint32  // what spans call the first of values; what is less is of a record before
	touched []Slot
	scratch []byte   // text that had to be unescaped or converted; strings alias it until Reset
	full    [][]byte // what was scratch before, since Reset
	held    []string // text of values that is neither the document's nor in scratch
}

// span is where the values of a field are, and for how many there is room. at is counted on from record to record, so that nothing
// need be cleared between them.
type span struct{ at, n, room uint32 }

// lastFirst is where counting begins anew.
const lastFirst = 1 << 31

// New returns an empty event for s. Fields that are added to s later have no values in it until the next Reset.
func New(s *Schema) *Event {
	return &Event{spans: make([]span, s.Len()), values: newValues(64)[:0], first: 1}
}

// Values returns all values of a field in document order, nil where it is missing. Nulls are not among
// them: a field of nulls only is missing. The slice is valid until the next Reset.
func (e *Event) Values(s Slot) []Value {
	if s < 0 || int(s) >= len(e.spans) {
		return nil
	}
	at := &e.spans[s]
	if at.at < e.first {
		return nil
	}
	i := at.at - e.first
	return e.values[i : i+at.n : i+at.n]
}

// Touched returns the slots that have values, in their order. The slice is valid until the next call.
func (e *Event) Touched() []Slot {
	e.touched = e.touched[:0]
	for s := range e.spans {
		if e.spans[s].at >= e.first {
			e.touched = append(e.touched, Slot(s))
		}
	}
	return e.touched
}

// First returns the first value of a field; the zero Value is Missing.
func (e *Event) First(s Slot) Value {
	if v := e.Values(s); len(v) > 0 {
		return v[0]
	}
	return Value{}
}

// Add appends a value to a field. Missing values are left out.
func (e *Event) Add(s Slot, v Value) {
	e.hold(v.str)
	e.add(s, v)
}

// hold keeps text of a value until Reset.
func (e *Event) hold(text string) {
	if text != "" {
		e.held = append(e.held, text)
	}
}

// add is Add of a value whose text is in the document, in scratch or a constant.
func (e *Event) add(s Slot, v Value) {
	if v.kind == Missing {
		return
	}
	if to := e.next(s); to != nil {
		set(to, v)
		return
	}
	e.addAnother(s, v)
}

// next returns where the first value of a field goes, nil where the field has values or there is no room: addAnother adds then.
func (e *Event) next(s Slot) *Value {
	at, n := &e.spans[s], len(e.values)
	if at.at >= e.first || n == cap(e.values) {
		return nil
	}
	*at = span{at: e.first + uint32(n), n: 1, room: 1}
	e.values = e.values[:n+1]
	return &e.values[n]
}

// addAnother adds to a field that may have values already. It moves them to the end where others came since, to twice the room, so that
// two fields that take turns cost no more than others.
func (e *Event) addAnother(s Slot, v Value) {
	at, used := &e.spans[s], uint32(len(e.values))
	if at.at < e.first {
		*at = span{at: e.first + used}
	}
	switch start := at.at - e.first; {
	case at.n < at.room:
		set(&e.values[start+at.n], v)
	case start+at.room == used:
		e.grow(1)
		set(&e.values[used], v)
		at.room++
	default:
		room := 2 * at.n
		e.grow(int(room))
		copyValues(e.values[used:], e.values[start:start+at.n])
		set(&e.values[used+at.n], v)
		at.at, at.room = e.first+used, room
	}
	at.n++
}

// grow makes values longer by n, for whose values the caller cares. What Values returned stays as it is.
func (e *Event) grow(n int) {
	used := len(e.values)
	if n > cap(e.values)-used {
		more := newValues(max(2*cap(e.values), used+n, 64))
		copyValues(more, e.values)
		e.values = more
	}
	e.values = e.values[:used+n]
}

// What a single unusual record may leave behind in an event's memory.
const (
	keepValues  = 4096
	keepScratch = 64 << 10
)

// Reset empties the event for the next record and keeps its memory, growing to the size of s.
func (e *Event) Reset(s *Schema) {
	e.empty(s)
	e.Raw = nil
}

// empty is Reset, but for Raw.
func (e *Event) empty(s *Schema) {
	if e.first += uint32(len(e.values)); e.first >= lastFirst {
		clear(e.spans)
		e.first = 1
	}
	if e.values = e.values[:0]; cap(e.values) > keepValues {
		e.values = nil
	}
	if len(e.full) > 0 || len(e.held) > 0 {
		clear(e.full)
		clear(e.held)
		e.full, e.held = e.full[:0], e.held[:0]
	}
	e.scratch = e.scratch[:0]
	if cap(e.scratch) > keepScratch {
		e.scratch = nil
	}
	for len(e.spans) < s.Len() {
		e.spans = append(e.spans, span{})
	}
}

// reserve makes room for n bytes in scratch. It never moves what is there: strings alias it. A new chunk
// replaces a full one, which lives on until Reset.
func (e *Event) reserve(n int) {
	if cap(e.scratch)-len(e.scratch) < n {
		if len(e.scratch) > 0 {
			e.full = append(e.full, e.scratch)
		}
		e.scratch = make([]byte, 0, max(n, 2*cap(e.scratch), 1024))
	}
}
