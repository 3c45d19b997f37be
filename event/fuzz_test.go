package event_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"math/big"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/fuzzseed"
)

// scalar is a value of a document: a string, a json.Number or a bool, or an object where a field wanted a value.
type scalar any

type object struct{}

// shift moves the bytes above ASCII to private characters, so that encoding/json, which replaces invalid UTF-8, hands
// every byte on; unshift moves them back.
const shift = 0xF700

func shiftBytes(doc []byte) []byte {
	var out []byte
	for _, c := range doc {
		if c < utf8.RuneSelf {
			out = append(out, c)
		} else {
			out = utf8.AppendRune(out, shift+rune(c))
		}
	}
	return out
}

func unshift(s string) string {
	var out []byte
	for _, r := range s {
		if shift+utf8.RuneSelf <= r && r <= shift+0xFF {
			out = append(out, byte(r-shift))
		} else {
			out = utf8.AppendRune(out, r)
		}
	}
	return string(out)
}

// flatten reads a valid document with encoding/json: all its scalars and objects by path, in document order. It reads
// tokens, so that keys that occur twice are kept.
func flatten(t *testing.T, doc []byte) map[string][]scalar {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(shiftBytes(doc)))
	dec.UseNumber()
	token := func() json.Token {
		next, err := dec.Token()
		if err != nil {
			t.Fatalf("reference: %v", err)
		}
		return next
	}
	out := map[string][]scalar{}
	var walk func(path string, root bool)
	walk = func(path string, root bool) {
		switch v := token().(type) {
		case json.Delim:
			if v == '{' && !root {
				out[path] = append(out[path], object{})
			}
			for dec.More() {
				if v == '[' {
					walk(path, false)
					continue
				}
				key, ok := token().(string)
				if !ok {
					t.Fatal("reference: a key is no string")
				}
				if key = unshift(key); !root {
					key = path + "." + key
				}
				walk(key, false)
			}
			token()
		case string:
			out[path] = append(out[path], unshift(v))
		case bool, json.Number:
			out[path] = append(out[path], v)
		}
	}
	walk("", true)
	return out
}

// depth is how deep the brackets of a valid document nest.
func depth(doc []byte) int {
	now, deepest, text := 0, 0, false
	for i := 0; i < len(doc); i++ {
		switch c := doc[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			now++
			deepest = max(deepest, now)
		case c == '}' || c == ']':
			now--
		}
	}
	return deepest
}

// refuse stands for a scalar that a mapping can't take, none for one that it takes as null.
const (
	refuse = "refuse"
	none   = "none"
)

// coerce restates the rules of coercion, in the form of describe.
func coerce(typ event.Type, v scalar) string {
	switch v := v.(type) {
	case string:
		return coerceString(typ, v)
	case json.Number:
		return coerceNumber(typ, v.String(), false)
	case bool:
		switch typ {
		case event.Boolean, event.Unknown:
			return "b:" + strconv.FormatBool(v)
		case event.Keyword, event.Version:
			return "s:" + strconv.FormatBool(v)
		default:
		}
	}
	return refuse
}

func coerceString(typ event.Type, s string) string {
	switch typ {
	case event.Unknown, event.Keyword, event.Version:
		return "s:" + s
	case event.Boolean:
		switch s {
		case "true":
			return "b:true"
		case "false", "":
			return "b:false"
		}
		return refuse
	case event.IP:
		a, err := netip.ParseAddr(s)
		if err != nil || len(s) > 64 {
			return refuse
		}
		return "a:" + a.Unmap().WithZone("").String()
	case event.Date:
		if ms, sub, ok := referenceDate(s); ok {
			return describe(event.TimeValue(ms, sub))
		}
		return coerceNumber(typ, s, true)
	default: // numbers
		if s == "" {
			return none
		}
		return coerceNumber(typ, s, true)
	}
}

var numeral = regexp.MustCompile(`^([+-]?)([0-9]*)(\.[0-9]*)?(?:[eE]([+-]?[0-9]+))?$`)

// rational reads a numeral and its exponent. A power of ten far beyond any limit is replaced by one that is nearer.
func rational(text string) (r *big.Rat, exponent *big.Int, ok bool) {
	m := numeral.FindStringSubmatch(text)
	if m == nil {
		return nil, nil, false
	}
	digits, ok := new(big.Int).SetString(m[2]+strings.TrimPrefix(m[3], "."), 10)
	exponent = new(big.Int)
	if !ok { // there are none
		return nil, nil, false
	}
	if m[4] != "" {
		exponent.SetString(m[4], 10)
	}
	r = new(big.Rat)
	if digits.Sign() == 0 {
		return r, exponent, true
	}
	// What is far beyond any limit could not be written out.
	power := int64(2000 + len(text))
	if exponent.IsInt64() {
		power = max(-power, min(power, exponent.Int64()))
	} else if exponent.Sign() < 0 {
		power = -power
	}
	power -= int64(max(len(m[3])-1, 0))
	scale := new(big.Int).Exp(big.NewInt(10), big.NewInt(max(power, -power)), nil)
	if power < 0 {
		r.SetFrac(digits, scale)
	} else {
		r.SetInt(digits.Mul(digits, scale))
	}
	if m[1] == "-" {
		r.Neg(r)
	}
	return r, exponent, true
}

func coerceNumber(typ event.Type, text string, isText bool) string {
	r, exponent, ok := rational(text)
	if !ok {
		return refuse
	}
	whole := new(big.Int).Quo(r.Num(), r.Denom())
	switch typ {
	case event.Keyword, event.Version:
		return "s:" + text
	case event.Long:
		if whole.IsInt64() {
			return describe(event.IntValue(whole.Int64()))
		}
	case event.Unsigned:
		if r.IsInt() && whole.IsUint64() {
			return describe(event.UintValue(whole.Uint64()))
		}
	case event.Date:
		return epochMillis(r, exponent.Sign() != 0)
	case event.Unknown:
		if !isText && !strings.ContainsAny(text, ".eE") && (whole.IsInt64() || whole.IsUint64()) {
			if whole.IsInt64() {
				return describe(event.IntValue(whole.Int64()))
			}
			return describe(event.UintValue(whole.Uint64()))
		}
		return double(text)
	case event.Double:
		return double(text)
	default:
	}
	return refuse
}

func double(text string) string {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return refuse
	}
	return describe(event.FloatValue(f))
}

// epochMillis reads milliseconds since the epoch; decimals count down to the nanosecond, but not beside an exponent.
func epochMillis(r *big.Rat, hasExponent bool) string {
	millis := new(big.Int).Quo(r.Num(), r.Denom())
	sub := int64(0)
	if !hasExponent {
		nanos := new(big.Int).Mul(r.Num(), big.NewInt(1e6))
		nanos.Quo(nanos, r.Denom())
		rest := new(big.Int)
		millis.DivMod(nanos, big.NewInt(1e6), rest)
		sub = rest.Int64()
	}
	if !millis.IsInt64() {
		return refuse
	}
	year := time.UnixMilli(millis.Int64()).UTC().Year()
	if ms := millis.Int64(); ms < -1e14 || ms > 1e15 || year < 0 || year > 9999 {
		return refuse
	}
	return describe(event.TimeValue(millis.Int64(), int32(sub)))
}

var isoDate = regexp.MustCompile(`^([0-9]{4})(?:-([0-9]{2})(?:-([0-9]{2})(?:T(?:([0-9]{2})` +
	`(?::([0-9]{2})(?::([0-9]{2})(?:[.,]([0-9]{1,9}))?)?)?(?:Z|([+-])([0-9]{2})(?::?([0-9]{2}))?)?)?)?)?)?$`)

// referenceDate reads a date by way of package time.
func referenceDate(text string) (ms int64, sub int32, ok bool) {
	m := isoDate.FindStringSubmatch(text)
	if m == nil {
		return 0, 0, false
	}
	part := func(i, missing int) int {
		n, err := strconv.Atoi(m[i])
		if err != nil {
			return missing
		}
		return n
	}
	nanos, _ := strconv.Atoi((m[7] + "000000000")[:9])
	at := time.Date(part(1, 0), time.Month(part(2, 1)), part(3, 1), part(4, 0), part(5, 0), part(6, 0), nanos, time.UTC)
	// time.Date carries what overflows, so that fields that don't come back were out of range.
	if int(at.Month()) != part(2, 1) || at.Day() != part(3, 1) || at.Hour() != part(4, 0) || at.Minute() != part(5, 0) ||
		at.Second() != part(6, 0) || part(10, 0) > 59 || part(9, 0)*60+part(10, 0) > 18*60 {
		return 0, 0, false
	}
	offset := time.Duration(part(9, 0)*60+part(10, 0)) * time.Minute
	if m[8] == "-" {
		offset = -offset
	}
	at = at.Add(-offset)
	return at.UnixMilli(), int32(at.Nanosecond() % 1e6), at.Year() >= 0 && at.Year() <= 9999
}

// projectionCase is a document and the fields that are read of it: their types and their choice follow from mix.
type projectionCase struct {
	doc    []byte
	mix    uint64
	schema *event.Schema
	want   map[string][]scalar
	// inner holds the dotted prefixes of fields: an object there is no wrong value.
	inner map[string]bool
}

// newProjectionCase chooses fields among the paths of the document, their parents, and some that it lacks. mix 0 takes
// all of them, untyped.
func newProjectionCase(t *testing.T, doc []byte, valid bool, mix uint64) projectionCase {
	t.Helper()
	c := projectionCase{doc: doc, mix: mix, want: map[string][]scalar{}, inner: map[string]bool{}}
	if valid {
		c.want = flatten(t, doc)
	}
	number := func(path, what string) uint64 {
		h := fnv.New64a()
		fmt.Fprint(h, what, mix, path)
		return h.Sum64() >> 7
	}
	c.schema = event.NewSchema(func(path string) event.Type {
		if mix == 0 {
			return event.Unknown
		}
		return event.Type(number(path, "type") % 9)
	})
	for _, path := range slices.Sorted(maps.Keys(c.want)) {
		parent, _, _ := strings.Cut(path, ".")
		if i := strings.LastIndexByte(path, '.'); i > 0 && mix%2 == 0 {
			parent = path[:i]
		}
		for _, p := range []string{path, parent, path + ".absent", "absent." + path} {
			if mix == 0 || number(p, "choice")%3 > 0 {
				c.schema.Add(p)
			}
		}
	}
	c.schema.Add("absent.field")
	for i := range c.schema.Len() {
		path := c.schema.Field(event.Slot(i)).Path
		for j := range path {
			if path[j] == '.' && reaches(path) {
				c.inner[path[:j]] = true
			}
		}
	}
	return c
}

// reaches reports whether all spellings of a field lead to it: not where it has too many segments.
func reaches(path string) bool { return strings.Count(path, ".") < 64 }

// expected returns the values of a field and how many scalars its type refused.
func (c projectionCase) expected(slot event.Slot) (values []string, refused uint64) {
	field := c.schema.Field(slot)
	for _, v := range c.want[field.Path] {
		if v == (object{}) {
			if !c.inner[field.Path] {
				refused++
			}
			continue
		}
		switch text := coerce(field.Type, v); text {
		case refuse:
			refused++
		case none:
		default:
			values = append(values, text)
		}
	}
	return values, refused
}

// check compares the decoder with the reference: both must accept the document or neither, every field must have the
// values of the reference, and as many must have been refused. A decoder that has seen something else before must
// find the same.
func (c projectionCase) check(t *testing.T, valid bool) {
	t.Helper()
	d, ev := event.NewDecoder(c.schema), event.New(c.schema)
	for round := range 2 {
		before := slices.Clone(d.Uncoerced())
		err := d.Decode(c.doc, ev)
		if !bytes.Equal(ev.Raw, c.doc) {
			t.Fatalf("Raw of %q: %q", c.doc, ev.Raw)
		}
		if tooDeep := errors.Is(err, event.ErrTooDeep); tooDeep || valid && depth(c.doc) > event.MaxDepth {
			if valid && tooDeep != (depth(c.doc) > event.MaxDepth) {
				t.Fatalf("Decode(%q): %v at depth %d", c.doc, err, depth(c.doc))
			}
			return
		}
		if (err == nil) != valid {
			t.Fatalf("Decode(%q): error %v, encoding/json says valid: %v", c.doc, err, valid)
		}
		if syntax, ok := errors.AsType[*event.SyntaxError](err); err != nil && (!ok || syntax.Offset < 0 || syntax.Offset > len(c.doc)) {
			t.Fatalf("Decode(%q): error %#v outside the document", c.doc, err)
		}
		for i := range c.schema.Len() {
			slot := event.Slot(i)
			field := c.schema.Field(slot)
			if !reaches(field.Path) {
				continue
			}
			values, refused := c.expected(slot)
			var got []string
			for _, v := range ev.Values(slot) {
				got = append(got, describe(v))
			}
			if !slices.Equal(got, values) {
				t.Errorf("%q (%s) of %q, mix %d, round %d: %s", field.Path, field.Type, c.doc, c.mix, round, cmp.Diff(values, got))
			}
			if got := d.Uncoerced()[slot] - before[slot]; got != refused && valid {
				t.Errorf("%q (%s) of %q, mix %d, round %d: %d values refused, want %d", field.Path, field.Type, c.doc, c.mix, round, got, refused)
			}
		}
		if err := d.Decode([]byte(`{"absent":{"field":["\u0041\u0042",1,true]},"x":[`), ev); err == nil {
			t.Fatal("an object that doesn't end was decoded")
		}
	}
}

func checkDecode(t *testing.T, doc []byte, mix uint64) {
	t.Helper()
	valid := json.Valid(doc) && bytes.TrimLeft(doc, " \t\r\n")[0] == '{'
	// An escape of a character that the reference gives a meaning of its own can't be read back.
	if bytes.Contains(bytes.ToLower(doc), []byte(`\uf7`)) {
		return
	}
	newProjectionCase(t, doc, valid, mix).check(t, valid)
}

// FuzzDecode compares the decoder with encoding/json and the rules of coercion restated.
func FuzzDecode(f *testing.F) {
	events, err := fuzzseed.Events()
	if err != nil {
		f.Fatal(err)
	}
	for i, doc := range events {
		f.Add(doc, uint64(i))
	}
	for i, doc := range decodeSeeds {
		f.Add([]byte(doc), uint64(0))
		f.Add([]byte(doc), uint64(i+1))
	}
	f.Add([]byte(ecsDoc), uint64(1))
	f.Fuzz(checkDecode)
}

// decodeSeeds are documents whose spelling is unusual, and some that aren't documents.
var decodeSeeds = []string{
	`{}`,
	`{"a":{"b":[1,-0,1.5e3,18446744073709551615,null,true,"x\u00e9\ud83d"]},"a.b":"y","a":{"b":"z"}}`,
	` {"a" : [ {"b.c" : "1"} , [ [ ] ] ] , "" : {"" : false} } `,
	`{"a":"\\\"\/\b\f\n\r\t","\u0061":"0123456789abcdef"}`,
	`{"a.b":{"c.d":1,"c":{"d":2}},"a":{"b.c":{"d":3},"b":{"c.d":4,"c":{"d":[5,[6,{"e":7}]]}}},"a.b.c.d":8}`,
	`{"n":[9007199254740993,-9223372036854775808,9223372036854775808,1e400,1e-400,0.1e1,123456789012345678901234567890]}`,
	`{"n":["9007199254740993","+.5","5.","1e3"," 1","0x10","","-","1e99999999999999999999"]}`,
	`{"t":["2024-02-29T23:59:59.999999999+18:00","2023-02-29","2024","1714979289123.456","-1.5","2024-05-06T07:08Z",1714979289123,1.5e3]}`,
	`{"i":["10.0.0.1","::ffff:10.0.0.1","fe80::1%eth0","010.0.0.1","1.2.3","2001:DB8::0:1"],"b":["true","false","","yes"]}`,
	"{\"\xff\xfe\":\"\xc3\x28\xed\xa0\x80\",\"é\":\"\xf0\x9f\x98\x80\"}",
	`{"a":"\ud83d\ude00\ude00\ud83dx\ud83d\ud83d\ude00\u0000"}`,
	`{"a":01}`, `{"a":1}}`, `{"a":[1,]}`, `{"a":"` + "\x00" + `"}`, `[{"a":1}]`, `{"a":`, `{"a":1.}`, `{"a":-}`, `{"a":tru}`, `{"a" 1}`,
	strings.Repeat(`{"a":`, 256) + `{}` + strings.Repeat(`}`, 256),
	`{"a":` + strings.Repeat(`[`, 255) + strings.Repeat(`]`, 255) + `}`,
}

// FuzzCoerce compares the coercion of one text or number to every type with the rules restated.
func FuzzCoerce(f *testing.F) {
	for _, text := range []string{
		"2024-02-29T23:59:59.999999999+18:00", "2024-05-06T07:08:09,5-0130", "2024-05", "0000-01-01T00:00:00+00:01", "9999-12-31T23:59:59.999-00:01", "2024-05-06T",
		"1714979289123.4567891", "-0.0000009", "9223372036854775807.9", "-9223372036854775809", "18446744073709551615", "1e19", ".5e1", "5.e-1", "+0", "-",
		"1970-01-01T00:00:01Z", "1970-01-01T00:00:59.123Z", "1970-01-01T00:00:60.123456789Z", strings.Repeat("\x00", 16) + ":00Z",
		"10.0.0.1", "::ffff:1.2.3.4", "fe80::1%25eth0", "2001:DB8::1", "1.2.3.04", "::", "true", "", "NaN", "0x10", "1_000", "1e999999999999",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		quoted, err := json.Marshal(text)
		if err != nil || !utf8.ValidString(text) {
			t.Skip("encoding/json would change it")
		}
		docs := map[string]scalar{`{"a":` + string(quoted) + `}`: text}
		if number := `{"a":` + text + `}`; json.Valid([]byte(number)) && strings.Trim(text, "0123456789eE+-.") == "" {
			docs[number] = json.Number(text)
		}
		for doc, value := range docs {
			for typ := event.Unknown; typ <= event.Version; typ++ {
				s := event.NewSchema(func(string) event.Type { return typ })
				slot := s.Add("a")
				d, ev := event.NewDecoder(s), event.New(s)
				for range 2 { // a date of the minute that is known by then
					if err := d.Decode([]byte(doc), ev); err != nil {
						t.Fatalf("%s: %v", doc, err)
					}
				}
				got := none
				if v := ev.First(slot); !v.IsMissing() {
					got = describe(v)
				} else if d.Uncoerced()[slot] > 0 {
					got = refuse
				}
				if want := coerce(typ, value); got != want {
					t.Errorf("%s as %s: got %q, want %q", doc, typ, got, want)
				}
			}
		}
	})
}

// FuzzTuple sees that no bytes make the decoder of join keys panic, and that what it decodes is encoded to the same values.
func FuzzTuple(f *testing.F) {
	var all []byte
	for _, v := range tupleValues {
		f.Add(event.AppendTuple(nil, v))
		all = event.AppendTuple(all, v)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := event.DecodeTuple(b)
		if err != nil {
			return
		}
		var again []byte
		for _, v := range values {
			again = event.AppendTuple(again, v)
		}
		decoded, err := event.DecodeTuple(again)
		if err != nil || len(decoded) != len(values) {
			t.Fatalf("%x decodes to %v, which is encoded to %x: %v, %v", b, values, again, decoded, err)
		}
		for i, v := range values {
			if w := decoded[i]; !sameValue(v, w) {
				t.Errorf("value %d of %x: got %s, want %s", i, b, describe(w), describe(v))
			}
			for j, w := range values[:i] {
				if got := bytes.Equal(event.AppendTuple(nil, v), event.AppendTuple(nil, w)); got != sameValue(v, w) {
					t.Errorf("values %d and %d of %x: equal encodings %v, equal values %v", i, j, b, got, !got)
				}
			}
		}
	})
}

// sameValue reports whether values are equal as join keys: of one kind, with -0 equal to 0, times to the millisecond.
func sameValue(v, w event.Value) bool {
	if v.Kind() != w.Kind() {
		return false
	}
	switch v.Kind() {
	case event.Float:
		return v.Float() == w.Float() || math.Float64bits(v.Float()) == math.Float64bits(w.Float())
	case event.Time:
		return v.Millis() == w.Millis()
	default:
		return v.Text() == w.Text()
	}
}
