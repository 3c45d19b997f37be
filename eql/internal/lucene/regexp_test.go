package lucene_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/weir-eql/weir/eql/internal/lucene"
	"github.com/weir-eql/weir/internal/fuzzseed"
)

func TestMatch(t *testing.T) {
	f := func(pattern string, fold bool, text string, want bool) {
		t.Helper()
		re, err := lucene.Compile(pattern, fold)
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			return
		}
		if got := re.Match(text); got != want {
			t.Errorf("%q on %q (fold %v): got %v, want %v", pattern, text, fold, got, want)
		}
	}
	f("", false, "", true)
	f("", false, "a", false)
	f("^abc", false, "abc", false)
	f("^abc$", false, "^abc$", true)
	f("a.c", false, "a\nc", true)
	f("a.c", false, "a😀c", true)
	f(".*?x", false, "abx", true)
	f("[A-C]+", true, "abc", false)
	f("[A-C]+", true, "ABC", true)
	f("[abc]+", true, "ABC", true)
	f("[^a]", true, "A", false)
	f("k", true, "\u212a", false)
	f(`\d{2,3}`, false, "1234", false)
	f(`\d{2,}`, false, "1234", true)
	f(`[^\d]`, false, "x", true)
	f("~(ab)", false, "ab", false)
	f("~(ab)", false, "", true)
	f(".*a.*&.*b.*", false, "xbxa", true)
	f(".*a.*&.*b.*", false, "xxxa", false)
	f("<1-600>", false, "600", true)
	f("<1-600>", false, "0042", true)
	f("<1-600>", false, "0", false)
	f("<1-600>", false, "601", false)
	f("<01-12>", false, "07", true)
	f("<01-12>", false, "7", false)
	f("<12-01>", false, "12", true)
	f("a@", false, "axyz", true)
	f("a#", false, "a", false)
	f(`"a*"`, false, "a*", true)
	f(`a||b`, false, "|b", true)
	f("*a", false, "*a", true)
	f("()", false, "", true)
}

// TestNothing is about what matches no text at all, where Lucene's automata have no states. The answers are those of Lucene 9.12.0.
func TestNothing(t *testing.T) {
	f := func(pattern string, fold bool, want ...string) {
		t.Helper()
		re, err := lucene.Compile(pattern, fold)
		if err != nil {
			t.Errorf("%q: %v", pattern, err)
			return
		}
		var got []string
		for _, text := range []string{"", "a", "aa"} {
			if re.Match(text) {
				got = append(got, text)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q (fold %v): got %q, want %q", pattern, fold, got, want)
		}
	}
	f("#*", false)
	f("#{0,}", false)
	f("#+", false)
	f("#{1,2}", false)
	f("#?", false, "")
	f("#{0}", false, "")
	f("#{0,2}a", false, "a")
	f("(a&b)*", false)
	f("(a&b)*|a", false, "a")
	f("([^\\d\\D])*", false)
	f("~(@)*", false)
	f("(~(@)){0,1}", false, "")
	f("(#*)?", false, "")
	f("~(#*)", false, "", "a", "aa")
	// Without regard to case the empty text is nothing, unless it stands beside another text.
	f("", true)
	f("()", true)
	f(`""|a`, true, "a")
	f(`~("")`, true, "", "a", "aa")
	f(`a""`, true, "a")
	f(`[a]""a`, true, "aa")
	f(`.""`, true)
	f(`(a?)""`, true)
	f(`a?""a`, true, "a", "aa")
	f("", false, "")
	f(`.""`, false, "a")
}

// TestHostile compiles patterns that would blow up, or nearly so: they compile or are refused, and that in bounded time and
// memory.
func TestHostile(t *testing.T) {
	f := func(pattern string, fits bool) {
		t.Helper()
		_, err := lucene.Compile(pattern, false)
		if fits != (err == nil) || err != nil && !strings.Contains(err.Error(), "too complex") {
			t.Errorf("%.40q: got error %v, want it to compile: %v", pattern, err, fits)
		}
	}
	// As in Lucene, by its limits on repetitions and on work.
	f("a{10000}", true)
	f("a{10001}", false)
	f("(aa){5001}", false)
	f("a{5000}a{5000}a{5000}", true)
	f("a{1,100}{1,100}", false)
	f(".*a.{12}", true)
	f(".*a.{13}", false)
	f("@{2000000000}", true)
	f("((((((a{10}){10}){10}){10}){10}){10}){10}", false)
	// By limits of our own.
	f("(.*a){500}", false)
	f("<0-2147483647>{50}", false)
	f("(.*a.{20}){3}", false)
	f("~(.*a.{10})&~(.*b.{10})", false)
	f(strings.Repeat("(.*a", 100)+strings.Repeat(")*", 100), false)
	f(strings.Repeat("a", 200_000), false)
	f(strings.Repeat("(", 100_000), false)
	f(strings.Repeat("~(", 500)+"a"+strings.Repeat(")", 500), true)
	f(strings.Repeat("(x+x+)+", 50)+"y", true)
	f(strings.Repeat("(a|b)?", 150)+".*c", true)
}

// TestLinear matches a text that makes backtracking engines fail.
func TestLinear(t *testing.T) {
	re, err := lucene.Compile("(x+x+)+y", false)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Repeat("x", 1<<20)
	if re.Match(text) || !re.Match(text+"y") {
		t.Error("got a wrong answer")
	}
}

func TestErrors(t *testing.T) {
	f := func(pattern, want string) {
		t.Helper()
		_, err := lucene.Compile(pattern, false)
		if err == nil {
			t.Errorf("%q: got no error, want one with %q", pattern, want)
		} else if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %q, want %q", pattern, err, want)
		}
	}
	f(`\bfoo`, `unknown escape \b`)
	f("(a|)", "expected ')' at character 5; an alternative can't be empty")
	f("(a(b", "( at character 3 begins it")
	f("foo|", "unexpected end of the pattern at character 5; an alternative")
	f("[a", "expected ']'")
	f("[]", "expected ']'")
	f("a{", "expected a number")
	f("a{2", "expected '}'")
	f("a{3,2}", "from more to less")
	f("a{99999999999}", "too large")
	f("[z-a]", "upside down")
	f("<abc>", "not a range")
	f("<1-2147483648>", "not a range")
	f("<1-2-3>", "not a range")
	f("é{,2}", "expected a number at character 3; a brace")
	f(`"abc`, `expected '"'`)
	f("a)b", "unexpected ')'")
}

func TestSuite(t *testing.T) {
	path := filepath.Join("..", "..", "..", "..", "shared", "suites", "random", "lucene_regex.jsonl.gz")
	file, err := os.Open(path)
	if err != nil {
		t.Skipf("the suite is not there: %v", err)
	}
	defer file.Close()
	z, err := gzip.NewReader(file)
	if err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(z)
	lines.Buffer(nil, 1<<20)
	total, failed := 0, 0
	for lines.Scan() {
		var c struct {
			Regex      string   `json:"regex"`
			IgnoreCase bool     `json:"ignore_case"`
			Inputs     []string `json:"inputs"`
			Match      []bool   `json:"match"`
			Error      bool     `json:"error"`
		}
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Fatal(err)
		}
		total++
		re, err := lucene.Compile(c.Regex, c.IgnoreCase)
		if (err != nil) != c.Error {
			failed++
			t.Logf("%q: got error %v, want one: %v", c.Regex, err, c.Error)
			continue
		}
		for i, want := range c.Match {
			if got := re.Match(c.Inputs[i]); got != want {
				failed++
				t.Logf("%q on %q (fold %v): got %v, want %v", c.Regex, c.Inputs[i], c.IgnoreCase, got, want)
				break
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if failed > 0 {
		t.Errorf("%d of %d patterns not as in Lucene", failed, total)
	}
}

// FuzzRegex compares with the reference: both must take a pattern or refuse it, and find the same matches. Refusals point into
// the pattern.
func FuzzRegex(f *testing.F) {
	_, patterns, err := fuzzseed.Patterns()
	if err != nil {
		f.Fatal(err)
	}
	for _, p := range patterns {
		f.Add(p, "curl -o /tmp/x http://10.0.0.1/", true)
	}
	for _, p := range regexSeeds {
		f.Add(p, "ab", false)
		f.Add(p, "", true)
		f.Add(p, "07 Az9 😀", true)
	}
	f.Fuzz(func(t *testing.T, pattern, text string, fold bool) {
		if len(pattern) > 60 || len([]rune(text)) > 40 || !utf8.ValidString(pattern) {
			t.Skip("the reference is slow, and patterns are valid UTF-8")
		}
		re, err := lucene.Compile(pattern, fold)
		e, refErr := refParse(pattern)
		if err != nil {
			at, ok := errors.AsType[*lucene.Error](err)
			if !ok || at.Offset < 0 || at.End < at.Offset || at.End > len(pattern) {
				t.Fatalf("%q: error %#v outside the pattern", pattern, err)
			}
			if strings.Contains(err.Error(), "too complex") {
				return
			}
		}
		if (err == nil) != (refErr == nil) {
			if containsForeignDigit(pattern) {
				return // the reference knows ASCII digits only
			}
			t.Fatalf("%q: got error %v, the reference %v", pattern, err, refErr)
		}
		if err != nil {
			return
		}
		want, unsure := refMatch(e, fold, text)
		if got := re.Match(text); got != want && !unsure {
			t.Errorf("%q on %q (fold %v): got %v, want %v", pattern, text, fold, got, want)
		}
	})
}

func containsForeignDigit(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII && unicode.IsDigit(r) })
}

// regexSeeds are patterns for each operator and the corners around it.
var regexSeeds = []string{
	"~(a|b)&.*", ".*[0-9]{1,3}(\\.[0-9]{1,3}){3}.*", "a||b", "a&&b", "(a|)", "()|a", "~()", `""*`, "#*", "(a&b)*a", "#{0,2}", "#?|a", "~#", "@&~(ab)",
	"<1-600>", "<01-12>", "<9-11>x", "<12-01>", "<+1-2>", "<a>", "<-1>", "a{2}", "a{0}b", "a{,2}", "a{2,}", "a{3,2}", "a{2,3}?", "(a?){3}", "(a*)*b",
	"[^a-c]", "[]a]", "[^]", "[a-]", "[-a]", "[\\w-]", "[a\\]", "[\\]]", "[C-a]", "[^\\d\\D]*", "\\d\\D\\s\\S\\w\\W", "\\b", "\\.", "\\", "\\\\",
	`"a*"b`, `"`, `"a"""`, "^a$", "(?:a)", "(?=a)", "a(?i)b", "{", "}", "*", "+a", ")", "(", "😀.", "[😀-😂]", "\u212a", "a~b", "~~a", "~a*", "a|b&c", "\n|\r",
}

func BenchmarkMatch(b *testing.B) {
	re, err := lucene.Compile(`.*[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]{1,3}.*`, true)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		re.Match("curl --silent --output /tmp/x http://example.com/a/b/c/1.2.3/payload.bin")
	}
}
