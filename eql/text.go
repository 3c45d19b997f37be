package eql

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/internal/glob"
	"github.com/weir-eql/weir/eql/internal/lucene"
	"github.com/weir-eql/weir/event"
)

// isText reports whether v has text that patterns and text functions can see.
func isText(v event.Value) bool { return v.Kind() == event.String || v.Kind() == event.Addr }

type textEq struct{ text string }

func (t textEq) test(v event.Value) bool { return isText(v) && v.Str() == t.text }

type textEqFold struct{ lower string }

func (t textEqFold) test(v event.Value) bool { return isText(v) && glob.EqualFold(v.Str(), t.lower) }

type textSet struct {
	set   *glob.Set
	texts []string
}

func (t textSet) test(v event.Value) bool { return isText(v) && t.set.Has(v.Str()) }

// textAny holds for all text: the pattern `*`.
type textAny struct{}

func (textAny) test(v event.Value) bool { return isText(v) }

type textPrefix struct {
	text string // lower case if fold
	fold bool
}

func (t textPrefix) test(v event.Value) bool {
	if !isText(v) {
		return false
	}
	s := v.Str()
	if !t.fold {
		return strings.HasPrefix(s, t.text)
	}
	return len(s) >= len(t.text) && glob.EqualFold(s[:len(t.text)], t.text)
}

type textGlob struct{ pattern *glob.Pattern }

func (t textGlob) test(v event.Value) bool { return isText(v) && t.pattern.Match(v.Str()) }

type textRegex struct{ re *lucene.Regexp }

func (t textRegex) test(v event.Value) bool { return isText(v) && t.re.Match(v.Str()) }

// textOrder compares text byte by byte, which is code point order.
type textOrder struct {
	op   ast.Op
	text string
}

func (t textOrder) test(v event.Value) bool {
	return isText(v) && holds(t.op, strings.Compare(v.Str(), t.text))
}

// anyOf holds if one of its tests does.
type anyOf []tester

func (t anyOf) test(v event.Value) bool {
	for _, one := range t {
		if one.test(v) {
			return true
		}
	}
	return false
}

// foldFirst gives its test the text in the folded form that scripts compare, which covers all of Unicode.
type foldFirst struct{ inner tester }

func (t foldFirst) test(v event.Value) bool {
	return isText(v) && t.inner.test(event.StringValue(foldAll(v.Str())))
}

// foldAll folds the case of all characters, as comparisons on expressions do in Elasticsearch (Java's
// equalsIgnoreCase); on fields only ASCII letters fold.
func foldAll(s string) string {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return strings.Map(foldRune, s)
		}
	}
	return glob.LowerASCII(s)
}

// foldRune folds a character as Java's equalsIgnoreCase does.
func foldRune(r rune) rune { return unicode.ToLower(unicode.ToUpper(r)) }

// oneText returns the cheapest test for membership in texts, which isn't empty.
func oneText(texts []string, fold bool) tester {
	switch {
	case len(texts) > 1:
		return textSet{glob.NewSet(texts, fold), texts}
	case fold:
		return textEqFold{glob.LowerASCII(texts[0])}
	default:
		return textEq{texts[0]}
	}
}

// anyPattern returns the test for wildcard patterns, of which there is at least one: those without wildcards
// become one set, and many others are looked up together.
func anyPattern(patterns []string, fold, escapes, together bool) tester {
	var exact []string
	var globs []*glob.Pattern
	for _, text := range patterns {
		p := glob.Compile(text, fold, escapes)
		if p.Any() {
			return textAny{}
		}
		if t, ok := p.Exact(); ok {
			exact = append(exact, t)
			continue
		}
		globs = append(globs, p)
	}
	var tests anyOf
	if len(exact) > 0 {
		tests = append(tests, oneText(exact, fold))
	}
	if together && len(globs) >= manyPatterns {
		tests = append(tests, newGlobSet(globs))
	} else {
		for _, p := range globs {
			tests = append(tests, textGlob{p})
		}
	}
	if len(tests) == 1 {
		return tests[0]
	}
	return tests
}
