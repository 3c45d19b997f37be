package event_test

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/goccy/go-json"
	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/event"
)

// genericFields reads a document with goccy/go-json into a tree and flattens it: what each path holds, sorted.
func genericFields(t *testing.T, doc []byte) map[string][]string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	var tree map[string]any
	if err := dec.Decode(&tree); err != nil {
		t.Fatalf("go-json: %q: %v", doc, err)
	}
	fields := map[string][]string{}
	var walk func(path string, v any)
	walk = func(path string, v any) {
		switch v := v.(type) {
		case map[string]any:
			for key, below := range v {
				walk(strings.TrimPrefix(path+"."+key, "\x00."), below)
			}
		case []any:
			for _, element := range v {
				walk(path, element)
			}
		case json.Number:
			if text := coerceNumber(event.Unknown, v.String(), false); text != refuse {
				fields[path] = append(fields[path], text)
			}
		case string, bool:
			fields[path] = append(fields[path], coerce(event.Unknown, v))
		}
	}
	walk("\x00", tree)
	for _, values := range fields {
		slices.Sort(values)
	}
	return fields
}

// TestDecodeLikeGoccy compares with the answer of goccy/go-json, the generic decoder that the rest of Weir uses, on real
// and made-up documents. Where a key occurs twice go-json keeps the last; such documents are left to the fuzz target,
// which compares with the tokens of encoding/json.
func TestDecodeLikeGoccy(t *testing.T) {
	check := func(doc []byte) {
		t.Helper()
		want := genericFields(t, doc)
		s := event.NewSchema(nil)
		for path := range want {
			s.Add(path)
		}
		d, ev := event.NewDecoder(s), event.New(s)
		if err := d.Decode(doc, ev); err != nil {
			t.Fatalf("%q: %v", doc, err)
		}
		got := map[string][]string{}
		for i := range s.Len() {
			path := s.Field(event.Slot(i)).Path
			for _, v := range ev.Values(event.Slot(i)) {
				got[path] = append(got[path], describe(v))
			}
			slices.Sort(got[path])
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Fatalf("%s\n%s", doc, diff)
		}
	}
	for _, doc := range generatedDocs(200) {
		check(doc)
	}
	for _, v := range values {
		for _, text := range v.texts {
			if v.fault < 0 && !strings.Contains(text, `{"b":1,"b":2}`) && utf8.ValidString(text) {
				check([]byte(`{"a":{"b":` + text + `},"a.c":[` + text + `]}`))
			}
		}
	}
	paths, _ := filepath.Glob("../../shared/events/samples/*.ndjson")
	attack, _ := filepath.Glob("../../shared/events/attack/*.gz")
	if paths = append(paths, attack...); len(paths) == 0 {
		t.Log("../shared/events isn't here: only documents of our own were compared")
	}
	limit := 500
	if testing.Short() {
		limit = 50
	}
	for _, path := range paths {
		eachLine(t, path, limit, check)
	}
}
