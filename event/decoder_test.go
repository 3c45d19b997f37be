package event_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/event"
)

// decode returns the values of field in doc as texts, each led by its kind's initial, and the decoder's count
// of values that could not be coerced.
func decode(t *testing.T, typ event.Type, field, doc string) (values []string, uncoerced uint64) {
	t.Helper()
	s := event.NewSchema(func(string) event.Type { return typ })
	slot := s.Add(field)
	d, ev := event.NewDecoder(s), event.New(s)
	if err := d.Decode([]byte(doc), ev); err != nil {
		t.Fatalf("Decode(%s): %v", doc, err)
	}
	for _, v := range ev.Values(slot) {
		values = append(values, describe(v))
	}
	return values, d.Uncoerced()[slot]
}

func describe(v event.Value) string {
	names := map[event.Kind]string{
		event.String: "s", event.Int: "i", event.Uint: "u", event.Float: "f",
		event.Bool: "b", event.Time: "t", event.Addr: "a",
	}
	text := names[v.Kind()] + ":" + v.Text()
	if v.Kind() == event.Time && v.SubMillis() != 0 {
		text += "+" + event.IntValue(int64(v.SubMillis())).Text()
	}
	return text
}

func TestDecodePaths(t *testing.T) {
	for _, tt := range []struct{ name, field, doc, want string }{
		{"nested", "a.b.c", `{"a":{"b":{"c":"x"}}}`, "s:x"},
		{"flat", "a.b.c", `{"a.b.c":"x"}`, "s:x"},
		{"half dotted, tail", "a.b.c", `{"a":{"b.c":"x"}}`, "s:x"},
		{"half dotted, head", "a.b.c", `{"a.b":{"c":"x"}}`, "s:x"},
		{"all spellings at once", "a.b.c", `{"a.b.c":"1","a":{"b.c":"2","b":{"c":"3"}},"a.b":{"c":"4"}}`, "s:1 s:2 s:3 s:4"},
		{"neighbours are not it", "a.b", `{"a":{"bb":"1","":"2"},"b":"3","a.":"4",".b":"5","a.b.c":"6","A":{"b":"7"}}`, ""},
		{"array", "a.b", `{"a":{"b":["1","2"]}}`, "s:1 s:2"},
		{"nested arrays flatten", "a.b", `{"a":{"b":["1",["2",["3"]],[]]}}`, "s:1 s:2 s:3"},
		{"arrays of objects flatten", "a.b", `{"a":[{"b":"1"},{"c":"2"},{"b":["3"]},[{"b":"4"}],"5"]}`, "s:1 s:3 s:4"},
		{"nulls are dropped", "a", `{"a":[null,"1",null]}`, "s:1"},
		{"only nulls", "a", `{"a":[null]}`, ""},
		{"null", "a", `{"a":null}`, ""},
		{"empty array", "a", `{"a":[]}`, ""},
		{"empty string", "a", `{"a":""}`, "s:"},
		{"duplicate keys", "a", `{"a":"1","b":0,"a":"2"}`, "s:1 s:2"},
		{"object in place of a scalar", "a", `{"a":{"b":1}}`, ""},
		{"escaped key", "a.b", `{"\u0061":{"\u0062":"1"},"a\u002eb":"2"}`, "s:1 s:2"},
		{"empty segments", "a..b", `{"a":{"":{"b":"1"}},"a.":{"b":"2"},"a..b":"3","a":{".b":"4"}}`, "s:1 s:2 s:3 s:4"},
		{"white space", "a", " {\r\n\t\"a\" : [ \"1\" , \"2\" ] } \n", "s:1 s:2"},
		{"by JSON type", "a", `{"a":["x",1,-1,18446744073709551615,18446744073709551616,1.5,1e3,true,false]}`, "s:x i:1 i:-1 u:18446744073709551615 f:1.8446744073709552E19 f:1.5 f:1000.0 b:true b:false"},
		{"escapes", "a", `{"a":"\"\\\/\b\f\n\r\tA\u00e9\u20ac\ud83d\ude00"}`, "s:\"\\/\b\f\n\r\tAé€😀"},
		{"lone surrogates", "a", `{"a":["\ud83d","\ude00x","\ud83d\ud83d\ude00","\ud83d\u0041"]}`, "s:\uFFFD s:\uFFFDx s:\uFFFD😀 s:\uFFFDA"},
		{"invalid UTF-8 stays", "a", "{\"a\":\"\xff\xc0\"}", "s:\xff\xc0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			values, _ := decode(t, event.Unknown, tt.field, tt.doc)
			if got := strings.Join(values, " "); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestDecodeManySegments(t *testing.T) {
	path := "a" + strings.Repeat(".a", 20_000)
	if got, _ := decode(t, event.Unknown, path, `{"`+path+`":1,"a":{"`+path[2:]+`":2}}`); len(got) != 1 || got[0] != "i:1" {
		t.Errorf("got %v, want only the value of the flat key", got)
	}
}

func TestDecodePrefixField(t *testing.T) {
	s := event.NewSchema(nil)
	a, ab := s.Add("a"), s.Add("a.b")
	d, ev := event.NewDecoder(s), event.New(s)
	if err := d.Decode([]byte(`{"a":[1,{"b":2}],"a.b":3}`), ev); err != nil {
		t.Fatal(err)
	}
	if got := ev.Values(a); len(got) != 1 || got[0].Int() != 1 {
		t.Errorf("a: got %v, want 1", got)
	}
	if got := ev.Values(ab); len(got) != 2 || got[0].Int() != 2 || got[1].Int() != 3 {
		t.Errorf("a.b: got %v, want 2 and 3", got)
	}
	if got := d.Uncoerced(); got[a] != 0 || got[ab] != 0 {
		t.Errorf("uncoerced: got %v, want none", got)
	}
}

func TestDecodeCoercion(t *testing.T) {
	for _, tt := range []struct {
		typ       event.Type
		in        string // elements of an array
		want      string
		uncoerced uint64
	}{
		{event.Keyword, `"x",1,-0.50,1e3,true,false,null`, "s:x s:1 s:-0.50 s:1e3 s:true s:false", 0},
		{event.Keyword, `{"b":1}`, "", 1},
		{event.Version, `"8.10.0",8`, "s:8.10.0 s:8", 0},
		{event.Long, `512,"512","+512",512.7,"512.7",-512.7,5.127e2,""`, "i:512 i:512 i:512 i:512 i:512 i:-512 i:512", 0},
		{event.Long, `9223372036854775807,9223372036854775807.9,-9223372036854775808`, "i:9223372036854775807 i:9223372036854775807 i:-9223372036854775808", 0},
		{event.Long, `9223372036854775808,-9223372036854775809,1e19,1e999999999999,"x"," 1","0x10","1e",".","-",true,{}`, "", 12},
		{event.Long, `0e999999999999,1e-999999999999,"-.5","5."`, "i:0 i:0 i:0 i:5", 0},
		{event.Unsigned, `0,18446744073709551615,"18446744073709551615",512.0,-0`, "i:0 u:18446744073709551615 u:18446744073709551615 i:512 i:0", 0},
		{event.Unsigned, `-1,18446744073709551616,1.5,"x"`, "", 4},
		{event.Double, `1,1.5,"1.5","-1e3",""`, "f:1.0 f:1.5 f:1.5 f:-1000.0", 0},
		{event.Double, `1e999,"NaN","Infinity","0x1p4","1_0",true`, "", 6},
		{event.Boolean, `true,false,"true","false",""`, "b:true b:false b:true b:false b:false", 0},
		{event.Boolean, `0,1,"True","yes"`, "", 4},
		{event.Date, `"2024-05-06T07:08:09.123456789Z",1714979289123,"1714979289123","1714979289123.5",2024`, "t:2024-05-06T07:08:09.123Z+456789 t:2024-05-06T07:08:09.123Z t:2024-05-06T07:08:09.123Z t:2024-05-06T07:08:09.123Z+500000 t:1970-01-01T00:00:02.024Z", 0},
		{event.Date, `"yesterday","",true,9e18,"2024-02-30"`, "", 5},
		{event.IP, `"10.0.0.1","::ffff:10.0.0.1","2001:DB8:0:0::1","2001:db8::1","fe80::1%eth0","::"`, "a:10.0.0.1 a:10.0.0.1 a:2001:db8::1 a:2001:db8::1 a:fe80::1 a:::", 0},
		{event.IP, `"10.0.0.256","10.0.0.01","10.0.0","10.0.0.0/8","-","",1,true,"localhost","1:2","fe80::1::2"`, "", 11},
		{event.Unknown, `1e999`, "", 1},
	} {
		values, uncoerced := decode(t, tt.typ, "f", `{"f":[`+tt.in+`]}`)
		if got := strings.Join(values, " "); got != tt.want || uncoerced != tt.uncoerced {
			t.Errorf("%v of %s:\n got %s (%d uncoerced)\nwant %s (%d uncoerced)", tt.typ, tt.in, got, uncoerced, tt.want, tt.uncoerced)
		}
	}
}

func TestDecodeSyntaxErrors(t *testing.T) {
	deep := func(n int) string {
		return `{"x":` + strings.Repeat("[", n-1) + strings.Repeat("]", n-1) + `}`
	}
	s := event.NewSchema(nil)
	slot := s.Add("a")
	d, ev := event.NewDecoder(s), event.New(s)
	for _, tt := range []struct {
		doc    string
		offset int
	}{
		{``, 0},
		{`  `, 2},
		{`[]`, 0},
		{`"x"`, 0},
		{`null`, 0},
		{"\xef\xbb\xbf{}", 0},
		{`{`, 1},
		{`{"a":1`, 6},
		{`{"a":1,}`, 7},
		{`{"a":1}}`, 7},
		{`{"a":1} x`, 8},
		{`{"a" 1}`, 5},
		{`{a:1}`, 1},
		{`{"a":[1,]}`, 8},
		{`{"a":[1 2]}`, 8},
		{`{"a":01}`, 6},
		{`{"a":-}`, 6},
		{`{"a":1.}`, 7},
		{`{"a":1e+}`, 8},
		{`{"a":.5}`, 5},
		{`{"a":+1}`, 5},
		{`{"a":NaN}`, 5},
		{`{"a":tru}`, 5},
		{`{"a":"x`, 7},
		{`{"a":"\x"}`, 6},
		{`{"a":"\u12g4"}`, 6},
		{"{\"a\":\"\n\"}", 6},
		{"{\"a\":\"0123456789\x00\"}", 16},
		{deep(event.MaxDepth + 1), 5 + event.MaxDepth - 1},
	} {
		err := d.Decode([]byte(tt.doc), ev)
		var syntax *event.SyntaxError
		if !errors.As(err, &syntax) {
			t.Errorf("Decode(%.40q): got error %v, want a *SyntaxError", tt.doc, err)
			continue
		}
		if syntax.Offset != tt.offset {
			t.Errorf("Decode(%.40q): got %v, want offset %d", tt.doc, err, tt.offset)
		}
		if got := ev.Values(slot); len(got) != 0 || string(ev.Raw) != tt.doc {
			t.Errorf("Decode(%.40q): the event holds %v and %.40q after the error", tt.doc, got, ev.Raw)
		}
	}
	if err := d.Decode([]byte(deep(event.MaxDepth)), ev); err != nil {
		t.Errorf("at the limit of depth: %v", err)
	}
	if err := d.Decode([]byte(deep(1_000_000)), ev); err == nil {
		t.Error("a million levels: no error")
	}
}

// TestDecodeReuse shows that an event that is used again holds nothing of the document before, and that text
// stays intact while scratch grows.
func TestDecodeReuse(t *testing.T) {
	s := event.NewSchema(nil)
	a, b := s.Add("a"), s.Add("b")
	d, ev := event.NewDecoder(s), event.New(s)
	long := strings.Repeat(`\n`, 700)
	if err := d.Decode([]byte(`{"a":["`+long+`1","`+long+`2","`+long+`3"],"b":1}`), ev); err != nil {
		t.Fatal(err)
	}
	plain := strings.Repeat("\n", 700)
	for i, v := range ev.Values(a) {
		if got, want := v.Str(), plain+string(rune('1'+i)); got != want {
			t.Errorf("value %d: got %q, want %q", i, got, want)
		}
	}
	if err := d.Decode([]byte(`{"a":"x"}`), ev); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff("x", ev.First(a).Str()); diff != "" || len(ev.Values(a)) != 1 || ev.Values(b) != nil && len(ev.Values(b)) != 0 {
		t.Errorf("after reuse: a %v, b %v", ev.Values(a), ev.Values(b))
	}
}

// TestDecodeDoesNotAllocate decodes documents with and without escapes, by fields of few and of all types, once an event
// has seen each of them.
func TestDecodeDoesNotAllocate(t *testing.T) {
	docs := append(generatedDocs(50), []byte(ecsDoc))
	for name, s := range map[string]*event.Schema{"25": namedSchema(t, "25"), "150": benchSchema(150), "all": namedSchema(t, "all")} {
		if s == nil {
			t.Log("../shared isn't here: the fields of its rules are left out")
			continue
		}
		d, ev := event.NewDecoder(s), event.New(s)
		decode := func() {
			for _, doc := range docs {
				if err := d.Decode(doc, ev); err != nil {
					t.Fatal(err)
				}
			}
		}
		decode()
		if got := testing.AllocsPerRun(20, decode); got != 0 {
			t.Errorf("%s fields: got %v allocations for %d documents, want 0", name, got, len(docs))
		}
	}
}

// TestNullValues sees that an explicit null, and only that, has the value that the schema gives it.
func TestNullValues(t *testing.T) {
	s := event.NewSchema(func(path string) event.Type {
		if path == "count" {
			return event.Long
		}
		return event.Keyword
	})
	s.SetNulls(func(path string) (string, bool) {
		return map[string]string{"state": "none", "count": "-1"}[path], path == "state" || path == "count"
	})
	state, count, other := s.Add("state"), s.Add("count"), s.Add("other")
	d, ev := event.NewDecoder(s), event.New(s)
	for doc, want := range map[string]string{
		`{"state": null, "count": null, "other": null}`:          "none/-1/",
		`{"state": ["a", null], "count": [[null], 2]}`:           "a,none/-1,2/",
		`{"state": [], "other": [null]}`:                         "//",
		`{}`:                                                     "//",
		`{"state": "none", "state": null, "count": {"x": null}}`: "none,none//",
	} {
		if err := d.Decode([]byte(doc), ev); err != nil {
			t.Fatal(err)
		}
		var parts []string
		for _, slot := range []event.Slot{state, count, other} {
			var texts []string
			for _, v := range ev.Values(slot) {
				texts = append(texts, v.Text())
			}
			parts = append(parts, strings.Join(texts, ","))
		}
		if got := strings.Join(parts, "/"); got != want {
			t.Errorf("%s: got %q, want %q", doc, got, want)
		}
	}
}
