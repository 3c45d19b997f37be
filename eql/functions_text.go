package eql

import (
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/weir-eql/weir/event"
)

// textArgs returns the text of the first n arguments; it fails where one of them isn't text.
func textArgs(args []event.Value, fold bool) (a, b string, ok bool) {
	if !isText(args[0]) || !isText(args[1]) {
		return "", "", false
	}
	a, b = args[0].Str(), args[1].Str()
	if fold {
		a, b = foldAll(a), foldAll(b)
	}
	return a, b, true
}

func startsWith(args []event.Value, fold bool) event.Value {
	s, sub, ok := textArgs(args, fold)
	if !ok {
		return event.Value{}
	}
	return event.BoolValue(strings.HasPrefix(s, sub))
}

func endsWith(args []event.Value, fold bool) event.Value {
	s, sub, ok := textArgs(args, fold)
	if !ok {
		return event.Value{}
	}
	return event.BoolValue(strings.HasSuffix(s, sub))
}

// stringContains never finds the empty text.
func stringContains(args []event.Value, fold bool) event.Value {
	s, sub, ok := textArgs(args, fold)
	if !ok {
		return event.Value{}
	}
	return event.BoolValue(sub != "" && strings.Contains(s, sub))
}

func concat(args []event.Value, _ bool) event.Value {
	size := 0
	for _, a := range args {
		if a.IsMissing() {
			return event.Value{}
		}
		size += len(a.Str())
	}
	var b strings.Builder
	b.Grow(size)
	for _, a := range args {
		if isText(a) {
			b.WriteString(a.Str())
		} else {
			b.WriteString(a.Text())
		}
	}
	return event.StringValue(b.String())
}

func toText(args []event.Value, _ bool) event.Value {
	switch {
	case args[0].IsMissing():
		return event.Value{}
	case isText(args[0]):
		return event.StringValue(args[0].Str())
	default:
		return event.StringValue(args[0].Text())
	}
}

// length counts UTF-16 units, as Java does.
func length(args []event.Value, _ bool) event.Value {
	if !isText(args[0]) {
		return event.Value{}
	}
	return event.IntValue(int64(units(args[0].Str())))
}

// units returns the number of UTF-16 units of s.
func units(s string) int {
	n := 0
	for _, r := range s {
		n += max(1, utf16.RuneLen(r))
	}
	return n
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// slice returns the UTF-16 units of s from start up to end, both within its length. Half a surrogate pair
// becomes the replacement character.
func slice(s string, start, end int) string {
	if isASCII(s) {
		return s[start:end]
	}
	return string(utf16.Decode(utf16.Encode([]rune(s))[start:end]))
}

// wholeArg returns argument i as a whole number; def where it isn't given or null.
func wholeArg(args []event.Value, i, def int) int {
	if i >= len(args) || !args[i].IsNumber() {
		return def
	}
	f := args[i].Float()
	const limit = 1 << 31
	return int(max(-limit, min(limit, f)))
}

// substring counts from 0, and from the end where negative; a null start is no start.
func substring(args []event.Value, _ bool) event.Value {
	if !isText(args[0]) {
		return event.Value{}
	}
	s := args[0].Str()
	if args[1].IsMissing() {
		return event.StringValue(s)
	}
	n := units(s)
	start, end := wholeArg(args, 1, 0), wholeArg(args, 2, n)
	if start < 0 {
		start += n
	}
	if end < 0 {
		end += n
	}
	start, end = min(max(start, 0), n), min(max(end, 0), n)
	if end <= start {
		return event.StringValue("")
	}
	return event.StringValue(slice(s, start, end))
}

func indexOf(args []event.Value, fold bool) event.Value {
	s, sub, ok := textArgs(args, fold)
	if !ok {
		return event.Value{}
	}
	start := max(0, wholeArg(args, 2, 0))
	if start > units(s) {
		return event.Value{}
	}
	from := offset(s, start)
	i := strings.Index(s[from:], sub)
	if i < 0 {
		return event.Value{}
	}
	return event.IntValue(int64(start + units(s[from:from+i])))
}

// offset returns the byte where UTF-16 unit n of s begins.
func offset(s string, n int) int {
	for i, r := range s {
		if n <= 0 {
			return i
		}
		n -= max(1, utf16.RuneLen(r))
	}
	return len(s)
}

// between returns the text between the first left and the next right; greedy takes the last right.
func between(args []event.Value, fold bool) event.Value {
	for _, a := range args[:3] {
		if !isText(a) {
			return event.Value{}
		}
	}
	src, left, right := args[0].Str(), args[1].Str(), args[2].Str()
	greedy := len(args) > 3 && args[3].Bool()
	if src == "" || left == "" || right == "" {
		return event.StringValue(src)
	}
	first := func(s, sub string) (start, end int) { return found(strings.Index(s, sub), sub) }
	last := func(s, sub string) (start, end int) { return found(strings.LastIndex(s, sub), sub) }
	if fold {
		first, last = indexFold, lastIndexFold
	}
	_, start := first(src, left)
	if start < 0 {
		return event.StringValue("")
	}
	if greedy {
		r, _ := last(src, right)
		switch {
		case r < 0:
			return event.StringValue("")
		case r < start:
			return event.Value{} // an error in Elasticsearch
		}
		return event.StringValue(src[start:r])
	}
	r, _ := first(src[start:], right)
	if r < 0 {
		return event.StringValue("")
	}
	return event.StringValue(src[start : start+r])
}

// found is the place of sub where it stands at i, and -1, -1 where it stands nowhere.
func found(i int, sub string) (start, end int) {
	if i < 0 {
		return -1, -1
	}
	return i, i + len(sub)
}

// indexFold returns the first place where sub stands in s, case aside, and -1, -1 where it stands nowhere. What stands there may be of
// another length in bytes than sub: the Kelvin sign is a k.
func indexFold(s, sub string) (start, end int) {
	for i := range s {
		if n := prefixFold(s[i:], sub); n >= 0 {
			return i, i + n
		}
	}
	return -1, -1
}

func lastIndexFold(s, sub string) (start, end int) {
	for i := len(s) - 1; i >= 0; i-- {
		if !utf8.RuneStart(s[i]) {
			continue
		}
		if n := prefixFold(s[i:], sub); n >= 0 {
			return i, i + n
		}
	}
	return -1, -1
}

// prefixFold returns the length in bytes of what s begins with where that is sub, case aside, and -1 where it isn't.
func prefixFold(s, sub string) int {
	n := 0
	for _, want := range sub {
		got, size := utf8.DecodeRuneInString(s[n:])
		if size == 0 || foldRune(got) != foldRune(want) {
			return -1
		}
		n += size
	}
	return n
}

// toNumber parses text in a base, 10 by default; a leading 0x means 16. Text that is no number gives null. What is a
// number is Java's to say (Long.valueOf, then Double.valueOf), for that is what Elasticsearch asks.
func toNumber(args []event.Value, _ bool) event.Value {
	if !isText(args[0]) {
		return event.Value{}
	}
	s := args[0].Str()
	base := wholeArg(args, 1, 0)
	if hex := strings.TrimPrefix(s, "0x"); hex != s && (base == 0 || base == 16) {
		s, base = hex, 16
	}
	if base == 0 || base == 10 {
		return parseJavaDecimal(s)
	}
	if base < 2 || base > 36 {
		return event.Value{}
	}
	n, err := strconv.ParseInt(s, base, 64)
	if err != nil {
		return event.Value{}
	}
	return event.IntValue(n)
}

// parseJavaDecimal is parseDecimal for what Double.valueOf takes besides: blanks around the number, and the suffix of a
// type behind it.
func parseJavaDecimal(s string) event.Value {
	if n := parseDecimal(s); !n.IsMissing() {
		return n
	}
	s = strings.TrimFunc(s, func(r rune) bool { return r <= ' ' })
	if s != "" && strings.ContainsRune("dDfF", rune(s[len(s)-1])) {
		s = s[:len(s)-1]
	}
	n := parseDecimal(s)
	if n.IsMissing() {
		return n
	}
	return floatResult(n.Float())
}

// parseDecimal parses a decimal whole number or fraction; Missing where s is neither.
func parseDecimal(s string) event.Value {
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return event.Value{}
	}
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		return event.IntValue(n)
	}
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return event.UintValue(n)
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return event.Value{}
	}
	return event.FloatValue(f)
}
