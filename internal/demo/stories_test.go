package demo_test

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/weir-eql/weir/internal/demo"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/detections"
)

// shipped returns the shipped rules as one set.
func shipped(t *testing.T) *rules.Set {
	t.Helper()
	c, err := rules.LoadFS(detections.FS(), "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.NewSet(c.Rules, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// found is an alert by the rule, the host and the time of its completing event.
type found struct {
	rule string
	host string
	at   time.Time
}

// detect runs the shipped rules over the events of g until its event time has passed span.
func detect(t *testing.T, g *demo.Generator, start time.Time, span time.Duration) []found {
	t.Helper()
	var records []pipeline.Record
	var hosts []string
	for {
		at, doc, host := g.Next()
		if at.Sub(start) > span {
			break
		}
		records = append(records, pipeline.Record{Topic: "demo", Offset: int64(len(records)), Value: doc, Clock: pipeline.ClockEvent})
		hosts = append(hosts, host)
	}
	var all []found
	_, err := replay.Backtest(t.Context(), replay.FromRecords(records), replay.Options{
		Config: &pipeline.Config{Set: shipped(t), Alerts: alert.NewECS(alert.Options{})},
		Alert: func(a pipeline.Alert) error {
			at := a.Completed
			all = append(all, found{a.Rule.Rule.ID, hosts[at.Offset], time.UnixMilli(at.Time)})
			return nil
		},
		DeadLetter: func(d pipeline.DeadLetter) error {
			t.Errorf("event %d is a dead letter: %s", d.Offset, d.Detail)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestStories plays the stories apart from each other: each triggers the rules that it names and no others.
func TestStories(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for seed := range uint64(3) {
		g := demo.New(demo.Options{Seed: seed, Start: start, Rate: 20, AttackEvery: 40 * time.Second})
		alerts := detect(t, g, start, 6*40*time.Second)
		attacks := g.Attacks()
		if len(attacks) < 6 {
			t.Fatalf("seed %d: got %d attacks, want 6", seed, len(attacks))
		}
		if len(alerts) == 0 {
			t.Fatalf("seed %d: no alerts", seed)
		}
		for i, a := range attacks[:6] {
			until := a.Start.Add(35 * time.Second)
			got := map[string]bool{}
			var last time.Time
			for _, f := range alerts {
				if !f.at.Before(a.Start.Truncate(time.Millisecond)) && f.at.Before(until) {
					got[f.rule] = true
					last = f.at
					if f.host != a.Host {
						t.Errorf("seed %d, %s: alert of %s on host %s, the attack is on %s", seed, a.Story.Name, f.rule, f.host, a.Host)
					}
				}
			}
			want := slices.Sorted(slices.Values(a.Story.Rules))
			if ids := slices.Sorted(maps.Keys(got)); !slices.Equal(ids, want) {
				t.Errorf("seed %d, attack %d, %s: got rules %v, want %v", seed, i, a.Story.Name, ids, want)
			}
			if took := last.Sub(a.Start); took > 20*time.Second {
				t.Errorf("seed %d, %s: the last alert comes after %v, want within 20 s", seed, a.Story.Name, took)
			}
		}
	}
}

// TestStoriesCover checks that the stories name 2 to 5 rules each and every shipped rule among them.
func TestStoriesCover(t *testing.T) {
	named := map[string]bool{}
	for _, s := range demo.Stories() {
		if len(s.Rules) < 2 || len(s.Rules) > 5 {
			t.Errorf("%s names %d rules, want 2 to 5", s.Name, len(s.Rules))
		}
		for _, id := range s.Rules {
			named[id] = true
		}
	}
	for _, c := range shipped(t).Rules() {
		if !named[c.Rule.ID] {
			t.Errorf("no story triggers %s", c.Rule.Name)
		}
		delete(named, c.Rule.ID)
	}
	if len(named) > 0 {
		t.Errorf("the stories name rules that don't ship: %v", slices.Sorted(maps.Keys(named)))
	}
}

// TestNoise checks that ordinary work triggers nothing.
func TestNoise(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for seed := range uint64(3) {
		g := demo.New(demo.Options{Seed: seed, Start: start, Rate: 150, Hosts: 2, AttackEvery: -1})
		for _, f := range detect(t, g, start, time.Minute) {
			t.Errorf("seed %d: ordinary work triggers %s at %v", seed, f.rule, f.at)
		}
	}
}

// TestCrowded runs the demo as it comes: attacks overlap, every shipped rule fires, the first alert comes early.
func TestCrowded(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for seed := range uint64(3) {
		alerts := detect(t, demo.New(demo.Options{Seed: seed, Start: start, Hosts: 1 + 2*int(seed)}), start, time.Minute+15*time.Second)
		fired := map[string]bool{}
		first := start.Add(time.Hour)
		for _, f := range alerts {
			fired[f.rule] = true
			if f.at.Before(first) {
				first = f.at
			}
		}
		if got, want := len(fired), len(shipped(t).Rules()); got != want {
			t.Errorf("seed %d: %d rules fired, want all %d", seed, got, want)
		}
		if got := first.Sub(start); got > 6*time.Second {
			t.Errorf("seed %d: the first alert comes after %v", seed, got)
		}
	}
}
