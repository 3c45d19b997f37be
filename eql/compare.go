package eql

import (
	"cmp"
	"math"
	"math/big"
	"net/netip"
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
)

// holds reports whether a comparison whose sides order as c (negative, 0, positive) holds.
func holds(op ast.Op, c int) bool {
	switch op {
	case ast.Eq:
		return c == 0
	case ast.Ne:
		return c != 0
	case ast.Lt:
		return c < 0
	case ast.Le:
		return c <= 0
	case ast.Gt:
		return c > 0
	case ast.Ge:
		return c >= 0
	default:
		return false
	}
}

// compareValues orders two values of comparable kinds; other pairs have no order.
func compareValues(a, b event.Value) (c int, ok bool) {
	switch {
	case a.IsNumber() && b.IsNumber():
		return compareNumbers(a, b), true
	case isText(a) && isText(b):
		return strings.Compare(a.Str(), b.Str()), true
	case a.Kind() == event.Bool && b.Kind() == event.Bool:
		return cmp.Compare(b2i(a.Bool()), b2i(b.Bool())), true
	case a.Kind() == event.Time && b.Kind() == event.Time:
		return cmp.Compare(a.Millis(), b.Millis()), true
	default:
		return 0, false
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// compareNumbers orders numbers by their exact value, whatever their kinds.
func compareNumbers(a, b event.Value) int {
	ak, bk := a.Kind(), b.Kind()
	switch {
	case ak == event.Int && bk == event.Int:
		return cmp.Compare(a.Int(), b.Int())
	case ak == event.Float && bk == event.Float:
		return cmp.Compare(a.Float(), b.Float())
	case ak == event.Uint && bk == event.Uint:
		return cmp.Compare(a.Uint(), b.Uint())
	case ak == event.Uint && bk == event.Int:
		return 1 // a Uint is above the largest Int
	case ak == event.Int && bk == event.Uint:
		return -1
	case ak == event.Float:
		return -compareToFloat(b, a.Float())
	default:
		return compareToFloat(a, b.Float())
	}
}

// compareToFloat orders a whole number and a float.
func compareToFloat(whole event.Value, f float64) int {
	w := whole.Float()
	if c := cmp.Compare(w, f); c != 0 && math.Abs(w-f) > 2048 {
		return c
	}
	if math.Abs(f) < 1<<53 && math.Abs(w) < 1<<53 {
		return cmp.Compare(w, f)
	}
	// The float64 of a large whole number is rounded: compare without rounding. This is rare.
	var n big.Float
	n.SetPrec(64)
	if whole.Kind() == event.Uint {
		n.SetUint64(whole.Uint())
	} else {
		n.SetInt64(whole.Int())
	}
	return n.Cmp(big.NewFloat(f))
}

type numberOrder struct {
	op ast.Op
	c  event.Value
}

func (t numberOrder) test(v event.Value) bool {
	return v.IsNumber() && holds(t.op, compareNumbers(v, t.c))
}

type numberSet []event.Value

func (t numberSet) test(v event.Value) bool {
	if !v.IsNumber() {
		return false
	}
	for _, c := range t {
		if compareNumbers(v, c) == 0 {
			return true
		}
	}
	return false
}

type boolOrder struct {
	op ast.Op
	c  event.Value
}

func (t boolOrder) test(v event.Value) bool {
	if v.Kind() != event.Bool {
		return false
	}
	return holds(t.op, b2i(v.Bool())-b2i(t.c.Bool()))
}

// timeOrder compares with a span of time, since a constant such as "2024-05" stands for the whole of it.
type timeOrder struct {
	op          ast.Op
	first, last int64 // milliseconds, both inclusive
}

func (t timeOrder) test(v event.Value) bool {
	if v.Kind() != event.Time {
		return false
	}
	ms := v.Millis()
	switch t.op {
	case ast.Eq:
		return t.first <= ms && ms <= t.last
	case ast.Lt:
		return ms < t.first
	case ast.Le:
		return ms <= t.last
	case ast.Gt:
		return ms > t.last
	default:
		return ms >= t.first
	}
}

// addrOrder compares addresses as Elasticsearch does: as 16 bytes, IPv4 in the mapped range.
type addrOrder struct {
	op   ast.Op
	addr netip.Addr
}

func (t addrOrder) test(v event.Value) bool {
	if !isText(v) {
		return false
	}
	a, err := netip.ParseAddr(v.Str())
	if err != nil {
		return false
	}
	a16, b16 := a.As16(), t.addr.As16()
	return holds(t.op, netip.AddrFrom16(a16).Compare(netip.AddrFrom16(b16)))
}
