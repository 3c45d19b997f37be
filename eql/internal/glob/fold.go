package glob

// Lower returns the lower-case form of an ASCII letter and every other byte as it is.
func Lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// LowerASCII returns s with its ASCII letters in lower case; other characters keep their case.
func LowerASCII(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for j := i; j < len(b); j++ {
				b[j] = Lower(b[j])
			}
			return string(b)
		}
	}
	return s
}

// EqualFold reports whether s equals lower, text that LowerASCII returned, but for the case of ASCII letters.
func EqualFold(s, lower string) bool {
	return len(s) == len(lower) && hasFold(s, lower)
}

// hasFold reports whether s, at least as long as lower, begins with it but for the case of ASCII letters.
func hasFold(s, lower string) bool {
	for i := range len(lower) {
		if c := s[i]; c != lower[i] && Lower(c) != lower[i] {
			return false
		}
	}
	return true
}
