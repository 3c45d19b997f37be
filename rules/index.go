package rules

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/textindex"
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
	prefix  *textindex.Trie
	rest    *textindex.Trie // what stands behind the first character
	suffix  *textindex.Trie
	parts   *textindex.Parts
	within  []int32 // the units that parts finds, sorted
	short   bool    // its values are names, and soon searched
	keys    fieldKeys
}

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
		s.env.Arrange(s.units[i].stage, func(group []eql.Need) bool { return s.decides(key, group) })
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
	for i := range s.units {
		s.env.Seal(s.units[i].stage)
	}
	for slot, b := range builders {
		if len(b.present) > 0 {
			x.present = append(x.present, presentUnits{slot, b.present})
		}
		if f := b.field(slot); !f.empty() {
			f.short = strings.HasSuffix(s.schema.Field(slot).Path, ".name")
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

// decides reports whether an event that the gate and the index leave to a unit satisfies a group of its needs.
func (s *Set) decides(key indexKey, group []eql.Need) bool {
	return !s.opts.NoIndex && (gated(s.gates, group) || slices.Equal(key, group))
}

// fieldBuilder gathers what is to be looked up for one field.
type fieldBuilder struct {
	exact                       map[string][]int32
	prefix, rest, suffix, parts []textindex.Key
	present                     []int32
}

func (b *fieldBuilder) add(need eql.Need, u int32) {
	key := textindex.Key{Text: need.Text, ID: u}
	switch need.Op {
	case eql.NeedEqual:
		if !slices.Contains(b.exact[need.Text], u) {
			b.exact[need.Text] = append(b.exact[need.Text], u)
		}
	case eql.NeedPrefix:
		b.prefix = append(b.prefix, key)
	case eql.NeedRest:
		b.rest = append(b.rest, key)
	case eql.NeedPresent:
		b.present = append(b.present, u)
	case eql.NeedSuffix:
		b.suffix = append(b.suffix, key)
	case eql.NeedContains:
		b.parts = append(b.parts, key)
	}
}

func (b *fieldBuilder) field(slot event.Slot) fieldIndex {
	if len(b.exact) == 0 {
		b.exact = nil
	}
	f := fieldIndex{
		slot: slot, exact: b.exact,
		prefix: textindex.NewTrie(b.prefix, false), rest: textindex.NewTrie(b.rest, false), suffix: textindex.NewTrie(b.suffix, true),
		parts: textindex.NewParts(b.parts),
		keys:  fieldKeys{prefix: b.prefix, rest: b.rest, suffix: b.suffix},
	}
	for text, units := range b.exact {
		word, bit := lengthBit(len(text))
		f.lengths[word] |= bit
		for _, u := range units {
			f.keys.exact = append(f.keys.exact, textindex.Key{Text: text, ID: u})
		}
	}
	for _, key := range b.parts {
		f.within = append(f.within, key.ID)
	}
	slices.Sort(f.within)
	f.within = slices.Compact(f.within)
	return f
}

// empty reports whether nothing is looked up.
func (f *fieldIndex) empty() bool {
	return f.exact == nil && f.prefix == nil && f.rest == nil && f.suffix == nil && f.parts == nil
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
			f.prefix.Forward(text, m.visit)
		}
		if f.rest != nil && len(text) > 0 {
			_, size := utf8.DecodeRuneInString(text)
			f.rest.Forward(text[size:], m.visit)
		}
		if f.suffix != nil {
			f.suffix.Backward(text, m.visit)
		}
		if f.parts != nil && hasBit(m.view.parts, int32(f.slot)) {
			f.parts.Each(text, m.visit)
		}
	}
}

// text returns the text of a value without allocating where that can be had: for numbers that of eql.AppendNumber.
func (m *Matcher) text(v event.Value) string {
	switch v.Kind() {
	case event.String, event.Addr:
		return v.Str()
	case event.Int, event.Uint, event.Float:
		m.digits = eql.AppendNumber(m.digits[:0], v)
		return view8(m.digits)
	default:
		return v.Text()
	}
}

// view8 returns b as a string without copying. The string must not outlive the next write to b.
func view8(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

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
