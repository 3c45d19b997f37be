package glob_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weir-eql/weir/eql/internal/glob"
	"github.com/weir-eql/weir/internal/fuzzseed"
)

func TestPattern(t *testing.T) {
	f := func(pattern, text string, want, wantFold bool) {
		t.Helper()
		if got := glob.Compile(pattern, false, false).Match(text); got != want {
			t.Errorf("%q on %q: got %v, want %v", pattern, text, got, want)
		}
		if got := glob.Compile(pattern, true, false).Match(text); got != wantFold {
			t.Errorf("%q on %q, folded: got %v, want %v", pattern, text, got, wantFold)
		}
	}
	f("cmd.exe", "cmd.exe", true, true)
	f("cmd.exe", "CMD.EXE", false, true)
	f("cmd", "cmd.exe", false, false)
	f("", "", true, true)
	f("", "a", false, false)
	f("*", "", true, true)
	f("**", "a\nb", true, true)
	f("?", "", false, false)
	f("?", "😀", true, true)
	f("??", "é", false, false)
	f("?é", "ééé", false, false)
	f("*?é", "ééé", true, true)
	f("é", "É", false, false)
	f("a*b*c", "aXbXbc", true, true)
	f("a*b*c", "aXbXb", false, false)
	f("*.EXE", "cmd.exe", false, true)
	f("*a?c*", "xxabxaécx", true, true)
	f("ab*bc", "abc", false, false)
	f(`a\*`, `a\x`, true, true)
	f("k", "\u212a", false, false)
}

func TestEscapes(t *testing.T) {
	f := func(pattern, text string, want bool) {
		t.Helper()
		if got := glob.Compile(pattern, false, true).Match(text); got != want {
			t.Errorf("%q on %q: got %v, want %v", pattern, text, got, want)
		}
	}
	f(`*Principal=\**`, "x Principal=* y", true)
	f(`*Principal=\**`, "x Principal=a y", false)
	f(`a\\b`, `a\b`, true)
	f(`a\`, `a\`, true)
	f(`\?`, "x", false)
}

func TestSet(t *testing.T) {
	texts := []string{"cmd.exe", "PowerShell.exe", "", "É", strings.Repeat("a", 70)}
	exact, fold := glob.NewSet(texts, false), glob.NewSet(texts, true)
	f := func(text string, want, wantFold bool) {
		t.Helper()
		if got := exact.Has(text); got != want {
			t.Errorf("%q: got %v, want %v", text, got, want)
		}
		if got := fold.Has(text); got != wantFold {
			t.Errorf("%q, folded: got %v, want %v", text, got, wantFold)
		}
	}
	f("cmd.exe", true, true)
	f("CMD.exe", false, true)
	f("powershell.exe", false, true)
	f("", true, true)
	f("É", true, true)
	f("é", false, false)
	f("aaaaaa", false, false)
}

// item is one part of a pattern as the reference reads it: a character, one of any kind, or any run.
type item struct {
	char      rune
	one, many bool
}

func items(pattern string, escapes bool) []item {
	var out []item
	runes := []rune(pattern)
	for i := 0; i < len(runes); i++ {
		switch r := runes[i]; {
		case r == '\\' && escapes && i+1 < len(runes):
			i++
			out = append(out, item{char: runes[i]})
		default:
			out = append(out, item{char: r, one: r == '?', many: r == '*'})
		}
	}
	return out
}

// matches is the definition of a pattern: at[j] tells whether the items so far match the first j characters. It shares no code
// with the package.
func matches(pattern []item, text []rune, fold bool) bool {
	at := make([]bool, len(text)+1)
	at[0] = true
	for _, it := range pattern {
		next := make([]bool, len(text)+1)
		for j := range at {
			switch {
			case it.many:
				next[j] = at[j] || j > 0 && next[j-1]
			case j > 0:
				next[j] = at[j-1] && (it.one || same(it.char, text[j-1], fold))
			}
		}
		at = next
	}
	return at[len(text)]
}

// same compares characters; folding covers the letters of ASCII.
func same(a, b rune, fold bool) bool {
	if a == b || !fold {
		return a == b
	}
	letter := func(r rune) bool { return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' }
	return letter(a) && letter(b) && (a-b == 'a'-'A' || b-a == 'a'-'A')
}

func equalText(a, b string, fold bool) bool {
	var chars []item
	for _, r := range a {
		chars = append(chars, item{char: r})
	}
	return matches(chars, []rune(b), fold)
}

// FuzzWildcard compares with the definition, and sees that what a pattern says of itself is true of every match.
func FuzzWildcard(f *testing.F) {
	wildcards, _, err := fuzzseed.Patterns()
	if err != nil {
		f.Fatal(err)
	}
	for i, w := range wildcards {
		f.Add(w, strings.NewReplacer("*", "xé", "?", "😀").Replace(w), i%2 == 0, i%3 == 0)
	}
	f.Add("a*b?c*", "aXbéc", true, false)
	f.Add("?a*", "éaab", true, false)
	f.Add("*?*?", "ab", false, false)
	f.Add("*aab", "aaaab", true, false)
	f.Add(`\**\?\\`, `*x?\`, true, true)
	f.Add("K[", "\u212a{", true, false)
	f.Add("*?0*", "\x980", true, false)
	f.Fuzz(func(t *testing.T, pattern, text string, fold, escapes bool) {
		if len(pattern) > 200 || len(text) > 500 || !utf8.ValidString(pattern) || strings.ContainsRune(pattern, utf8.RuneError) {
			t.Skip("the definition is slow, and patterns are valid UTF-8; U+FFFD is what it takes an invalid byte of a value for")
		}
		p := glob.Compile(pattern, fold, escapes)
		want := matches(items(pattern, escapes), []rune(text), fold)
		if got := p.Match(text); got != want {
			t.Errorf("%q on %q (fold %v, escapes %v): got %v, want %v", pattern, text, fold, escapes, got, want)
		}
		if exact, ok := p.Exact(); ok && equalText(exact, text, fold) != want {
			t.Errorf("%q on %q (fold %v, escapes %v): Exact says %q, want a match: %v", pattern, text, fold, escapes, exact, want)
		}
		if p.Any() && !want {
			t.Errorf("%q doesn't match %q, Any says that it does", pattern, text)
		}
		if lit := p.Literal(); want && !holds(lit, text) {
			t.Errorf("%q matches %q, which lacks %+v", pattern, text, lit)
		}
	})
}

// holds reports whether text has a literal, which is in lower case.
func holds(lit glob.Literal, text string) bool {
	pattern := []item{{many: true}}
	if lit.Prefix {
		pattern = nil
	}
	if lit.Skip {
		pattern = []item{{one: true}}
	}
	for _, r := range lit.Text {
		pattern = append(pattern, item{char: r})
	}
	if !lit.Suffix {
		pattern = append(pattern, item{many: true})
	}
	return matches(pattern, []rune(text), true)
}

// FuzzSet compares sets with a search through their members, which are the lines of a text.
func FuzzSet(f *testing.F) {
	f.Add("cmd.exe\nPowerShell.exe\n\nÉ", "CMD.exe")
	f.Add("a\nb\nab\nba\naa\nbb", "AB")
	f.Add(strings.Repeat("a", 70)+"\nx", strings.Repeat("A", 6))
	f.Fuzz(func(t *testing.T, lines, text string) {
		members := strings.Split(lines, "\n")
		if len(members) > 100 || !utf8.ValidString(lines) || strings.ContainsRune(lines, utf8.RuneError) {
			t.Skip("members are valid UTF-8")
		}
		for _, fold := range []bool{false, true} {
			set := glob.NewSet(members, fold)
			want := slices.ContainsFunc(members, func(m string) bool { return equalText(m, text, fold) })
			if got := set.Has(text); got != want {
				t.Errorf("%q in %q (fold %v): got %v, want %v", text, members, fold, got, want)
			}
			for _, m := range members {
				if !set.Has(m) {
					t.Errorf("%q lacks its member %q (fold %v)", members, m, fold)
				}
			}
		}
	})
}

func BenchmarkMatch(b *testing.B) {
	text := `C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe -NoProfile -EncodedCommand SQBFAFgA`
	for _, pattern := range []string{"*powershell*", "*-enc*", `C:\Windows\*.exe *`, "*zzz*"} {
		p := glob.Compile(pattern, true, false)
		b.Run(pattern, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				p.Match(text)
			}
		})
	}
}
