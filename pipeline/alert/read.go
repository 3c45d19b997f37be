package alert

import (
	"bytes"
	stdjson "encoding/json"
	"unicode/utf8"
	"unsafe"

	json "github.com/goccy/go-json"

	"github.com/weir-eql/weir/event"
)

// readSource returns the source without blanks and decoded; both may point into it. Where an object in it has a key twice, both
// have the values of both, as rules see them. ok is false where it is not a JSON object that an alert can hold; the caller then
// treats it as lost.
func readSource(source []byte) (raw []byte, tree object, ok bool) {
	if !utf8.Valid(source) {
		source = bytes.ToValidUTF8(source, []byte("\uFFFD"))
	}
	r := reader{src: source}
	r.blanks()
	if r.next() != '{' {
		return nil, nil, false
	}
	tree, ok = r.object()
	r.blanks()
	if !ok || r.at != len(r.src) {
		return nil, nil, false
	}
	if r.twice {
		return readRepeated(source)
	}
	if r.blank {
		compact := bytes.NewBuffer(make([]byte, 0, len(source)))
		if stdjson.Compact(compact, source) != nil {
			return nil, nil, false
		}
		source = compact.Bytes()
	}
	tree, _ = unify(tree)
	return source, tree, true
}

// readRepeated is readSource of a source that is known to be one, and has a key twice.
func readRepeated(source []byte) (raw []byte, tree object, ok bool) {
	r := reader{src: source, collects: true}
	r.blanks()
	if tree, ok = r.object(); !ok {
		return nil, nil, false
	}
	raw, err := encode(merger{whole: true}.object(tree))
	if err != nil {
		return nil, nil, false
	}
	tree, _ = unify(merger{}.object(tree))
	return raw, tree, true
}

// reader makes a tree of a source in one pass, and takes what the JSON grammar takes. Texts without escapes and numbers point into
// the source. Its methods begin at the first byte of what they read, end behind the last, and return false where the grammar is broken.
type reader struct {
	src   []byte // valid UTF-8
	at    int
	depth int
	blank bool // there were blanks between tokens
	twice bool // an object had a key twice; of its values the tree has the last

	collects bool // the tree has all values of such a key, see repeated
}

// next returns the byte at hand, 0 at the end.
func (r *reader) next() byte {
	if r.at < len(r.src) {
		return r.src[r.at]
	}
	return 0
}

func (r *reader) blanks() {
	for r.at < len(r.src) {
		switch r.src[r.at] {
		case ' ', '\t', '\n', '\r':
			r.at++
			r.blank = true
		default:
			return
		}
	}
}

// enter begins an object or array, and reports whether it may nest so deep.
func (r *reader) enter() bool {
	r.at++
	r.depth++
	r.blanks()
	return r.depth <= maxDepth
}

// leave takes the bracket that ends an object or array, if it is at hand.
func (r *reader) leave(bracket byte) bool {
	if r.next() != bracket {
		return false
	}
	r.at++
	r.depth--
	return true
}

// comma takes the comma before another member.
func (r *reader) comma() bool {
	if r.next() != ',' {
		return false
	}
	r.at++
	r.blanks()
	return true
}

// object reads an object.
func (r *reader) object() (object, bool) {
	if !r.enter() {
		return nil, false
	}
	o := object{}
	if r.leave('}') {
		return o, true
	}
	for {
		if r.next() != '"' {
			return nil, false
		}
		k, ok := r.text()
		if r.blanks(); !ok || r.next() != ':' {
			return nil, false
		}
		r.at++
		r.blanks()
		v, ok := r.value()
		if !ok {
			return nil, false
		}
		if r.collects {
			collect(o, k, v)
		} else {
			n := len(o)
			o[k] = v
			r.twice = r.twice || len(o) == n
		}
		if r.blanks(); r.leave('}') {
			return o, true
		}
		if !r.comma() {
			return nil, false
		}
	}
}

func (r *reader) array() ([]any, bool) {
	if !r.enter() {
		return nil, false
	}
	a := []any{}
	if r.leave(']') {
		return a, true
	}
	for {
		v, ok := r.value()
		if !ok {
			return nil, false
		}
		a = append(a, v)
		if r.blanks(); r.leave(']') {
			return a, true
		}
		if !r.comma() {
			return nil, false
		}
	}
}

func (r *reader) value() (any, bool) {
	switch c := r.next(); {
	case c == '"':
		return r.text()
	case c == '{':
		return r.object()
	case c == '[':
		return r.array()
	case c == '-' || c >= '0' && c <= '9':
		return r.number()
	case c == 't':
		return true, r.literal("true")
	case c == 'f':
		return false, r.literal("false")
	case c == 'n':
		return nil, r.literal("null")
	}
	return nil, false
}

func (r *reader) literal(word string) bool {
	if len(r.src)-r.at < len(word) || string(r.src[r.at:r.at+len(word)]) != word {
		return false
	}
	r.at += len(word)
	return true
}

// text reads a string.
func (r *reader) text() (string, bool) {
	start, escaped := r.at, false
	for i := start + 1; i < len(r.src); i++ {
		switch c := r.src[i]; {
		case c == '"':
			r.at = i + 1
			if escaped {
				return unescape(r.src[start:r.at])
			}
			return alias(r.src[start+1 : i]), true
		case c == '\\':
			escaped = true
			i++
		case c < ' ':
			return "", false
		}
	}
	return "", false
}

// unescape returns the text of a string that is given with its quotes and has a backslash. All but \u, which is rare, is one byte for another.
func unescape(quoted []byte) (string, bool) {
	text := make([]byte, 0, len(quoted))
	for rest := quoted[1 : len(quoted)-1]; ; {
		i := bytes.IndexByte(rest, '\\')
		if i < 0 {
			return alias(append(text, rest...)), true
		}
		c := event.Unescaped(rest[i+1])
		if c == 0 {
			return unescapeAny(quoted)
		}
		text = append(append(text, rest[:i]...), c)
		rest = rest[i+2:]
	}
}

// unescapeAny is unescape of any string. The standard library is strict about what is an escape.
func unescapeAny(quoted []byte) (s string, ok bool) {
	if !stdjson.Valid(quoted) {
		return "", false
	}
	return s, json.Unmarshal(quoted, &s) == nil
}

func (r *reader) number() (json.Number, bool) {
	start := r.at
	if r.next() == '-' {
		r.at++
	}
	if r.next() == '0' {
		r.at++
	} else if !r.digits() {
		return "", false
	}
	if r.next() == '.' {
		if r.at++; !r.digits() {
			return "", false
		}
	}
	if c := r.next(); c == 'e' || c == 'E' {
		r.at++
		if c := r.next(); c == '+' || c == '-' {
			r.at++
		}
		if !r.digits() {
			return "", false
		}
	}
	return json.Number(alias(r.src[start:r.at])), true
}

// digits reads one digit or more.
func (r *reader) digits() bool {
	start := r.at
	for c := r.next(); c >= '0' && c <= '9'; c = r.next() {
		r.at++
	}
	return r.at > start
}

// alias returns b as a string that shares its memory.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
