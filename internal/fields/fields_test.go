package fields_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/fields"
)

func TestParse(t *testing.T) {
	forms := map[string]string{
		"paths": `
build.version: version
build.state: {type: keyword, null_value: none}
build.labels: flattened
build.title: text
build.count: integer
process.pid: keyword
`,
		"mapping": `{"properties": {
  "build": {"properties": {
    "version": {"type": "version"}, "state": {"type": "keyword", "null_value": "none"}, "labels": {"type": "flattened"},
    "title": {"type": "text", "fields": {"raw": {"type": "keyword"}}}, "count": {"type": "integer"}, "place": {"type": "geo_point"}}},
  "process": {"type": "object", "properties": {"pid": {"type": "keyword"}}}}}`,
	}
	forms["mappings"] = `{"mappings": ` + forms["mapping"] + `}`
	forms["index"] = `{"builds-1": ` + forms["mappings"] + `}`
	for name, text := range forms {
		t.Run(name, func(t *testing.T) {
			var table fields.Table
			if err := table.Parse([]byte(text)); err != nil {
				t.Fatal(err)
			}
			for path, want := range map[string]event.Type{
				"build.version": event.Version, "build.state": event.Keyword, "build.labels.team": event.Keyword,
				"build.title": event.Keyword, "build.count": event.Long, "build.place": event.Unknown, "build": event.Unknown,
				"process.pid":        event.Keyword, // declared, over ECS
				"process.parent.pid": event.Long,    // of ECS
			} {
				if got := table.TypeOf(path); got != want {
					t.Errorf("type of %s: got %s, want %s", path, got, want)
				}
			}
			if text, ok := table.Null("build.state"); !ok || text != "none" {
				t.Errorf("null of build.state: got %q, %v", text, ok)
			}
			if text, ok := table.Null("build.count"); ok {
				t.Errorf("null of build.count: got %q, want none", text)
			}
			if !table.Known("build.count") || table.Known("build.place") || !table.Known("process.name") {
				t.Error("known are the declared fields and those of ECS")
			}
			if got := table.Nearest("build.versoin"); got != "build.version" {
				t.Errorf("nearest: got %q, want build.version", got)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for text, want := range map[string]string{
		"a.b: lnog":                        `a.b: unknown type "lnog": did you mean long?`,
		"a.b: geo_point":                   `a.b: unknown type "geo_point": there are boolean, byte, `,
		"a: {b: long}":                     "a: has no type: write its full path with dots",
		"a: {type: long, index: no}":       "a: unknown key index",
		"a: 1":                             "a: must be a type such as keyword",
		"a..b: long":                       `"a..b" is no path of a field`,
		"- a":                              "",
		"a: b: c":                          "",
		`{"properties": {"a": "long"}}`:    "a: must be an object with a type",
		"a: {type: long}\nb: x\nc: [long]": "b: unknown type",
	} {
		var table fields.Table
		err := table.Parse([]byte(text))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", text, err, want)
		}
	}
}

func TestRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "fields.yaml")
	if err := os.WriteFile(path, []byte("a: nothing\nb: nothing\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var table fields.Table
	err := table.Read(path)
	if err == nil || !strings.Contains(err.Error(), path) || strings.Count(err.Error(), "unknown type") != 2 {
		t.Errorf("got %v, want the file and both problems", err)
	}
	if err := table.Read(path + ".absent"); err == nil {
		t.Error("a file that isn't there was read")
	}
}

// TestNil sees that nothing declared is the table of ECS.
func TestNil(t *testing.T) {
	var table *fields.Table
	if got := table.TypeOf("process.pid"); got != event.Long {
		t.Errorf("got %s, want long", got)
	}
	if _, ok := table.Null("process.pid"); ok || table.Known("nonesuch") || table.Nearest("process.nmae") != "process.name" {
		t.Error("a nil table is not ECS alone")
	}
}
