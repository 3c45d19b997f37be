package event

import "net/netip"

// text puts a JSON string into the slot of n.
func (d *Decoder) text(n *node, raw []byte, escaped bool) {
	s := alias(raw)
	if escaped {
		s = d.ev.unescape(raw)
	}
	v, ok := d.coerceText(n.typ, s)
	d.put(n, v, ok)
}

// number puts a JSON number into the slot of n.
func (d *Decoder) number(n *node, raw []byte) {
	v, ok := coerceNumber(n.typ, alias(raw))
	d.put(n, v, ok)
}

// boolean puts true or false into the slot of n.
func (d *Decoder) boolean(n *node, word string) {
	switch n.typ {
	case Boolean, Unknown:
		d.ev.Add(n.slot, BoolValue(word == "true"))
	case Keyword, Version:
		d.ev.Add(n.slot, StringValue(word))
	default:
		d.uncoerced[n.slot]++
	}
}

func (d *Decoder) put(n *node, v Value, ok bool) {
	if !ok {
		d.uncoerced[n.slot]++
		return
	}
	d.ev.Add(n.slot, v)
}

// coerceText coerces a string. Missing with true stands for text that a mapping takes as null.
func (d *Decoder) coerceText(t Type, s string) (v Value, ok bool) {
	switch t {
	case Long, Unsigned, Double:
		if s == "" {
			return Value{}, true
		}
		return coerceNumber(t, s)
	case Boolean:
		switch s {
		case "true":
			return BoolValue(true), true
		case "false", "":
			return BoolValue(false), true
		}
		return Value{}, false
	case Date:
		ms, sub, ok := ParseTime(s)
		return TimeValue(ms, sub), ok
	case IP:
		return d.ev.addr(s)
	default:
		return StringValue(s), true
	}
}

// coerceNumber coerces a number, or text that should be one.
func coerceNumber(t Type, s string) (v Value, ok bool) {
	switch t {
	case Long:
		n, ok := parseLong(s)
		return IntValue(n), ok
	case Unsigned:
		n, ok := parseUnsigned(s)
		return UintValue(n), ok
	case Double:
		f, ok := parseDouble(s)
		return FloatValue(f), ok
	case Date:
		ms, sub, ok := parseEpochMillis(s)
		return TimeValue(ms, sub), ok
	case Keyword, Version:
		return StringValue(s), true
	case Unknown:
		return parseNumber(s)
	default:
		return Value{}, false
	}
}

// unescape returns the text of a JSON string with escapes, in the event's own memory.
func (e *Event) unescape(raw []byte) string {
	e.reserve(len(raw))
	start := len(e.scratch)
	e.scratch = appendUnescaped(e.scratch, raw)
	return alias(e.scratch[start:])
}

// addr returns an IP address. Canonical text is taken as it is. A zone is cut off, as Elasticsearch does.
func (e *Event) addr(s string) (Value, bool) {
	if isCanonicalV4(s) {
		return canonicalAddrValue(s), true
	}
	if !looksLikeAddr(s) { // an error of netip allocates
		return Value{}, false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return Value{}, false
	}
	e.reserve(48)
	start := len(e.scratch)
	e.scratch = a.Unmap().WithZone("").AppendTo(e.scratch)
	text := alias(e.scratch[start:])
	if text == s {
		e.scratch = e.scratch[:start]
		text = s
	}
	return canonicalAddrValue(text), true
}

// isCanonicalV4 reports whether s is four numbers up to 255 without leading zeros.
func isCanonicalV4(s string) bool {
	if len(s) > len("255.255.255.255") {
		return false
	}
	parts, digits, n := 0, 0, 0
	for i := range len(s) {
		c := s[i]
		if c == '.' {
			if digits == 0 {
				return false
			}
			parts, digits, n = parts+1, 0, 0
			continue
		}
		if c-'0' > 9 || digits > 0 && n == 0 {
			return false
		}
		if n = n*10 + int(c-'0'); n > 255 {
			return false
		}
		digits++
	}
	return parts == 3 && digits > 0
}

// looksLikeAddr reports whether an IPv6 address could be s; all other addresses are canonical IPv4.
func looksLikeAddr(s string) bool {
	if len(s) < 2 || len(s) > 64 {
		return false
	}
	colon := false
	for i := range len(s) {
		switch c := s[i]; {
		case c == ':':
			colon = true
		case c == '%':
			return colon
		case c == '.', '0' <= c && c <= '9', 'a' <= c|0x20 && c|0x20 <= 'f':
		default:
			return false
		}
	}
	return colon
}
