package ast

// IsKeyword reports whether s is a reserved word, which can be a field's name in backquotes only.
// The words are case-sensitive.
func IsKeyword(s string) bool {
	switch s {
	case "and", "any", "by", "false", "fork", "in", "in~", "join", "like", "like~", "not", "null", "of", "or",
		"regex", "regex~", "sample", "sequence", "true", "until", "where", "with":
		return true
	}
	return false
}

// IsIdentifier reports whether s can stand in a query as one segment of a name without quotes. Keywords can't.
func IsIdentifier(s string) bool {
	if s == "" || IsKeyword(s) {
		return false
	}
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		switch {
		case letter, i == 0 && c == '@', i > 0 && '0' <= c && c <= '9':
		default:
			return false
		}
	}
	return true
}
