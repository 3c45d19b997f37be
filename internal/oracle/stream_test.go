package oracle_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
)

// streamCase makes a sequence and events as they arrive: each at most lateness behind what is newer. They are of one host, or the
// sequence is joined by host.
func (g *generator) streamCase() (q *query, events []*fakeEvent, lateness time.Duration) {
	q, events = g.sequenceCase()
	byHost := g.chance(50)
	if byHost {
		q.by = append([]fieldRef{{path: "host.id"}}, q.by...)
	}
	hosts := []string{"n1", "n2", "n3"}
	if !byHost {
		hosts = hosts[:1]
	}
	g.hosts = hosts
	fields := slices.Concat(keyPaths[1:], []string{"event.category", "event.kind", "process.exit_code", "process.name", "x.n", "x.flag"})
	for i, ev := range events {
		events[i] = g.document(ev.at, i, fields)
	}
	g.hosts = nil
	lateness = time.Duration(1+g.IntN(20)) * time.Millisecond
	if g.slow {
		lateness *= 1000
	}
	arrival := map[*fakeEvent]int64{}
	for _, ev := range events {
		arrival[ev] = ev.at*1000 + g.Int64N(lateness.Microseconds())
	}
	slices.SortStableFunc(events, func(a, b *fakeEvent) int { return cmp.Compare(arrival[a], arrival[b]) })
	for i := range events {
		events[i].index = i
	}
	return q, events, lateness
}

// streamed is what the worker finds in the events as they arrive.
func streamed(text string, events []*fakeEvent, lateness time.Duration) ([]string, error) {
	rule := &rules.Rule{
		ID: "r", Name: "r", Query: text, Type: "eql", Language: "eql", Severity: "low", From: "now-36500d",
	}
	set, err := rules.NewSet([]*rules.Rule{rule}, rules.SetOptions{AnyIndex: true, Types: declared{}.TypeOf, Nulls: declared{}.Null})
	if err != nil {
		return nil, err
	}
	var records []pipeline.Record
	for i, ev := range events {
		records = append(records, pipeline.Record{Topic: "events", Offset: int64(i), Value: []byte(ev.doc), Clock: pipeline.ClockEvent})
	}
	out := []string{}
	_, err = replay.Backtest(context.Background(), replay.FromRecords(records), replay.Options{
		Config: &pipeline.Config{
			Set: set, Alerts: alert.NewECS(alert.Options{}), Limits: replay.NoCaps(), Order: pipeline.Order{Lateness: lateness},
		},
		Alert: func(a pipeline.Alert) error {
			f := found{}
			for _, e := range a.Match {
				if e.Missing {
					f.events = append(f.events, -1)
				} else {
					f.events = append(f.events, int(e.Ref.Offset))
				}
			}
			out = append(out, fmt.Sprint(f.events))
			return nil
		},
		DeadLetter: func(d pipeline.DeadLetter) error { return fmt.Errorf("dead letter %d: %s", d.Offset, d.Detail) },
	})
	slices.Sort(out)
	return out, err
}

// TestStream feeds sequences through the worker in the order of arrival; the answer is that of a search over all events.
func TestStream(t *testing.T) {
	total, wrong := 0, 0
	for i := range *cases {
		seed := *seed + uint64(i)
		g := newGenerator(seed)
		g.ties = g.chance(30)
		q, events, lateness := g.streamCase()
		text := g.text(q)
		want := []string{}
		for _, fs := range q.answer(events, true) {
			for _, f := range fs {
				want = append(want, fmt.Sprint(f.events))
			}
		}
		slices.Sort(want)
		total += len(want)
		have, err := streamed(text, events, lateness)
		if err != nil && strings.Contains(err.Error(), "too complex") {
			continue
		}
		if err == nil && slices.Equal(have, want) {
			continue
		}
		if wrong++; wrong <= 5 {
			t.Errorf("seed %d, lateness %v: %s\n%sgot  %v %v\nwant %v", seed, lateness, text, describe(text, events), have, err, want)
		}
	}
	if wrong > 0 {
		t.Errorf("%d cases differ", wrong)
	}
	t.Logf("seeds %d to %d: %d cases with %d matches", *seed, *seed+uint64(*cases)-1, *cases, total)
}
