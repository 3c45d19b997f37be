package eql

import (
	"bytes"

	"github.com/weir-eql/weir/event"
)

// maxKeyTuples bounds the tuples of one event, the product of the lengths of its keys' arrays.
const maxKeyTuples = 1024

// appendJoinKeys is Stage.JoinKeys.
func appendJoinKeys(dst [][]byte, by []Key, ev *event.Event) (keys [][]byte, truncated bool) {
	for _, k := range by {
		if !k.Optional && len(ev.Values(k.Slot)) == 0 {
			return dst, false
		}
	}
	first := len(dst)
	if first < cap(dst) { // an earlier event's tuple
		dst = dst[:first+1]
		dst[first] = dst[first][:0]
	} else {
		dst = append(dst, []byte{})
	}
	for _, k := range by {
		var cut bool
		dst, cut = multiply(dst, first, ev.Values(k.Slot))
		truncated = truncated || cut
	}
	return dst, truncated
}

// multiply replaces the tuples from first on by their product with the distinct values of one key; a missing
// key has the one value null.
func multiply(dst [][]byte, first int, values []event.Value) (out [][]byte, truncated bool) {
	if len(values) <= 1 {
		v := event.Value{}
		if len(values) == 1 {
			v = values[0]
		}
		for i := first; i < len(dst); i++ {
			dst[i] = event.AppendTuple(dst[i], v)
		}
		return dst, false
	}
	distinct, truncated := distinctTuples(values)
	prefixes := append([][]byte(nil), dst[first:]...)
	dst = dst[:first]
	for _, p := range prefixes {
		for _, d := range distinct {
			if len(dst)-first == maxKeyTuples {
				return dst, true
			}
			dst = append(dst, append(bytes.Clone(p), d...))
		}
	}
	return dst, truncated
}

// distinctTuples returns the encodings of values without duplicates, at most maxKeyTuples of them.
func distinctTuples(values []event.Value) (distinct [][]byte, truncated bool) {
	seen := make(map[string]bool, len(values))
	for _, v := range values {
		t := event.AppendTuple(nil, v)
		if seen[string(t)] {
			continue
		}
		if len(distinct) == maxKeyTuples {
			return distinct, true
		}
		seen[string(t)] = true
		distinct = append(distinct, t)
	}
	return distinct, false
}
