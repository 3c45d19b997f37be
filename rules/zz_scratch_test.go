package rules_test

import (
	"fmt"
	"sort"
	"testing"

	"github.com/weir-eql/weir/rules"
)

func TestScratch(t *testing.T) {
	c := corpus(t)
	for _, ls := range [][][]byte{sampleLines(t), attackLines(t, 10000)} {
		s := newSet(t, c.Rules, rules.SetOptions{AnyIndex: true})
		m := newMatcher(s)
		for _, l := range ls {
			m.hits(t, l, "")
		}
		type rc struct {
			n uint64
			i int
		}
		var rcs []rc
		for i, n := range m.Stats().Evaluations {
			rcs = append(rcs, rc{n, i})
		}
		sort.Slice(rcs, func(a, b int) bool { return rcs[a].n > rcs[b].n })
		for _, r := range rcs[:25] {
			e, _ := s.Explain(s.Rules()[r.i].Rule.ID)
			fmt.Printf("%.3f %s | %.300s\n", float64(r.n)/float64(len(ls)), e.Name, e.KeySummary())
		}
		fmt.Println()
	}
}
