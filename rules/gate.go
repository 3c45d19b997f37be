package rules

import (
	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
)

// A gate is what events of one data stream, category, type, operating system and action can satisfy at all. These fields
// have few values in all data and nearly every rule asks for some of them, so the units that are left are computed once per combination
// and kept: what doesn't pass costs an event nothing.

// gatePaths are the fields beside the category that make a gate.
var gatePaths = [...]string{"event.type", "host.os.type", "event.action"}

// gateField knows which units admit which values of a field. It is immutable.
type gateField struct {
	slot event.Slot
	ids  map[string]uint16 // value in lower case → its index in admits
	// admits has a bit per unit: those that the value leaves possible. The first stands for values that no unit asks
	// for, and for a field that is missing.
	admits [][]uint64
}

// gateValues bounds the values of one field of an event that a gate looks at: an event with more passes the field.
const gateValues = 4

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
	f = gateField{slot: slot, ids: map[string]uint16{}, admits: [][]uint64{newBits(len(units))}}
	asks := make([][]eql.Need, len(units))
	for u := range units {
		if asks[u] = gateGroup(units[u].stage.Needs(), slot); asks[u] == nil {
			setBit(f.admits[0], int32(u))
			continue
		}
		asked = true
		for _, need := range asks[u] {
			if _, ok := f.ids[need.Text]; !ok && len(f.ids) < int(anyValue)-1 {
				f.ids[need.Text] = uint16(len(f.ids) + 1)
			}
		}
	}
	for range f.ids {
		f.admits = append(f.admits, append([]uint64(nil), f.admits[0]...))
	}
	for u, group := range asks {
		for _, need := range group {
			if id, ok := f.ids[need.Text]; ok {
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

// admitted narrows bits down to what the values with these ids leave possible. None is a missing field.
func (f *gateField) admitted(bits []uint64, ids []uint16) {
	if len(ids) == 0 {
		ids = []uint16{0}
	}
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

// gateKey appends what of the event decides its gate, field by field: the ids of its values.
func (m *Matcher) gateKey(dst []byte, ev *event.Event) []byte {
	for i := range m.set.gates {
		f := &m.set.gates[i]
		values := ev.Values(f.slot)
		if len(values) > gateValues {
			dst = append(dst, 1, byte(anyValue>>8), byte(anyValue&0xff))
			continue
		}
		dst = append(dst, byte(len(values)))
		for _, v := range values {
			id := f.ids[m.fold(m.text(v))]
			dst = append(dst, byte(id>>8), byte(id))
		}
	}
	return dst
}

// gateBits narrows bits down by the part of a key that gateKey made.
func (s *Set) gateBits(bits []uint64, key []byte) {
	var ids [gateValues]uint16
	for i := range s.gates {
		n := int(key[0])
		key = key[1:]
		for j := range n {
			ids[j] = uint16(key[0])<<8 | uint16(key[1])
			key = key[2:]
		}
		s.gates[i].admitted(bits, ids[:n])
	}
}

func newBits(n int) []uint64 { return make([]uint64, (n+63)/64) }

func setBit(bits []uint64, i int32) { bits[i>>6] |= 1 << (i & 63) }

func hasBit(bits []uint64, i int32) bool { return bits[i>>6]&(1<<(i&63)) != 0 }
