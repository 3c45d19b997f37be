package replay_test

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
)

// productionRules compiles the rules of the reference material.
func productionRules(tb testing.TB, o rules.SetOptions) *rules.Set {
	tb.Helper()
	c, err := rules.Load([]string{shared(tb, "rules", "rules"), shared(tb, "rules", "rules_building_block")}, rules.LoadOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	set, err := rules.NewSet(c.Rules, o)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// TestAttackTelemetry replays recorded attacks through all production rules and compares the matches with those of
// an independent program. Sequences without maxspan are bounded by their lookback here and unbounded there.
func TestAttackTelemetry(t *testing.T) {
	if testing.Short() {
		t.Skip("several hundred thousand events")
	}
	set := productionRules(t, rules.SetOptions{AnyIndex: true})
	for _, name := range []string{"linux_log4shell", "eqllib_sysmon-rta", "mordor_visible"} {
		t.Run(name, func(t *testing.T) { compareTelemetry(t, set, name) })
	}
}

func compareTelemetry(t *testing.T, set *rules.Set, name string) {
	t.Helper()
	want := expectedMatches(t, name)
	got, res := replayMatches(t, set, shared(t, "events", "attack", name+".ndjson.gz"))
	rulesRight, total := 0, 0
	for _, c := range set.Rules() {
		id := c.Rule.ID
		if c.Sequence() && c.Query.MaxSpan == 0 {
			continue
		}
		if len(want[id]) == 0 && len(got[id]) == 0 {
			continue
		}
		total++
		if slices.Equal(got[id], want[id]) {
			rulesRight++
			continue
		}
		missing, extra := difference(want[id], got[id])
		t.Errorf("rule %s (%s): %d matches, want %d; missing %v, extra %v",
			id, c.Rule.Name, len(got[id]), len(want[id]), head(missing), head(extra))
	}
	t.Logf("%d events, %d alerts, %d of %d rules agree", res.Records, res.Alerts, rulesRight, total)
}

func expectedMatches(t *testing.T, name string) map[string][]string {
	t.Helper()
	raw, err := os.ReadFile(shared(t, "events", "attack", "expected", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var lines map[string][][]int
	if err := json.Unmarshal(raw, &lines); err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for id, matches := range lines {
		for _, m := range matches {
			out[id] = append(out[id], fmt.Sprint(m))
		}
		slices.Sort(out[id])
	}
	return out
}

func replayMatches(t *testing.T, set *rules.Set, path string) (map[string][]string, *replay.Result) {
	t.Helper()
	src, err := replay.OpenFiles([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	got := map[string][]string{}
	res, err := replay.Backtest(t.Context(), src, replay.Options{
		Config: &pipeline.Config{Set: set, Alerts: alert.NewECS(alert.Options{}), Limits: replay.NoCaps()},
		Alert: func(a pipeline.Alert) error {
			var lines []int
			for _, e := range a.Match {
				if e.Missing {
					lines = append(lines, -1)
				} else {
					lines = append(lines, int(e.Ref.Offset))
				}
			}
			got[a.RuleID] = append(got[a.RuleID], fmt.Sprint(lines))
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	for id := range got {
		slices.Sort(got[id])
	}
	return got, res
}

func difference(want, got []string) (missing, extra []string) {
	for _, w := range want {
		if !slices.Contains(got, w) {
			missing = append(missing, w)
		}
	}
	for _, g := range got {
		if !slices.Contains(want, g) {
			extra = append(extra, g)
		}
	}
	return missing, extra
}

func head(s []string) []string { return s[:min(len(s), 5)] }
