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
	return seenAlert{rule: a.Rule.ID, event: a.Weir.Events[len(a.Weir.Events)-1].ID}, nil
}

// How long the last alerts may take after all records were committed, and how long nothing strange may come then.
const (
	lastAlerts   = 30 * time.Second
	strangeAfter = 300 * time.Millisecond
)

// gather waits for the alerts that are expected, and compares.
func (w *benchAlerts) gather(ctx context.Context) (*bench.Planted, *bench.Latency, error) {
	expected, found := w.topic.expected, map[string]bool{}
	p := &bench.Planted{Expected: len(expected)}
	var single, sequence []time.Duration
	timeout := time.NewTimer(lastAlerts)
	defer timeout.Stop()
	for {
		if p.Found == p.Expected {
			timeout.Reset(strangeAfter)
		}
		select {
		case a, ok := <-w.seen:
			if !ok {
				return nil, nil, errors.Join(ctx.Err(), <-w.failed)
			}
			if a.rule != bench.SingleRule && a.rule != bench.SequenceRule {
				continue // of another rule, which the figures count
			}
			e := expected[a.event]
			switch {
			case e == nil || e.rule != a.rule:
				p.Strange++
			case found[a.event]:
				p.Doubled++
			default:
				found[a.event] = true
				p.Found++
				switch {
				case e.produced.Before(w.topic.timed):
				case e.rule == bench.SingleRule:
					single = append(single, a.at.Sub(e.produced))
				default:
					sequence = append(sequence, a.at.Sub(e.produced))
				}
			}
		case <-timeout.C:
			if w.topic.timed.IsZero() {
				return p, nil, nil
			}
			return p, &bench.Latency{Single: bench.QuantilesOf(single), Sequence: bench.QuantilesOf(sequence)}, nil
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}
