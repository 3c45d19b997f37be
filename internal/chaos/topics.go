//go:build unix

package chaos

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// spread says which input topic an event is on. All topics have as many partitions, and records are keyed alike.
type spread string

const (
	spreadNone     spread = "one topic"
	spreadCategory spread = "two topics by category" // stages of most sequences are on different ones
	spreadAny      spread = "two topics by chance"   // copies may be on the other one
)

// topics are the input topics of a run, in the order of their names, which decides between events of one time.
func (s settings) topics(prefix string) []string {
	if s.spread == spreadNone {
		return []string{prefix}
	}
	return []string{prefix, prefix + "-second"}
}

// share puts the events of a script on topics.
func (s *script) share(seed uint64, by spread) {
	if by == spreadNone {
		return
	}
	rnd := rand.New(rand.NewPCG(seed, 7))
	first := rnd.IntN(2)
	of := map[string]int{"process": first, "network": 1 - first, "file": rnd.IntN(2), "authentication": rnd.IntN(2)}
	for _, e := range s.events {
		if e.topic = of[e.category]; by == spreadAny {
			e.topic = rnd.IntN(2)
		}
	}
}

// lag keeps what comes on one input topic from those who read committed for a while, by a transaction of another producer that stays
// open on the partitions of all hosts. What comes on the other topic meanwhile has to wait.
func (r *run) lag(ctx context.Context, f fault) {
	topics := r.settings.topics(r.prefix)
	topic := topics[f.seed%uint64(len(topics))]
	r.log("lagging: %s", topic)
	if err := r.holdUp(ctx, topic, f); err != nil {
		r.trouble("a transaction on %s: %v", topic, err)
	}
}

func (r *run) holdUp(ctx context.Context, topic string, f fault) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.broker.bootstrap()), kgo.DefaultProduceTopic(topic), kgo.ClientID("chaos-lag"),
		kgo.TransactionalID(r.prefix+"-lag"), kgo.MetadataMinAge(200*time.Millisecond))
	if err != nil {
		return err
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		return err
	}
	err = cl.ProduceSync(r.ctx, r.lagEvents(f)...).FirstErr()
	pause(ctx, f.length)
	return errors.Join(err, cl.EndTransaction(r.ctx, kgo.TransactionEndTry(f.seed%3 > 0 && err == nil)))
}

// lagEvents are events that no rule wants, one of each host, at the time that it is.
func (r *run) lagEvents(f fault) (records []*kgo.Record) {
	for i, host := range r.script.hosts {
		e := Event{
			host: host, id: fmt.Sprintf("lag-%x-%d", f.seed, i), category: "process", kind: "start", name: "ls", entity: "lag", user: "lag",
			skew: r.script.skew[host], stamp: time.Now(),
		}
		records = append(records, &kgo.Record{Key: []byte(r.script.key(&e)), Value: e.document()})
	}
	return records
}
