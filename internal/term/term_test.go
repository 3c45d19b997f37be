package term_test

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/internal/term"
)

func TestWrap(t *testing.T) {
	tests := []struct {
		text  string
		width int
		want  []string
	}{
		{"", 20, []string{""}},
		{"one two", 20, []string{"one two"}},
		{"one two three", 8, []string{"one two", "three"}},
		{"aaaaaaaaaaaaaaaaaaa b", 8, []string{"aaaaaaaa", "aaaaaaaa", "aaa b"}},
		{"ä ö ü ß é è ñ", 8, []string{"ä ö ü ß", "é è ñ"}},
		{"  spaces \n between ", 30, []string{"spaces between"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, term.Wrap(tt.text, tt.width)); diff != "" {
			t.Errorf("Wrap(%q, %d) (-want +got):\n%s", tt.text, tt.width, diff)
		}
	}
}

func TestWrapItems(t *testing.T) {
	tests := []struct {
		items []string
		width int
		want  []string
	}{
		{nil, 20, nil},
		{[]string{"a b", "", "c"}, 20, []string{"a b · c"}},
		{[]string{"first one", "second one"}, 14, []string{"first one", "second one"}},
		{[]string{"longer than a line", "x"}, 12, []string{"longer than", "a line", "x"}},
	}
	for _, tt := range tests {
		if diff := cmp.Diff(tt.want, term.WrapItems(tt.items, " · ", tt.width)); diff != "" {
			t.Errorf("WrapItems(%q, %d) (-want +got):\n%s", tt.items, tt.width, diff)
		}
	}
}

func TestShorten(t *testing.T) {
	for text, want := range map[string]string{"": "", "short": "short", "a longer text": "a longe…", "äöüäöüäöü": "äöüäöüä…"} {
		if got := term.Shorten(text, 8); got != want {
			t.Errorf("Shorten(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestStyle(t *testing.T) {
	plain, coloured := term.Style{}, term.Style{Colour: true}
	if got := plain.Red("x") + plain.Badge("high") + plain.Severity("low"); got != "xHIGH    low" {
		t.Errorf("plain = %q", got)
	}
	for name, got := range map[string]string{
		"red": coloured.Red("x"), "badge": coloured.Badge("critical"), "severity": coloured.Severity("medium"),
	} {
		if !strings.HasPrefix(got, "\x1b[") {
			t.Errorf("%s = %q, want a colour", name, got)
		}
	}
	if got := coloured.Green(""); got != "" {
		t.Errorf("an empty text = %q", got)
	}
}

// TestDetect shows that nothing but a terminal gets colours.
func TestDetect(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	none := func(string) string { return "" }
	if got := term.Detect(w, none); got != (term.Style{}) {
		t.Errorf("a pipe = %+v", got)
	}
	if got := term.Detect(&bytes.Buffer{}, none); got != (term.Style{}) {
		t.Errorf("a buffer = %+v", got)
	}
}

func TestTable(t *testing.T) {
	table := term.NewTable(0, term.Column{Title: "name", Max: 8}, term.Column{Title: "n", Right: true})
	table.Row("a long name", "1")
	table.Row("b", "100")
	var b bytes.Buffer
	if err := table.Write(&b); err != nil {
		t.Fatal(err)
	}
	const want = "name        n\n───────────────\na long      1\nname\nb         100\n"
	if diff := cmp.Diff(strings.TrimSpace(want), strings.TrimSpace(b.String())); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
}

// TestProgress shows that nothing is drawn where nobody watches, and that what is drawn is cleared.
func TestProgress(t *testing.T) {
	var b bytes.Buffer
	silent := term.NewProgress(&b, term.Style{}, "reading", 10)
	silent.Set(5)
	silent.Done()
	if b.Len() > 0 {
		t.Errorf("wrote %q", b.String())
	}
	bar := term.NewProgress(&b, term.Style{Terminal: true, Width: 80}, "reading", 10)
	bar.Set(5)
	bar.Done()
	if !strings.Contains(b.String(), "reading") || !strings.HasSuffix(b.String(), "\r") {
		t.Errorf("wrote %q", b.String())
	}
}

// TestTableFits checks that flexible columns, the widest first, give way to the width, and that colours don't count.
func TestTableFits(t *testing.T) {
	style := term.Style{Colour: true}
	for _, tc := range []struct{ width, want int }{{0, 70}, {80, 70}, {50, 50}, {34, 34}} {
		table := term.NewTable(tc.width, term.Column{Title: "name", Flex: true}, term.Column{Title: "state"},
			term.Column{Title: "note", Flex: true})
		table.Row("four words of name "+strings.Repeat("x", 8), style.Red("an error"), "a note of several short words")
		var b strings.Builder
		if err := table.Write(&b); err != nil {
			t.Fatal(err)
		}
		widest := 0
		for line := range strings.Lines(b.String()) {
			plain := strings.NewReplacer("\x1b[31;1m", "", "\x1b[0m", "", "\x1b[0;22m", "", "\n", "").Replace(line)
			widest = max(widest, utf8.RuneCountInString(plain))
		}
		if widest > tc.want || widest < tc.want-12 {
			t.Errorf("width %d: got %d columns, want up to %d:\n%s", tc.width, widest, tc.want, b.String())
		}
	}
}
