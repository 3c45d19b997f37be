package glob

// Set is an immutable set of texts.
type Set struct {
	lengths uint64 // bit n%64 is set if a member has n bytes
	exact   map[string]struct{}
	// Folded members are in an open-addressing table, since a Go map cannot hash without regard to case.
	table []string
	used  []bool
}

// NewSet returns the set of texts. With fold set, members and what is looked up are equal if they differ in
// the case of ASCII letters only.
func NewSet(texts []string, fold bool) *Set {
	s := &Set{}
	for _, t := range texts {
		s.lengths |= 1 << (len(t) % 64)
	}
	if !fold {
		s.exact = make(map[string]struct{}, len(texts))
		for _, t := range texts {
			s.exact[t] = struct{}{}
		}
		return s
	}
	size := 4
	for size < 2*len(texts) {
		size *= 2
	}
	s.table, s.used = make([]string, size), make([]bool, size)
	for _, t := range texts {
		t = LowerASCII(t)
		i := hashFold(t) & uint64(size-1)
		for s.used[i] && s.table[i] != t {
			i = (i + 1) & uint64(size-1)
		}
		s.table[i], s.used[i] = t, true
	}
	return s
}

// Has reports whether text is a member.
func (s *Set) Has(text string) bool {
	if s.lengths&(1<<(len(text)%64)) == 0 {
		return false
	}
	if s.exact != nil {
		_, ok := s.exact[text]
		return ok
	}
	mask := uint64(len(s.table) - 1)
	for i := hashFold(text) & mask; s.used[i]; i = (i + 1) & mask {
		if EqualFold(text, s.table[i]) {
			return true
		}
	}
	return false
}

// hashFold is FNV-1a over the lower-case bytes.
func hashFold(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(Lower(s[i]))) * 1099511628211
	}
	return h
}
