package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/rules"
)

// TestNamesAreFound looks names of all sizes up, in either case, and what differs from them in a few letters: behind filters of few names
// and of many, and with beginnings beside them.
func TestNamesAreFound(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 9))
	name := func(size int) string {
		b := make([]byte, size)
		for i := range b {
			b[i] = "abzAYZ@`{[019-_ "[r.IntN(16)]
		}
		return string(b) + []string{"", "", "é"}[r.IntN(3)]
	}
	var rs []*rules.Rule
	known := map[string][]string{} // by field
	for i, field := range []string{"process.name", "process.parent.name", "user.name", "process.args"} {
		for i := range []int{40, 3, 1, 5}[i] {
			known[field] = append(known[field], name(i*7%41))
			op := []string{":", "=="}[i%2]
			rs = append(rs, rule(fmt.Sprint(field, i), fmt.Sprintf("any where %s %s %q", field, op, known[field][i])))
		}
	}
	rs = append(rs, rule("begins", `any where process.args : "ab*"`), rule("number", `any where process.pid == 17`))
	pick := func(field string) string {
		text := []byte(known[field][r.IntN(len(known[field]))])
		switch r.IntN(4) {
		case 0:
			text = []byte(strings.ToUpper(string(text)))
		case 1:
			if len(text) > 0 && text[len(text)/2] < 0x80 {
				text[len(text)/2] ^= 1
			}
		case 2:
			text = append(text, 'a')
		}
		return string(text)
	}
	m, plain := newMatcher(newSet(t, rs, rules.SetOptions{})), newMatcher(newSet(t, rs, rules.SetOptions{NoIndex: true}))
	hit := map[string]bool{}
	for range 5000 {
		doc := fmt.Appendf(nil, `{"process":{"name":%q,"pid":%d,"parent":{"name":%q},"args":[%q,%q]},"user":{"name":%q}}`,
			pick("process.name"), 15+r.IntN(4), pick("process.parent.name"), pick("process.args"), pick("process.args"), pick("user.name"))
		want := plain.hits(t, doc, "")
		if got := m.hits(t, doc, ""); !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v", doc, got, want)
		}
		for _, name := range want {
			hit[name] = true
		}
	}
	if len(hit) < len(rs)*9/10 {
		t.Errorf("only %d of %d rules were hit", len(hit), len(rs))
	}
}
