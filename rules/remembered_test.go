package rules_test

import (
	"fmt"
	"testing"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
)

// TestRememberedIsBounded: what a matcher remembers of kinds of events, of which anyone can invent as many as there are lists of categories, stays
// below its bounds, with shapes and without.
func TestRememberedIsBounded(t *testing.T) {
	all := manyRules(2000)
	categories, systems := [...]string{"process", "file", "network", "registry"}, [...]string{"windows", "linux", "macos"}
	for _, o := range []rules.SetOptions{{}, {NoShapes: true}} {
		set := newSet(t, all, o)
		m, dec, ev := set.NewMatcher(), event.NewDecoder(set.Schema()), event.New(set.Schema())
		dropped, before := 0, 0
		for i := range 256 * 12 {
			c, s := i/12, i%12
			doc := fmt.Sprintf(`{"@timestamp":"2026-01-05T10:00:00Z","event":{"category":[%q,%q,%q,%q],"type":"start","action":"creation"},"host":{"os":{"type":[%q,%q,%q,%q]}}}`,
				categories[c%4], categories[c/4%4], categories[c/16%4], categories[c/64], systems[s%3], systems[(s+1)%3], systems[(s+2)%3], systems[s/3%3])
			if err := dec.Decode([]byte(doc), ev); err != nil {
				t.Fatal(err)
			}
			m.Match(ev, "")
			if i%16 != 0 {
				continue
			}
			views, shapes, most := m.Remembered()
			if views > rules.MaxRemembered+most || shapes > rules.MaxRemembered+most {
				t.Fatalf("%+v: %d keys of views and %d of shapes are remembered after %d kinds of events, at most %d may be", o, views, shapes, i+1, rules.MaxRemembered)
			}
			dropped, before = dropped+min(1, max(0, before-views)), views
			if dropped == 3 {
				break
			}
		}
		if dropped < 3 {
			t.Errorf("%+v: they were dropped %d times only, the test proves little", o, dropped)
		}
	}
}
