package event_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/event"
)

// flatten is the independent reference: all scalars of a valid document by path, in document order, as
// describe writes them. It reads tokens, so that keys that occur twice are kept.
func flatten(t *testing.T, doc []byte) map[string][]string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(doc))
	dec.UseNumber()
	out := map[string][]string{}
	var walk func(path string, root bool)
	walk = func(path string, root bool) {
		token, err := dec.Token()
		if err != nil {
			t.Fatalf("reference: %v", err)
		}
		switch v := token.(type) {
		case json.Delim:
			for dec.More() {
				if v == '[' {
					walk(path, false)
					continue
				}
				key, err := dec.Token()
				if err != nil {
					t.Fatalf("reference: %v", err)
				}
				if root {
					walk(key.(string), false)
				} else {
					walk(path+"."+key.(string), false)
				}
			}
			if _, err := dec.Token(); err != nil {
				t.Fatalf("reference: %v", err)
			}
		case string:
			out[path] = append(out[path], "s:"+v)
		case bool:
			out[path] = append(out[path], "b:"+strconv.FormatBool(v))
		case json.Number:
			out[path] = append(out[path], referenceNumber(v.String())...)
		}
	}
	walk("", true)
	return out
}

func referenceNumber(text string) []string {
	if n, err := strconv.ParseInt(text, 10, 64); err == nil {
		return []string{describe(event.IntValue(n))}
	}
	if n, err := strconv.ParseUint(text, 10, 64); err == nil {
		return []string{describe(event.UintValue(n))}
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil {
		return []string{describe(event.FloatValue(f))}
	}
	return nil
}

// checkDecode compares the decoder with encoding/json on one document: both must accept it or neither, and
// every field must have the values of the reference.
func checkDecode(t *testing.T, doc []byte) {
	t.Helper()
	trimmed := bytes.TrimLeft(doc, " \t\r\n")
	valid := json.Valid(doc) && trimmed[0] == '{'
	want := map[string][]string{}
	if valid && utf8.Valid(doc) {
		want = flatten(t, doc)
	}
	s := event.NewSchema(nil)
	for path := range want {
		if strings.Count(path, ".") >= 64 { // found as one flat key only
			continue
		}
		s.Add(path)
		if i := strings.LastIndexByte(path, '.'); i > 0 {
			s.Add(path[:i])
		}
	}
	s.Add("absent.field")
	d, ev := event.NewDecoder(s), event.New(s)
	err := d.Decode(doc, ev)
	var syntax *event.SyntaxError
	if errors.As(err, &syntax) && syntax.Msg == "nested too deep" {
		return
	}
	if (err == nil) != valid {
		t.Fatalf("Decode(%q): error %v, encoding/json says valid: %v", doc, err, valid)
	}
	if err != nil && (syntax == nil || syntax.Offset < 0 || syntax.Offset > len(doc)) {
		t.Fatalf("Decode(%q): error %#v outside the document", doc, err)
	}
	if !utf8.Valid(doc) {
		return
	}
	for i := range s.Len() {
		path := s.Field(event.Slot(i)).Path
		var got []string
		for _, v := range ev.Values(event.Slot(i)) {
			got = append(got, describe(v))
		}
		if !slices.Equal(got, want[path]) {
			t.Errorf("%q of %q: %s", path, doc, cmp.Diff(want[path], got))
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		ecsDoc,
		`{}`,
		`{"a":{"b":[1,-0,1.5e3,18446744073709551615,null,true,"x\u00e9\ud83d"]},"a.b":"y","a":{"b":"z"}}`,
		` {"a" : [ {"b.c" : "1"} , [ [ ] ] ] , "" : {"" : false} } `,
		`{"a":"\\\"\/\b\f\n\r\t","\u0061":"0123456789abcdef"}`,
		`{"a":01}`, `{"a":1}}`, `{"a":[1,]}`, `{"a":"` + "\x00" + `"}`, `[{"a":1}]`, `{"a":`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, doc []byte) { checkDecode(t, doc) })
}

// eachLine calls do for up to limit lines of an NDJSON file, plain or gzipped.
func eachLine(t *testing.T, path string, limit int, do func(line []byte)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			t.Fatal(err)
		}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for n := 0; n < limit && lines.Scan(); n++ {
		do(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

// TestDecodeRealEvents compares with the reference on real documents, whole and cut off.
func TestDecodeRealEvents(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"samples/*.ndjson", "attack/*.gz"} {
		found, err := filepath.Glob("../../shared/events/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Skip("../shared/events isn't here: it holds the real events that this test reads")
	}
	limit := 2000
	if testing.Short() {
		limit = 100
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			eachLine(t, path, limit, func(line []byte) {
				checkDecode(t, line)
				checkDecode(t, line[:len(line)*2/3])
			})
		})
	}
}
