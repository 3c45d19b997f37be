package conformance

import (
	"slices"
	"strings"
)

// endgameOnly says what a query has that Elasticsearch refuses, or nothing. The rules look at the words of the
// query alone.
func endgameOnly(query string) string {
	tokens := scanAll(query)
	for i := range tokens {
		t := &tokens[i]
		after := neighbour(tokens, i, 1)
		switch {
		case t.kind == text && strings.HasPrefix(t.text, "?"), isCall(tokens, i, "match", "matchLite"):
			return "match, matchLite and their raw strings are Endgame's"
		case isCall(tokens, i, "arraySearch", "arrayCount", "arrayContains", "safe"):
			return "array functions and safe are Endgame's"
		case t.text == "of" && after != nil && after.text == "[":
			return "child, descendant and event of are Endgame's"
		case t.kind == word && t.text == "join" && neighbour(tokens, i, -1) == nil:
			return "join is Endgame's"
		case t.kind == word && t.text == "fork":
			return "fork is Endgame's"
		case t.text == "|" && after != nil && after.text != "head" && after.text != "tail":
			return "pipes other than head and tail are Endgame's"
		case t.text == "[" && i > 0 && tokens[i-1].kind == word:
			return "array subscripts are Endgame's"
		case t.text == ":" && i > 0 && after != nil && after.kind == word && isCall(tokens, i+1, after.text):
			return "methods are Endgame's"
		case t.kind == word && t.text == "by" && computedKey(tokens[i+1:]):
			return "join keys that are computed are Endgame's"
		}
	}
	return ""
}

// isCall reports whether the token is the name of one of the functions, called.
func isCall(tokens []token, i int, names ...string) bool {
	if i >= len(tokens) || tokens[i].kind != word || !slices.Contains(names, tokens[i].text) {
		return false
	}
	after := neighbour(tokens, i, 1)
	return after != nil && after.text == "("
}

// computedKey reports whether the list of keys that begins here has anything but fields.
func computedKey(tokens []token) bool {
	for _, t := range tokens {
		switch t.text {
		case "[", "|", "until", "with":
			return false
		case "(", "*", "+", "-":
			return true
		}
	}
	return false
}

// pythonOnly says what a query of Python's suite means that Elasticsearch can't say, or says otherwise. insensitive is the
// suite's setting that text is compared without regard to case. absent tells whether no event has a field.
func pythonOnly(query string, insensitive bool, absent func(field string) bool) string {
	tokens := scan(query)
	negated := false
	for i := range tokens {
		if tokens[i].text == "not" {
			negated = true
		}
		if tokens[i].kind != symbol || i == 0 || i+1 == len(tokens) {
			continue
		}
		left, right := tokens[i-1], tokens[i+1]
		switch op := tokens[i].text; op {
		case "<", "<=", ">", ">=":
			if insensitive && (left.kind == text || right.kind == text) {
				return "Elasticsearch orders text by case"
			}
		case "==", "!=":
			negative := negated || op == "!=" && right.text != "null"
			if negative && left.kind == word && absent(left.text) {
				return "the negation of a condition on a missing field is null in Python, true in Elasticsearch"
			}
		}
	}
	return ""
}

// refusal says why Elasticsearch refuses a query that has the words of its dialect, by the error that Weir
// gives for it; it is empty for errors that Elasticsearch wouldn't give.
func refusal(problem string) string {
	switch {
	case strings.Contains(problem, "fields cannot be compared with fields"),
		strings.Contains(problem, "takes constants on its right side"):
		return "Elasticsearch doesn't compare fields with fields"
	default:
		return ""
	}
}

// folding are the functions that have a form for text in any case.
var folding = [...]string{"endsWith", "startsWith", "stringContains", "between", "indexOf", "wildcard"}

// fromPython rewrites a query of the Python implementation in Elasticsearch's words: = is ==, strings have double
// quotes, == and != with a string that has a star are like. Where text is compared in any case, == and != with a string
// become `:`, and in and the functions get their tilde.
func fromPython(query string, insensitive bool) string {
	tokens := scanAll(query)
	for i := range tokens {
		t := &tokens[i]
		switch {
		case t.kind == text && t.text[0] == '\'':
			t.text = `"` + strings.ReplaceAll(t.text[1:len(t.text)-1], `"`, `\"`) + `"`
		case t.text == "=" && !isSpan(neighbour(tokens, i, -1)):
			t.text = "=="
		case insensitive && t.text == "in", insensitive && isCall(tokens, i, folding[:]...):
			t.text += "~"
		}
	}
	for i := range tokens {
		if tokens[i].kind == symbol && (tokens[i].text == "==" || tokens[i].text == "!=") {
			compareText(tokens, i, insensitive)
		}
	}
	return join(tokens)
}

func isSpan(t *token) bool { return t != nil && (t.text == "maxspan" || t.text == "runs") }

// compareText rewrites the comparison at i where one side is a string and the other one name or string.
func compareText(tokens []token, i int, insensitive bool) {
	left, right := neighbour(tokens, i, -1), neighbour(tokens, i, 1)
	if left == nil || right == nil || left.kind != text && right.kind != text {
		return
	}
	if left.kind == text && right.kind != text && right.kind != word {
		return
	}
	if left.kind == text && right.kind == word {
		*left, *right = *right, *left
	}
	var op string
	switch {
	case insensitive:
		op = ":"
	case strings.Contains(right.text, "*"):
		op = " like "
	default:
		return
	}
	if tokens[i].text == "!=" {
		left.text = "not " + left.text
	}
	tokens[i].text = op
}
