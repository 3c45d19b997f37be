package sequence

import "fmt"

// AppendRefs appends encoded refs to dst, as they stand in an encoded State. It is for the states of other machines.
func AppendRefs(dst []byte, refs []Ref) []byte {
	w := writer{b: dst}
	w.uint(uint64(len(refs)))
	for i := range refs {
		w.ref(&refs[i])
	}
	return w.b
}

// ReadRefs decodes what AppendRefs wrote, and returns what follows it. The refs keep no reference to b. An error means
// that b is damaged.
func ReadRefs(b []byte) (refs []Ref, rest []byte, err error) {
	r := reader{b: b}
	refs = make([]Ref, r.count())
	for i := range refs {
		refs[i] = r.ref()
	}
	if r.err != nil {
		return nil, nil, fmt.Errorf("refs: %w", r.err)
	}
	return refs, r.b, nil
}
