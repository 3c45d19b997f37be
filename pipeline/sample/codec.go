package sample

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/weir-eql/weir/pipeline/sequence"
)

// codecVersion is the first byte of an encoded state. A layout that this one can't read gets another number.
const codecVersion = 1

// Append appends the encoded state to dst. Equal states encode to equal bytes.
//
// The layout is: version; the refs held in their order, the last sample's newest event, which may be absent, both as
// sequence.AppendRefs writes them; for each ref held the stages that it may fill, a varint.
func (st *State) Append(dst []byte) []byte {
	refs := make([]sequence.Ref, len(st.held))
	for i := range st.held {
		refs[i] = st.held[i].Ref
	}
	dst = sequence.AppendRefs(append(dst, codecVersion), refs)
	var mark []sequence.Ref
	if st.marked {
		mark = append(mark, st.mark)
	}
	dst = sequence.AppendRefs(dst, mark)
	for i := range st.held {
		dst = binary.AppendUvarint(dst, uint64(st.held[i].hits))
	}
	return dst
}

// DecodeState decodes what Append wrote. The state keeps no reference to b. An error means that b is damaged or of
// another version.
func DecodeState(b []byte) (State, error) {
	st, err := decode(b)
	if err != nil {
		return State{}, fmt.Errorf("decode sample state: %w", err)
	}
	return st, nil
}

var errTruncated = errors.New("the end is missing")

func decode(b []byte) (State, error) {
	if len(b) == 0 {
		return State{}, errTruncated
	}
	if b[0] != codecVersion {
		return State{}, fmt.Errorf("version %d is unknown", b[0])
	}
	refs, b, err := sequence.ReadRefs(b[1:])
	if err != nil {
		return State{}, err
	}
	mark, b, err := sequence.ReadRefs(b)
	if err != nil {
		return State{}, err
	}
	var st State
	switch len(mark) {
	case 0:
	case 1:
		st.mark, st.marked = mark[0], true
	default:
		return State{}, errors.New("more than one newest event")
	}
	number := map[string]uint32{}
	for i, ref := range refs {
		if i > 0 && refs[i-1].Compare(ref.Ordinal) >= 0 {
			return State{}, errors.New("events are out of order")
		}
		hits, n := binary.Uvarint(b)
		if n <= 0 {
			return State{}, errTruncated
		}
		if hits == 0 {
			return State{}, errors.New("an event fills no stage")
		}
		b = b[n:]
		id := identity(ref)
		if _, ok := number[id]; !ok {
			number[id] = uint32(len(number))
		}
		st.held = append(st.held, entry{Ref: ref, hits: sequence.Hits(hits), same: number[id]})
	}
	if len(b) > 0 {
		return State{}, errors.New("trailing bytes")
	}
	return st, nil
}

// identity is equal for deliveries of one event only, as Ref.SameEvent has it.
func identity(r sequence.Ref) string {
	if r.ID != "" {
		return "i" + r.ID
	}
	return fmt.Sprintf("p%d/%d/%s", r.Partition, r.Offset, r.Topic)
}
