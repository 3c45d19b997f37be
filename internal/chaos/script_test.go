//go:build unix

package chaos

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
)

// records makes of a script what would be on the topic if it were sent in time: one partition, positions by sending, on all topics.
func (s *script) records(began time.Time) []pipeline.Record {
	names := []string{"events", "events-second"}
	var out []pipeline.Record
	for i, e := range s.events {
		e.stamp, e.acked, e.offset = began.Add(e.at), began.Add(e.sent), int64(i)
		out = append(out, pipeline.Record{
			Topic: names[e.topic], Offset: e.offset, Key: []byte(e.host), Value: e.document(),
			Time: e.acked.UnixMilli(), Clock: pipeline.ClockLogAppend,
		})
	}
	return out
}

func ruleSet(t *testing.T, j joins) *rules.Set {
	t.Helper()
	dir := t.TempDir()
	if err := writeRules(dir, detections(j), 0); err != nil {
		t.Fatal(err)
	}
	collection, err := rules.Load([]string{dir}, rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.NewSet(collection.Rules, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func wantedLines(want []wanted) []string {
	var lines []string
	for _, w := range want {
		lines = append(lines, w.line)
	}
	slices.Sort(lines)
	return lines
}

// TestExpectedAlerts shows that what a script is expected to give is what a backtest finds in it: where a run differs, it
// is not for the expectation.
func TestExpectedAlerts(t *testing.T) {
	sets := map[joins]*rules.Set{}
	for _, j := range []joins{joinsHosts, joinsAcross, joinsAnyKey} {
		sets[j] = ruleSet(t, j)
	}
	began := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	byRule := map[string]int{}
	for seed := range uint64(15) {
		s := newSettings(seed)
		script := s.script(20 * time.Second)
		cfg := &pipeline.Config{
			Set: sets[s.joins], Rekey: pipeline.Rekey{All: s.joins == joinsAnyKey}, Alerts: alert.NewECS(alert.Options{}), Order: pipeline.Order{Lateness: s.lateness},
			Dedupe: pipeline.Dedupe{Window: 10 * time.Minute, IDs: 100_000},
		}
		var got []string
		result, err := replay.Backtest(context.Background(), replay.FromRecords(script.records(began)), replay.Options{
			Config: cfg,
			Alert: func(a pipeline.Alert) error {
				p, err := parseAlert(a.Body)
				got = append(got, p.line)
				return err
			},
			DeadLetter: func(d pipeline.DeadLetter) error { return fmt.Errorf("dead letter %d: %s", d.Offset, d.Detail) },
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		want := wantedLines(expect(detections(s.joins), script.events, s.lateness))
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("seed %d, %v, %+v: alerts (-want +got):\n%s", seed, s, result, diff)
		}
		for _, line := range want {
			rule, _, _ := strings.Cut(line, " ")
			byRule[rule]++
		}
	}
	for _, d := range detections(joinsAcross) {
		if byRule[d.id] < 4 {
			t.Errorf("rule %s is expected %d times in 15 scripts: too seldom to show anything", d.id, byRule[d.id])
		}
	}
}

func TestSeedChoosesAll(t *testing.T) {
	text := func(seed uint64) string {
		s := newSettings(seed)
		script := s.script(5 * time.Second)
		script.records(time.Unix(1_800_000_000, 0))
		all := []string{s.String(), newPlan(s, true).String()}
		for _, e := range script.events {
			all = append(all, string(e.document()))
		}
		return strings.Join(all, "\n")
	}
	first, again, other := text(7), text(7), text(8)
	if first != again {
		t.Error("two runs of one seed differ")
	}
	if first == other {
		t.Error("two seeds are the same")
	}
}

// TestScripts shows that scripts have what they promise: events out of order within the lateness, copies, clocks that are off.
func TestScripts(t *testing.T) {
	disorder, copies, skewed := 0, 0, 0
	for seed := range uint64(20) {
		s := newSettings(seed)
		script := s.script(10 * time.Second)
		if !slices.IsSortedFunc(script.events, func(a, b *Event) int { return cmp.Compare(a.sent, b.sent) }) {
			t.Errorf("seed %d: events are not in the order of sending", seed)
		}
		newest := map[string]time.Duration{}
		for _, e := range script.events {
			if behind := e.sent - e.at; behind < 0 || behind > s.lateness/4 {
				t.Errorf("seed %d: %s is sent %v after it happened", seed, e.id, behind)
			}
			if e.at < newest[e.host] {
				disorder++
			}
			newest[e.host] = max(newest[e.host], e.at)
			if e.copyOf != nil {
				copies++
			}
		}
		for _, off := range script.skew {
			if off > drift || off < -drift {
				skewed++
			}
		}
	}
	if disorder < 100 || copies < 100 || skewed < 10 {
		t.Errorf("20 scripts have %d events out of order, %d copies, %d hosts with a wrong clock", disorder, copies, skewed)
	}
}

// TestUnsentCopies shows that a copy that the feed left out takes nothing along.
func TestUnsentCopies(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	first := &Event{id: "m1-0", host: "h", category: "process", kind: "start", name: "nc", stamp: at, acked: at}
	unsent := *first
	unsent.copyOf, unsent.stamp = first, time.Time{}
	want := []string{"shell-over-network m1-0"}
	if diff := gocmp.Diff(want, wantedLines(expect(detections(joinsHosts), []*Event{first, &unsent}, time.Second))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}
