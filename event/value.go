package event

import (
	"math"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// Kind is the kind of scalar that a Value holds after it was coerced to the type of its field.
type Kind uint8

// The kinds of a Value. The zero Value is Missing.
const (
	Missing Kind = iota
	String       // keyword, text, wildcard and version fields
	Int          // whole numbers within int64
	Uint         // whole numbers above the largest int64
	Float        // all other numbers; never NaN or infinite
	Bool
	Time // milliseconds since the epoch, with the part below a millisecond beside it
	Addr // an IP address; its text is canonical, so that equal addresses have equal text
)

// Value is one scalar of an event's field. Values are small and copied freely, but the text of a String
// or Addr may alias the record that it was decoded from: Clone it to keep it longer.
type Value struct {
	kind Kind
	sub  int32  // Time: nanoseconds below the millisecond
	num  uint64 // Int, Uint, Float (bits), Bool (0, 1), Time (milliseconds)
	str  string // String, Addr
}

// StringValue returns a String.
func StringValue(s string) Value { return Value{kind: String, str: s} }

// IntValue returns an Int.
func IntValue(n int64) Value { return Value{kind: Int, num: uint64(n)} }

// UintValue returns an Int where n fits an int64, otherwise a Uint, so that equal numbers have one form.
func UintValue(n uint64) Value {
	if n <= math.MaxInt64 {
		return Value{kind: Int, num: n}
	}
	return Value{kind: Uint, num: n}
}

// FloatValue returns a Float. The caller keeps NaN and infinities out.
func FloatValue(f float64) Value { return Value{kind: Float, num: math.Float64bits(f)} }

// BoolValue returns a Bool.
func BoolValue(b bool) Value {
	if b {
		return Value{kind: Bool, num: 1}
	}
	return Value{kind: Bool}
}

// TimeValue returns a Time of ms milliseconds since the epoch and sub nanoseconds (0–999,999) below that.
func TimeValue(ms int64, sub int32) Value { return Value{kind: Time, num: uint64(ms), sub: sub} }

// AddrValue returns an Addr with the canonical text of a: IPv4-mapped IPv6 addresses become IPv4.
func AddrValue(a netip.Addr) Value { return Value{kind: Addr, str: a.Unmap().String()} }

// canonicalAddrValue returns an Addr whose text the caller knows to be canonical already.
func canonicalAddrValue(text string) Value { return Value{kind: Addr, str: text} }

// Kind returns what v holds.
func (v Value) Kind() Kind { return v.kind }

// IsMissing reports whether v holds nothing.
func (v Value) IsMissing() bool { return v.kind == Missing }

// IsNumber reports whether v is an Int, a Uint or a Float.
func (v Value) IsNumber() bool { return v.kind == Int || v.kind == Uint || v.kind == Float }

// Str returns the text of a String or an Addr, and "" for other kinds.
func (v Value) Str() string { return v.str }

// Int returns the number of an Int.
func (v Value) Int() int64 { return int64(v.num) }

// Uint returns the number of a Uint (or of an Int that isn't negative).
func (v Value) Uint() uint64 { return v.num }

// Bool returns the value of a Bool.
func (v Value) Bool() bool { return v.num != 0 }

// Millis returns the milliseconds since the epoch of a Time.
func (v Value) Millis() int64 { return int64(v.num) }

// SubMillis returns the nanoseconds of a Time below its millisecond, 0–999,999.
func (v Value) SubMillis() int32 { return v.sub }

// Float returns any number as a float64, rounded where it has to be.
func (v Value) Float() float64 {
	switch v.kind {
	case Int:
		return float64(int64(v.num))
	case Uint:
		return float64(v.num)
	case Float:
		return math.Float64frombits(v.num)
	default:
		return 0
	}
}

// Text returns v as text: what EQL's string() gives and what a keyword mapping would index.
func (v Value) Text() string {
	switch v.kind {
	case String, Addr:
		return v.str
	case Int:
		return strconv.FormatInt(int64(v.num), 10)
	case Uint:
		return strconv.FormatUint(v.num, 10)
	case Float:
		return formatFloat(v.Float())
	case Bool:
		return strconv.FormatBool(v.Bool())
	case Time:
		t := time.UnixMilli(v.Millis()).UTC().Add(time.Duration(v.sub))
		return t.Format("2006-01-02T15:04:05.000Z07:00")
	default:
		return ""
	}
}

// formatFloat prints a float as Java's Double.toString does: with a decimal at least, and from 10^7 up and below 10^-3
// with an exponent.
func formatFloat(f float64) string {
	if magnitude := math.Abs(f); f == 0 || magnitude >= 1e-3 && magnitude < 1e7 {
		text := strconv.FormatFloat(f, 'f', -1, 64)
		if f == math.Trunc(f) {
			text += ".0"
		}
		return text
	}
	mantissa, exponent, _ := strings.Cut(strconv.FormatFloat(f, 'e', -1, 64), "e")
	if !strings.Contains(mantissa, ".") {
		mantissa += ".0"
	}
	sign := ""
	if exponent[0] == '-' {
		sign = "-"
	}
	return mantissa + "E" + sign + strings.TrimLeft(exponent[1:], "0")
}

// Clone returns v with text of its own, so that it no longer pins the record that it came from.
func (v Value) Clone() Value {
	if v.str != "" {
		v.str = string(append([]byte(nil), v.str...))
	}
	return v
}
