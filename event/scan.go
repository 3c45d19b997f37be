package event

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf16"
	"unicode/utf8"
	"unsafe"
)

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// alias returns b as a string that shares its memory.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// load reads the eight bytes of b at i, which the caller knows to be there.
func load(b []byte, i int) uint64 {
	return binary.LittleEndian.Uint64(b[i : i+8 : len(b)])
}

// special marks the bytes of w that end a run of plain text in a JSON string: quotes, backslashes and control
// characters. The lowest mark is exact; those above it may be wrong. Flipping bit 1 puts the quote beside
// the control characters, so that one comparison finds both.
func special(w uint64) uint64 {
	return ((w ^ ones*2 - ones*(' '+1)) | (w ^ ones*'\\' - ones)) &^ w & highs
}

// scanString finds the end of the string whose text begins at i: the index of its closing quote, and whether
// escapes occur in it. Where the text is malformed, end is the complement of the offset of the fault.
func scanString(doc []byte, i int) (end int, escaped bool) {
	for i <= len(doc)-8 {
		m := special(load(doc, i))
		if m == 0 {
			i += 8
			continue
		}
		i += bits.TrailingZeros64(m) >> 3
		if doc[i] == '"' {
			return i, escaped
		}
		size := escapeLen(doc, i)
		if size == 0 {
			return ^i, escaped
		}
		i += size
		escaped = true
	}
	for i < len(doc) {
		switch c := doc[i]; {
		case c == '"':
			return i, escaped
		case c < ' ' || c == '\\':
			size := escapeLen(doc, i)
			if size == 0 {
				return ^i, escaped
			}
			i += size
			escaped = true
		default:
			i++
		}
	}
	return ^len(doc), escaped
}

// escapeLen returns the length of the escape at i, 0 where there is no valid one.
func escapeLen(doc []byte, i int) int {
	if doc[i] != '\\' || i+1 >= len(doc) {
		return 0
	}
	switch doc[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(doc, i+2); ok {
			return 6
		}
	}
	return 0
}

// hex4 returns the number that the four hexadecimal digits at i write.
func hex4(doc []byte, i int) (r rune, ok bool) {
	if i+4 > len(doc) {
		return 0, false
	}
	for _, c := range doc[i : i+4] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// appendUnescaped appends the text of a string that scanString accepted. The result is never longer than raw.
// A surrogate without its other half becomes U+FFFD; invalid UTF-8 stays as it is.
func appendUnescaped(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			start := i
			for i < len(raw) && raw[i] != '\\' {
				i++
			}
			dst = append(dst, raw[start:i]...)
			continue
		}
		switch c := raw[i+1]; c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			r, size := unescapeRune(raw, i)
			dst = utf8.AppendRune(dst, r)
			i += size
			continue
		default:
			dst = append(dst, c)
		}
		i += 2
	}
	return dst
}

// unescapeRune returns the character that the \u escape at i stands for, together with the second half of a
// surrogate pair, and the length of what it read.
func unescapeRune(raw []byte, i int) (r rune, size int) {
	r, _ = hex4(raw, i+2)
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if i+8 <= len(raw) && raw[i+6] == '\\' && raw[i+7] == 'u' {
		low, _ := hex4(raw, i+8)
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// scanNumber returns the index after the number at i, or the complement of the offset of the fault.
func scanNumber(doc []byte, i int) int {
	if doc[i] == '-' {
		i++
	}
	switch {
	case i >= len(doc):
		return ^i
	case doc[i] == '0':
		i++
	default:
		if i = scanDigits(doc, i); i < 0 {
			return i
		}
	}
	if i < len(doc) && doc[i] == '.' {
		if i = scanDigits(doc, i+1); i < 0 {
			return i
		}
	}
	if i < len(doc) && (doc[i] == 'e' || doc[i] == 'E') {
		i++
		if i < len(doc) && (doc[i] == '+' || doc[i] == '-') {
			i++
		}
		return scanDigits(doc, i)
	}
	return i
}

// scanDigits returns the index after one or more digits at i, or the complement of i.
func scanDigits(doc []byte, i int) int {
	start := i
	for i < len(doc) && doc[i]-'0' <= 9 {
		i++
	}
	if i == start {
		return ^i
	}
	return i
}

// skipSpace returns the index of the first byte from i on that isn't white space; it may be len(doc).
func skipSpace(doc []byte, i int) int {
	for i < len(doc) && (doc[i] == ' ' || doc[i] == '\n' || doc[i] == '\t' || doc[i] == '\r') {
		i++
	}
	return i
}
