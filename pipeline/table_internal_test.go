package pipeline

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/weir-eql/weir/rules"
)

func tableSet(t *testing.T, ids ...string) *rules.Set {
	t.Helper()
	var all []*rules.Rule
	for _, id := range ids {
		all = append(all, &rules.Rule{ID: id, Name: id, Query: "sequence by host.id with maxspan=1m [any where true] [any where true]"})
	}
	set, err := rules.NewSet(all, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// modelled is what the model of a table knows of one partial.
type modelled struct {
	p    *partial
	rule *rules.Compiled
	join string
	host *host
	at   int64
}

// TestPartialTable compares a table with a list: hashes that collide, deadlines that are equal, partials that come and go.
func TestPartialTable(t *testing.T) {
	set := tableSet(t, "a", "b", "c")
	for seed := range uint64(20) {
		r := rand.New(rand.NewPCG(seed, 1))
		table := newPartialTable(set.Rules())
		hosts := []*host{newHost("h"), newHost("i"), newHost("j")}
		var model []modelled // by age
		begun := int64(0)
		for step := range 4000 {
			c := set.Rules()[r.IntN(3)]
			join := fmt.Sprint("key", r.IntN(60))
			hash := table.hash(c, []byte(join)) & 15
			i := slices.IndexFunc(model, func(m modelled) bool { return m.rule == c && m.join == join })
			p := table.find(hash, c, []byte(join))
			if (i >= 0) != (p != nil) || p != nil && p != model[i].p {
				t.Fatalf("seed %d step %d: found %v, want place %d", seed, step, p, i)
			}
			switch {
			case p == nil:
				p = table.add(hash, c, hosts[r.IntN(3)])
				begun++
				p.body = string(appendBody(nil, join, begun))
				model = append(model, modelled{p: p, rule: c, join: join, host: p.host, at: math.MaxInt64})
			case r.IntN(3) == 0:
				table.setTimer(p, math.MaxInt64)
				table.remove(p)
				model = slices.Delete(model, i, i+1)
			default:
				at := int64(r.IntN(20))
				if at == 0 {
					at = math.MaxInt64
				}
				table.setTimer(p, at)
				model[i].at = at
			}
			if step == 3000 {
				table.sortByAge()
			}
			if step%7 == 0 {
				compareTables(t, table, model, hosts)
			}
		}
		drainTimers(t, table, hosts)
	}
}

func compareTables(t *testing.T, table *partialTable, model []modelled, hosts []*host) {
	t.Helper()
	k := 0
	for p := range table.byAge() {
		if k >= len(model) || p != model[k].p || p.join() != model[k].join {
			t.Fatalf("partial %d by age is %q", k, p.join())
		}
		k++
	}
	if k != len(model) || table.len() != k {
		t.Fatalf("%d partials by age, %d live, want %d", k, table.len(), len(model))
	}
	for _, c := range table.rules {
		of := slices.DeleteFunc(slices.Clone(model), func(m modelled) bool { return m.rule != c })
		list := &table.byRule[c.Number]
		if list.live != len(of) || len(of) > 0 && table.oldest(list) != of[0].p {
			t.Fatalf("rule %s: %d live, oldest %d, want %d of %v", c.Rule.ID, list.live, list.oldest, len(of), of)
		}
	}
	for _, h := range hosts {
		first := int64(math.MaxInt64)
		for _, m := range model {
			if m.host == h {
				first = min(first, m.at)
			}
		}
		if h.deadline != first {
			t.Fatalf("host %s: deadline %d, want %d", h.name, h.deadline, first)
		}
	}
}

// drainTimers checks that deadlines come in order, equal ones by rule and join key.
func drainTimers(t *testing.T, table *partialTable, hosts []*host) {
	t.Helper()
	for _, h := range hosts {
		var last *partial
		var lastAt int64
		for h.timers != 0 {
			p, at := table.at(h.timers), h.deadline
			if last != nil && (at < lastAt || at == lastAt && table.compare(last, p) >= 0) {
				t.Fatalf("deadline %d of %q comes after %d of %q", at, p.join(), lastAt, last.join())
			}
			last, lastAt = p, at
			table.setTimer(p, math.MaxInt64)
		}
	}
}

// TestPartialTableOfAnotherSet: partials of rules that stay go over in their order, the others are dropped.
func TestPartialTableOfAnotherSet(t *testing.T) {
	old, next := tableSet(t, "a", "b", "c"), tableSet(t, "x", "c", "a")
	table := newPartialTable(old.Rules())
	h := newHost("h")
	for i := range 30 {
		c := old.Rules()[i%3]
		join := strconv.Itoa(i)
		table.add(table.hash(c, []byte(join)), c, h).body = string(appendBody(nil, join, int64(i)))
	}
	var dropped []string
	table.setRules(next.Rules(), rulesByHash(next), func(p *partial) {
		dropped = append(dropped, p.join())
		table.remove(p)
	})
	if len(dropped) != 10 || table.len() != 20 {
		t.Errorf("dropped %v, %d are left", dropped, table.len())
	}
	for _, c := range next.Rules() {
		list, want := &table.byRule[c.Number], map[string]int{"x": 0, "c": 10, "a": 10}[c.Rule.ID]
		if list.live != want {
			t.Errorf("rule %s has %d, want %d", c.Rule.ID, list.live, want)
		}
		if want > 0 {
			oldest := table.oldest(list)
			if oldest.join() != map[string]string{"a": "0", "c": "2"}[c.Rule.ID] {
				t.Errorf("rule %s: the oldest is %q", c.Rule.ID, oldest.join())
			}
			if found := table.find(oldest.hash, c, []byte(oldest.join())); found != oldest {
				t.Errorf("rule %s: %q isn't found", c.Rule.ID, oldest.join())
			}
		}
	}
}
