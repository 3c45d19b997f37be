package rules

import (
	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/textindex"
)

// A gate is what events of one data stream, category, type, operating system and action can satisfy at all. These fields
// have few values in all data and nearly every rule asks for some of them, so the units that are left are computed once per combination
// and kept: what doesn't pass costs an event nothing.

// gatePaths are the fields beside the category that make a gate.
var gatePaths = [...]string{"event.type", "host.os.type", "event.action"}

// gateField knows which units admit which values of a field. It is immutable.
type gateField struct {
	slot   event.Slot
	values *textindex.Exact // those that some unit asks for; what it finds is an index in admits
	texts  []string         // by that index, less one
	// admits has a bit per unit: those that the value leaves possible. The first stands for values that no unit asks
	// for, and for a field that is missing.
	admits [][]uint64
}

// gateValues bounds the values of one field of an event that a gate looks at: an event with more passes the field. gateLists bounds
// the lists of several values that a matcher tells apart.
const (
	gateValues = 4
	gateLists  = 4096
)

// anyValue stands for a field that doesn't gate the event.
const anyValue = ^uint16(0)

// newGateFields returns the fields of the gate that some unit asks for.
func newGateFields(s *Set) []gateField {
	slots := []event.Slot{s.meta.Category}
	for _, path := range gatePaths {
		if slot := s.schema.Lookup(path); slot != event.NoSlot && slot != s.meta.Category {
			slots = append(slots, slot)
		}
	}
	var fields []gateField
	for _, slot := range slots {
		if f, asked := newGateField(s.units, slot); asked {
			fields = append(fields, f)
		}
	}
	return fields
}

func newGateField(units []unit, slot event.Slot) (f gateField, asked bool) {
	f = gateField{slot: slot, admits: [][]uint64{newBits(len(units))}}
	ids := map[string]uint16{} // by value in lower case
	var values []textindex.Key
	asks := make([][]eql.Need, len(units))
	for u := range units {
		if asks[u] = gateGroup(units[u].stage.Needs(), slot); asks[u] == nil {
			setBit(f.admits[0], int32(u))
			continue
		}
		asked = true
		for _, need := range asks[u] {
			if _, ok := ids[need.Text]; !ok && len(ids) < int(anyValue)-1-gateLists {
				ids[need.Text] = uint16(len(ids) + 1)
				f.texts = append(f.texts, need.Text)
				values = append(values, textindex.Key{Text: need.Text, ID: int32(len(ids))})
			}
		}
	}
	f.values = textindex.NewExact(values)
	for range ids {
		f.admits = append(f.admits, append([]uint64(nil), f.admits[0]...))
	}
	for u, group := range asks {
		for _, need := range group {
			if id, ok := ids[need.Text]; ok {
				setBit(f.admits[id], int32(u))
			} else {
				setBit(f.admits[0], int32(u)) // there are too many values to tell them apart
			}
		}
	}
	return f, asked
}

// gateGroup returns a group of needs that are all for equal values of the slot, nil where there is none.
func gateGroup(groups [][]eql.Need, slot event.Slot) []eql.Need {
	for _, group := range groups {
		fits := len(group) > 0
		for _, need := range group {
			fits = fits && need.Slot == slot && need.Op == eql.NeedEqual
		}
		if fits {
			return group
		}
	}
	return nil
}

// gated reports whether a group of needs is decided by the gate alone.
func gated(fields []gateField, group []eql.Need) bool {
	for i := range fields {
		if gateGroup([][]eql.Need{group}, fields[i].slot) != nil {
			return true
		}
	}
	return false
}

// admitted narrows bits down to what the values with these ids leave possible.
func (f *gateField) admitted(bits []uint64, ids []uint16) {
	for i := range bits {
		var bit uint64
		for _, id := range ids {
			if id == anyValue {
				return
			}
			bit |= f.admits[id][i]
		}
		bits[i] &= bit
	}
}

// gateListsOf are the lists of values of one gate that a matcher has met: each has a number behind the ids of single values.
type gateListsOf struct {
	numbers map[[gateValues]uint16]uint16
	lists   [][gateValues]uint16 // filled up with the first of their ids
	other   []string             // by id, less one: how its value is spelled where it isn't in lower case; empty where none was met
}

// gateKey returns what of the event decides its gate: a number for each field. A value that no unit asks for may be taken for
// another one, which only lets more units pass.
func (m *Matcher) gateKey(ev *event.Event) uint64 {
	key := uint64(0)
	for i := range m.set.gates {
		f := &m.set.gates[i]
		var number uint16
		switch values := ev.Values(f.slot); len(values) {
		case 0: // as any other value that no unit asks for
		case 1:
			ids := f.values.Find(textindex.WordsOf(m.text(values[0])))
			if len(ids) == 1 {
				number = uint16(ids[0])
			} else if len(ids) > 1 {
				number = m.gateList(i, values)
			}
		default:
			number = m.gateList(i, values)
		}
		key |= uint64(number) << (16 * i)
	}
	return key
}

// gateList returns the number of the list of values that an event has in the field of a gate.
func (m *Matcher) gateList(gate int, values []event.Value) uint16 {
	f, known := &m.set.gates[gate], &m.views.gates[gate]
	var list [gateValues]uint16
	n := 0
	for _, v := range values {
		ids := f.values.Find(textindex.WordsOf(m.text(v)))
		if len(ids) == 0 {
			ids = []int32{0}
		}
		for _, id := range ids {
			if n == gateValues {
				return anyValue
			}
			list[n] = uint16(id)
			n++
		}
	}
	for ; n < gateValues; n++ {
		list[n] = list[0]
	}
	number, ok := known.numbers[list]
	if !ok {
		if len(known.lists) >= gateLists {
			m.views.full = true
			return anyValue
		}
		number = uint16(len(f.admits) + len(known.lists))
		if known.numbers == nil {
			known.numbers = map[[gateValues]uint16]uint16{}
		}
		known.numbers[list] = number
		known.lists = append(known.lists, list)
	}
	return number
}

// ids appends the ids of the values that a number of the gate stands for.
func (f *gateField) ids(known *gateListsOf, number uint16) []uint16 {
	if number == anyValue || int(number) < len(f.admits) {
		return []uint16{number}
	}
	return known.lists[int(number)-len(f.admits)][:]
}

func newBits(n int) []uint64 { return make([]uint64, (n+63)/64) }

func setBit(bits []uint64, i int32) { bits[i>>6] |= 1 << (i & 63) }

func hasBit(bits []uint64, i int32) bool { return bits[i>>6]&(1<<(i&63)) != 0 }
