//go:build unix

package chaos

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// feed sends a script at its pace. Times on the topic are those of sending: where the feed is held, or falls behind, the
// rest of the script moves with it.
type feed struct {
	cl     *kgo.Client
	topics []string
	script *script
	began  time.Time // of the script; moved on by holds

	mu       sync.Mutex // held by hold
	heldFrom time.Time
	stamps   map[string]time.Time // by event id: its @timestamp

	done sync.Mutex // guards failure
	err  error
}

func newFeed(broker string, topics []string, s *script) (*feed, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.ProducerLinger(0), kgo.ClientID("chaos-feed"),
		kgo.MetadataMinAge(200*time.Millisecond), kgo.RecordDeliveryTimeout(2*time.Minute))
	return &feed{cl: cl, topics: topics, script: s, stamps: map[string]time.Time{}}, err
}

// tooFarBehind is when a feed that can't keep its pace moves the rest of the script.
const tooFarBehind = 200 * time.Millisecond

// run sends the script and returns when all of it is on the topic.
func (f *feed) run(ctx context.Context) error {
	f.mu.Lock()
	f.began = time.Now().Truncate(time.Millisecond)
	f.mu.Unlock()
	for _, e := range f.script.events {
		for !f.send(ctx, e) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err := f.failure(); err != nil {
				return err
			}
		}
	}
	return errors.Join(f.cl.Flush(ctx), f.failure())
}

// send waits for an event's time and sends it, or reports that it isn't due: a hold may have come between.
func (f *feed) send(ctx context.Context, e *Event) bool {
	f.mu.Lock()
	wait := time.Until(f.began.Add(e.sent))
	f.mu.Unlock()
	select {
	case <-time.After(wait):
	case <-ctx.Done():
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	behind := time.Since(f.began.Add(e.sent))
	if behind < 0 {
		return false
	}
	if behind > tooFarBehind {
		f.began = f.began.Add(behind).Truncate(time.Millisecond)
	}
	e.stamp = f.began.Add(e.at)
	if first, ok := f.stamps[e.id]; ok && !first.Equal(e.stamp) {
		e.stamp = time.Time{} // a copy would be another event now
		return true
	}
	f.stamps[e.id] = e.stamp
	rec := &kgo.Record{Topic: f.topics[e.topic], Key: []byte(f.script.key(e)), Value: e.document()}
	f.cl.Produce(ctx, rec, func(r *kgo.Record, err error) {
		f.done.Lock()
		defer f.done.Unlock()
		if err != nil {
			f.err = errors.Join(f.err, err)
			return
		}
		e.partition, e.offset, e.acked = r.Partition, r.Offset, time.Now()
	})
	return true
}

// hold waits until all that was sent is on the topic and sends nothing more until release. Faults of the broker are between
// the two: else the events would be late, and nobody could say what has to come of them.
func (f *feed) hold(ctx context.Context) error {
	f.mu.Lock()
	err := f.cl.Flush(ctx)
	f.heldFrom = time.Now()
	return err
}

// release goes on, with the script moved on by the time of the hold.
func (f *feed) release() {
	if !f.began.IsZero() {
		f.began = f.began.Add(time.Since(f.heldFrom).Truncate(time.Millisecond))
	}
	f.mu.Unlock()
}

func (f *feed) failure() error {
	f.done.Lock()
	defer f.done.Unlock()
	return f.err
}

// oldest returns by how much the event that came last on the topic, compared with its time, was behind.
func (f *feed) oldest() time.Duration {
	f.done.Lock()
	defer f.done.Unlock()
	var oldest time.Duration
	for _, e := range f.script.events {
		if !e.stamp.IsZero() {
			oldest = max(oldest, e.acked.Sub(e.stamp))
		}
	}
	return oldest
}
