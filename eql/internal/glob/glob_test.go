package glob_test

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/weir-eql/weir/eql/internal/glob"
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

// naive is the definition of a pattern, in exponential time.
func naive(p, s []rune) bool {
	switch {
	case len(p) == 0:
		return len(s) == 0
	case p[0] == '*':
		return naive(p[1:], s) || len(s) > 0 && naive(p, s[1:])
	case len(s) == 0:
		return false
	default:
		return (p[0] == '?' || p[0] == s[0]) && naive(p[1:], s[1:])
	}
}

func FuzzWildcard(f *testing.F) {
	f.Add("a*b?c*", "aXbéc", true)
	f.Add("*?*?", "ab", false)
	f.Add("*aab", "aaaab", true)
	f.Fuzz(func(t *testing.T, pattern, text string, fold bool) {
		if len(pattern) > 12 || len(text) > 24 || !utf8.ValidString(pattern) || !utf8.ValidString(text) {
			t.Skip("the definition is exponential, and EQL's texts are valid UTF-8")
		}
		got := glob.Compile(pattern, fold, false).Match(text)
		p, s := pattern, text
		if fold {
			p, s = glob.LowerASCII(p), glob.LowerASCII(s)
		}
		if want := naive([]rune(p), []rune(s)); got != want {
			t.Errorf("%q on %q (fold %v): got %v, want %v", pattern, text, fold, got, want)
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
