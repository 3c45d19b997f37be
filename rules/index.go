package rules

import (
	"cmp"
	"slices"
	"strconv"
	"unicode/utf8"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
)

// index finds the units that an event may satisfy. For each unit one group of necessary conditions was chosen; an
// event that satisfies none of them cannot satisfy the unit. Text is compared with its ASCII letters in lower case.
type index struct {
	fields   []fieldIndex
	bySlot   []*fieldIndex // nil for a slot that isn't looked up
	present  []presentUnits
	residual []int32 // units without a usable condition: candidates of every event
}

// presentUnits are the units that are candidates where a field has any value.
type presentUnits struct {
	slot  event.Slot
	units []int32
}

// fieldIndex holds what is looked up for one field.
type fieldIndex struct {
	slot    event.Slot
	exact   map[string][]int32
	lengths [4]uint64 // a bit per length of the keys of exact; the last for all that are longer
	prefix  *trie
	rest    *trie // what stands behind the first character
	suffix  *trie
}

// maxAffix is how much of a beginning or an end is looked up: what is left over is for the condition itself to tell.
const maxAffix = 64

// indexKey is the group of conditions that a unit is found by; none for a residual unit.
type indexKey []eql.Need

func buildIndex(s *Set) *index {
	x := &index{}
	builders := map[event.Slot]*fieldBuilder{}
	for i := range s.units {
		u := int32(i)
		key := s.chooseKey(s.units[i].stage.Needs())
		owner := s.rules[s.units[i].rule]
		owner.keys = append(owner.keys, key)
		if key == nil || gated(s.gates, key) { // the gate leaves it to few events
			x.residual = append(x.residual, u)
			continue
		}
		for _, need := range key {
			b := builders[need.Slot]
			if b == nil {
				b = &fieldBuilder{exact: map[string][]int32{}}
				builders[need.Slot] = b
			}
			b.add(need, u)
		}
	}
	for slot, b := range builders {
		if len(b.present) > 0 {
			x.present = append(x.present, presentUnits{slot, b.present})
		}
		if f := b.field(slot); f.exact != nil || f.prefix != nil || f.rest != nil || f.suffix != nil {
			x.fields = append(x.fields, f)
		}
	}
	slices.SortFunc(x.fields, func(a, b fieldIndex) int { return cmp.Compare(a.slot, b.slot) })
	slices.SortFunc(x.present, func(a, b presentUnits) int { return cmp.Compare(a.slot, b.slot) })
	x.bySlot = make([]*fieldIndex, s.schema.Len())
	for i := range x.fields {
		x.bySlot[x.fields[i].slot] = &x.fields[i]
	}
	return x
}

type fieldBuilder struct {
	exact                map[string][]int32
	prefix, rest, suffix trieBuilder
	present              []int32
}

func (b *fieldBuilder) add(need eql.Need, u int32) {
	switch need.Op {
	case eql.NeedEqual:
		if !slices.Contains(b.exact[need.Text], u) {
			b.exact[need.Text] = append(b.exact[need.Text], u)
		}
	case eql.NeedPrefix:
		b.prefix.add(need.Text[:min(len(need.Text), maxAffix)], u)
	case eql.NeedRest:
		b.rest.add(need.Text[:min(len(need.Text), maxAffix)], u)
	case eql.NeedPresent:
		b.present = append(b.present, u)
	case eql.NeedSuffix:
		reversed := []byte(need.Text[max(0, len(need.Text)-maxAffix):])
		slices.Reverse(reversed)
		b.suffix.add(string(reversed), u)
	case eql.NeedContains:
		panic("BUG: a contains condition was chosen as index key")
	}
}

func (b *fieldBuilder) field(slot event.Slot) fieldIndex {
	if len(b.exact) == 0 {
		b.exact = nil
	}
	f := fieldIndex{slot: slot, exact: b.exact, prefix: b.prefix.seal(), rest: b.rest.seal(), suffix: b.suffix.seal()}
	for text := range b.exact {
		word, bit := lengthBit(len(text))
		f.lengths[word] |= bit
	}
	return f
}

func lengthBit(n int) (word int, bit uint64) {
	n = min(n, 255)
	return n >> 6, 1 << (n & 63)
}

// lookup calls the matcher for every unit that the values of the field may satisfy.
func (f *fieldIndex) lookup(m *Matcher, values []event.Value) {
	for _, v := range values {
		text := m.text(v)
		if word, bit := lengthBit(len(text)); f.lengths[word]&bit != 0 {
			for _, u := range f.exact[m.fold(text)] {
				m.consider(u)
			}
		}
		if f.prefix != nil {
			f.prefix.forward(m, text)
		}
		if f.rest != nil && len(text) > 0 {
			_, size := utf8.DecodeRuneInString(text)
			f.rest.forward(m, text[size:])
		}
		if f.suffix != nil {
			f.suffix.backward(m, text)
		}
	}
}

// text returns the text of a value without allocating where that can be had.
func (m *Matcher) text(v event.Value) string {
	switch v.Kind() {
	case event.String, event.Addr:
		return v.Str()
	case event.Int:
		m.digits = strconv.AppendInt(m.digits[:0], v.Int(), 10)
		return view8(m.digits)
	default:
		return v.Text()
	}
}

// fold returns text with its ASCII letters in lower case; text itself where it has no others. The result is valid
// until the next call.
func (m *Matcher) fold(text string) string {
	for i := range len(text) {
		if c := text[i]; 'A' <= c && c <= 'Z' {
			m.folded = append(m.folded[:0], text...)
			for ; i < len(m.folded); i++ {
				m.folded[i] = lower(m.folded[i])
			}
			return view8(m.folded)
		}
	}
	return text
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + ('a' - 'A')
	}
	return c
}
