package alert

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

// leaves is what stands where in a document, with all values of keys that are there more than once.
type leaves struct {
	values  map[string]int  // path and value, and how often it is there; nulls are nothing
	objects map[string]bool // paths of objects
	twice   bool            // an object has a key twice
}

func leavesOf(raw []byte) leaves {
	l := leaves{values: map[string]int{}, objects: map[string]bool{}}
	d := stdjson.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	l.read(d, "")
	return l
}

func (l *leaves) read(d *stdjson.Decoder, path string) {
	t, err := d.Token()
	if err != nil {
		panic(err)
	}
	switch t {
	case stdjson.Delim('{'):
		for i := range path {
			if path[i] == '.' {
				l.objects[path[:i]] = true
			}
		}
		l.objects[path] = true
		keys := map[string]bool{}
		for d.More() {
			key, _ := d.Token()
			k, _ := key.(string)
			l.twice = l.twice || keys[k]
			keys[k] = true
			if path != "" {
				k = path + "." + k
			}
			l.read(d, k)
		}
		_, _ = d.Token()
	case stdjson.Delim('['):
		for d.More() {
			l.read(d, path)
		}
		_, _ = d.Token()
	case nil:
	default:
		for i := range path {
			if path[i] == '.' {
				l.objects[path[:i]] = true
			}
		}
		l.values[fmt.Sprintf("%s %T %v", path, t, t)]++
	}
}

// checkLeaves checks that a tree has the values of a source at their paths, but for those that an object has won over.
func checkLeaves(t *testing.T, source []byte, tree object) {
	t.Helper()
	raw, err := encode(tree)
	if err != nil {
		t.Fatal(err)
	}
	want, got := leavesOf(source), leavesOf(raw)
	for v := range got.values {
		if want.values[v] == 0 {
			t.Errorf("%.200q: read as %.200s, where %q is new", source, raw, v)
		}
	}
	for v := range want.values {
		path, _, _ := strings.Cut(v, " ")
		if got.values[v] == 0 && !want.objects[path] {
			t.Errorf("%.200q: read as %.200s, where %q is lost", source, raw, v)
		}
	}
	if got.twice {
		t.Errorf("%.200q: read as %.200s, where a key is twice", source, raw)
	}
}

// checkRepeated checks that raw is the source with each key once, and all values.
func checkRepeated(t *testing.T, source, raw []byte) {
	t.Helper()
	want, got := leavesOf(source), leavesOf(raw)
	if got.twice || !maps.Equal(got.values, want.values) {
		t.Errorf("%.200q is published as %.200s", source, raw)
	}
}

func TestReadRepeated(t *testing.T) {
	for _, c := range []struct{ source, raw, fields string }{
		{`{"a":1,"b":2,"a":3}`, `{"a":[1,3],"b":2}`, `{"a":[1,3],"b":2}`},
		{`{"a":1,"a":1}`, `{"a":[1,1]}`, `{"a":1}`},
		{`{"a":{"x":1},"a":{"y":2},"a":{"x":3}}`, `{"a":{"x":[1,3],"y":2}}`, `{"a":{"x":[1,3],"y":2}}`},
		{`{"a":{"b":{"x":1}},"a":{"b":{"x":2},"b":{"x":3}}}`, `{"a":{"b":{"x":[1,2,3]}}}`, `{"a":{"b":{"x":[1,2,3]}}}`},
		{`{"a":{"x":1},"a":{"x":2},"a.x":3}`, `{"a":{"x":[1,2]},"a.x":3}`, `{"a":{"x":[1,2,3]}}`},
		{`{"a.x":1,"a.x":2}`, `{"a.x":[1,2]}`, `{"a":{"x":[1,2]}}`},
		{`{"a":[{"x":1}],"a":[{"x":2}]}`, `{"a":[{"x":1},{"x":2}]}`, `{"a":[{"x":1},{"x":2}]}`},
		{`{"a":[{"x":1}],"a":{"x":2}}`, `{"a":[{"x":1},{"x":2}]}`, `{"a":{"x":[1,2]}}`},
		{`{"l":[{"x":1,"x":2}]}`, `{"l":[{"x":[1,2]}]}`, `{"l":[{"x":[1,2]}]}`},
		{`{"a":"x","a":{"y":1}}`, `{"a":["x",{"y":1}]}`, `{"a":{"y":1}}`},
		{`{"a":null,"a":1,"b":null,"b":null}`, `{"a":1,"b":null}`, `{"a":1,"b":null}`},
	} {
		raw, tree, ok := readSource([]byte(c.source))
		fields, err := encode(tree)
		if !ok || err != nil || string(raw) != c.raw || string(fields) != c.fields {
			t.Errorf("%s: got %s, fields %s, %v %v; want %s, fields %s", c.source, raw, fields, ok, err, c.raw, c.fields)
		}
	}
}

// TestReadManyRepeated: what is there ten thousand times is neither compared nor copied with all that was there before.
func TestReadManyRepeated(t *testing.T) {
	for name, member := range map[string]string{
		"values": `"a":"%d"`, "objects": `"a":{"x":{"y":%d}}`, "fields": `"a":{"x%d":1}`, "arrays": `"a":[{"x":%d}]`,
		"deep": strings.Repeat(`"a":{`, 10) + `"a":%d` + strings.Repeat("}", 10),
	} {
		var b strings.Builder
		for i := range 10_000 {
			b.WriteByte(',')
			fmt.Fprintf(&b, member, i)
		}
		source := []byte(`{"b":0` + b.String() + `}`)
		began := time.Now()
		raw, tree, ok := readSource(source)
		if took := time.Since(began); !ok || took > 5*time.Second {
			t.Errorf("%s: read %v in %v", name, ok, took)
		}
		checkLeaves(t, source, tree)
		checkRepeated(t, source, raw)
	}
}
