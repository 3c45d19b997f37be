package pipeline

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestHostTableIsAMap compares the table with a map under any row of calls.
func TestHostTableIsAMap(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		table, model := newHostTable(), map[string]*host{}
		name := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("host-", rapid.IntRange(0, 300).Draw(t, "number")) })
		t.Repeat(map[string]func(*rapid.T){
			"put": func(t *rapid.T) {
				for range rapid.IntRange(1, 60).Draw(t, "times") {
					h := newHost(name.Draw(t, "name"))
					table.put(h)
					model[h.name] = h
				}
			},
			"retain": func(t *rapid.T) {
				mod := rapid.Int64Range(1, 5).Draw(t, "mod")
				keep := func(h *host) bool { return int64(len(h.name)+int(h.name[len(h.name)-1]))%mod != 0 }
				table.retain(keep)
				maps.DeleteFunc(model, func(_ string, h *host) bool { return !keep(h) })
			},
			"": func(t *rapid.T) {
				if table.len() != len(model) {
					t.Fatalf("%d hosts, want %d", table.len(), len(model))
				}
				for n, h := range model {
					if table.get(n) != h {
						t.Fatalf("%s isn't there", n)
					}
				}
				if n := name.Draw(t, "asked for"); table.get(n) != model[n] {
					t.Fatalf("get(%s) is %v", n, table.get(n))
				}
				if got := slices.Collect(table.all()); len(got) != len(model) {
					t.Fatalf("%d yielded, want %d", len(got), len(model))
				}
				if len(table.slots) > 64 && table.len() > len(table.slots)/4*3 {
					t.Fatalf("%d hosts in %d slots", table.len(), len(table.slots))
				}
			},
		})
	})
}
