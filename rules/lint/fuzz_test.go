package lint_test

import (
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/detections"
	"github.com/weir-eql/weir/rules/lint"
)

// FuzzCheck holds that no file makes checking panic, that findings lie inside the file and can be shown, and that each is
// there once.
func FuzzCheck(f *testing.F) {
	names, err := fs.Glob(detections.FS(), "*.toml")
	if err != nil || len(names) == 0 {
		f.Fatal("no shipped rules", err)
	}
	for _, name := range names {
		text, err := fs.ReadFile(detections.FS(), name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	for _, query := range []string{
		"'sequence by host.id with maxspan=1h [process where process.name == \"a*\" and process.name : (\"a\", \"b\")] [file where not a == null] until [any where true]'",
		"'''\n// weir:ignore W305, W999\nany where x regex \"^(?:a|b)~$\\\\1\" // weir:ignore\n''' # weir:ignore W321",
		"\"any where event.type == \\\"\\u00e4*\\\" or \\\n process.pid < \\\"5\\\"\"", "\"\"\"any where a == 1 and\r\n a == 2 or foo(\"\"\"",
		"'sample by a [any where b in (\"x\", \"x\")] [any where c != \"x\" or c != \"y\"]'",
	} {
		f.Add(head + "query = " + query + "\n")
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := rules.LoadFS(fstest.MapFS{"r.toml": {Data: []byte(text)}}, "", rules.LoadOptions{KeepSource: true})
		if err != nil {
			t.Fatal(err)
		}
		var sample *lint.Sample
		if sample, err = lint.NewSample(c, rules.SetOptions{}); err != nil {
			t.Fatal(err)
		}
		lint.Check(c, sample)
		lines := strings.Split(text, "\n")
		seen := map[string]bool{}
		for _, p := range c.Files[0].Problems {
			if p.Code.Name() == "" || p.Message == "" {
				t.Errorf("finding without code or message: %+v", p)
			}
			var b strings.Builder
			if err := p.Render(&b, "r.toml", 0); err != nil {
				t.Fatal(err)
			}
			if seen[b.String()] {
				t.Errorf("twice: %s", b.String())
			}
			seen[b.String()] = true
			if p.Line == 0 {
				continue
			}
			if p.EndLine > len(lines) || p.EndLine < p.Line || p.EndLine == p.Line && p.EndColumn < p.Column {
				t.Fatalf("%d:%d-%d:%d in %d lines", p.Line, p.Column, p.EndLine, p.EndColumn, len(lines))
			}
			if p.Column > utf8.RuneCountInString(lines[p.Line-1])+1 || p.EndColumn > utf8.RuneCountInString(lines[p.EndLine-1])+1 {
				t.Fatalf("%d:%d-%d:%d is outside its line: %s", p.Line, p.Column, p.EndLine, p.EndColumn, b.String())
			}
		}
	})
}
