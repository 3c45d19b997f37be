package eql

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
)

// numberValue returns the value of a literal.
func numberValue(n *ast.Number) event.Value {
	if n.IsInt {
		return event.IntValue(n.Int)
	}
	if u, err := strconv.ParseUint(n.Text, 10, 64); err == nil {
		return event.UintValue(u)
	}
	return event.FloatValue(n.Float)
}

// noneOf holds if its test doesn't.
type noneOf struct{ t tester }

func (t noneOf) test(v event.Value) bool { return !t.t.test(v) }

// orderTest returns the test of a comparison with a constant whose left side has no mapping: each value is
// compared if it is of the constant's kind.
func orderTest(op ast.Op, want event.Value) tester {
	switch {
	case op == ast.Ne:
		return noneOf{orderTest(ast.Eq, want)}
	case isText(want) && op == ast.Eq:
		return textEq{want.Str()}
	case isText(want):
		return textOrder{op, want.Str()}
	case want.IsNumber():
		return numberOrder{op, want}
	case want.Kind() == event.Bool:
		return boolOrder{op, want}
	default:
		return anyOf{}
	}
}

// fieldOrderTest returns the test of a comparison of a field with a constant, which is coerced to the field's
// type as Elasticsearch does it. op is never Ne. The error tells that the constant can't be a value of the type.
func fieldOrderTest(typ event.Type, op ast.Op, want event.Value) (tester, error) {
	switch typ {
	case event.Keyword:
		return orderTest(op, event.StringValue(want.Text())), nil
	case event.Version:
		if op == ast.Eq {
			return textEq{want.Text()}, nil
		}
		return versionOrder{op, want.Text()}, nil
	case event.Long, event.Unsigned, event.Double:
		n := want
		if isText(want) {
			n = parseDecimal(want.Str())
		}
		if !n.IsNumber() {
			return nil, fmt.Errorf("%q is not a value for the type %s", want.Text(), typ)
		}
		return numberOrder{op, n}, nil
	case event.Boolean:
		b, err := boolConstant(want)
		if err != nil {
			return nil, err
		}
		return boolOrder{op, b}, nil
	case event.Date:
		return dateTest(op, want)
	case event.IP:
		return addrTest(op, want)
	default:
		return orderTest(op, want), nil
	}
}

func boolConstant(v event.Value) (event.Value, error) {
	if v.Kind() == event.Bool {
		return v, nil
	}
	switch v.Text() {
	case "true":
		return event.BoolValue(true), nil
	case "false", "":
		return event.BoolValue(false), nil
	}
	return v, fmt.Errorf("%q is not a value for the type boolean", v.Text())
}

// addrTest takes an address, and for == also a block of addresses.
func addrTest(op ast.Op, want event.Value) (tester, error) {
	text := want.Text()
	if op == ast.Eq && strings.Contains(text, "/") {
		t, err := newCIDRTest([]string{text}, false)
		return t, err
	}
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" {
		return nil, fmt.Errorf("%q is not a value for the type ip", text)
	}
	if op == ast.Eq {
		return textEq{addr.Unmap().String()}, nil
	}
	return addrOrder{op, addr}, nil
}

// dateTest takes milliseconds since the epoch or an ISO 8601 date, whose missing parts make it a span of time.
func dateTest(op ast.Op, want event.Value) (tester, error) {
	if want.Kind() == event.Int {
		return timeOrder{op, want.Int(), want.Int()}, nil
	}
	if want.IsNumber() || !isText(want) {
		return nil, fmt.Errorf("%q is not a value for the type date", want.Text())
	}
	text := want.Str()
	first, last, ok := parseDate(text)
	if ok {
		return timeOrder{op, first, last}, nil
	}
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		return timeOrder{op, ms, ms}, nil
	}
	if strings.HasPrefix(text, "now") || strings.Contains(text, "||") {
		return nil, errors.New("date math depends on the clock, which matching doesn't read; it can't be a value")
	}
	return nil, fmt.Errorf("%q is not a value for the type date", text)
}

// parseDate reads a date as events' dates are read, and returns the first and the last millisecond of what it
// names.
func parseDate(text string) (first, last int64, ok bool) {
	if len(text) < len("2006") || len(text) > len("2006") && text[4] != '-' {
		return 0, 0, false // milliseconds since the epoch, or nothing
	}
	first, _, ok = event.ParseTime(text)
	if !ok {
		return 0, 0, false
	}
	day, clock, _ := strings.Cut(text, "T")
	if zone := strings.IndexAny(clock, "Z+-"); zone >= 0 {
		clock = clock[:zone]
	}
	begin := time.UnixMilli(first).UTC()
	var end time.Time
	switch len(day) + len(clock) {
	case len("2006"):
		end = begin.AddDate(1, 0, 0)
	case len("2006-01"):
		end = begin.AddDate(0, 1, 0)
	case len("2006-01-02"):
		end = begin.AddDate(0, 0, 1)
	case len("2006-01-02") + len("15"):
		end = begin.Add(time.Hour)
	case len("2006-01-02") + len("15:04"):
		end = begin.Add(time.Minute)
	case len("2006-01-02") + len("15:04:05"):
		end = begin.Add(time.Second)
	default: // with a fraction of the second
		end = begin.Add(time.Millisecond)
	}
	return first, end.UnixMilli() - 1, true
}
