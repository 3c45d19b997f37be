package lucene

import (
	"slices"
	"sort"
	"unicode"
)

// runeRange holds the characters from lo to hi, both included.
type runeRange struct{ lo, hi rune }

// runeSet is sorted ranges that neither touch nor overlap.
type runeSet []runeRange

func anyRune() runeSet { return runeSet{{0, unicode.MaxRune}} }

func (s runeSet) isAny() bool {
	return len(s) == 1 && s[0].lo == 0 && s[0].hi == unicode.MaxRune
}

func (s runeSet) has(r rune) bool {
	i := sort.Search(len(s), func(i int) bool { return s[i].hi >= r })
	return i < len(s) && s[i].lo <= r
}

// join returns the union of sets.
func join(sets ...runeSet) runeSet {
	ranges := slices.Concat(sets...)
	slices.SortFunc(ranges, func(a, b runeRange) int { return int(a.lo - b.lo) })
	var out runeSet
	for _, r := range ranges {
		if n := len(out); n > 0 && r.lo <= out[n-1].hi+1 {
			out[n-1].hi = max(out[n-1].hi, r.hi)
			continue
		}
		out = append(out, r)
	}
	return out
}

// invert returns all other characters.
func (s runeSet) invert() runeSet {
	var out runeSet
	next := rune(0)
	for _, r := range s {
		if r.lo > next {
			out = append(out, runeRange{next, r.lo - 1})
		}
		next = r.hi + 1
	}
	if next <= unicode.MaxRune {
		out = append(out, runeRange{next, unicode.MaxRune})
	}
	return out
}

// char returns the set of one character; with fold set, of an ASCII letter in both cases.
func char(r rune, fold bool) runeSet {
	s := runeSet{{r, r}}
	if fold && r < unicode.MaxASCII && unicode.IsLetter(r) {
		return join(s, runeSet{{r ^ 0x20, r ^ 0x20}})
	}
	return s
}

// predefined returns the set of \d, \D, \s, \S, \w or \W.
func predefined(r rune) (s runeSet, ok bool) {
	switch r {
	case 'd', 'D':
		s = runeSet{{'0', '9'}}
	case 's', 'S':
		s = runeSet{{'\t', '\n'}, {'\r', '\r'}, {' ', ' '}}
	case 'w', 'W':
		s = runeSet{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}}
	default:
		return nil, false
	}
	if unicode.IsUpper(r) {
		s = s.invert()
	}
	return s, true
}
