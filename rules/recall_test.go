package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/rules"
)

// TestRecall compares looking texts up among those that came before with looking each of them up: texts of all sizes that come again, in
// lower and upper case, of several fields and views, some that many stages are found by, and runs of texts that come once.
func TestRecall(t *testing.T) {
	var rs []*rules.Rule
	add := func(query string) { rs = append(rs, rule(fmt.Sprint("r", len(rs)), query)) }
	for _, category := range []string{"process", "file", "any"} {
		for _, field := range []string{"process.name", "process.parent.name", "process.args"} {
			for i := range 6 {
				add(fmt.Sprintf(`%s where %s : ("n%d*", "*x%d", "?m%d*", "*part%d*", "t%d")`, category, field, i%3, i, i, i, i))
			}
		}
	}
	for _, name := range rs[:3] {
		add(name.Query) // more than are recalled
	}
	r := rand.New(rand.NewPCG(1, 2))
	known := make([]string, 60)
	text := func() string {
		middle := strings.Repeat("ab", r.IntN(22))
		middle = middle[:max(0, len(middle)-r.IntN(2))]
		return fmt.Sprintf("%s%d%s%s%d", []string{"n", "zm", "q", "t"}[r.IntN(4)], r.IntN(6), middle, []string{"", "x", "part", "c"}[r.IntN(4)], r.IntN(6))
	}
	for i := range known {
		if known[i] = text(); i%4 == 3 {
			known[i] = strings.ToUpper(known[i-1])
		}
	}
	m := newMatcher(newSet(t, rs, rules.SetOptions{}))
	without := newMatcher(newSet(t, rs, rules.SetOptions{NoRecall: true}))
	plain := newMatcher(newSet(t, rs, rules.SetOptions{NoIndex: true}))
	hits := make([]int, len(rs))
	for i := range 16_000 {
		pick := func() string {
			if i%8_000 > 5_500 && r.IntN(10) > 0 { // so many at a time that it doesn't pay
				return text()
			}
			return known[r.IntN(len(known))]
		}
		doc := fmt.Appendf(nil, `{"event":{"category":%q},"process":{"name":%q,"parent":{"name":%q},"args":[%q,%q]}}`,
			[]string{"process", "file", "network"}[r.IntN(3)], pick(), pick(), pick(), pick())
		want := without.hits(t, doc, "")
		for _, name := range want {
			hits[slices.IndexFunc(rs, func(r *rules.Rule) bool { return r.ID == name })]++
		}
		if got := m.hits(t, doc, ""); !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v", doc, got, want)
		}
		if i%50 == 0 {
			if got := plain.hits(t, doc, ""); !slices.Equal(got, want) {
				t.Fatalf("%s: got %v, without an index %v", doc, want, got)
			}
		}
	}
	if i := slices.Index(hits, 0); i >= 0 {
		t.Errorf("%s was never hit", rs[i].Query)
	}
	if a, b := m.Stats(), without.Stats(); !slices.Equal(a.Candidates, b.Candidates) || !slices.Equal(a.Evaluations, b.Evaluations) {
		t.Errorf("got candidates %v, evaluations %v, want %v, %v", a.Candidates, a.Evaluations, b.Candidates, b.Evaluations)
	}
}

// TestRecallOfManyViews has more probes than texts are recalled, all of which are asked for the same text.
func TestRecallOfManyViews(t *testing.T) {
	var rs []*rules.Rule
	for i := range 1500 {
		rs = append(rs, rule(fmt.Sprint("r", i), fmt.Sprintf(`any where event.action == "a%d" and process.name : "n%s*"`, i, strings.Repeat("x", i%2))))
	}
	m := newMatcher(newSet(t, rs, rules.SetOptions{}))
	for i := range 6000 {
		var want []string
		if action := i % 1500; action%2 == 0 {
			want = []string{fmt.Sprint("r", action)}
		}
		doc := fmt.Appendf(nil, `{"event.action":"a%d","process.name":"n1"}`, i%1500)
		if got := m.hits(t, doc, ""); !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v", doc, got, want)
		}
	}
}
