package rules

import (
	"unicode/utf8"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/textindex"
)

// A probe is the part of a field's index that finds the units that a gate and the index patterns leave. Behind most gates
// that is a few texts of a few fields: an event isn't looked up in what nothing can come of.
type probe struct {
	slot                 event.Slot
	exact                *textindex.Exact
	prefix, rest, suffix affixes
	parts                *textindex.Parts

	recalls bool   // what is found by a text is recalled: more than exact texts are looked for
	credit  int32  // see recall
	number  uint64 // among all probes of the matcher, from 1
}

// affixes are beginnings or ends of texts: a list while they are few.
type affixes struct {
	few  *textindex.Affixes
	many *textindex.Trie // of the whole field
}

// fewAffixes is how many beginnings or ends are compared one after the other.
const fewAffixes = 48

// fieldKeys are the texts that a field is looked up for.
type fieldKeys struct{ exact, prefix, rest, suffix []textindex.Key }

// addProbe adds what of a field's index finds the allowed units, if there is any.
func (v *view) addProbe(f *fieldIndex, recalls bool) {
	exact := v.wanted(f.keys.exact)
	p := probe{slot: f.slot, exact: textindex.NewExact(exact)}
	p.prefix = v.affixes(f.keys.prefix, f.prefix, false)
	p.rest = v.affixes(f.keys.rest, f.rest, false)
	p.suffix = v.affixes(f.keys.suffix, f.suffix, true)
	if hasBit(v.parts, int32(f.slot)) {
		p.parts = f.parts
	}
	if p != (probe{slot: f.slot}) {
		p.recalls = recalls && p.affixed()
		p.credit = firstCredit
		v.probes, v.filters = append(v.probes, p), append(v.filters, newFilter(&p, exact))
	}
}

// wanted returns the keys of allowed units.
func (v *view) wanted(keys []textindex.Key) []textindex.Key {
	var own []textindex.Key
	for _, k := range keys {
		if hasBit(v.allowed, k.ID) {
			own = append(own, k)
		}
	}
	v.keys += len(own)
	return own
}

func (v *view) affixes(keys []textindex.Key, many *textindex.Trie, backward bool) affixes {
	own := v.wanted(keys)
	few := textindex.NewAffixes(own, backward)
	if few != nil && few.Len() > fewAffixes {
		v.keys -= len(own)
		return affixes{many: many}
	}
	return affixes{few: few}
}

// A filter says which values of a field a probe need be asked for: hardly any, where it looks for a few names.
type filter struct {
	slot  event.Slot
	marks uint64 // a bit per mark of a text that is looked for
}

// markOf returns a bit that is the same for texts that differ in the case of ASCII letters only, by their size, middle and end.
func markOf(text string) uint64 {
	const letter = 0x1f // the bits that are the same in either case
	n := len(text)
	if n == 0 {
		return 1
	}
	return 1 << ((5*n + int(text[n-1]&letter) + int(text[n>>1]&letter)) & 63)
}

// newFilter returns the filter of a probe that looks for some whole texts.
func newFilter(p *probe, exact []textindex.Key) filter {
	f := filter{slot: p.slot}
	if p.affixed() {
		f.marks = ^uint64(0)
	}
	for _, k := range exact {
		f.marks |= markOf(k.Text)
	}
	return f
}

// affixed reports whether more is looked for than whole texts.
func (p *probe) affixed() bool {
	return p.prefix != (affixes{}) || p.rest != (affixes{}) || p.suffix != (affixes{}) || p.parts != nil
}

// lookup calls the matcher for every unit that a text may satisfy.
func (p *probe) lookup(m *Matcher, text string) {
	if !p.recalls || !p.recall(m, text) {
		p.search(text, m.visit)
	}
}

// search calls visit with every unit that a text may satisfy.
func (p *probe) search(text string, visit func(u int32) bool) {
	w := textindex.WordsOf(text)
	if p.exact != nil {
		for _, u := range p.exact.Find(w) {
			visit(u)
		}
	}
	if p.prefix != (affixes{}) {
		p.prefix.forward(text, w, visit)
	}
	if p.rest != (affixes{}) && text != "" {
		_, size := utf8.DecodeRuneInString(text)
		p.rest.forward(text[size:], textindex.WordsOf(text[size:]), visit)
	}
	if p.suffix.few != nil {
		p.suffix.few.Each(text, w, visit)
	} else if p.suffix.many != nil {
		p.suffix.many.Backward(text, visit)
	}
	if p.parts != nil {
		p.parts.Each(text, visit)
	}
}

func (a *affixes) forward(text string, w textindex.Words, visit func(int32) bool) {
	if a.few != nil {
		a.few.Each(text, w, visit)
	} else {
		a.many.Forward(text, visit)
	}
}
