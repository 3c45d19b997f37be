package event

import (
	"errors"
	"fmt"
)

// MaxDepth is how deep objects and arrays may nest in a document. Elasticsearch's mappings end at 20.
const MaxDepth = 256

// SyntaxError says why and where a document is not one JSON object.
type SyntaxError struct {
	Offset int    // in bytes from the start of the document
	Msg    string // what is wrong there
}

// Error returns the fault and its offset.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("json: %s at offset %d", e.Msg, e.Offset)
}

// ErrTooDeep and ErrNotObject tell two faults apart that are not of syntax: errors.Is finds them in what Decode
// returns.
var (
	ErrTooDeep   = errors.New("nested too deep")
	ErrNotObject = errors.New("not an object")
)

// Is reports whether the fault is ErrTooDeep or ErrNotObject.
func (e *SyntaxError) Is(target error) bool {
	return (target == ErrTooDeep || target == ErrNotObject) && e.Msg == target.Error()
}

// Decoder projects JSON documents onto the fields of a Schema in one pass, which also checks the syntax of
// everything that it skips. It belongs to one goroutine.
//
// The path of a value is made of the keys above it, joined with dots, however they are split: nested objects,
// flat dotted keys ("process.name") and any mixture are the same field, also within one document. Arrays add
// their elements' values, nested arrays and objects in arrays are flattened as Elasticsearch does, nulls are
// dropped. A key that occurs twice adds the values of both occurrences, so that neither can hide the other.
//
// Text is taken as it is: invalid UTF-8 is neither an error nor replaced; half a surrogate pair in an escape
// becomes U+FFFD. Values are coerced to the type of their field as an Elasticsearch mapping would; what can't
// be is missing and counted, see Uncoerced.
type Decoder struct {
	schema    *Schema
	root      *node
	uncoerced []uint64

	doc    []byte
	ev     *Event
	marks  marks
	steps  steps
	minute minute
	stack  [MaxDepth]frame // by depth; the first is unused
	key    []byte          // the key at hand, where it had escapes
	err    SyntaxError
}

// NewDecoder returns a decoder of the fields that s has now; fields that are added later are not decoded.
func NewDecoder(s *Schema) *Decoder {
	d := &Decoder{schema: s, root: newProjection(s), uncoerced: make([]uint64, s.Len()), minute: epoch()}
	d.steps.init(d.root)
	return d
}

// Uncoerced returns how many values of each slot could not be coerced to the type of their field since the
// decoder was made. The slice is the decoder's own: read it between calls of Decode and don't change it.
func (d *Decoder) Uncoerced() []uint64 { return d.uncoerced }

// Decode empties ev and fills it with the projected fields of doc, which becomes its Raw. Text in ev may alias
// doc: doc must not change while ev is in use. The error is a *SyntaxError where doc is not exactly one JSON
// object or nests deeper than MaxDepth; ev then holds no values, only Raw.
func (d *Decoder) Decode(doc []byte, ev *Event) error {
	ev.empty(d.schema)
	ev.Raw = doc
	d.doc = doc // as ev.Raw, it stays until the next: taking it out would cost as much as putting it in
	if d.ev != ev {
		d.ev = ev
	}
	if d.document() {
		return nil
	}
	ev.empty(d.schema)
	err := d.err
	return &err
}

func (d *Decoder) document() bool {
	i := skipSpace(d.doc, 0)
	if i == len(d.doc) || d.doc[i] != '{' {
		d.fail(i, "not an object")
		return false
	}
	d.marks.make(d.doc)
	d.steps.begin()
	if d.steps.on {
		i = walk[followed](d, i)
	} else {
		i = walk[plain](d, i)
	}
	if i < 0 {
		return false
	}
	d.steps.end(d.root)
	if i = skipSpace(d.doc, i); i != len(d.doc) {
		d.fail(i, "text after the object")
		return false
	}
	return true
}

// fail notes a fault and returns the index that stands for it.
func (d *Decoder) fail(offset int, msg string) int {
	if offset >= len(d.doc) {
		msg = "unexpected end"
	}
	d.err = SyntaxError{Offset: offset, Msg: msg}
	return -1
}
