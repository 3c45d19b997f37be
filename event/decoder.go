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

	doc   []byte
	ev    *Event
	depth int
	key   []byte // the key at hand, where it had escapes
	err   SyntaxError
}

// NewDecoder returns a decoder of the fields that s has now; fields that are added later are not decoded.
func NewDecoder(s *Schema) *Decoder {
	return &Decoder{schema: s, root: newProjection(s), uncoerced: make([]uint64, s.Len())}
}

// Uncoerced returns how many values of each slot could not be coerced to the type of their field since the
// decoder was made. The slice is the decoder's own: read it between calls of Decode and don't change it.
func (d *Decoder) Uncoerced() []uint64 { return d.uncoerced }

// Decode empties ev and fills it with the projected fields of doc, which becomes its Raw. Text in ev may alias
// doc: doc must not change while ev is in use. The error is a *SyntaxError where doc is not exactly one JSON
// object or nests deeper than MaxDepth; ev then holds no values, only Raw.
func (d *Decoder) Decode(doc []byte, ev *Event) error {
	ev.Reset(d.schema)
	ev.Raw = doc
	d.doc, d.ev, d.depth = doc, ev, 0
	ok := d.document()
	d.doc, d.ev = nil, nil
	if ok {
		return nil
	}
	ev.Reset(d.schema)
	ev.Raw = doc
	err := d.err
	return &err
}

func (d *Decoder) document() bool {
	i := skipSpace(d.doc, 0)
	if i == len(d.doc) || d.doc[i] != '{' {
		d.fail(i, "not an object")
		return false
	}
	if i = d.object(i+1, d.root); i < 0 {
		return false
	}
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

// object reads the object whose members begin at i and returns the index after it, -1 where it is malformed.
// n is where it stands in the projection, nil where nothing in it is projected.
func (d *Decoder) object(i int, n *node) int {
	doc := d.doc
	if d.depth++; d.depth > MaxDepth {
		return d.fail(i-1, "nested too deep")
	}
	if i = skipSpace(doc, i); i < len(doc) && doc[i] == '}' {
		d.depth--
		return i + 1
	}
	for {
		if i >= len(doc) || doc[i] != '"' {
			return d.fail(i, "key expected")
		}
		end, escaped := scanString(doc, i+1)
		if end < 0 {
			return d.fail(^end, "malformed string")
		}
		var next *node
		if n != nil {
			next = d.next(n, doc[i+1:end], escaped)
		}
		if i = end + 1; i >= len(doc) || doc[i] != ':' {
			if i = skipSpace(doc, i); i >= len(doc) || doc[i] != ':' {
				return d.fail(i, "colon expected")
			}
		}
		if i = d.value(i+1, next); i < 0 {
			return i
		}
		switch {
		case i < len(doc) && doc[i] == ',':
			if i++; i < len(doc) && doc[i] != '"' {
				i = skipSpace(doc, i)
			}
		case i < len(doc) && doc[i] == '}':
			d.depth--
			return i + 1
		default:
			return d.fail(i, "comma or brace expected")
		}
	}
}

// next returns the node that a key leads to.
func (d *Decoder) next(n *node, key []byte, escaped bool) *node {
	if escaped {
		d.key = appendUnescaped(d.key[:0], key)
		key = d.key
	}
	return n.lookup(alias(key))
}

// array reads the array whose elements begin at i, as object does.
func (d *Decoder) array(i int, n *node) int {
	doc := d.doc
	if d.depth++; d.depth > MaxDepth {
		return d.fail(i-1, "nested too deep")
	}
	if i = skipSpace(doc, i); i < len(doc) && doc[i] == ']' {
		d.depth--
		return i + 1
	}
	for {
		if i = d.value(i, n); i < 0 {
			return i
		}
		switch {
		case i < len(doc) && doc[i] == ',':
			i++
		case i < len(doc) && doc[i] == ']':
			d.depth--
			return i + 1
		default:
			return d.fail(i, "comma or bracket expected")
		}
	}
}

// value reads the value that begins at i or after white space there, puts it into the event where n has a
// slot, and returns the index of what follows it and its white space, -1 where it is malformed.
func (d *Decoder) value(i int, n *node) int {
	doc := d.doc
	if i < len(doc) && doc[i] <= ' ' {
		i = skipSpace(doc, i)
	}
	if i >= len(doc) {
		return d.fail(i, "")
	}
	start := i
	switch c := doc[i]; c {
	case '"':
		end, escaped := scanString(doc, i+1)
		if end < 0 {
			return d.fail(^end, "malformed string")
		}
		if n != nil && n.slot >= 0 {
			d.text(n, doc[start+1:end], escaped)
		}
		i = end + 1
	case '{':
		if n != nil && n.slot >= 0 && n.table == nil {
			d.uncoerced[n.slot]++
		}
		i = d.object(i+1, n)
	case '[':
		i = d.array(i+1, n)
	case 't', 'f', 'n':
		i = d.literal(i, n)
	case '-', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9':
		end := scanNumber(doc, i)
		if end < 0 {
			return d.fail(^end, "malformed number")
		}
		if n != nil && n.slot >= 0 {
			d.number(n, doc[start:end])
		}
		i = end
	default:
		return d.fail(i, "value expected")
	}
	if i >= 0 && i < len(doc) && doc[i] <= ' ' {
		i = skipSpace(doc, i)
	}
	return i
}

// literal reads true, false or null.
func (d *Decoder) literal(i int, n *node) int {
	word := "null"
	switch d.doc[i] {
	case 't':
		word = "true"
	case 'f':
		word = "false"
	}
	if len(d.doc)-i < len(word) || string(d.doc[i:i+len(word)]) != word {
		return d.fail(i, "malformed literal")
	}
	if n != nil && n.slot >= 0 {
		switch {
		case word != "null":
			d.boolean(n, word)
		case n.null:
			v, ok := d.coerceText(n.typ, d.schema.Field(n.slot).Null)
			d.put(n, v, ok)
		}
	}
	return i + len(word)
}
