package rules

import (
	"strings"
)

// maxStreams bounds a matcher's memory of data streams: names come from events, so anyone may invent them.
const maxStreams = 4096

// patternTable decides which rules see a data stream. Each distinct pattern list is kept once.
type patternTable struct {
	lists []patternList
	rules int
}

// patternList is one rule's index patterns and the rules that have just these.
type patternList struct {
	patterns []string
	rules    []int32
}

func newPatternTable(rules []*Compiled) *patternTable {
	t := &patternTable{rules: len(rules)}
	known := map[string]int{}
	for _, c := range rules {
		patterns := splitPatterns(c.Rule.Index)
		key := strings.Join(patterns, ",")
		i, ok := known[key]
		if !ok {
			i = len(t.lists)
			known[key] = i
			t.lists = append(t.lists, patternList{patterns: patterns})
		}
		t.lists[i].rules = append(t.lists[i].rules, int32(c.Number))
	}
	return t
}

// splitPatterns returns single patterns: an entry may be a comma list, and may name a remote cluster, which a stream
// doesn't have.
func splitPatterns(index []string) []string {
	var patterns []string
	for _, entry := range index {
		for part := range strings.SplitSeq(entry, ",") {
			part = strings.TrimSpace(part)
			excluded := strings.HasPrefix(part, "-")
			part = strings.TrimPrefix(part, "-")
			if _, local, ok := strings.Cut(part, ":"); ok && !strings.HasPrefix(local, ":") {
				part = local
			}
			if excluded {
				part = "-" + part
			}
			if part != "" && part != "-" {
				patterns = append(patterns, part)
			}
		}
	}
	return patterns
}

// matchPatterns reports whether a list covers a data stream. Later entries win: `-name` takes away what stands before it. An empty
// list covers all, and so does one of exclusions alone all that it doesn't name.
func matchPatterns(patterns []string, stream string) bool {
	covered := len(patterns) == 0 || strings.HasPrefix(patterns[0], "-")
	for _, p := range patterns {
		rest, excluded := strings.CutPrefix(p, "-")
		if wildcard(rest, stream) {
			covered = !excluded
		}
	}
	return covered
}

// wildcard matches * against any run of characters. It takes linear time per star, without recursion.
func wildcard(pattern, name string) bool {
	p, n, star, mark := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, n
			p++
		case p < len(pattern) && pattern[p] == name[n]:
			p++
			n++
		case star >= 0:
			mark++
			p, n = star+1, mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// visible returns a bit for each rule that sees a data stream.
func (s *Set) visible(stream string) []uint64 {
	bits := newBits(len(s.rules))
	for _, list := range s.streams.lists {
		if !matchPatterns(list.patterns, stream) {
			continue
		}
		for _, rule := range list.rules {
			setBit(bits, rule)
		}
	}
	return bits
}
