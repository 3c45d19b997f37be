package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/internal/bench"
)

// benchAlerts reads a topic of alerts as their readers do, while the service runs.
type benchAlerts struct {
	topic  *benchTopic
	cancel context.CancelFunc
	seen   chan seenAlert
	failed chan error
}

// seenAlert is an alert and when it was there.
type seenAlert struct {
	id    string
	rule  string
	event string // event.id of its last event
	at    time.Time
}

// watch begins to read a topic, which may be made later.
func (t *benchTopic) watch(topic string) *benchAlerts {
	ctx, cancel := context.WithCancel(context.Background())
	w := &benchAlerts{topic: t, cancel: cancel, seen: make(chan seenAlert, 1024), failed: make(chan error, 1)}
	go func() {
		defer close(w.seen)
		if err := w.read(ctx, topic); err != nil && ctx.Err() == nil {
			w.failed <- fmt.Errorf("read alerts: %w", err)
		}
	}()
	return w
}

func (w *benchAlerts) close() {
	w.cancel()
	for range w.seen { // until the reader has ended
	}
}

func (w *benchAlerts) read(ctx context.Context, topic string) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(w.topic.brokers...), kgo.ClientID("weir-bench-alerts"), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchMaxWait(100*time.Millisecond), kgo.MetadataMinAge(100*time.Millisecond), kgo.MetadataMaxAge(time.Second))
	if err != nil {
		return err
	}
	defer cl.Close()
	for {
		fetches := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil // the end was asked for
		}
		for _, e := range fetches.Errors() {
			if !isMissing(e.Err) {
				return e.Err
			}
		}
		at := w.topic.now()
		for r := range fetches.RecordsAll() {
			a, err := parseAlert(r.Value)
			if err != nil {
				return err
			}
			a.at = at
			select {
			case w.seen <- a:
			case <-ctx.Done():
				return nil
			}
		}
	}
}

func parseAlert(doc []byte) (seenAlert, error) {
	var a struct {
		Rule struct {
			ID string `json:"id"`
		} `json:"rule"`
		Event struct {
			ID string `json:"id"`
		} `json:"event"`
		Weir struct {
			Events []struct {
				ID string `json:"id"`
			} `json:"events"`
		} `json:"weir"`
	}
	if err := json.Unmarshal(doc, &a); err != nil {
		return seenAlert{}, fmt.Errorf("alert: %w", err)
	}
	if len(a.Weir.Events) == 0 {
		return seenAlert{}, errors.New("alert without events")
	}
	return seenAlert{id: a.Event.ID, rule: a.Rule.ID, event: a.Weir.Events[len(a.Weir.Events)-1].ID}, nil
}

// How long the last alerts may take after all records were committed, and how long nothing strange may come then.
const (
	lastAlerts   = 30 * time.Second
	strangeAfter = 300 * time.Millisecond
)

// gathered compares the alerts on the topic with those that are expected.
type gathered struct {
	topic            *benchTopic
	ids, found       map[string]bool
	counts           bench.Alerts
	planted          bench.Planted
	single, sequence []time.Duration
}

// gather waits until the expected alerts are there, where some are expected, and else until no more have come for
// as long as the last sequences wait.
func (w *benchAlerts) gather(ctx context.Context, row *bench.Row, quiet time.Duration) error {
	g := gathered{topic: w.topic, ids: map[string]bool{}, found: map[string]bool{}}
	g.planted.Expected = len(w.topic.expected)
	planted := w.topic.f.events == ""
	longest := quiet
	if planted {
		longest = lastAlerts
	}
	timeout := time.NewTimer(longest)
	defer timeout.Stop()
	for {
		if planted && g.planted.Found == g.planted.Expected {
			timeout.Reset(strangeAfter)
		}
		select {
		case a, ok := <-w.seen:
			if !ok {
				return errors.Join(ctx.Err(), <-w.failed)
			}
			if !planted {
				timeout.Reset(quiet)
			}
			g.add(a)
		case <-timeout.C:
			row.Alerts = &g.counts
			if planted {
				row.Planted = &g.planted
			}
			if !w.topic.timed.IsZero() {
				row.Latency = &bench.Latency{Single: bench.QuantilesOf(g.single), Sequence: bench.QuantilesOf(g.sequence)}
			}
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (g *gathered) add(a seenAlert) {
	if g.ids[a.id] {
		g.counts.Doubled++
	} else {
		g.ids[a.id] = true
		g.counts.Distinct++
	}
	if a.rule != bench.SingleRule && a.rule != bench.SequenceRule {
		return
	}
	e := g.topic.expected[a.event]
	switch {
	case e == nil || e.rule != a.rule:
		g.planted.Strange++
		return
	case g.found[a.event]:
		g.planted.Doubled++
		return
	}
	g.found[a.event] = true
	g.planted.Found++
	switch {
	case e.produced.Before(g.topic.timed):
	case e.rule == bench.SingleRule:
		g.single = append(g.single, a.at.Sub(e.produced))
	default:
		g.sequence = append(g.sequence, a.at.Sub(e.produced))
	}
}
