package rules

import (
	"math/bits"
	"slices"
	"strings"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/textindex"
)

// A shape is what a view is for the events that have the same values, letter by letter, in the fields of the gate. What a stage asks of
// these fields is decided once for all of them, and what is left of the stages that most events are candidates of lies in one place.
type shape struct {
	view     *view
	events   uint64 // that were matched since they were last added to the counts of the residual units
	residual []rest
	present  []presentRests
}

// rest is what is left to evaluate of a unit.
type rest struct {
	cond eql.Rest
	bit  uint64 // that of the unit
	rule int32
	unit int32
	all  bool // every event of the shape satisfies it
}

type presentRests struct {
	slot  event.Slot
	rests []rest
}

// shapeKey tells shapes apart: two bits per gate say how its values are spelled.
type shapeKey struct {
	viewKey
	spelled uint8
}

// The ways in which the values of a gate may be spelled.
const (
	spelledAnyhow = 0 // nothing is decided
	spelledLower  = 1 // as the gate has them, in lower case; or the field is missing
	spelledOther  = 2 // as they were spelled when they weren't met in lower case first
)

// newShape returns the shape of ev in a view. Stages that its values rule out are no candidates.
func (s *Set) newShape(v *view, spelled uint8, ev *event.Event) *shape {
	known := func(slot event.Slot) bool {
		for i := range s.gates {
			if s.gates[i].slot == slot {
				return spelled>>(2*i)&3 != spelledAnyhow
			}
		}
		return false
	}
	rests := func(units []int32) []rest {
		var out []rest
		for _, u := range units {
			unit := &s.units[u]
			r := rest{cond: s.env.Given(unit.stage, ev, known), bit: unit.bit, rule: unit.rule, unit: u}
			holds, decided := r.cond.Decided()
			if r.all = holds; holds || !decided {
				out = append(out, r)
			}
		}
		return out
	}
	sh := &shape{view: v, residual: rests(v.residual)}
	for _, p := range v.present {
		left := rests(p.units)
		if left == nil {
			continue
		}
		i := slices.IndexFunc(sh.present, func(of presentRests) bool { return of.slot == p.slot })
		if i < 0 {
			i = len(sh.present)
			sh.present = append(sh.present, presentRests{slot: p.slot})
		}
		sh.present[i].rests = append(sh.present[i].rests, left...)
	}
	return sh
}

// size returns the number of rests.
func (sh *shape) size() int {
	n := len(sh.residual)
	for i := range sh.present {
		n += len(sh.present[i].rests)
	}
	return n
}

// spelling returns how the values of the gates of an event are spelled; key is that of its view.
func (v *views) spelling(ev *event.Event, key viewKey) (spelled uint8) {
	for i := range v.set.gates {
		number := uint16(key.gate >> (16 * i))
		spelled |= v.spellingOf(i, number, ev.Values(v.set.gates[i].slot)) << (2 * i)
	}
	return spelled
}

// spellingOf returns how the values of one gate, for which it has a number, are spelled: in one way all of them, or anyhow. Two events
// with the same number and the same way have the same values.
func (v *views) spellingOf(gate int, number uint16, values []event.Value) uint8 {
	if len(values) == 0 {
		return spelledLower
	}
	ids := v.set.gates[gate].ids(&v.gates[gate], number)
	if number == anyValue || len(ids) < len(values) {
		return spelledAnyhow
	}
	way := v.spelledAs(gate, ids[0], values[0])
	for i, value := range values {
		if v.spelledAs(gate, ids[i], value) != way {
			return spelledAnyhow
		}
	}
	return way
}

// spelledAs returns how a value that the gate takes for that of an id is spelled. A number isn't the text that looks like it.
func (v *views) spelledAs(gate int, id uint16, value event.Value) uint8 {
	f, known := &v.set.gates[gate], &v.gates[gate]
	text := value.Str()
	switch {
	case id == 0 || value.Kind() != event.String:
		return spelledAnyhow
	case text == f.texts[id-1]:
		return spelledLower
	}
	if known.other == nil {
		known.other = make([]string, len(f.texts))
	}
	if known.other[id-1] == "" {
		known.other[id-1] = strings.Clone(text)
	}
	if known.other[id-1] == text {
		return spelledOther
	}
	return spelledAnyhow
}

// recentShape is a shape with the values that lead to it, so that it is found by comparing texts alone.
type recentShape struct {
	shape  *shape
	counts uint64             // eight bits for each field: how many values it has
	ends   [shapeValues]uint8 // where each text ends
	texts  [shapeBytes]byte   // the first value of each field, then all others
}

// What a recentShape has room for: the parts of the data stream's name, and the fields of the gate.
const (
	shapeFields = 3 + 1 + len(gatePaths)
	shapeValues = 12
	shapeBytes  = 164
)

// recentShapes is how many shapes are found by texts; a power of two.
const recentShapes = 256

// shapeTexts are the first values of the fields that make a shape.
type shapeTexts [shapeFields]string

// hash says where a shape is among the recent ones, or beside that.
func (t *shapeTexts) hash() uint64 {
	h := uint64(0)
	for _, text := range t {
		h = bits.RotateLeft64(h, 11) ^ textindex.Mark(text) + uint64(len(text))
	}
	return h * scramble >> (64 - 8)
}

// shapeOf returns the shape of the event, whose data stream has a name of these parts.
func (m *Matcher) shapeOf(ev *event.Event, typ, dataset, namespace string) *shape {
	texts := shapeTexts{typ, dataset, namespace}
	counts, plain := uint64(0), true
	for i := range m.set.gates {
		if values := ev.Values(m.set.gates[i].slot); len(values) > 0 {
			texts[3+i] = values[0].Str()
			counts |= uint64(len(values)) << (8 * i)
			plain = plain && values[0].Kind() == event.String && len(values) <= shapeValues
		}
	}
	if !plain {
		return m.findShape(ev, typ, dataset, namespace)
	}
	first := texts.hash()
	for _, at := range [...]uint64{first, first ^ 1} {
		recent := &m.views.shapes[at]
		if recent.counts != counts || recent.shape == nil || !m.is(recent, &texts, ev) {
			continue
		}
		if dataset == "" && !m.set.opts.AnyIndex {
			m.stats.UnknownStream++
		}
		return recent.shape
	}
	sh := m.findShape(ev, typ, dataset, namespace)
	recent := &m.views.shapes[first]
	if recent.shape != nil { // the one that stands beside it is as likely to come again as this one
		recent = &m.views.shapes[first^1]
	}
	m.remember(recent, sh, &texts, counts, ev)
	return sh
}

// is reports whether a recent shape is that of an event whose fields have as many values.
func (m *Matcher) is(recent *recentShape, texts *shapeTexts, ev *event.Event) bool {
	start, n := 0, 0
	same := func(text string) bool {
		end := int(recent.ends[n])
		was := recent.texts[start:end]
		start = end
		n++
		return string(was) == text
	}
	for i := range texts {
		if !same(texts[i]) {
			return false
		}
	}
	if recent.counts&^onlyOnes == 0 {
		return true
	}
	for i := range m.set.gates {
		for j, v := range ev.Values(m.set.gates[i].slot) {
			if j > 0 && (v.Kind() != event.String || !same(v.Str())) {
				return false
			}
		}
	}
	return true
}

// onlyOnes has the bits of counts that are set where each field has one value at most.
const onlyOnes = 0x0101010101010101

// remember lets a shape be found by its texts, if there is room for them.
func (m *Matcher) remember(recent *recentShape, sh *shape, texts *shapeTexts, counts uint64, ev *event.Event) {
	*recent = recentShape{counts: counts}
	size, n := 0, 0
	add := func(text string) bool {
		if n == len(recent.ends) || len(text) > len(recent.texts)-size {
			return false
		}
		size += copy(recent.texts[size:], text)
		recent.ends[n] = uint8(size)
		n++
		return true
	}
	for i := range texts {
		if !add(texts[i]) {
			return
		}
	}
	for i := range m.set.gates {
		for j, v := range ev.Values(m.set.gates[i].slot) {
			if j > 0 && (v.Kind() != event.String || !add(v.Str())) {
				return
			}
		}
	}
	recent.shape = sh
}

// findShape is shapeOf by way of the view.
func (m *Matcher) findShape(ev *event.Event, typ, dataset, namespace string) *shape {
	view, key := m.viewOf(ev, typ, dataset, namespace)
	return m.views.shape(ev, view, key)
}

// shape returns the shape of an event in the view of a key.
func (v *views) shape(ev *event.Event, of *view, key viewKey) *shape {
	k := shapeKey{key, v.spelling(ev, key)}
	sh, ok := v.shaped[k]
	if !ok {
		if len(v.shaped) >= maxViews || v.shapeKeys >= maxViewKeys {
			v.forgetShapes()
		}
		sh = v.set.newShape(of, k.spelled, ev)
		v.shaped[k] = sh
		v.shapeKeys += sh.size()
	}
	return sh
}

// forgetShapes drops all shapes.
func (v *views) forgetShapes() {
	v.count()
	clear(v.shaped)
	for i := range v.shapes {
		v.shapes[i].shape = nil
	}
	v.shapeKeys = 0
}

// count adds the events of all shapes to the counts of their residual units.
func (v *views) count() {
	for _, sh := range v.shaped {
		for i := range sh.residual {
			k := &v.visits[sh.residual[i].unit]
			k.candidates += sh.events
			k.evaluations += sh.events
		}
		sh.events = 0
	}
}

// ask evaluates what is left of the units that all events of the shape, or all with some field, are candidates of.
func (m *Matcher) ask(sh *shape, ev *event.Event) {
	sh.events++
	for i := range sh.residual {
		if r := &sh.residual[i]; r.all || m.restHolds(r) {
			m.hit(r.rule, r.bit)
		}
	}
	for i := range sh.present {
		p := &sh.present[i]
		if len(ev.Values(p.slot)) == 0 {
			continue
		}
		for j := range p.rests {
			r := &p.rests[j]
			k := &m.visits[r.unit]
			if k.seen == m.generation {
				continue
			}
			k.seen = m.generation
			k.candidates++
			k.evaluations++
			if r.all || m.restHolds(r) {
				m.hit(r.rule, r.bit)
			}
		}
	}
}
