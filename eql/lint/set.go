package lint

import (
	"math"
	"slices"
	"strings"

	"github.com/weir-eql/weir/eql/internal/glob"
)

// itemKind is a kind of sets of values.
type itemKind uint8

const (
	exactText itemKind = iota // one text
	globText                  // what a wildcard pattern matches
	numbers                   // an interval
	opaque                    // what some other test holds for: equal to itself only
	anything                  // every value
)

// item is a set of values of a field. Sets are compared soundly, not completely: subset and disjoint report what is
// certain.
type item struct {
	kind itemKind
	text string // of texts and patterns, in lower case where fold is set; the key of an opaque one
	fold bool   // the case of ASCII letters is ignored
	low  float64
	high float64

	pattern *glob.Pattern // of globText
}

func textItem(text string, fold bool) item {
	if fold {
		text = glob.LowerASCII(text)
	}
	return item{kind: exactText, text: text, fold: fold && hasLetters(text)}
}

func patternItem(text string, fold bool) item {
	if !strings.ContainsAny(text, "*?") {
		return textItem(text, fold)
	}
	if strings.Trim(text, "*") == "" {
		return item{kind: globText, text: "*", pattern: glob.Compile("*", false, false)}
	}
	if fold {
		text = glob.LowerASCII(text)
	}
	return item{kind: globText, text: text, fold: fold && hasLetters(text), pattern: glob.Compile(text, fold, false)}
}

func intervalItem(low, high float64) item { return item{kind: numbers, low: low, high: high} }

func hasLetters(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' })
}

// above and below are the neighbours of a number: of whole numbers the next one, of others the next that is representable.
func above(n float64, whole bool) float64 {
	if whole && math.Abs(n) < 1<<53 {
		return math.Floor(n) + 1
	}
	return math.Nextafter(n, math.Inf(1))
}

func below(n float64, whole bool) float64 { return -above(-n, whole) }

// within reports whether every value of a is one of b's.
func (a item) within(b item) bool {
	switch {
	case b.kind == anything:
		return true
	case a.kind == opaque || b.kind == opaque:
		return a.kind == b.kind && a.text == b.text
	case a.kind == numbers || b.kind == numbers:
		return a.kind == b.kind && b.low <= a.low && a.high <= b.high
	case a.kind == anything, a.fold && !b.fold && hasLetters(b.text):
		return false
	case b.kind == exactText:
		return a.kind == exactText && lowerIf(a.text, b.fold) == b.text
	case a.kind == exactText:
		return b.pattern.Match(a.text)
	default:
		return globWithin(lowerIf(a.text, b.fold), b.text)
	}
}

// globWithin reports whether all that pattern a matches b matches too. A star in a is met by stars in b only, so it may
// say no where the answer is yes.
func globWithin(a, b string) bool {
	p, n, star, at := 0, 0, -1, 0
	for n < len(a) {
		switch {
		case p < len(b) && b[p] == '*':
			star, at = p, n
			p++
		case p < len(b) && a[n] != '*' && (b[p] == a[n] || b[p] == '?' && (a[n] == '?' || a[n] < 0x80)):
			p++
			n++
		case star >= 0:
			at++
			p, n = star+1, at
		default:
			return false
		}
	}
	return strings.Trim(b[p:], "*") == ""
}

func lowerIf(s string, fold bool) string {
	if fold {
		return glob.LowerASCII(s)
	}
	return s
}

// apart reports whether no value is in both sets.
func (a item) apart(b item) bool {
	if a.kind > numbers || b.kind > numbers {
		return false
	}
	if a.kind == numbers || b.kind == numbers {
		return a.kind == b.kind && (a.high < b.low || b.high < a.low || a.low > a.high || b.low > b.high)
	}
	fold := a.fold || b.fold
	switch {
	case a.kind == exactText && b.kind == exactText:
		return lowerIf(a.text, fold) != lowerIf(b.text, fold)
	case a.kind == exactText:
		return !glob.Compile(lowerIf(b.text, fold), fold, false).Match(a.text)
	case b.kind == exactText:
		return b.apart(a)
	default:
		return affixesApart(lowerIf(a.text, fold), lowerIf(b.text, fold))
	}
}

// affixesApart reports whether the beginnings or the ends of two patterns exclude each other.
func affixesApart(a, b string) bool {
	return differ(literalHead(a), literalHead(b)) || differ(reverse(literalTail(a)), reverse(literalTail(b)))
}

func literalHead(p string) string { return p[:strings.IndexAny(p, "*?")] }
func literalTail(p string) string { return p[strings.LastIndexAny(p, "*?")+1:] }

func differ(a, b string) bool {
	n := min(len(a), len(b))
	return a[:n] != b[:n]
}

func reverse(s string) string {
	b := []byte(s)
	for i, j := 0, len(b)-1; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return string(b)
}

// covered reports whether every value of a is in one of the sets.
func (a item) covered(by []item) bool {
	return slices.ContainsFunc(by, a.within)
}

// apartFromAll reports whether no value of a is in any of the sets.
func (a item) apartFromAll(sets []item) bool {
	for _, b := range sets {
		if !a.apart(b) {
			return false
		}
	}
	return true
}
