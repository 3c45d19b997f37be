package eql_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
	"github.com/weir-eql/weir/internal/fuzzseed"
)

// compiled is what became of a query in one environment.
type compiled struct {
	env    *eql.Env
	schema *event.Schema
	query  *eql.Query
}

// FuzzCompile sees that every query compiles or has errors that lie inside it, never both; that the canonical text of what
// compiles compiles to the same; and that optimising and sharing change no answer.
func FuzzCompile(f *testing.F) {
	f.Add(`process where k : "a*" and not n in (1, 2) or length(k) > 3`, `{"k": ["abc", null], "n": 5}`)
	f.Add(`sequence by k with maxspan=1s [any where b] ![any where i == "10.0.0.0/8"] [any where t > "2024"]`, `{"b": true}`)
	f.Add(`any where between(k, "a", u, b) == null and null == (n > -1) and cidrMatch(u, "::/0")`, `{"k": "abc", "u": "c"}`)
	f.Add(`any where k regex~ ("a{2,3}", """\d+\.b""") and f / 2 >= n % 3 and v < "1.2.3-rc1"`, `{"k": ["aa", "1.b"], "n": [4, 7], "f": 3.5, "v": "1.2.3"}`)
	f.Add(`any where concat(k, n, ?x) == "a1" or substring(k, -2, 5) like~ "b?" or number(u, 16) != 10 or indexOf(k, u) > 0`, `{"k": "a", "n": 1, "u": "0xa"}`)
	queries, err := fuzzseed.Queries()
	if err != nil {
		f.Fatal(err)
	}
	events, err := fuzzseed.Events()
	if err != nil {
		f.Fatal(err)
	}
	for i, q := range queries {
		f.Add(q, string(events[i*5%len(events)]))
	}
	f.Fuzz(func(t *testing.T, query, doc string) {
		if len(query) > 4000 || len(doc) > 20_000 {
			t.Skip("long inputs only cost time here")
		}
		var results []compiled
		for _, opts := range []eql.EnvOptions{{}, {NoSharing: true}, {NoOptimise: true}, {NoSharing: true, NoOptimise: true}} {
			c := compiled{schema: event.NewSchema(fuzzTypes)}
			c.env = eql.NewEnv(c.schema, opts)
			q, err := c.env.Compile(query, eql.QueryOptions{})
			if (err == nil) != (q != nil) {
				t.Fatalf("%s: got both a query and error %v, or neither", query, err)
			}
			if c.query = q; err != nil {
				checkErrors(t, query, err)
			}
			if len(results) > 0 && (results[0].query == nil) != (q == nil) {
				t.Fatalf("%s: compiles or not by the options of the environment: %v", query, err)
			}
			results = append(results, c)
		}
		if results[0].query == nil {
			return
		}
		checkCanonical(t, query, results[0].query)
		for i, c := range results {
			got, want := answers(t, query, c, doc), answers(t, query, results[0], doc)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s on %s, options %d (+) against none (-):\n%s", query, doc, i, diff)
			}
		}
	})
}

// fuzzTypes gives the short names of these tests their types, and others those of ECS.
func fuzzTypes(path string) event.Type {
	if len(path) == 1 {
		return testTypes(path)
	}
	return ecs.TypeOf(path)
}

func checkErrors(t *testing.T, query string, err error) {
	t.Helper()
	errs, ok := errors.AsType[ast.Errors](err)
	if !ok || len(errs) == 0 {
		t.Fatalf("%q: got error %v, want ast.Errors", query, err)
	}
	for _, e := range errs {
		if e.Pos < 0 || e.End < e.Pos || e.End > len(query) || e.Msg == "" {
			t.Errorf("%q: the error %q lies at %d to %d", query, e.Msg, e.Pos, e.End)
		}
	}
}

// checkCanonical compiles the canonical text: it must be its own canonical text.
func checkCanonical(t *testing.T, query string, q *eql.Query) {
	t.Helper()
	again, err := eql.NewEnv(event.NewSchema(fuzzTypes), eql.EnvOptions{}).Compile(q.String(), eql.QueryOptions{})
	if err != nil {
		t.Fatalf("%s: its canonical text doesn't compile: %v\n%s", query, err, q)
	}
	if again.String() != q.String() || len(again.Stages) != len(q.Stages) || again.MaxSpan != q.MaxSpan {
		t.Errorf("%s: canonical text\n%s\ncompiles to\n%s", query, q, again)
	}
}

// answers evaluates all stages on an event twice, and checks what the index is told of them.
func answers(t *testing.T, query string, c compiled, doc string) []string {
	t.Helper()
	ev := event.New(c.schema)
	if event.NewDecoder(c.schema).Decode([]byte(doc), ev) != nil {
		return nil
	}
	stages := c.query.Stages
	if c.query.Until != nil {
		stages = append(slices.Clip(stages), c.query.Until)
	}
	memo := c.env.NewMemo()
	var out []string
	for round := range 2 {
		memo.Reset()
		for i, s := range stages {
			m := s.Match(ev, memo)
			if m {
				checkNeeds(t, query, s, ev)
			}
			keys, cut := s.JoinKeys(ev, nil)
			if key, ok := s.AppendJoinKey(make([]byte, 0, 256), ev); ok && (len(keys) != 1 || !bytes.Equal(key, keys[0])) {
				t.Errorf("%s on %s: got the key %q, want %q", query, doc, key, keys)
			}
			if round == 0 {
				out = append(out, fmt.Sprintf("stage %d: %t, keys %q %t", i, m, bytes.Join(keys, []byte("|")), cut))
			} else if again := fmt.Sprintf("stage %d: %t, keys %q %t", i, m, bytes.Join(keys, []byte("|")), cut); again != out[i] {
				t.Errorf("%s on %s: %s, then %s", query, doc, out[i], again)
			}
		}
	}
	return out
}

// fuzzHolds reports whether a condition holds on a field with one text.
func fuzzHolds(t *testing.T, where, field, text string) (got bool, err error) {
	t.Helper()
	schema := event.NewSchema(testTypes)
	env := eql.NewEnv(schema, eql.EnvOptions{})
	q, err := env.Compile("any where "+where, eql.QueryOptions{})
	if err != nil {
		return false, err
	}
	ev := event.New(schema)
	doc := fmt.Sprintf(`{%q: %s}`, field, jsonText(text))
	if err := event.NewDecoder(schema).Decode([]byte(doc), ev); err != nil {
		t.Fatalf("%s: %v", doc, err)
	}
	memo := env.NewMemo()
	memo.Reset()
	return q.Stages[0].Match(ev, memo), nil
}

func jsonText(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		if r < ' ' || r == '"' || r == '\\' {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// fuzzLiteral returns text as a string of the language.
func fuzzLiteral(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range text {
		if r < ' ' || r == '"' || r == '\\' || r == '\u2028' || r == '\u2029' || r == '\u0085' {
			fmt.Fprintf(&b, `\u{%04x}`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String() + `"`
}

// FuzzConstants compares what becomes of texts as constants of typed fields with readings of their own: blocks of addresses,
// versions, dates.
func FuzzConstants(f *testing.F) {
	for _, block := range []string{"10.0.0.0/8", "10.1.2.3", "0.0.0.0/0", "::/0", "::ffff:10.0.0.0/104", "2001:db8::/33", "fe80::1", "::ffff:0:0/96", "192.168.1.7/31", "::/95", "::/97"} {
		for _, addr := range []string{"10.1.2.3", "::ffff:10.1.2.3", "2001:db8:8000::", "fe80::1%eth0", "192.168.1.6", "::1"} {
			f.Add(block, addr, int64(0))
		}
	}
	versions := []string{"1.2.3", "1.10", "1.9", "1.2.3-rc.1", "1.2.3-rc.10", "1.2.3-alpha", "1.2.3+build", "1", "01.2", "", "abc", "1.2.3-1.a", "2.0.0-0", "1..2", "1.2-"}
	for _, a := range versions {
		for _, b := range versions {
			f.Add(a, b, int64(0))
		}
	}
	for i, date := range []string{"2024", "2024-02", "2024-02-29", "2023-02-29", "2024-05-06T07", "2024-05-06T07:08Z", "2024-05-06T07:08:09", "2024-05-06T07:08:09.123456+0230", "2024-12-31T23:59:59,9", "1714979289123", "now", "2024-1-1"} {
		f.Add(date, "", int64(1714979289123)+int64(i)*1000)
	}
	f.Fuzz(func(t *testing.T, constant, value string, ms int64) {
		if !utf8.ValidString(constant) || !utf8.ValidString(value) || len(constant) > 200 || len(value) > 200 {
			t.Skip("EQL's texts are valid UTF-8")
		}
		checkBlock(t, constant, value)
		checkVersion(t, value, constant)
		if refDateForm.MatchString(constant) && ms > -60_000_000_000_000 && ms < 250_000_000_000_000 {
			checkDate(t, constant, ms)
		}
	})
}

// checkBlock compares cidrMatch with a comparison of the addresses' bits, IPv4 as part of IPv6.
func checkBlock(t *testing.T, block, addr string) {
	t.Helper()
	got, err := fuzzHolds(t, "cidrMatch(i, "+fuzzLiteral(block)+")", "i", addr)
	bits, size, ok := refBlock(block)
	if (err == nil) != ok {
		t.Fatalf("%q: got error %v, want a block: %v", block, err, ok)
	}
	if err != nil {
		return
	}
	a, err := netip.ParseAddr(addr)
	want := err == nil && len(addr) <= 64
	if want {
		b := a.As16()
		for i := range size {
			want = want && b[i/8]>>(7-i%8)&1 == bits[i/8]>>(7-i%8)&1
		}
	}
	if got != want {
		t.Errorf("%q in %q: got %v, want %v", addr, block, got, want)
	}
}

// refBlock reads a block as the leading bits of a 16-byte address.
func refBlock(text string) (bits [16]byte, size int, ok bool) {
	addr, mask, masked := strings.Cut(text, "/")
	a, err := netip.ParseAddr(addr)
	if err != nil || a.Zone() != "" {
		return bits, 0, false
	}
	size = 128
	if masked {
		n, err := strconv.Atoi(mask)
		if err != nil || strconv.Itoa(n) != mask || n < 0 || n > a.BitLen() {
			return bits, 0, false
		}
		if size = n; a.Is4() {
			size += 96
		}
	}
	return a.As16(), size, true
}

var refVersionForm = regexp.MustCompile(`^(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))*(-[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?(\+[0-9A-Za-z-]+(\.[0-9A-Za-z-]+)*)?$`)

// checkVersion compares the order of versions with one by numbers that are padded to one width.
func checkVersion(t *testing.T, a, b string) {
	t.Helper()
	want := strings.Compare(refVersion(a), refVersion(b))
	for op, holds := range map[string]bool{"<": want < 0, "<=": want <= 0, ">": want > 0, ">=": want >= 0, "==": a == b} {
		got, err := fuzzHolds(t, "v "+op+" "+fuzzLiteral(b), "v", a)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if got != holds {
			t.Errorf("%q %s %q: got %v, want %v", a, op, b, got, holds)
		}
	}
}

// refVersion returns a text that sorts byte by byte as the version does.
func refVersion(v string) string {
	if !refVersionForm.MatchString(v) {
		return "z" + v
	}
	rest, build, _ := strings.Cut(v, "+")
	main, pre, hasPre := strings.Cut(rest, "-")
	part := func(text string) string {
		var b strings.Builder
		for p := range strings.SplitSeq(text, ".") {
			if strings.Trim(p, "0123456789") == "" {
				p = strings.TrimLeft(p, "0")
				fmt.Fprintf(&b, "\x02%04d%s", len(p), p)
			} else {
				b.WriteString("\x03" + p + "\x01")
			}
		}
		return b.String() + "\x00"
	}
	out := "a" + part(main)
	if hasPre {
		return out + "a" + part(pre) + build
	}
	return out + "b" + build
}

var refDateForm = regexp.MustCompile(`^\d{4}(-\d{2}(-\d{2}(T\d{2}(:\d{2}(:\d{2}([.,]\d{1,9})?)?)?(Z|[+-]\d{2}(:?\d{2})?)?)?)?)?$`)

// checkDate compares comparisons with dates that are written down with bounds computed by parts.
func checkDate(t *testing.T, date string, ms int64) {
	t.Helper()
	first, last, ok := refDate(date)
	want := map[string]bool{"==": first <= ms && ms <= last, "<": ms < first, "<=": ms <= last, ">": ms > last, ">=": ms >= first}
	for op, holds := range want {
		got, err := fuzzHolds(t, "t "+op+" "+fuzzLiteral(date), "t", strconv.FormatInt(ms, 10))
		if (err == nil) != ok {
			t.Fatalf("%q: got error %v, want a date: %v", date, err, ok)
		}
		if err == nil && got != holds {
			t.Errorf("%d %s %q: got %v, want %v", ms, op, date, got, holds)
		}
	}
}

// refDate returns the first and the last millisecond of what a date names.
func refDate(text string) (first, last int64, ok bool) {
	at := func(i, n, missing int) int {
		if len(text) < i+n {
			return missing
		}
		v, err := strconv.Atoi(text[i : i+n])
		if err != nil {
			return missing
		}
		return v
	}
	day, clock, _ := strings.Cut(text, "T")
	zone := ""
	if i := strings.IndexAny(clock, "Z+-"); i >= 0 {
		clock, zone = clock[:i], clock[i:]
	}
	text = day
	year, month, date := at(0, 4, 0), at(5, 2, 1), at(8, 2, 1)
	text = clock
	hour, minute, second := at(0, 2, 0), at(3, 2, 0), at(6, 2, 0)
	millis := 0
	if len(clock) > 9 {
		text = clock[9:] + "000"
		millis = at(0, 3, 0)
	}
	begin := time.Date(year, time.Month(month), date, hour, minute, second, millis*1e6, time.UTC)
	if begin.Month() != time.Month(month) || begin.Day() != date || begin.Hour() != hour || begin.Minute() != minute || begin.Second() != second {
		return 0, 0, false
	}
	var offset time.Duration
	if len(zone) > 1 {
		text = strings.ReplaceAll(zone[1:], ":", "")
		hours, minutes := at(0, 2, 0), at(2, 2, 0)
		if hours > 24 || minutes > 60 || hours*60+minutes > 18*60 || minutes > 59 {
			return 0, 0, false
		}
		offset = time.Duration(hours*60+minutes) * time.Minute
		if zone[0] == '-' {
			offset = -offset
		}
	}
	var end time.Time
	switch len(day) + len(clock) {
	case 4:
		end = begin.AddDate(1, 0, 0)
	case 7:
		end = begin.AddDate(0, 1, 0)
	case 10:
		end = begin.AddDate(0, 0, 1)
	case 12:
		end = begin.Add(time.Hour)
	case 15:
		end = begin.Add(time.Minute)
	case 18:
		end = begin.Add(time.Second)
	default:
		end = begin.Add(time.Millisecond)
	}
	return begin.Add(-offset).UnixMilli(), end.Add(-offset).UnixMilli() - 1, true
}
