package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
)

// demoPartitions is the number of partitions of the demo's topic.
const demoPartitions = 3

// startBroker starts a Kafka broker in the process, with the topic of the events.
func startBroker(topic string) (*kfake.Cluster, error) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(demoPartitions, topic),
		// A lone member needs no time for others to join.
		kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
	if err != nil {
		return nil, fmt.Errorf("demo broker: %w", err)
	}
	return cluster, nil
}

// demoFeed produces made-up events in real time.
type demoFeed struct {
	f        demoFlags
	cl       *kgo.Client
	produced atomic.Int64
	attacks  atomic.Int64
	failure  atomic.Pointer[error]
}

// newDemoFeed connects to the broker and makes the topic where it is missing.
func newDemoFeed(ctx context.Context, brokers []string, f demoFlags) (*demoFeed, error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.DefaultProduceTopic(f.topic), kgo.ProducerLinger(5*time.Millisecond),
		kgo.RecordDeliveryTimeout(30*time.Second), kgo.ClientID("weir-demo"))
	if err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	wait, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	resp, err := kadm.NewClient(cl).CreateTopic(wait, demoPartitions, -1, nil, f.topic)
	if err == nil {
		err = resp.Err
	}
	if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
		cl.Close()
		return nil, fmt.Errorf("demo: topic %s on %v: %w", f.topic, brokers, err)
	}
	return &demoFeed{f: f, cl: cl}, nil
}

func (d *demoFeed) close() { d.cl.Close() }

// run produces the events of the generator when they are due, until ctx ends.
func (d *demoFeed) run(ctx context.Context, now func() time.Time) error {
	g := newGenerator(d.f, now())
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		at, doc, host := g.Next()
		if wait := at.Sub(now()); wait > 0 {
			timer.Reset(wait)
			select {
			case <-ctx.Done():
				return nil
			case <-timer.C:
			}
		}
		d.cl.Produce(ctx, &kgo.Record{Key: []byte(host), Value: doc}, func(_ *kgo.Record, err error) {
			if err != nil && ctx.Err() == nil {
				d.failure.CompareAndSwap(nil, &err)
			}
		})
		if err := d.failure.Load(); err != nil {
			return fmt.Errorf("produce events: %w", *err)
		}
		d.produced.Add(1)
		d.attacks.Store(int64(len(g.Attacks())))
	}
	return nil
}
