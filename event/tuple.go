package event

import (
	"encoding/binary"
	"errors"
	"math"
)

var errTuple = errors.New("event: malformed tuple")

// AppendTuple appends the encoding of v to dst. Equal values of one kind have equal encodings, different ones
// different encodings, and a sequence of encodings is unambiguous: it serves as a join key, in the state
// store and in hashes. The format is part of the state codec: change it only with the codec's version.
func AppendTuple(dst []byte, v Value) []byte {
	dst = append(dst, byte(v.kind))
	switch v.kind {
	case String, Addr:
		dst = binary.AppendUvarint(dst, uint64(len(v.str)))
		return append(dst, v.str...)
	case Int, Uint, Time:
		return binary.BigEndian.AppendUint64(dst, v.num)
	case Float:
		f := v.Float()
		if f == 0 {
			f = 0 // one zero: -0 equals 0
		}
		return binary.BigEndian.AppendUint64(dst, math.Float64bits(f))
	case Bool:
		return append(dst, byte(v.num))
	default:
		return dst
	}
}

// DecodeTuple returns the values of a sequence of encodings. Their text is copied out of b.
func DecodeTuple(b []byte) ([]Value, error) {
	var vs []Value
	for len(b) > 0 {
		v, n, err := decodeOne(b)
		if err != nil {
			return nil, err
		}
		vs = append(vs, v)
		b = b[n:]
	}
	return vs, nil
}

func decodeOne(b []byte) (v Value, n int, err error) {
	v.kind = Kind(b[0])
	body := b[1:]
	switch v.kind {
	case Missing:
		return v, 1, nil
	case String, Addr:
		size, used := binary.Uvarint(body)
		if used <= 0 || size > uint64(len(body)-used) {
			return v, 0, errTuple
		}
		v.str = string(body[used : used+int(size)])
		return v, 1 + used + int(size), nil
	case Int, Uint, Time, Float:
		if len(body) < 8 {
			return v, 0, errTuple
		}
		v.num = binary.BigEndian.Uint64(body)
		return v, 9, nil
	case Bool:
		if len(body) < 1 || body[0] > 1 { // nothing else is true
			return v, 0, errTuple
		}
		v.num = uint64(body[0])
		return v, 2, nil
	default:
		return v, 0, errTuple
	}
}
