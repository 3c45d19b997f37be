package alert

import (
	"bytes"
	stdjson "encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"
)

// readByLibraries is readSource as it was: three passes of the standard library and go-json. Where a key is twice in an object, the last counts.
func readByLibraries(source []byte) (raw []byte, tree object, ok bool) {
	if !utf8.Valid(source) {
		source = bytes.ToValidUTF8(source, []byte("\uFFFD"))
	}
	var compact bytes.Buffer
	if err := stdjson.Compact(&compact, source); err != nil {
		return nil, nil, false
	}
	raw = compact.Bytes()
	if len(raw) == 0 || raw[0] != '{' || depthOf(raw) > maxDepth {
		return nil, nil, false
	}
	tree, err := decode(raw)
	if err != nil {
		return nil, nil, false
	}
	tree, _ = unify(tree)
	return raw, tree, true
}

// depthOf returns how deep valid JSON nests.
func depthOf(raw []byte) (most int) {
	depth, inString := 0, false
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			depth++
			most = max(most, depth)
		case c == '}' || c == ']':
			depth--
		}
	}
	return most
}

// sources are documents of which many are malformed.
func sources() []string {
	s := []string{
		"", " ", "{", "}", "{}", " {} ", "{}x", "[]", `"x"`, "null", "{\"a\"}", `{"a":}`, `{"a":1,}`, `{,"a":1}`, `{"a" : 1 , "b":[ 1 ,2]}`, `{"a":[1,]}`, `{"a":[,1]}`,
		`{"a":01}`, `{"a":-}`, `{"a":-0}`, `{"a":1.}`, `{"a":.5}`, `{"a":1.50e+10}`, `{"a":1e}`, `{"a":1E-2}`, `{"a":+1}`, `{"a":123456789012345678901234567890}`, `{"a":1e999}`,
		`{"a":tru}`, `{"a":true}`, `{"a":false}`, `{"a":null}`, `{"a":nulll}`, `{"a":NaN}`, `{a:1}`, `{'a':1}`, `{"a":1 "b":2}`, `{"a":1}{}`, "{\"a\":\"\x01\"}", "{\"a\":\"\t\"}",
		`{"a":"\n\t\"\\\/\b\f\r"}`, `{"a":"\u00e9\ud83d\ude00"}`, `{"a":"\ud83d"}`, `{"a":"\ud83dx"}`, `{"a":"\ude00\ud83d"}`, `{"a":"\u12"}`, `{"a":"\x"}`, `{"a":"\n\u000a\q"}`, `{"a":"C:\\Windows\\"}`, `{"\/":"\b"}`, `{"a":"\`, `{"a":"\"}`, `{"\u0061":1}`,
		`{"a":1,"a":2}`, `{"a":{"b":1},"a":{"c":2}}`, `{"a":[1],"a":null}`, `{"a.b":1,"a":{"b":2,"c":3}}`, "{\"a\":\"\xff\"}", "{\"\xc3\":\"é\"}", "\xef\xbb\xbf{}", `{"":""}`, "{\"a\":\"\u2028\"}",
		`{"a":{"b":1,"b":{"c":2}},"a":{"b":[3,{"c":[4,2]}]},"a":5,"a.b":{"c":6}}`, `{"a":[{"b":1}],"a":{"b":2}}`, `{"a":[{"b":1},3],"a.b":2}`, `{"a":[[{"b":1,"b":2}],{"b":3}],"a":[null,{"b":1}]}`,
		`{"a":1,"a":1}`, `{"a":null,"a":null}`, `{"a":[],"a":[]}`, `{"a":{},"a":1}`, ` {"a" : "\u0061", "\u0061":"b"} `, `{"x":[{"a":1,"a":2}]}`, `{"a.b":1,"a.b":{"c":2},"a":{"b.c":3}}`,
		`{"a":` + strings.Repeat("[", maxDepth-1) + strings.Repeat("]", maxDepth-1) + `}`,
		`{"a":` + strings.Repeat("[", maxDepth) + strings.Repeat("]", maxDepth) + `}`,
		`{"a":` + strings.Repeat(`{"a":`, maxDepth-1) + "1" + strings.Repeat("}", maxDepth),
		`{"a":` + strings.Repeat("[", 100_000),
	}
	files, _ := filepath.Glob("testdata/*.golden")
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil {
			s = append(s, string(b))
		}
	}
	return s
}

func checkRead(t *testing.T, source []byte) {
	t.Helper()
	before := bytes.Clone(source)
	raw, tree, ok := readSource(source)
	wantRaw, wantTree, wantOK := readByLibraries(source)
	if ok != wantOK {
		t.Fatalf("%.200q: taken %v, want %v", source, ok, wantOK)
	}
	if !bytes.Equal(source, before) {
		t.Errorf("%.200q has changed to %.200q", before, source)
	}
	if ok {
		checkLeaves(t, wantRaw, tree)
	}
	if ok && leavesOf(wantRaw).twice {
		checkRepeated(t, wantRaw, raw)
		return
	}
	if !bytes.Equal(raw, wantRaw) {
		t.Errorf("%.200q: without blanks %.200q, want %.200q", source, raw, wantRaw)
	}
	if !reflect.DeepEqual(tree, wantTree) {
		t.Errorf("%.200q: read as %v, want %v", source, tree, wantTree)
	}
}

// TestReadSource compares the reader with the libraries.
func TestReadSource(t *testing.T) {
	for _, s := range sources() {
		checkRead(t, []byte(s))
	}
}

func FuzzReadSource(f *testing.F) {
	for _, s := range sources() {
		if len(s) < 2000 { // long ones take a minute each to be made smaller
			f.Add([]byte(s))
		}
	}
	f.Fuzz(checkRead)
}
