package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
)

// shapeRules are rules most of which are decided by the gate, in each way in which a condition can ask for one of its fields.
func shapeRules() []*rules.Rule {
	var rs []*rules.Rule
	for i, query := range []string{
		`any where event.action == "start"`,
		`any where event.action : "START"`,
		`any where event.action == "Start"`,
		`any where not event.action == "start" and event.category : ("Process", "file")`,
		`any where event.action == null`,
		`any where event.action != null and not event.type : ("end", "info")`,
		`any where event.action : ("a text of more than 16 bytes", "a text of less than 16 bytes", "5") and event.type == "end"`,
		`any where event.action in ("A text of more than 16 bytes", "5", "7") or process.name == "x"`,
		`process where not event.type == "end"`,
		`process where event.type == "start" and not (process.name == "x" and event.action == "start")`,
		`file where host.os.type == "linux" and process.name != null`,
		`any where host.os.type in ("linux", "windows") and not process.name : ("x", "y*") and not event.category == "file"`,
		`any where host.os.type == "linux" and (event.type == "start" and event.action == "start" or process.name == "y")`,
		`any where event.category == "file" and (event.type == "end" or event.action != "start" or process.command_line : "*a*")`,
		`any where event.type like ("s*", "en?") and event.action regex "[Ss]tart|5" and length(event.type) > 3`,
		`sequence by host.id with maxspan=1m [process where event.action == "start"] ![any where event.category in ("process", "file")] until [any where not host.os.type == "linux"]`,
	} {
		r := rule(fmt.Sprint("r", i), query)
		if i%5 == 4 {
			r.Index = []string{"logs-a-*"}
		}
		rs = append(rs, r)
	}
	return rs
}

// shapeDoc makes a document with values of the gate in all spellings, numbers that look like them, lists and none.
func shapeDoc(r *rand.Rand) []byte {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	field := func(of ...string) string {
		switch n := r.IntN(8); n {
		case 0:
			return "null"
		case 1, 2:
			values := make([]string, r.IntN(7))
			for i := range values {
				values[i] = pick(of...)
			}
			return "[" + strings.Join(values, ",") + "]"
		default:
			return pick(of...)
		}
	}
	return fmt.Appendf(nil, `{"event":{"action":%s,"type":%s,"category":%s},"host":{"id":"h","os":{"type":%s}},"process":{"name":%s,"command_line":%s}%s}`,
		field(`"start"`, `"start"`, `"Start"`, `"sTART"`, `"5"`, "5", "5.0", "7", `"other"`, `""`, `"a text of more than 16 bytes"`, `"A text of more than 16 bytes"`, `"a text of less than 16 bytes"`, `"a text of mere than 16 bytes"`, fmt.Sprintf("%q", strings.Repeat("x", r.IntN(300)))),
		field(`"start"`, `"end"`, `"END"`, `"info"`, `"other"`),
		field(`"process"`, `"file"`, `"Process"`, `"network"`, "true"),
		field(`"linux"`, `"windows"`, `"Linux"`, `"macos"`),
		field(`"x"`, `"y"`, `"z"`), field(`"a"`, `"b"`),
		pick("", `,"data_stream":{"type":"logs","dataset":"a","namespace":"default"}`, `,"data_stream.dataset":"b"`))
}

// TestShapes compares what is decided once for all events of the same values with what is evaluated for each: also where fields of the
// gate have no type, so that a number is none of the texts that look like it.
func TestShapes(t *testing.T) {
	for _, types := range []func(string) event.Type{nil, func(string) event.Type { return event.Unknown }} {
		rs := shapeRules()
		if types != nil {
			rs = append(rs, rule(fmt.Sprint("r", len(rs)), `any where event.action in (5, 7) and not event.type == "info"`),
				rule(fmt.Sprint("r", len(rs)+1), `any where event.action == 7 and event.action != 5`))
		}
		m := newMatcher(newSet(t, rs, rules.SetOptions{Types: types}))
		without := newMatcher(newSet(t, rs, rules.SetOptions{Types: types, NoShapes: true}))
		plain := newMatcher(newSet(t, rs, rules.SetOptions{Types: types, NoIndex: true}))
		r := rand.New(rand.NewPCG(1, 2))
		hits := make([]int, len(rs))
		for range 12_000 {
			doc := shapeDoc(r)
			want := plain.hits(t, doc, "")
			for _, name := range want {
				var i int
				if _, err := fmt.Sscanf(name, "r%d", &i); err != nil {
					t.Fatal(err)
				}
				hits[i]++
			}
			for name, got := range map[string][]string{"shapes": m.hits(t, doc, ""), "no shapes": without.hits(t, doc, "")} {
				if !slices.Equal(got, want) {
					t.Fatalf("%s, %s: got %v, want %v", doc, name, got, want)
				}
			}
		}
		for i, n := range hits {
			if n == 0 {
				t.Errorf("%s was never hit", rs[i].Query)
			}
		}
		a, b := m.Stats(), without.Stats()
		if a.UnknownStream != b.UnknownStream {
			t.Errorf("got %d events of unknown stream, want %d", a.UnknownStream, b.UnknownStream)
		}
		for i := range rs {
			if n := a.Candidates[i]; n > b.Candidates[i] || n < uint64(hits[i]) {
				t.Errorf("%s: got %d candidates, want those of %d that the gate doesn't rule out, at least its %d hits", rs[i].Query, n, b.Candidates[i], hits[i])
			}
		}
	}
}

// TestShapeCounts checks that a stage that is decided by the gate counts as evaluated, and one that the gate rules out doesn't.
func TestShapeCounts(t *testing.T) {
	rs := []*rules.Rule{
		rule("all", `any where event.action in ("start", "end")`), rule("none", `any where event.action == "START"`),
		rule("left", `any where event.action == "start" and process.pid != 1`),
	}
	m := newMatcher(newSet(t, rs, rules.SetOptions{}))
	for i := range 10 {
		m.hits(t, fmt.Appendf(nil, `{"event.action":"start","process.pid":%d}`, i), "")
		if i == 4 {
			m.Stats() // counts only once
		}
	}
	m.Exclude([]bool{true, false, true})
	m.hits(t, []byte(`{"event.action":"start"}`), "")
	s := m.Stats()
	if want := []uint64{11, 1, 11}; !slices.Equal(s.Candidates, want) {
		t.Errorf("got candidates %v, want %v", s.Candidates, want)
	}
	if want := []uint64{10, 1, 10}; !slices.Equal(s.Evaluations, want) {
		t.Errorf("got evaluations %v, want %v", s.Evaluations, want)
	}
	if want := []uint64{1, 0, 1}; !slices.Equal(s.Excluded, want) {
		t.Errorf("got excluded %v, want %v", s.Excluded, want)
	}
}
