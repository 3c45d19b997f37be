package main

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// What explain shows can be copied: a query is broken outside of its quotes only.
func TestWrapQuery(t *testing.T) {
	for _, c := range []struct{ line, want string }{
		{`any where true`, "any where true"},
		{`process where a == "one two three" and b == "x"`, "process where a ==\n  \"one two three\"\n  and b == \"x\""},
		{`  [any where a : "say \" twice \\" and bcd == 1]`, "  [any where a :\n    \"say \\\" twice \\\\\"\n    and bcd == 1]"},
		{`any where a regex """(x y|"z w)+ \""" and b == 1`, "any where a regex\n  \"\"\"(x y|\"z w)+ \\\"\"\"\n  and b == 1"},
		{"any where `a b c d e f` == \"日本 語\" and c", "any where\n  `a b c d e f` ==\n  \"日本 語\" and c"},
		{`any where a == "longer than one line is wide" or b`, "any where a ==\n  \"longer than one line is wide\"\n  or b"},
	} {
		got := wrapQuery(c.line, 20)
		if diff := cmp.Diff(c.want, strings.Join(got, "\n")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.line, diff)
		}
		for i, l := range got {
			if i > 0 {
				got[i] = strings.TrimLeft(l, " ")
			}
		}
		if back := strings.Join(got, " "); back != c.line || !utf8.ValidString(back) {
			t.Errorf("%s became %s", c.line, back)
		}
	}
}
