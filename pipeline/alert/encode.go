package alert

import (
	"bytes"
	"slices"
	"strconv"
	"sync"

	json "github.com/goccy/go-json"
)

// encoder writes documents: the bytes that encode gives, to the last one. What is encoded already (a source, what an alert
// says of its rule) is copied as it is, which encode reads through once more, and keys are sorted in memory that is used again.
type encoder struct {
	out  []byte
	keys []string // of the objects that are being written, the outermost first
}

// encoders are encoders that can be used again. Safe for concurrent use.
type encoders struct{ pool sync.Pool }

// maxEncoderBytes is how large the memory of an encoder may be to be kept.
const maxEncoderBytes = 1 << 20

// encode writes a document into memory of its own.
func (s *encoders) encode(doc object) ([]byte, error) {
	e, ok := s.pool.Get().(*encoder)
	if !ok {
		e = &encoder{}
	}
	e.out = e.out[:0]
	if err := e.object(doc); err != nil {
		return nil, err
	}
	body := bytes.Clone(e.out)
	if cap(e.out) <= maxEncoderBytes {
		s.pool.Put(e)
	}
	return body, nil
}

func (e *encoder) value(v any) error {
	switch v := v.(type) {
	case object:
		return e.object(v)
	case string:
		return e.text(v)
	case json.RawMessage:
		e.out = append(e.out, v...)
	case json.Number:
		if v == "" { // none of ours
			return e.other(v)
		}
		e.out = append(e.out, v...)
	case []any:
		return writeList(e, v, e.value)
	case []string:
		return writeList(e, v, e.text)
	case int:
		e.out = strconv.AppendInt(e.out, int64(v), 10)
	case int32:
		e.out = strconv.AppendInt(e.out, int64(v), 10)
	case int64:
		e.out = strconv.AppendInt(e.out, v, 10)
	case bool:
		e.out = strconv.AppendBool(e.out, v)
	case nil:
		e.out = append(e.out, "null"...)
	default: // a float has its own rules
		return e.other(v)
	}
	return nil
}

func (e *encoder) other(v any) error {
	b, err := encode(v)
	e.out = append(e.out, b...)
	return err
}

// object writes an object with sorted keys.
func (e *encoder) object(o object) error {
	if o == nil {
		return e.other(o)
	}
	first := len(e.keys)
	for k := range o {
		e.keys = append(e.keys, k)
	}
	end := len(e.keys)
	slices.Sort(e.keys[first:end])
	e.out = append(e.out, '{')
	for i := first; i < end; i++ {
		if i > first {
			e.out = append(e.out, ',')
		}
		k := e.keys[i]
		if err := e.text(k); err != nil {
			return err
		}
		e.out = append(e.out, ':')
		if err := e.value(o[k]); err != nil {
			return err
		}
	}
	e.out = append(e.out, '}')
	clear(e.keys[first:end]) // they may point into a source
	e.keys = e.keys[:first]
	return nil
}

func writeList[T any](e *encoder, values []T, write func(T) error) error {
	if values == nil {
		return e.other(values)
	}
	e.out = append(e.out, '[')
	for i, v := range values {
		if i > 0 {
			e.out = append(e.out, ',')
		}
		if err := write(v); err != nil {
			return err
		}
	}
	e.out = append(e.out, ']')
	return nil
}

// text writes a string. One of ASCII that needs other escapes than the commonest, or of more than ASCII, is left to encode.
func (e *encoder) text(s string) error {
	start := len(e.out)
	e.out = append(e.out, '"')
	from := 0
	for i := range len(s) {
		c := s[i]
		if c >= ' ' && c < 0x7F && c != '"' && c != '\\' {
			continue
		}
		switch c {
		case '"', '\\':
		case '\n':
			c = 'n'
		case '\r':
			c = 'r'
		case '\t':
			c = 't'
		default:
			e.out = e.out[:start]
			return e.other(s)
		}
		e.out = append(append(e.out, s[from:i]...), '\\', c)
		from = i + 1
	}
	e.out = append(append(e.out, s[from:]...), '"')
	return nil
}
