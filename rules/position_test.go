package rules

import (
	"bytes"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/internal/fuzzseed"
)

// FuzzLoad loads anything without a panic, keeps every problem within the file, and decodes a query's string to the
// same text as the TOML library, so that positions are right wherever a query's errors are.
func FuzzLoad(f *testing.F) {
	const head = "[rule]\nrule_id='a'\nname='b'\nseverity='low'\ntype='eql'\n"
	for _, seed := range []string{
		"", "[rule", "[rule]\ntype='query'\n",
		head + "query='any where true'\n",
		head + "query=\"any where x == \\\"\\u00e9\\\\\\\" \"\n",
		head + "query='''\r\nany where \n true'''''\n",
		head + "query=\"\"\"\nany \\\n   where \\U0001F600 true\\x41\\e\"\"\"\"\n",
		head + "query=['any']\n", head + "rule.query='x'\n", head + "query=''''''\n",
		"rule = {type='eql', query='any where wildcrd(1)'}\n",
		head + "query='''\r\n", // was marked behind the end of its line
	} {
		f.Add([]byte(seed))
	}
	files, err := fuzzseed.Files()
	if err != nil {
		f.Fatal(err)
	}
	for _, src := range files {
		f.Add(src)
	}
	o := LoadOptions{}
	o.EnsureDefaults()
	f.Fuzz(func(t *testing.T, src []byte) {
		file := parseFile("f.toml", src, o)
		lines := bytes.Split(src, []byte("\n"))
		for _, p := range file.Problems {
			if p.Line < 1 || p.Line > len(lines) || p.Column < 1 || (p.EndLine == p.Line && p.EndColumn < p.Column) {
				t.Errorf("got %d:%d-%d in a file of %d lines: %s", p.Line, p.Column, p.EndColumn, len(lines), p.Message)
			} else if line := lines[p.Line-1]; p.Column > len(line)+1 {
				t.Errorf("got %d:%d in a line of %d bytes: %s", p.Line, p.Column, len(line), p.Message)
			}
		}
		var doc struct {
			Rule struct {
				Query any `toml:"query"`
			} `toml:"rule"`
		}
		if toml.Unmarshal(src, &doc) != nil {
			return
		}
		query, ok := doc.Rule.Query.(string)
		if !ok {
			return
		}
		p := parser{src: src, at: locate(src)}
		text := p.queryText()
		if string(text.text) != query || len(text.offsets) != len(query)+1 {
			t.Errorf("got text %q with %d offsets, want %q", text.text, len(text.offsets), query)
		}
	})
}
