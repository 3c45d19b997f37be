package event_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/weir-eql/weir/event"
)

// values are JSON values, and by the offset of their fault texts that are none.
var values = []struct {
	fault int // what an error must name, -1 where the texts are valid
	texts []string
}{
	{-1, []string{
		`0`, `-0`, `7`, `-12`, `0.5`, `-0.0`, `1e5`, `1E+5`, `1.25e-07`, `0e0`, `12345678901234567890123`,
		`123456789012345678`, `1234567890123456789`, `1e99999`, `0.00000000000000000000000001`, `true`, `false`, `null`,
		`""`, `"a"`, `"\""`, `"\\"`, `"\\\\"`, `"\\\""`, `"\/\b\f\n\r\t"`, `"\u0041\uabCD"`, `"\u0000"`, `"\ud800"`,
		`"\udc00\ud800"`, `"\ud83d\ude00"`, "\"\x7f\u2028é😀\"", "\"\xff\xc0\xaf\xed\xa0\x80\"", `"{[,:]}"`,
		`"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123456789"`,
		`"0123456789012345678901234567890123456789012345678901234567890123456789012345678901234567890123\n56789"`, `[]`,
		`{}`, `[ ]`, "{\t}", `[[],{}]`, `[1,"2",[3],{"4":null},true]`, "[\r\n1\t,\n2 ]", "{ \"b\" : 1 , \"c\" : [ ] }",
		`{"":{"":[{"":""}]}}`, `{"b":1,"b":2}`, `{"b":{"c":{"d":{}}}}`, `[[[[[[[[[[]]]]]]]]]]`,
	}},
	{0, []string{
		`+1`, `.5`, `NaN`, `Infinity`, `１`, `True`, `TRUE`, `tru`, `fals`, `nul`, `undefined`, `nil`, `'a'`, "`a`", `a`,
		`\"a"`, "\u00a01", "\ufeff1", "\v1", "\f1", `/**/1`, `#1`, ``, `,`, `:`, `*`,
	}},
	{1, []string{
		`00`, `01`, `-`, `--1`, `-.5`, `0x10`, `1_000`, `1a`, `-Infinity`, `"\a"`, `"\x41"`, `"\'"`, `"\u"`, `"\u12"`,
		`"\u123"`, `"\u12g4"`, `"\U0041"`, `"\u+123"`, "\"\n\"", "\"\x00\"", "\"\x1f\"", "\"\\\n\"", `"\`, `[,1]`, `[,]`,
		`[`, `[x]`, `{,}`, `{b:1}`, `{'b':1}`, `{1:1}`, `{null:1}`, `{[]:1}`, `{`, "1\x00", `1//x`, ` `, `1;`,
	}},
	{2, []string{
		`-01`, `1.`, `1.e1`, `1e`, `1 000`, `12-3`, "\"a\tb\"", `"a`, `[1}`, `[1:2]`, `[1`, `{"\q":1}`,
	}},
	{3, []string{
		`1e+`, `1e5.5`, `1.2.3`, `"a"b`, `[1,]`, `[1,,2]`, `[1 2]`, `[1,`, `{"b`, "{\"b\n\":1}", `{"b\u00":1}`,
	}},
	{4, []string{
		`truee`, `nulll`, `"a" "b"`, `"a\"`, `["a":1]`, `[[1]`, `{"b"}`, `{"b",1}`, `{"b"`,
	}},
	{5, []string{
		`true false`, `{"b":}`, `{"b" 1}`, `{"b"::1}`, `{"b":`,
	}},
	{6, []string{
		`{"b":1]`, `{"b":1`,
	}},
	{7, []string{
		`"\ud83d\ude0"`, `{"b":1,}`, `{"b":1 "c":2}`, `{"b":1,,"c":2}`, `{"b":[1}`, `{"b":1,`,
	}},
	{71, []string{
		"\"0123456789012345678901234567890123456789012345678901234567890123456789\r9012345678901234567890\"",
	}},
}

// TestDecodeSyntax reads each of these values at a projected field and at one that is skipped, in arrays, deep inside
// and at the end, and moved over the width of a block of the index. encoding/json must agree.
func TestDecodeSyntax(t *testing.T) {
	s := event.NewSchema(nil)
	s.Add("a")
	s.Add("d.e.f")
	d, ev := event.NewDecoder(s), event.New(s)
	wrappings := []struct{ before, after string }{
		{`{"a":`, `}`},
		{`{"skip":`, `}`},
		{`{"a":[`, `]}`},
		{`{"skip":[0,{"x":`, `}],"a":1}`},
		{`{"d":{"e":{"f":`, `}}}`},
		{"{ \"d.e\" :\t{ \"f\" : [ \"\\\\\" , ", " ] } } \n"},
		{`{"a":"\\\"", "b":`, ` , "c" : "\\" }`},
	}
	check := func(text, before, after string, shift, fault int) {
		t.Helper()
		doc := strings.Repeat(" ", shift) + before + text + after
		err := d.Decode([]byte(doc), ev)
		if valid := json.Valid([]byte(doc)); valid != (err == nil) {
			t.Fatalf("Decode(%q): %v, encoding/json says valid: %v", doc, err, valid)
		}
		if err == nil {
			return
		}
		syntax, ok := errors.AsType[*event.SyntaxError](err)
		if !ok {
			t.Fatalf("Decode(%q): %v", doc, err)
		}
		// A text that breaks off is wrong only by what follows it.
		if at := syntax.Offset - shift - len(before); at != fault && fault < len(text) {
			t.Fatalf("Decode(%q): %v, want the fault at %d of %q, got %d", doc, err, fault, text, at)
		}
	}
	for _, v := range values {
		for _, text := range v.texts {
			for w, wrap := range wrappings {
				for shift := 0; shift < 70; shift += 1 + 6*(w%2) {
					check(text, wrap.before, wrap.after, shift, v.fault)
				}
			}
		}
	}
}

// TestDecodeTruncated cuts documents off at every byte: all that is left is an error at its end, and what is read of it
// by neighbours in memory is none of the decoder's business.
func TestDecodeTruncated(t *testing.T) {
	s := benchSchema(25)
	d, ev := event.NewDecoder(s), event.New(s)
	for _, whole := range [][]byte{[]byte(ecsDoc), generatedDocs(5)[2], []byte(`{"a.b" : [ 1e5, true, "x\u00e9\\" ] }`)} {
		for size := range len(whole) {
			doc := make([]byte, size) // of its own: no bytes follow it
			copy(doc, whole)
			err := d.Decode(doc, ev)
			if syntax, ok := errors.AsType[*event.SyntaxError](err); !ok || syntax.Offset > size {
				t.Fatalf("Decode(%q): %v", doc, err)
			}
		}
	}
}
