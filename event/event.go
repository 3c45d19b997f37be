// Package event holds what one decoded record looks like to the rest of Weir: an Event of typed Values
// in numbered slots. A Schema says which field has which slot and type; a Decoder projects a JSON document
// onto the slots in one pass and skips everything else. The package knows neither rules nor Kafka, and it
// never reads the clock.
package event

// Event is one decoded record: the values of the fields that its Schema names. An Event is reused from
// record to record by the goroutine that owns it; it is not safe for concurrent use.
type Event struct {
	// Raw is the document that the event was decoded from. It belongs to the caller of Decode.
	Raw []byte

	slots   [][]Value
	touched []Slot
	scratch []byte // text that had to be unescaped or converted; strings alias it until Reset
}

// New returns an empty event for s. Fields that are added to s later have no values in it until the next Reset.
func New(s *Schema) *Event {
	return &Event{slots: make([][]Value, s.Len()), touched: make([]Slot, 0, 64)}
}

// Values returns all values of a field in document order, nil where it is missing. Nulls are not among
// them: a field of nulls only is missing. The slice is valid until the next Reset.
func (e *Event) Values(s Slot) []Value {
	if s < 0 || int(s) >= len(e.slots) {
		return nil
	}
	return e.slots[s]
}

// Touched returns the slots that have values, in the order in which they came. The slice is valid until the next Reset.
func (e *Event) Touched() []Slot { return e.touched }

// First returns the first value of a field; the zero Value is Missing.
func (e *Event) First(s Slot) Value {
	if v := e.Values(s); len(v) > 0 {
		return v[0]
	}
	return Value{}
}

// Add appends a value to a field. Missing values are left out.
func (e *Event) Add(s Slot, v Value) {
	if v.kind == Missing {
		return
	}
	if len(e.slots[s]) == 0 {
		e.touched = append(e.touched, s)
	}
	e.slots[s] = append(e.slots[s], v)
}

// What a single unusual record may leave behind in an event's memory.
const (
	keepValues  = 256
	keepScratch = 64 << 10
)

// Reset empties the event for the next record and keeps its memory, growing to the size of s. The values are
// cleared, so that a field that occurs rarely doesn't pin an old record.
func (e *Event) Reset(s *Schema) {
	for _, slot := range e.touched {
		values := e.slots[slot]
		if cap(values) > keepValues {
			e.slots[slot] = nil
			continue
		}
		if len(values) == 1 {
			values[0].str = ""
		} else {
			clear(values)
		}
		e.slots[slot] = values[:0]
	}
	e.touched = e.touched[:0]
	e.scratch = e.scratch[:0]
	if cap(e.scratch) > keepScratch {
		e.scratch = nil
	}
	e.Raw = nil
	for len(e.slots) < s.Len() {
		e.slots = append(e.slots, nil)
	}
}

// reserve makes room for n bytes in scratch. It never moves what is there: strings alias it. A new chunk
// replaces a full one, which lives on as long as the strings in it.
func (e *Event) reserve(n int) {
	if cap(e.scratch)-len(e.scratch) < n {
		e.scratch = make([]byte, 0, max(n, 2*cap(e.scratch), 1024))
	}
}
