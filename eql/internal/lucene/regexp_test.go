package lucene_test

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-eql/weir/eql/internal/lucene"
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
	f("a{3,2}", false, "aaa", false)
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
	f("(a|)", "expected ')'")
	f("foo|", "unexpected end")
	f("[a", "expected ']'")
	f("[]", "expected ']'")
	f("a{", "expected a number")
	f("a{2", "expected '}'")
	f("a{99999999999}", "too large")
	f("[z-a]", "upside down")
	f("<abc>", "not a range")
	f("<1-2147483648>", "not a range")
	f(`"abc`, `expected '"'`)
	f("a)b", "unexpected ')'")
	f("(.*a.{20}){3}", "too complex")
	f("((a{1,1000}){1,1000}){1,1000}", "too complex")
	f(strings.Repeat("(", 100_000), "too complex")
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
	t.Logf("%d of %d patterns as in Lucene", total-failed, total)
	if quirks := 4; failed > quirks { // Lucene's own, around the empty text
		t.Errorf("got %d failures, want at most %d", failed, quirks)
	}
}

func FuzzRegex(f *testing.F) {
	f.Add(".*[0-9]{1,3}(\\.[0-9]{1,3}){3}.*", "x 10.0.0.1", true)
	f.Add("~(a|b)&.*", "ab", false)
	f.Fuzz(func(t *testing.T, pattern, text string, fold bool) {
		if len(pattern) > 100 {
			t.Skip("long patterns only cost time here")
		}
		re, err := lucene.Compile(pattern, fold)
		if err != nil {
			return
		}
		not, err := lucene.Compile("~("+pattern+")", fold)
		if err != nil {
			return // the parenthesis may change what is read
		}
		if re.Match(text) == not.Match(text) {
			t.Errorf("%q and its complement agree on %q", pattern, text)
		}
	})
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
