package event

import (
	"math"
	"strconv"
)

// decimal is a number as it is written: a sign, digits with or without a point, and a power of ten.
type decimal struct {
	negative bool
	digits   string // may hold one point
	point    int    // how many digits stand before the point
	exp      int    // clamped; far beyond any float
	whole    bool   // neither a point nor an exponent
}

const maxExponent = 1 << 20

// parseDecimal reads a number as java.math.BigDecimal does: JSON's form and also a plus sign, ".5" and "1.".
func parseDecimal(text string) (n decimal, ok bool) {
	i := 0
	if i < len(text) && (text[i] == '-' || text[i] == '+') {
		n.negative = text[i] == '-'
		i++
	}
	start, count := i, 0
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		count++
	}
	n.point, n.whole = count, true
	if i < len(text) && text[i] == '.' {
		n.whole = false
		for i++; i < len(text) && text[i]-'0' <= 9; i++ {
			count++
		}
	}
	n.digits = text[start:i]
	if count == 0 {
		return n, false
	}
	if i == len(text) {
		return n, true
	}
	if text[i] != 'e' && text[i] != 'E' {
		return n, false
	}
	n.whole = false
	n.exp, ok = parseExponent(text[i+1:])
	return n, ok
}

func parseExponent(text string) (exp int, ok bool) {
	negative := false
	if text != "" && (text[0] == '-' || text[0] == '+') {
		negative = text[0] == '-'
		text = text[1:]
	}
	for i := range len(text) {
		if text[i]-'0' > 9 {
			return 0, false
		}
		exp = min(exp*10+int(text[i]-'0'), maxExponent)
	}
	if negative {
		exp = -exp
	}
	return exp, text != ""
}

// trunc returns the magnitude of the part before the point, and whether nothing but zeros follows it.
// It is false where the magnitude exceeds a uint64.
func (n decimal) trunc() (magnitude uint64, exact, ok bool) {
	left := n.point + n.exp // digits before the point after the exponent moved it
	exact = true
	for i := range len(n.digits) {
		c := n.digits[i]
		if c == '.' {
			continue
		}
		if left <= 0 {
			exact = exact && c == '0'
			continue
		}
		left--
		if magnitude, ok = timesTen(magnitude, c-'0'); !ok {
			return 0, false, false
		}
	}
	for ; left > 0 && magnitude != 0; left-- {
		if magnitude, ok = timesTen(magnitude, 0); !ok {
			return 0, false, false
		}
	}
	return magnitude, exact, true
}

func timesTen(n uint64, digit byte) (uint64, bool) {
	if n > (math.MaxUint64-uint64(digit))/10 {
		return 0, false
	}
	return n*10 + uint64(digit), true
}

// parseLong reads a number for a long field: decimals are cut off, as Elasticsearch's coerce does.
func parseLong(text string) (int64, bool) {
	n, ok := parseDecimal(text)
	if !ok {
		return 0, false
	}
	magnitude, _, ok := n.trunc()
	switch {
	case !ok:
		return 0, false
	case n.negative && magnitude <= 1<<63:
		return -int64(magnitude), true
	case !n.negative && magnitude <= math.MaxInt64:
		return int64(magnitude), true
	default:
		return 0, false
	}
}

// parseUnsigned reads a number for an unsigned_long field, which takes no fractions.
func parseUnsigned(text string) (uint64, bool) {
	n, ok := parseDecimal(text)
	if !ok {
		return 0, false
	}
	magnitude, exact, ok := n.trunc()
	return magnitude, ok && exact && (!n.negative || magnitude == 0)
}

// parseDouble reads a finite number for a double field.
func parseDouble(text string) (float64, bool) {
	if _, ok := parseDecimal(text); !ok {
		return 0, false
	}
	f, err := strconv.ParseFloat(text, 64)
	return f, err == nil
}

// parseNumber reads a JSON number for a field without a type: the narrowest kind that holds it as it is written.
func parseNumber(text string) (Value, bool) {
	n, ok := parseDecimal(text)
	if !ok {
		return Value{}, false
	}
	if n.whole {
		magnitude, _, ok := n.trunc()
		switch {
		case ok && !n.negative:
			return UintValue(magnitude), true
		case ok && magnitude <= 1<<63:
			return IntValue(-int64(magnitude)), true
		}
	}
	f, err := strconv.ParseFloat(text, 64)
	return FloatValue(f), err == nil
}
