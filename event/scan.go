package event

import (
	"math/bits"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

// escapeLen returns the length of the escape at i, 0 where there is no valid one.
func escapeLen(doc []byte, i int) int {
	if doc[i] != '\\' || i+1 >= len(doc) {
		return 0
	}
	if Unescaped(doc[i+1]) != 0 {
		return 2
	}
	if _, ok := hex4(doc, i+2); ok && doc[i+1] == 'u' {
		return 6
	}
	return 0
}

// Unescaped returns what a backslash and c stand for in JSON, 0 where that takes more than c (\u) or isn't an escape.
func Unescaped(c byte) byte {
	switch c {
	case '\\', '"', '/':
		return c
	case 'b':
		return '\b'
	case 'f':
		return '\f'
	case 'n':
		return '\n'
	case 'r':
		return '\r'
	case 't':
		return '\t'
	default:
		return 0
	}
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

// appendUnescaped appends the text of a string that is well formed. The result is never longer than raw.
// A surrogate without its other half becomes U+FFFD; invalid UTF-8 stays as it is.
func appendUnescaped(dst, raw []byte) []byte {
	dst = slices.Grow(dst, len(raw)+8)
	out, n := dst[:cap(dst)], len(dst)
	for i := 0; i < len(raw); {
		for i+8 <= len(raw) { // eight bytes, of which those before a backslash are good
			w := load(raw, i)
			store(out, n, w)
			if w = equal(w, '\\'); w != 0 {
				plain := bits.TrailingZeros64(w) >> 3
				i, n = i+plain, n+plain
				break
			}
			i, n = i+8, n+8
		}
		if i == len(raw) {
			break
		}
		c := raw[i]
		if c != '\\' {
			out[n] = c
			i, n = i+1, n+1
			continue
		}
		if c = Unescaped(raw[i+1]); c == 0 {
			r, size := unescapeRune(raw, i)
			n += utf8.EncodeRune(out[n:], r)
			i += size
			continue
		}
		out[n] = c
		i, n = i+2, n+1
	}
	return out[:n]
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
