package eql

import (
	"math"
	"slices"
	"strconv"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/internal/glob"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/textindex"
)

// Needs returns groups of necessary conditions: for each group, an event that satisfies the stage satisfies at
// least one of its needs (by the text of any value of the field: event.Value.Text folded to lower-case ASCII, for numbers
// that of AppendNumber).
// There may be none. The caller must not change them.
func (s *Stage) Needs() [][]Need { return s.needs }

// maxGroup bounds the needs of one group: a longer list would cost an index more than it saves.
const maxGroup = 4096

// needer is a tester that knows necessary conditions: a value that passes satisfies one of them.
type needer interface {
	needs(slot event.Slot) []Need
}

// needs returns the groups of n; all of them are necessary.
func (e *Env) needs(n node) [][]Need {
	switch n := n.(type) {
	case *shared:
		return e.needs(n.inner)
	case *leaf:
		if t, ok := n.t.(needer); ok {
			if group := t.needs(n.slot); len(group) > 0 && len(group) <= maxGroup {
				if !slices.ContainsFunc(group, func(n Need) bool { return n.Op == NeedContains }) {
					return [][]Need{group}
				}
				return [][]Need{group, present(n.slot)} // short parts of a text can't be looked up, and long ones may not pay
			}
		}
		return [][]Need{present(n.slot)}
	case existsNode:
		return [][]Need{present(n.slot)}
	case andNode:
		var groups [][]Need
		for _, child := range n {
			groups = append(groups, e.needs(child)...)
		}
		return groups
	case orNode:
		return e.anyNeeds(n)
	default:
		return nil
	}
}

// present is what every test of a field's values needs.
func present(slot event.Slot) []Need { return []Need{{Slot: slot, Op: NeedPresent}} }

// anyNeeds returns the one group of a disjunction: the best group of each child, if each has one.
func (e *Env) anyNeeds(children orNode) [][]Need {
	var merged []Need
	for _, child := range children {
		if c, ok := child.(constNode); ok && !bool(c) {
			continue
		}
		groups := e.needs(child)
		if len(groups) == 0 {
			return nil
		}
		merged = append(merged, slices.MinFunc(groups, func(a, b []Need) int { return e.needCost(a) - e.needCost(b) })...)
	}
	merged = dedupeNeeds(merged)
	if len(merged) == 0 || len(merged) > maxGroup {
		return nil
	}
	return [][]Need{merged}
}

// needCost estimates how many events a group lets through: less is better. Few values of a field that splits
// events finely are best; fields with a handful of values in all data are worst.
func (e *Env) needCost(group []Need) int {
	worst := 0
	for _, n := range group {
		c := 0
		switch n.Op {
		case NeedEqual:
		case NeedPrefix, NeedRest, NeedSuffix:
			c = 1 << 13
		case NeedPresent:
			c = 1 << 14
		case NeedContains:
			if c = 3 << 12; len(n.Text) < textindex.MinPart {
				c = 3 << 13
			}
		}
		switch e.schema.Field(n.Slot).Path {
		case "event.category", "event.type", "event.kind", "event.outcome", "host.os.type", "host.os.family", "data_stream.type":
			c += 1 << 15
		}
		worst = max(worst, c)
	}
	return worst + min(len(group), 1<<13-1)
}

func dedupeNeeds(needs []Need) []Need {
	seen := make(map[Need]bool, len(needs))
	out := needs[:0:0]
	for _, n := range needs {
		if !seen[n] {
			seen[n] = true
			out = append(out, n)
		}
	}
	return out
}

func (t textEq) needs(slot event.Slot) []Need {
	return []Need{{slot, NeedEqual, glob.LowerASCII(t.text)}}
}

func (t textEqFold) needs(slot event.Slot) []Need { return []Need{{slot, NeedEqual, t.lower}} }

func (t textSet) needs(slot event.Slot) []Need {
	needs := make([]Need, len(t.texts))
	for i, text := range t.texts {
		needs[i] = Need{slot, NeedEqual, glob.LowerASCII(text)}
	}
	return dedupeNeeds(needs)
}

func (t numberOrder) needs(slot event.Slot) []Need {
	if t.op != ast.Eq {
		return nil
	}
	return []Need{{slot, NeedEqual, string(AppendNumber(nil, t.c))}}
}

func (t numberSet) needs(slot event.Slot) []Need {
	needs := make([]Need, len(t))
	for i, n := range t {
		needs[i] = Need{slot, NeedEqual, string(AppendNumber(nil, n))}
	}
	return dedupeNeeds(needs)
}

// AppendNumber appends the text under which a number stands in a NeedEqual: one text for numbers that are equal, whatever
// their kinds.
func AppendNumber(dst []byte, v event.Value) []byte {
	switch v.Kind() {
	case event.Int:
		return strconv.AppendInt(dst, v.Int(), 10)
	case event.Uint:
		return strconv.AppendUint(dst, v.Uint(), 10)
	default:
	}
	f := v.Float()
	switch {
	case f != math.Trunc(f):
	case -1<<63 <= f && f < 1<<63:
		return strconv.AppendInt(dst, int64(f), 10)
	case 0 < f && f < 1<<64:
		return strconv.AppendUint(dst, uint64(f), 10)
	}
	return strconv.AppendFloat(dst, f, 'g', -1, 64)
}

func (t textPrefix) needs(slot event.Slot) []Need {
	if t.text == "" {
		return nil
	}
	return []Need{{slot, NeedPrefix, glob.LowerASCII(t.text)}}
}

func (t textGlob) needs(slot event.Slot) []Need {
	l := t.pattern.Literal()
	switch {
	case l.Text == "":
		return nil
	case l.Prefix && l.Skip:
		return []Need{{slot, NeedRest, l.Text}}
	case l.Prefix:
		return []Need{{slot, NeedPrefix, l.Text}}
	case l.Suffix:
		return []Need{{slot, NeedSuffix, l.Text}}
	default:
		return []Need{{slot, NeedContains, l.Text}}
	}
}

func (t anyOf) needs(slot event.Slot) []Need {
	var all []Need
	for _, one := range t {
		n, ok := one.(needer)
		if !ok {
			return nil
		}
		needs := n.needs(slot)
		if len(needs) == 0 {
			return nil
		}
		all = append(all, needs...)
	}
	return dedupeNeeds(all)
}
