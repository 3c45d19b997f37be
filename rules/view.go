package rules

import (
	"encoding/binary"
	"strings"

	"github.com/weir-eql/weir/internal/textindex"
)

// view is what a set is for the events of some data streams and one gate.
type view struct {
	rules    []uint64       // a bit per rule that sees the data streams
	allowed  []uint64       // a bit per unit of these rules that the gate leaves
	residual []int32        // the allowed units that no index key finds
	present  []presentUnits // those that are found by the presence of a field
	parts    []uint64       // a bit per slot whose values are searched for parts of text
	probes   []probe        // what finds the other allowed units, unless the index isn't narrowed
	filters  []filter       // by probe: which values it need be asked for, close together
	keys     int            // of the probes
}

// fewParts is how many units are rather evaluated wherever their field is there than to search the field for what they need,
// unless its values are short.
const fewParts = 2

// view returns the view of the rules that see some data streams behind a gate; ids holds those of each gate's values.
func (s *Set) view(visible []uint64, ids [][]uint16) *view {
	v := &view{rules: visible, allowed: newBits(len(s.units))}
	for u := range s.units {
		if hasBit(visible, s.units[u].rule) {
			setBit(v.allowed, int32(u))
		}
	}
	for i := range s.gates {
		s.gates[i].admitted(v.allowed, ids[i])
	}
	v.residual = v.only(s.index.residual)
	for _, p := range s.index.present {
		if units := v.only(p.units); units != nil {
			v.present = append(v.present, presentUnits{p.slot, units})
		}
	}
	v.parts = newBits(s.schema.Len())
	for i := range s.index.fields {
		f := &s.index.fields[i]
		switch units := v.only(f.within); {
		case len(units) > fewParts, len(units) > 0 && f.short:
			setBit(v.parts, int32(f.slot))
		case units != nil:
			v.present = append(v.present, presentUnits{f.slot, units})
		}
		if !s.opts.NoNarrow {
			v.addProbe(f, !s.opts.NoRecall)
		}
	}
	return v
}

// only returns the units that are allowed, nil where there are none.
func (v *view) only(units []int32) []int32 {
	var own []int32
	for _, u := range units {
		if hasBit(v.allowed, u) {
			own = append(own, u)
		}
	}
	return own
}

// views are the views that a matcher has made, and what tells them apart: which rules see a data stream, and what the gate
// makes of an event. All of it comes from events, so anyone may invent it, and all of it is bounded and made anew when it has
// grown too large.
type views struct {
	set    *Set
	made   map[viewKey]*view
	keys   int            // of all of made
	recent [64]recentView // by hash: asks the map less often
	gates  []gateListsOf  // by gate
	probes uint64         // made so far
	full   bool           // there are more lists of values of a gate than are kept

	shaped    map[shapeKey]*shape
	shapeKeys int           // of all of shaped
	shapes    []recentShape // by hash of the values
	visits    []visits      // of the matcher

	visible [][]uint64              // a bit for each rule that sees a data stream, by number; the first for unknown data streams
	numbers map[string]int32        // by the bits of visible
	streams map[string]recentStream // by name
	named   [64]recentStream        // by hash: asks the map less often
	name    []byte
}

type viewKey struct {
	gate   uint64 // sixteen bits per gate
	stream int32
}

type recentView struct {
	key  viewKey
	view *view
}

// recentStream is a data stream and the number of the rules that see it.
type recentStream struct {
	typ, dataset, namespace string
	number                  int32
}

// What a matcher remembers at most.
const (
	maxViews    = 4096
	maxViewKeys = 1 << 17
	maxVisible  = 1024
)

func newViews(s *Set, visits []visits) *views {
	v := &views{set: s, visits: visits}
	v.forget()
	return v
}

// forget drops everything.
func (v *views) forget() {
	v.count()
	*v = views{
		set: v.set, probes: v.probes, made: map[viewKey]*view{}, gates: make([]gateListsOf, len(v.set.gates)),
		shaped: map[shapeKey]*shape{}, shapes: make([]recentShape, recentShapes), visits: v.visits,
		visible: [][]uint64{v.set.everything}, numbers: map[string]int32{}, streams: map[string]recentStream{},
	}
}

// stream returns the number of the rules that see a data stream.
func (v *views) stream(typ, dataset, namespace string) int32 {
	w := textindex.WordsOf(dataset)
	recent := &v.named[(w.Head+w.Tail+uint64(len(namespace)))*scramble>>58]
	if recent.dataset == dataset && recent.namespace == namespace && recent.typ == typ {
		return recent.number
	}
	v.name = appendStream(v.name[:0], typ, dataset, namespace)
	known, ok := v.streams[string(v.name)]
	if !ok {
		if len(v.streams) >= maxStreams || len(v.visible) >= maxVisible {
			v.forget()
		}
		name := string(appendStream(v.name[:0], typ, dataset, namespace))
		known = recentStream{
			strings.Clone(typ), strings.Clone(dataset), strings.Clone(namespace), v.seen(v.set.visible(name)),
		}
		v.streams[name] = known
	}
	*recent = known
	return known.number
}

func appendStream(dst []byte, typ, dataset, namespace string) []byte {
	dst = append(append(dst, typ...), '-')
	dst = append(append(dst, dataset...), '-')
	return append(dst, namespace...)
}

// scramble spreads what it is multiplied with over the high bits.
const scramble = 0x9E3779B97F4A7C15

// seen returns the number of a set of rules.
func (v *views) seen(visible []uint64) int32 {
	key := make([]byte, 0, 8*len(visible))
	for _, word := range visible {
		key = binary.LittleEndian.AppendUint64(key, word)
	}
	number, ok := v.numbers[string(key)]
	if !ok {
		number = int32(len(v.visible))
		v.visible = append(v.visible, visible)
		v.numbers[string(key)] = number
	}
	return number
}

// of returns the view behind a gate's key of the rules with a number.
func (v *views) of(key viewKey) *view {
	recent := &v.recent[(key.gate^uint64(key.stream)<<48)*scramble>>58]
	if recent.view != nil && recent.key == key {
		return recent.view
	}
	found, ok := v.made[key]
	if !ok {
		if len(v.made) >= maxViews || v.keys >= maxViewKeys {
			clear(v.made)
			v.keys = 0
			v.forgetShapes()
		}
		ids := make([][]uint16, len(v.gates))
		for i := range v.gates {
			ids[i] = v.set.gates[i].ids(&v.gates[i], uint16(key.gate>>(16*i)))
		}
		found = v.set.view(v.visible[key.stream], ids)
		for i := range found.probes {
			v.probes++
			found.probes[i].number = v.probes
		}
		v.made[key] = found
		v.keys += found.keys
	}
	*recent = recentView{key, found}
	return found
}
