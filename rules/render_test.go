package rules_test

import (
	"strings"
	"testing"

	"github.com/weir-eql/weir/rules"
)

// TestRenderWidth pins what is shown of a source line that is wider than the terminal: the marks stay under what they mark.
func TestRenderWidth(t *testing.T) {
	long := strings.Repeat("abcdefghi ", 10) // 100 characters
	for _, tc := range []struct {
		name              string
		line              string
		column, end       int
		width             int
		source, underline string
	}{
		{"it fits", long[:35], 3, 5, 40, long[:35], "  ^~"},
		{"at the beginning", long, 3, 5, 40, long[:34] + "…", "  ^~"},
		{"in the middle", long, 51, 54, 40, "…" + long[40:73] + "…", strings.Repeat(" ", 11) + "^~~"},
		{"at the end", long, 98, 100, 40, "…" + long[66:], strings.Repeat(" ", 32) + "^~"},
		{"longer than the window", long, 51, 99, 40, "…" + long[40:73] + "…", strings.Repeat(" ", 11) + "^" + strings.Repeat("~", 23)},
		{"behind the end", long, 101, 101, 40, "…" + long[66:], strings.Repeat(" ", 35) + "^"},
		{"width unknown", long, 3, 5, 0, long, "  ^~"},
		{"tabs are left alone", "\t" + long, 3, 5, 40, "\t" + long, "\t ^~"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := rules.Problem{Code: "E103", Severity: rules.SeverityError, Line: 7, EndLine: 7, Column: tc.column, EndColumn: tc.end, Message: "m", Lines: []string{tc.line}}
			var b strings.Builder
			if err := p.Render(&b, "r.toml", tc.width); err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(b.String(), "\n")
			if want := strings.TrimRight(" 7 | "+tc.source, " "); lines[1] != want {
				t.Errorf("source\ngot  %q\nwant %q", lines[1], want)
			}
			if want := "   | " + tc.underline; lines[2] != want {
				t.Errorf("marks\ngot  %q\nwant %q", lines[2], want)
			}
		})
	}
}
