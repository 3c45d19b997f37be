package pipeline

import "unsafe"

// slab hands out memory in small pieces of larger allocations, for what lives about equally long: the candidates of
// neighbouring events. Nothing is given back; a piece is garbage when its allocation is. So what outlives its neighbours
// by far, such as a partial, copies.
type slab struct {
	bytes    []byte
	buffered []buffered
	cands    []candidate
}

// What one allocation holds.
const (
	slabBytes    = 4 << 10
	slabBuffered = 16
	slabCands    = 64
)

// copyBytes returns a copy of b.
func (s *slab) copyBytes(b []byte) []byte {
	if cap(s.bytes)-len(s.bytes) < len(b) {
		s.bytes = make([]byte, 0, max(slabBytes, len(b)))
	}
	start := len(s.bytes)
	s.bytes = append(s.bytes, b...)
	return s.bytes[start:len(s.bytes):len(s.bytes)]
}

// copyText returns a copy of text.
func (s *slab) copyText(text string) string {
	return alias(s.copyBytes(unsafe.Slice(unsafe.StringData(text), len(text))))
}

// newBuffered returns a buffered event that is zero, for a worker, which uses it again for others: its neighbours may go long before it.
func (s *slab) newBuffered() *buffered {
	if len(s.buffered) == cap(s.buffered) {
		s.buffered = make([]buffered, 0, slabBuffered)
	}
	s.buffered = s.buffered[:len(s.buffered)+1]
	return &s.buffered[len(s.buffered)-1]
}

// copyCands returns a copy of c and its join keys.
func (s *slab) copyCands(c []candidate) []candidate {
	if cap(s.cands)-len(s.cands) < len(c) {
		s.cands = make([]candidate, 0, max(slabCands, len(c)))
	}
	start := len(s.cands)
	s.cands = append(s.cands, c...)
	own := s.cands[start:len(s.cands):len(s.cands)]
	for i := range own {
		own[i].join = s.copyBytes(own[i].join)
	}
	return own
}

// alias returns b as a string that shares its memory.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
