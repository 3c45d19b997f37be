package eql_test

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
)

// TestGiven decides random conditions by the values of some fields of an event, and compares what is left with the whole condition, for events
// that have the same values in these fields.
func TestGiven(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	atoms := []string{
		`k1 == "a"`, `k1 : "A"`, `k1 in ("a", "b")`, `k1 : ("a*", "*c")`, `k1 != null`, `k1 == null`, `length(k1) > 1`, `k2 == "a"`, `k2 : "B"`,
		`k2 != "c"`, `k2 regex "[ab]+"`, `n1 > 1`, `n1 == 2`, `k3 == "a"`, `k3 : ("a", "c*")`, `n2 < 3`, `true`, `stringContains(k1, "a")`,
	}
	var condition func(depth int) string
	condition = func(depth int) string {
		if depth == 0 || r.IntN(4) == 0 {
			return atoms[r.IntN(len(atoms))]
		}
		parts := make([]string, 2+r.IntN(2))
		for i := range parts {
			parts[i] = condition(depth - 1)
		}
		text := "(" + strings.Join(parts, []string{" and ", " or "}[r.IntN(2)]) + ")"
		if r.IntN(3) == 0 {
			text = "not " + text
		}
		return text
	}
	values := func() (k1, k2 string) {
		all := []string{`null`, `"a"`, `"A"`, `"b"`, `["c","a"]`, `"abc"`, `[]`}
		return all[r.IntN(len(all))], all[r.IntN(len(all))]
	}
	decided := map[bool]int{}
	for _, opts := range []eql.EnvOptions{{}, {NoSharing: true}, {NoFolding: true}, {NoOptimise: true}} {
		for range 1500 {
			env := eql.NewEnv(event.NewSchema(testTypes), opts)
			query := "any where " + condition(3)
			q, err := env.Compile(query, eql.QueryOptions{})
			if err != nil {
				t.Fatalf("%s: %v", query, err)
			}
			stage := q.Stages[0]
			env.Seal(stage)
			schema, memo := env.Schema(), env.NewMemo()
			k1, k2 := values()
			known := func(s event.Slot) bool { return s == schema.Lookup("k1") || s == schema.Lookup("k2") }
			var rest eql.Rest
			for i := range 6 { // all but k1 and k2 differ
				doc := fmt.Sprintf(`{"k1":%s,"k2":%s,"k3":%q,"n1":%d,"n2":%d}`, k1, k2, string(rune('a'+r.IntN(4))), r.IntN(4), r.IntN(4))
				ev := event.New(schema)
				if err := event.NewDecoder(schema).Decode([]byte(doc), ev); err != nil {
					t.Fatal(err)
				}
				if i == 0 {
					rest = env.Given(stage, ev, known)
				}
				memo.Reset()
				want := stage.Match(ev, memo)
				holds, ok := rest.Decided()
				decided[ok]++
				memo.Reset()
				if got := rest.Match(ev, memo); got != want || ok && holds != want {
					t.Fatalf("%s\non %s: got %v, decided %v %v, want %v", query, doc, got, holds, ok, want)
				}
			}
		}
	}
	if decided[true] == 0 || decided[false] == 0 {
		t.Errorf("got %d conditions that were decided, %d that weren't", decided[true], decided[false])
	}
}
