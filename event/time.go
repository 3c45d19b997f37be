package event

// The instants that a date can have: the years 0000 to 9999, so that no difference of two times overflows.
const (
	minMillis = -62_167_219_200_000
	maxMillis = 253_402_300_799_999
)

// ParseTime reads a date as Elasticsearch's default mapping does (strict_date_optional_time||epoch_millis):
// "2024-05-06T07:08:09.123456789+02:00" and its shorter forms down to the year, with Z, ±hh, ±hhmm, ±hh:mm or
// nothing (UTC) after the time, or milliseconds since the epoch with or without decimals. It returns
// milliseconds since the epoch and the nanoseconds (0–999,999) below, and false for anything else and for
// years outside 0000 to 9999.
func ParseTime(text string) (ms int64, sub int32, ok bool) {
	if len(text) > len("2006-01-02T15:04:05") {
		if ms, sub, ok = parseZulu(text); ok {
			return ms, sub, true
		}
	}
	return parseDate(text)
}

// parseDate is ParseTime without its short way.
func parseDate(text string) (ms int64, sub int32, ok bool) {
	if len(text) < 4 || len(text) > 4 && text[4] != '-' {
		return parseEpochMillis(text)
	}
	year, ok := digits(text, 0, 4)
	if !ok {
		return parseEpochMillis(text)
	}
	month, day := 1, 1
	rest := text[4:]
	if rest != "" {
		if month, ok = digits(rest, 1, 2); !ok || month < 1 || month > 12 {
			return 0, 0, false
		}
		rest = rest[3:]
	}
	if rest != "" && rest[0] == '-' {
		if day, ok = digits(rest, 1, 2); !ok || day < 1 || day > daysIn(year, month) {
			return 0, 0, false
		}
		rest = rest[3:]
	}
	seconds := daysSinceEpoch(year, month, day) * 86400
	if rest == "" {
		return seconds * 1000, 0, true
	}
	if rest[0] != 'T' || len(text)-len(rest) != len("2006-01-02") {
		return 0, 0, false
	}
	clock, nanos, ok := parseClock(rest[1:])
	ms = (seconds+clock)*1000 + int64(nanos/1e6)
	return ms, nanos % 1e6, ok && ms >= minMillis && ms <= maxMillis
}

// parseZulu reads the form that nearly all events have, 2006-01-02T15:04:05Z with or without decimals; it says no to
// everything else. text is longer than 19 bytes.
func parseZulu(text string) (ms int64, sub int32, ok bool) {
	// "0000-00-" and "00:00:00" with any digit in place of the zeros: the high half of a digit is 3, and remains 3
	// when 6 is added.
	date, clock := loadString(text, 0), loadString(text, 11)
	if date&0xFFF0F0FFF0F0F0F0 != 0x2D30302D30303030 || (date+0x0006060006060606)&0xFFF0F0FFF0F0F0F0 != 0x2D30302D30303030 ||
		clock&0xF0F0FFF0F0FFF0F0 != 0x30303A30303A3030 || (clock+0x0606000606000606)&0xF0F0FFF0F0FFF0F0 != 0x30303A30303A3030 ||
		text[8]-'0' > 9 || text[9]-'0' > 9 || text[10] != 'T' || text[len(text)-1] != 'Z' {
		return 0, 0, false
	}
	pair := func(w uint64, i int) int { return int(w>>i&15)*10 + int(w>>(i+8)&15) }
	year, month, day := pair(date, 0)*100+pair(date, 16), pair(date, 40), int(text[8]-'0')*10+int(text[9]-'0')
	hour, minute, second := pair(clock, 0), pair(clock, 24), pair(clock, 48)
	if month < 1 || month > 12 || day < 1 || day > 28 && day > daysIn(year, month) || hour > 23 || minute > 59 || second > 59 {
		return 0, 0, false
	}
	nanos, ok := decimals(text)
	seconds := daysSinceEpoch(year, month, day)*86400 + int64(hour*3600+minute*60+second)
	return seconds*1000 + int64(nanos/1e6), nanos % 1e6, ok
}

// decimals reads what stands between the seconds of a text and the Z that it ends with: nothing, or a dot and one to nine digits. text is longer than 19
// bytes.
func decimals(text string) (nanos int32, ok bool) {
	const zeros = 0x3030303030303030
	n := len(text) - len("2006-01-02T15:04:05.Z")
	if n <= 0 || n > 9 || text[19] != '.' {
		return 0, n < 0
	}
	var w uint64 // the first eight digits, with zeros behind them
	ninth := byte(0)
	switch {
	case n < 8:
		w = loadString(text, len(text)-8)>>(56-8*n)&(1<<(8*n)-1) | zeros<<(8*n)
	case n == 9:
		ninth = text[28] - '0'
		fallthrough
	default:
		w = loadString(text, 20)
	}
	if w&0xF0F0F0F0F0F0F0F0 != zeros || (w+0x0606060606060606)&0xF0F0F0F0F0F0F0F0 != zeros || ninth > 9 {
		return 0, false
	}
	w = w & 0x0F0F0F0F0F0F0F0F * (10<<8 + 1) >> 8 // pairs of digits
	w = w & 0x00FF00FF00FF00FF * (100<<16 + 1) >> 16
	w = w & 0x0000FFFF0000FFFF * (10000<<32 + 1) >> 32
	return int32(w)*10 + int32(ninth), true
}

// minute is that of a date that was read before. The dates of an event, and of those that come with it, are mostly of the same.
type minute struct {
	text [2]uint64 // 2006-01-02T15:04
	ms   int64
}

// epoch is the minute that a decoder begins with: no text that isn't a date may look like a known one.
func epoch() minute {
	const text = "1970-01-01T00:00"
	return minute{text: [2]uint64{loadString(text, 0), loadString(text, 8)}}
}

// parse does what ParseTime does.
func (m *minute) parse(text string) (ms int64, sub int32, ok bool) {
	if len(text) <= len("2006-01-02T15:04:05") || text[len(text)-1] != 'Z' {
		return parseDate(text)
	}
	a, b := loadString(text, 0), loadString(text, 8)
	if a == m.text[0] && b == m.text[1] {
		tens, second := text[17]-'0', text[18]-'0'
		if nanos, ok := decimals(text); ok && text[16] == ':' && tens <= 5 && second <= 9 {
			return m.ms + int64(tens)*10_000 + int64(second)*1000 + int64(nanos/1e6), nanos % 1e6, true
		}
	} else if ms, sub, ok = parseZulu(text); ok {
		if ms >= 0 { // % would round others up
			m.text, m.ms = [2]uint64{a, b}, ms-ms%60_000
		}
		return ms, sub, true
	}
	return parseDate(text)
}

// parseClock reads what stands after the T: seconds since midnight in UTC, and nanoseconds.
func parseClock(text string) (seconds int64, nanos int32, ok bool) {
	units := [3]struct {
		limit int
		scale int64
	}{{24, 3600}, {60, 60}, {60, 1}}
	read := 0
	for ; read < len(units); read++ {
		if read > 0 {
			if text == "" || text[0] != ':' {
				break
			}
			text = text[1:]
		} else if text == "" {
			return 0, 0, true
		}
		n, ok := digits(text, 0, 2)
		if !ok || n >= units[read].limit {
			return 0, 0, false
		}
		seconds += int64(n) * units[read].scale
		text = text[2:]
	}
	if read == len(units) && text != "" && (text[0] == '.' || text[0] == ',') {
		if nanos, text, ok = fraction(text[1:]); !ok {
			return 0, 0, false
		}
	}
	offset, ok := parseOffset(text)
	return seconds - offset, nanos, ok
}

// fraction reads one to nine decimals of a second.
func fraction(text string) (nanos int32, rest string, ok bool) {
	i, n := 0, uint32(0)
	for ; i < len(text) && text[i]-'0' <= 9; i++ {
		if i == 9 {
			return 0, "", false
		}
		n = n*10 + uint32(text[i]-'0')
	}
	scales := [...]uint32{1e9, 1e8, 1e7, 1e6, 1e5, 1e4, 1e3, 1e2, 10, 1}
	return int32(n * scales[i]), text[i:], i > 0
}

// parseOffset reads the offset from UTC in seconds; Java's offsets end at 18 hours.
func parseOffset(text string) (seconds int64, ok bool) {
	if text == "" || text == "Z" {
		return 0, true
	}
	if text[0] != '+' && text[0] != '-' {
		return 0, false
	}
	hours, ok := digits(text, 1, 2)
	if !ok {
		return 0, false
	}
	minutes := 0
	switch {
	case len(text) == 3:
	case len(text) == 5:
		minutes, ok = digits(text, 3, 2)
	case len(text) == 6 && text[3] == ':':
		minutes, ok = digits(text, 4, 2)
	default:
		return 0, false
	}
	if seconds = int64(hours*3600 + minutes*60); minutes > 59 || seconds > 18*3600 {
		return 0, false
	}
	if text[0] == '-' {
		seconds = -seconds
	}
	return seconds, ok
}

// digits reads the n digits at i.
func digits(text string, i, n int) (number int, ok bool) {
	if i+n > len(text) {
		return 0, false
	}
	for _, c := range []byte(text[i : i+n]) {
		if c-'0' > 9 {
			return 0, false
		}
		number = number*10 + int(c-'0')
	}
	return number, true
}

// daysSinceEpoch counts days in the proleptic Gregorian calendar, in eras of 400 years that begin in March.
func daysSinceEpoch(year, month, day int) int64 {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	if year < 0 {
		era = -1
	}
	ofEra := year - era*400
	ofYear := (153*(month-3)+2)/5 + day - 1
	return int64(era)*146097 + int64(ofEra*365+ofEra/4-ofEra/100+ofYear) - 719468
}

func daysIn(year, month int) int {
	switch month {
	case 2:
		if year%4 == 0 && (year%100 != 0 || year%400 == 0) {
			return 29
		}
		return 28
	case 4, 6, 9, 11:
		return 30
	default:
		return 31
	}
}

// parseEpochMillis reads milliseconds since the epoch.
func parseEpochMillis(text string) (ms int64, sub int32, ok bool) {
	n, ok := parseDecimal(text)
	if !ok {
		return 0, 0, false
	}
	magnitude, exact, ok := n.trunc()
	if !ok || magnitude > maxMillis {
		return 0, 0, false
	}
	ms = int64(magnitude)
	if !exact && n.exp == 0 {
		sub = subMillis(n.digits[n.point+1:])
	}
	if n.negative {
		ms = -ms
		if sub > 0 {
			ms, sub = ms-1, 1e6-sub
		}
	}
	return ms, sub, ms >= minMillis
}

// subMillis reads decimals of a millisecond as nanoseconds; further ones are cut off.
func subMillis(decimals string) (nanos int32) {
	scale := int32(1e6)
	for i := 0; i < len(decimals) && scale > 1; i++ {
		scale /= 10
		nanos += int32(decimals[i]-'0') * scale
	}
	return nanos
}
