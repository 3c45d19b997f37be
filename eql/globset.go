package eql

import (
	"github.com/weir-eql/weir/eql/internal/glob"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/textindex"
)

// manyPatterns is how many wildcard patterns are tested together rather than one by one.
const manyPatterns = 4

// globSet holds if one of many wildcard patterns matches. The text that each must begin with, end with or have is looked up for
// all of them at once, and only the patterns that are found are tried.
type globSet struct {
	patterns         []*glob.Pattern
	head, rest, tail *textindex.Trie // rest: behind the first character
	inside           *textindex.Parts
	others           []int32 // patterns that nothing can be looked up of
}

func newGlobSet(patterns []*glob.Pattern) *globSet {
	s := &globSet{patterns: patterns}
	var head, rest, tail, inside []textindex.Key
	for i, p := range patterns {
		l := p.Literal()
		key := textindex.Key{Text: l.Text, ID: int32(i)}
		switch {
		case l.Text == "":
			s.others = append(s.others, key.ID)
		case l.Prefix && l.Skip:
			rest = append(rest, key)
		case l.Prefix:
			head = append(head, key)
		case l.Suffix:
			tail = append(tail, key)
		case len(l.Text) < textindex.MinPart:
			s.others = append(s.others, key.ID)
		default:
			inside = append(inside, key)
		}
	}
	if len(inside) < manyPatterns {
		for _, key := range inside {
			s.others = append(s.others, key.ID)
		}
		inside = nil
	}
	s.head, s.rest = textindex.NewTrie(head, false), textindex.NewTrie(rest, false)
	s.tail, s.inside = textindex.NewTrie(tail, true), textindex.NewParts(inside)
	return s
}

func (s *globSet) test(v event.Value) bool {
	if !isText(v) {
		return false
	}
	text := v.Str()
	match := func(i int32) bool { return s.patterns[i].Match(text) }
	if s.head != nil && s.head.Forward(text, match) || s.tail != nil && s.tail.Backward(text, match) {
		return true
	}
	if s.rest != nil && len(text) > 0 && s.rest.Forward(text[glob.RuneLen(text):], match) {
		return true
	}
	for _, i := range s.others {
		if s.patterns[i].Match(text) {
			return true
		}
	}
	return s.inside != nil && s.inside.Each(text, match)
}

func (s *globSet) needs(slot event.Slot) []Need {
	var all []Need
	for _, p := range s.patterns {
		needs := textGlob{p}.needs(slot)
		if len(needs) == 0 {
			return nil
		}
		all = append(all, needs...)
	}
	return dedupeNeeds(all)
}

// cost estimates what a test takes, in the unit of testCost.
func (s *globSet) cost() float64 {
	sum := 2 * costText * float64(b2i(s.head != nil)+b2i(s.rest != nil)+b2i(s.tail != nil))
	for _, i := range s.others {
		sum += testCost(textGlob{s.patterns[i]})
	}
	return sum + costParts*float64(b2i(s.inside != nil))
}
