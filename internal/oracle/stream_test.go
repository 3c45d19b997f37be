package oracle_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
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

// worker returns what a partition's worker needs to run a query.
func worker(text string, lateness time.Duration) (*pipeline.Config, error) {
	return workerBy("", text, lateness)
}

// workerBy does that for a rule with a timestamp_field.
func workerBy(field, text string, lateness time.Duration) (*pipeline.Config, error) {
	rule := &rules.Rule{
		ID: "r", Name: "r", Query: text, Type: "eql", Language: "eql", Severity: "low", From: "now-36500d", TimestampField: field,
	}
	set, err := rules.NewSet([]*rules.Rule{rule}, rules.SetOptions{AnyIndex: true, Types: declared{}.TypeOf, Nulls: declared{}.Null})
	return &pipeline.Config{
		Set: set, Alerts: alert.NewECS(alert.Options{}), Limits: replay.NoCaps(), Order: pipeline.Order{Lateness: lateness},
	}, err
}

func records(events []*fakeEvent) []pipeline.Record {
	var out []pipeline.Record
	for i, ev := range events {
		out = append(out, pipeline.Record{Topic: "events", Offset: int64(i), Value: []byte(ev.doc), Clock: pipeline.ClockEvent})
	}
	return out
}

func matchText(a pipeline.Alert) string {
	var out []int
	for _, e := range a.Match {
		if e.Missing {
			out = append(out, -1)
		} else {
			out = append(out, int(e.Ref.Offset))
		}
	}
	return fmt.Sprint(out)
}

// backtested is what a backtest finds in the events as they arrive.
func backtested(text string, events []*fakeEvent, lateness time.Duration) ([]string, error) {
	cfg, err := worker(text, lateness)
	if err != nil {
		return nil, err
	}
	return backtest(cfg, records(events))
}

// backtest is what a backtest finds in records.
func backtest(cfg *pipeline.Config, records []pipeline.Record) ([]string, error) {
	out := []string{}
	_, err := replay.Backtest(context.Background(), replay.FromRecords(records), replay.Options{
		Config: cfg,
		Alert: func(a pipeline.Alert) error {
			out = append(out, matchText(a))
			return nil
		},
		DeadLetter: func(d pipeline.DeadLetter) error { return fmt.Errorf("dead letter %d: %s", d.Offset, d.Detail) },
	})
	slices.Sort(out)
	return out, err
}

// restarted is what workers find that commit after batches of any size, and of which each goes on with the state that the one
// before it left.
func (g *generator) restarted(text string, events []*fakeEvent, lateness time.Duration) ([]string, error) {
	cfg, err := worker(text, lateness)
	if err != nil {
		return nil, err
	}
	cfg.EnsureDefaults()
	store := state.OpenMemory()
	out := []string{}
	commit := func(w *pipeline.Worker) error {
		for _, a := range w.Output().Alerts {
			out = append(out, matchText(a))
		}
		w.Changes()
		return w.Committed(state.Checkpoint{Version: state.CodecVersion})
	}
	var w *pipeline.Worker
	for rest := records(events); len(rest) > 0; {
		if w == nil || g.chance(30) {
			if w, err = pipeline.NewWorker(cfg, store.Partition(0), 0); err != nil {
				return nil, err
			}
			if err := w.Reload(); err != nil {
				return nil, err
			}
			if err := w.RefillFrom(records(events)); err != nil {
				return nil, err
			}
		}
		n := min(len(rest), 1+g.IntN(5))
		if err := w.Process(rest[:n]); err != nil {
			return nil, err
		}
		if err := commit(w); err != nil {
			return nil, err
		}
		rest = rest[n:]
	}
	if err := w.Finish(); err != nil {
		return nil, err
	}
	err = commit(w)
	slices.Sort(out)
	return out, errors.Join(err, store.Close())
}

// TestStream feeds sequences through the worker in the order of arrival, in one backtest or with commits and restarts between; the
// answer is that of a search over all events.
func TestStream(t *testing.T) {
	total, wrong := 0, 0
	n := count()
	for i := range n {
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
		way, find := "backtest", backtested
		if g.chance(50) {
			way, find = "restarts", g.restarted
		}
		have, err := find(text, events, lateness)
		if err != nil && strings.Contains(err.Error(), "too complex") {
			continue
		}
		if err == nil && slices.Equal(have, want) {
			continue
		}
		if wrong++; wrong <= 5 {
			t.Errorf("seed %d, %s, lateness %v: %s\n%sgot  %v %v\nwant %v", seed, way, lateness, text, describe(text, events), have, err, want)
		}
	}
	if wrong > 0 {
		t.Errorf("%d cases differ", wrong)
	}
	t.Logf("seeds %d to %d: %d cases with %d matches", *seed, *seed+uint64(n)-1, n, total)
}
