//go:build unix

package chaos

import (
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
)

func testRun() *run {
	return &run{
		settings: settings{lateness: 3 * time.Second}, script: &script{}, feed: &feed{script: &script{}}, faults: map[string]int{}, began: time.Now(),
	}
}

func TestCompare(t *testing.T) {
	at := time.Unix(1_800_000_000, 0)
	want := []wanted{{"a e1", at}, {"b e1 e2", at}, {"c e3", at}}
	seen := func(line, from string, after time.Duration) published {
		return published{line: line, from: from, at: at.Add(after)}
	}
	tests := []struct {
		name string
		got  []published
		res  Result
	}{
		{
			"all there",
			[]published{seen("c e3", "0/1", 0), seen("a e1", "0/2", time.Second), seen("b e1 e2", "1/1", 4*time.Second)},
			Result{Verdict: Passed, Expected: 3, Published: 3, Stall: 4},
		},
		{
			"one lost",
			[]published{seen("a e1", "0/2", time.Second), seen("b e1 e2", "1/1", 0)},
			Result{Verdict: Failed, Expected: 3, Published: 2, Stall: 1, Lost: []string{"c e3"}},
		},
		{
			"one doubled",
			[]published{seen("a e1", "0/2", 0), seen("b e1 e2", "1/1", 0), seen("c e3", "0/3", 0), seen("a e1", "1/7", 0)},
			Result{Verdict: Failed, Expected: 3, Published: 4, Doubled: []string{
				"a e1 at 0/2 (seen " + at.Format("15:04:05.000") + ", written by start 0 of member 0), " +
					"1/7 (seen " + at.Format("15:04:05.000") + ", written by start 0 of member 0)",
			}},
		},
		{
			"one with another event",
			[]published{seen("a e1", "0/2", 0), seen("b e1 e9", "1/1", 0), seen("c e3", "0/3", 0)},
			Result{Verdict: Failed, Expected: 3, Published: 3, Lost: []string{"b e1 e2"}, Unexpected: []string{"b e1 e9 at 1/1"}},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r := testRun()
			got := r.compare(want, tt.got)
			tt.res.Settings, tt.res.Seconds, tt.res.Faults = got.Settings, got.Seconds, got.Faults
			if diff := gocmp.Diff(&tt.res, got); diff != "" {
				t.Errorf("result (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompareTroubleAndDelay(t *testing.T) {
	r := testRun()
	r.troubles = []string{"member 1 has ended by itself"}
	if got := r.compare(nil, nil); got.Verdict != Failed || !strings.Contains(got.Details(), "member 1 has ended by itself") {
		t.Errorf("with trouble: %s\n%s", got.Verdict, got.Details())
	}
	r = testRun()
	began := time.Unix(1_800_000_000, 0)
	r.feed.script.events = []*Event{{stamp: began, acked: began.Add(4 * time.Second)}}
	if got := r.compare([]wanted{{line: "a e1"}}, nil); got.Verdict != Void {
		t.Errorf("with an event 4 s late and a lateness of 3 s: %s, want %s", got.Verdict, Void)
	}
}

func TestCounters(t *testing.T) {
	first, err := readMetrics(strings.NewReader("# HELP weir_x y\nweir_late_events_total{partition=\"1\"} 2\nweir_late_events_total{partition=\"2\"} 0\n" +
		"weir_alerts_deduplicated_total{rule_id=\"a\"} 3\nweir_records_total{partition=\"1\"} 70\ngo_goroutines 9\n"))
	if err != nil {
		t.Fatal(err)
	}
	c := counters{last: map[string]map[string]float64{"0/1": first, "0/2": first}}
	if got := c.sums()["weir_records_total"]; got != 140 {
		t.Errorf("records of two processes = %v, want 140", got)
	}
	want := []string{"weir_alerts_deduplicated_total = 6, at most 5 are explained", "weir_late_events_total = 4"}
	if diff := gocmp.Diff(want, c.unexplained(map[string]float64{"weir_alerts_deduplicated_total": 5})); diff != "" {
		t.Errorf("unexplained counters (-want +got):\n%s", diff)
	}
}

// TestAlarmingCounters holds the pattern against the counters that there are.
func TestAlarmingCounters(t *testing.T) {
	raw, err := os.ReadFile("../../docs/metrics.md")
	if err != nil {
		t.Fatal(err)
	}
	names := regexp.MustCompile("`(weir_[a-z_]+_total)[`{]").FindAllStringSubmatch(string(raw), -1)
	count := 0
	for _, n := range names {
		if alarming.MatchString(n[1]) {
			count++
		}
	}
	for _, harmless := range []string{"weir_alerts_total", "weir_records_total", "weir_rebalances_total", "weir_idle_clock_advances_total"} {
		if alarming.MatchString(harmless) {
			t.Errorf("%s is alarming", harmless)
		}
	}
	if count < 20 {
		t.Errorf("%d alarming counters in docs/metrics.md", count)
	}
}

// TestExplainedByReload shows that the rule that each reload changes explains what is dropped of it, and only where its events go by way of
// the re-key topic without those of other rules.
func TestExplainedByReload(t *testing.T) {
	for j, want := range map[joins]float64{joinsHosts: 0, joinsAcross: 0, joinsAnyKey: 2} {
		r := testRun()
		r.settings.joins = j
		r.script.events = []*Event{{port: 4444}, {port: 443}, {port: 4444}}
		for _, name := range []string{"weir_rekey_dropped_total", "weir_reorder_buffer_discarded_total"} {
			if got := r.explained()[name]; got != want {
				t.Errorf("rules %s: %v of %s are explained, want %v", j, got, name, want)
			}
		}
	}
}
