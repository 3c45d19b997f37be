//go:build unix

package chaos

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// published is an alert as a consumer sees it.
type published struct {
	line string // rule id and the ids of its events
	id   string
	at   time.Time // when it was seen
	from string    // partition and offset

	writer process
}

// writerHeader is the header in which members say which process wrote an alert, as "member/start". The program that is built with the
// tag chaos has it from CHAOS_PROCESS.
const writerHeader = "chaos.process"

// alertReader reads the committed alerts while they come.
type alertReader struct {
	cl    *kgo.Client
	admin *kadm.Client
	topic string

	mu       sync.Mutex
	alerts   []published
	lines    map[string]bool
	position map[int32]int64 // next offset by partition
	err      error
}

func newAlertReader(broker, topic string) (*alertReader, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond),
		kgo.MetadataMinAge(200*time.Millisecond), kgo.ClientID("chaos-reader"))
	if err != nil {
		return nil, err
	}
	return &alertReader{
		cl: cl, admin: kadm.NewClient(cl), topic: topic, lines: map[string]bool{}, position: map[int32]int64{},
	}, nil
}

// run reads until ctx ends.
func (a *alertReader) run(ctx context.Context) {
	for ctx.Err() == nil {
		fetches := a.cl.PollFetches(ctx)
		now := time.Now()
		a.mu.Lock()
		for _, rec := range fetches.Records() {
			a.position[rec.Partition] = rec.Offset + 1
			if rec.Attrs.IsControl() {
				continue
			}
			p, err := parseAlert(rec.Value)
			a.err = errors.Join(a.err, err)
			p.at, p.from, p.writer = now, fmt.Sprintf("%d/%d", rec.Partition, rec.Offset), writerOf(rec)
			a.alerts = append(a.alerts, p)
			a.lines[p.line] = true
		}
		a.mu.Unlock()
	}
}

func writerOf(rec *kgo.Record) (p process) {
	for _, h := range rec.Headers {
		if h.Key == writerHeader {
			_, _ = fmt.Sscanf(string(h.Value), "%d/%d", &p.member, &p.start) // else none is known
		}
	}
	return p
}

func parseAlert(raw []byte) (published, error) {
	var doc struct {
		Event struct {
			ID string `json:"id"`
		} `json:"event"`
		Rule struct {
			ID string `json:"id"`
		} `json:"rule"`
		Weir struct {
			Events []struct {
				ID      string `json:"id"`
				Missing bool   `json:"missing"`
			} `json:"events"`
		} `json:"weir"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return published{}, fmt.Errorf("alert %.200s: %w", raw, err)
	}
	line := []string{doc.Rule.ID}
	for _, e := range doc.Weir.Events {
		if e.Missing {
			e.ID = "-"
		}
		line = append(line, e.ID)
	}
	return published{line: strings.Join(line, " "), id: doc.Event.ID}, nil
}

// missing returns how many of the lines were not seen yet.
func (a *alertReader) missing(want []wanted) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := 0
	for _, w := range want {
		if !a.lines[w.line] {
			n++
		}
	}
	return n
}

// all waits until the topic is read to its end, open transactions included, and returns the alerts: those seen until then
// where that fails.
func (a *alertReader) all(ctx context.Context) ([]published, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		ends, err := a.admin.ListEndOffsets(ctx, a.topic)
		if err == nil {
			err = ends.Error()
		}
		if err == nil && a.readTo(ends) {
			return a.seen()
		}
		select {
		case <-ctx.Done():
			seen, readErr := a.seen()
			return seen, fmt.Errorf("%s isn't read to its end: there may be a transaction that doesn't end: %w", a.topic,
				errors.Join(ctx.Err(), err, readErr))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (a *alertReader) seen() ([]published, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.alerts, a.err
}

func (a *alertReader) readTo(ends kadm.ListedOffsets) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	complete := true
	ends.Each(func(o kadm.ListedOffset) { complete = complete && a.position[o.Partition] >= o.Offset })
	return complete
}
