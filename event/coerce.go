package event

import "net/netip"

// text puts the text of a JSON string into a slot, coerced to its type. Text that a mapping takes as null adds nothing.
func (d *Decoder) text(slot Slot, typ Type, s string) {
	switch typ {
	case Date:
		if ms, sub, ok := d.minute.parse(s); !ok {
			d.uncoerced[slot]++
		} else if to := d.ev.next(slot); to != nil {
			set(to, TimeValue(ms, sub))
		} else {
			d.ev.addAnother(slot, TimeValue(ms, sub))
		}
	case IP:
		if text, ok := d.ev.addr(s); !ok {
			d.uncoerced[slot]++
		} else if to := d.ev.next(slot); to != nil {
			set(to, canonicalAddrValue(text))
		} else {
			d.ev.addAnother(slot, canonicalAddrValue(text))
		}
	case Long, Unsigned, Double:
		if s != "" {
			v, ok := coerceNumber(typ, s)
			d.put(slot, v, ok)
		}
	case Boolean:
		d.put(slot, BoolValue(s == "true"), s == "true" || s == "false" || s == "")
	default:
		d.put(slot, StringValue(s), true)
	}
}

// number reads the number that begins at i, puts it into a slot, if there is one, and returns the index after
// it, -1 where it is malformed.
func (d *Decoder) number(i int, slot Slot, typ Type) int {
	doc, start := d.doc, i
	whole := uint64(0)
	for i < len(doc) && doc[i]-'0' <= 9 {
		whole = whole*10 + uint64(doc[i]-'0')
		i++
	}
	short := uint(i-start-1) < 18 && (doc[start] != '0' || i == start+1)
	if !short || i < len(doc) && (doc[i] == '.' || doc[i]|0x20 == 'e') {
		if i = scanNumber(doc, start); i < 0 {
			return d.fail(^i, "malformed number")
		}
		short = false
	}
	switch {
	case slot < 0:
	case short && (typ == Long || typ == Unknown):
		if to := d.ev.next(slot); to != nil {
			set(to, IntValue(int64(whole)))
		} else {
			d.ev.addAnother(slot, IntValue(int64(whole)))
		}
	default:
		v, ok := coerceNumber(typ, text(doc, start, i))
		d.put(slot, v, ok)
	}
	return i
}

// boolean puts true or false into a slot, if there is one.
func (d *Decoder) boolean(slot Slot, typ Type, b bool) {
	if slot < 0 {
		return
	}
	switch typ {
	case Boolean, Unknown:
		d.ev.add(slot, BoolValue(b))
	case Keyword, Version:
		word := "false"
		if b {
			word = "true"
		}
		d.ev.add(slot, StringValue(word))
	default:
		d.uncoerced[slot]++
	}
}

func (d *Decoder) put(slot Slot, v Value, ok bool) {
	if !ok {
		d.uncoerced[slot]++
		return
	}
	d.ev.add(slot, v)
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
	e.reserve(len(raw) + 8)
	start := len(e.scratch)
	e.scratch = appendUnescaped(e.scratch, raw)
	return alias(e.scratch[start:])
}

// addr returns the canonical text of an IP address. Canonical text is taken as it is. A zone is cut off, as Elasticsearch does.
func (e *Event) addr(s string) (text string, ok bool) {
	if s == "127.0.0.1" || s == "::1" || isCanonicalV4(s) || isCanonicalV6(s) { // agents list the addresses of loopback with each event
		return s, true
	}
	if !looksLikeAddr(s) { // an error of netip allocates
		return "", false
	}
	a, err := netip.ParseAddr(s)
	if err != nil {
		return "", false
	}
	e.reserve(48)
	start := len(e.scratch)
	e.scratch = a.Unmap().WithZone("").AppendTo(e.scratch)
	if text = alias(e.scratch[start:]); text == s {
		e.scratch, text = e.scratch[:start], s
	}
	return text, true
}

// isCanonicalV4 reports whether s is four numbers up to 255 without leading zeros.
func isCanonicalV4(s string) bool {
	if len(s) > len("255.255.255.255") {
		return false
	}
	dots, digits, n := 0, 0, 0
	for i := range len(s) {
		c := s[i] - '0'
		if c <= 9 {
			if digits > 0 && n == 0 {
				return false
			}
			n = n*10 + int(c)
			digits++
			continue
		}
		if s[i] != '.' || digits == 0 || n > 255 {
			return false
		}
		dots, digits, n = dots+1, 0, 0
	}
	return dots == 3 && digits > 0 && n <= 255
}

// isCanonicalV6 reports whether s surely is an IPv6 address in canonical form (RFC 5952). It says no to those that
// leave more than one run of zeros, and to addresses that hold one of IPv4.
func isCanonicalV6(s string) bool {
	if len(s) < 2 || len(s) > len("1111:2222:3333:4444:5555:6666:7777:8888") {
		return false
	}
	groups, zeros, gap := 0, 0, -1 // gap is how many groups stand before the ::
	i := 0
	if s[0] == ':' {
		if s[1] != ':' || len(s) > 6 && s[2:6] == "ffff" {
			return false
		}
		gap, i = 0, 2
	}
	for i < len(s) {
		start := i
		for i < len(s) && (s[i]-'0' <= 9 || s[i]-'a' <= 'f'-'a') {
			i++
		}
		if i == start || i > start+4 || s[start] == '0' {
			if i != start+1 {
				return false
			}
			zeros++
		}
		if groups++; i == len(s) {
			break
		}
		if s[i] != ':' {
			return false
		}
		if i++; i < len(s) && s[i] == ':' && gap < 0 {
			gap = groups
			i++
		} else if i == len(s) {
			return false
		}
	}
	if gap < 0 {
		return groups == 8 && zeros <= 1
	}
	return groups <= 6 && zeros == 0
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
