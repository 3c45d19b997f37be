package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// ruleFiles are the rules of these tests: an event query, a sequence, and a sequence that ends in an absence.
var ruleFiles = map[string]string{
	"single": `process where process.name == "nc"`,
	"chain":  `sequence by host.id with maxspan=1m [process where process.name == "curl"] by process.pid [network where true] by process.pid`,
	"silent": `sequence by host.id with maxspan=1s [process where process.name == "login"] by process.pid ![process where process.name == "logout"] by process.pid`,
	"slow":   `sequence by host.id with maxspan=3s [process where process.name == "slow"] ![process where process.name == "fast"]`,
}

func testSet(t *testing.T) *rules.Set {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"single", "chain", "silent", "slow"} {
		writeRule(t, dir, name, ruleFiles[name])
	}
	c, err := rules.Load([]string{dir}, rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.NewSet(c.Rules, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// doc makes an event of a host. at is milliseconds after the beginning.
func doc(host, id, category, process string, pid int, at int64) string {
	ts := time.UnixMilli(1_790_000_000_000 + at).UTC().Format("2006-01-02T15:04:05.000Z")
	return fmt.Sprintf(`{"@timestamp":%q,"event":{"id":%q,"category":[%q],"type":["start"]},"host":{"id":%q},"process":{"name":%q,"pid":%d}}`,
		ts, id, category, host, process, pid)
}

// cluster is a broker for a test, with an input topic of its own.
type cluster struct {
	brokers []string
	prefix  string
	input   string
	metrics *pipeline.Metrics
	admin   *kadm.Client
	cl      *kgo.Client
	fake    *kfake.Cluster
	dial    func(ctx context.Context, network, address string) (net.Conn, error) // nil: TCP
	dedupe  time.Duration                                                        // window; 0, so that no test sees less alerts than are made
	// pipeline makes the configuration of the workers; nil: pipelineConfig.
	pipeline func() *pipeline.Config
}

func fakeCluster(t *testing.T, partitions int32) *cluster {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "500"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c := newCluster(t, fake.ListenAddrs(), "t", partitions)
	c.fake = fake
	return c
}

func newCluster(t *testing.T, brokers []string, prefix string, partitions int32) *cluster {
	t.Helper()
	c := &cluster{brokers: brokers, prefix: prefix, input: prefix + "-events"}
	c.connect(t)
	c.createTopic(t, c.input, partitions)
	return c
}

// connect makes the client that produces and asks.
func (c *cluster) connect(t *testing.T) {
	t.Helper()
	c.cl = c.client(t, kgo.ProducerLinger(0), kgo.MaxBufferedRecords(1000), kgo.ProducerBatchMaxBytes(9_000_000), kgo.RecordPartitioner(keyedOrManual()))
	c.admin = kadm.NewClient(c.cl)
	t.Cleanup(c.cl.Close)
}

// client makes a client of the cluster.
func (c *cluster) client(t *testing.T, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	if opts = append(opts, kgo.SeedBrokers(c.brokers...)); c.dial != nil {
		opts = append(opts, kgo.Dialer(c.dial))
	}
	cl, err := kgo.NewClient(opts...)
	if err != nil {
		t.Fatal(err)
	}
	return cl
}

// keyedOrManual goes by the key, and by the record's partition where there is no key.
func keyedOrManual() kgo.Partitioner {
	keyed := kgo.StickyKeyPartitioner(nil)
	return partitionerFunc(func(topic string) kgo.TopicPartitioner {
		return topicPartitioner{keyed.ForTopic(topic)}
	})
}

type partitionerFunc func(string) kgo.TopicPartitioner

func (f partitionerFunc) ForTopic(topic string) kgo.TopicPartitioner { return f(topic) }

type topicPartitioner struct{ keyed kgo.TopicPartitioner }

func (p topicPartitioner) RequiresConsistency(*kgo.Record) bool { return true }
func (p topicPartitioner) Partition(r *kgo.Record, n int) int {
	if r.Key == nil {
		return int(r.Partition)
	}
	return p.keyed.Partition(r, n)
}

func (c *cluster) createTopic(t *testing.T, topic string, partitions int32) {
	t.Helper()
	c.createTopicFor(t, topic, partitions, "delete")
}

// createChangelog makes a changelog before the service does.
func (c *cluster) createChangelog(t *testing.T, topic string, partitions int32) {
	t.Helper()
	c.createTopicFor(t, topic, partitions, "compact")
}

func (c *cluster) createTopicFor(t *testing.T, topic string, partitions int32, cleanup string) {
	t.Helper()
	logAppend, largest := "LogAppendTime", "10000000"
	resp, err := c.admin.CreateTopic(t.Context(), partitions, 1,
		map[string]*string{"message.timestamp.type": &logAppend, "max.message.bytes": &largest, "cleanup.policy": &cleanup}, topic)
	if err != nil || resp.Err != nil {
		t.Fatal(err, resp.Err)
	}
}

func (c *cluster) config() kafka.Config {
	return kafka.Config{
		Brokers: c.brokers, Dial: c.dial, Topics: []string{c.input}, Group: c.prefix, Instance: "a",
		AlertTopic: c.prefix + "-alerts", DeadLetterTopic: c.prefix + "-dead", ChangelogTopic: c.prefix + "-changelog",
		CreateTopics: true, CommitInterval: 20 * time.Millisecond, ReplicationFactor: 1,
		SessionTimeout: 1500 * time.Millisecond, IdleAfter: 200 * time.Millisecond,
	}
}

func (c *cluster) produce(t *testing.T, host string, docs ...string) {
	t.Helper()
	for _, d := range docs {
		c.send(t, &kgo.Record{Topic: c.input, Key: []byte(host), Value: []byte(d)})
	}
}

func (c *cluster) send(t *testing.T, records ...*kgo.Record) {
	t.Helper()
	if err := c.cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

// member is a service that runs.
type member struct {
	*kafka.Service
	stop func() // ends it and waits; once
}

// start runs a service until stop is called.
func (c *cluster) start(t *testing.T, cfg kafka.Config, dir string) *member {
	t.Helper()
	return c.startWith(t, cfg, dir, nil)
}

func (c *cluster) startWith(t *testing.T, cfg kafka.Config, dir string, metrics *kafka.Metrics) *member {
	t.Helper()
	return c.startDeps(t, cfg, dir, kafka.Deps{Metrics: metrics, Now: time.Now, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil))})
}

// startDeps runs a service with some of its dependencies given.
func (c *cluster) startDeps(t *testing.T, cfg kafka.Config, dir string, deps kafka.Deps) *member {
	t.Helper()
	store, given := deps.Store, deps.Store != nil
	if !given {
		var err error
		if store, err = state.Open(state.Options{Dir: dir, MemTableSize: 8 << 20}); err != nil {
			t.Fatal(err)
		}
	}
	p := deps.Pipeline
	switch {
	case p != nil:
	case c.pipeline != nil:
		p = c.pipeline()
	default:
		p = pipelineConfig(t)
	}
	p.Now = time.Now
	p.Dedupe.Window = c.dedupe
	p.Metrics = c.metrics
	p.EnsureDefaults()
	deps.Pipeline, deps.Store, deps.Logger = p, store, deps.Logger.With(slog.String("instance", cfg.Instance))
	m := &member{Service: kafka.New(cfg, deps)}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- m.Run(ctx) }()
	m.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if given {
			return
		}
		if err := store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	t.Cleanup(m.stop)
	return m
}

func pipelineConfig(t *testing.T) *pipeline.Config {
	t.Helper()
	return &pipeline.Config{Set: testSet(t), Alerts: alert.NewECS(alert.Options{MaxBytes: 900_000}), Order: pipeline.Order{Lateness: 200 * time.Millisecond}}
}

// until polls a condition until it holds or the time is over.
func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(60 * time.Second)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("%s: not within 60 s", what)
		case <-tick.C:
		}
	}
}

func (m *member) awaitReady(t *testing.T) {
	t.Helper()
	until(t, "member is ready", func() bool { ok, _ := m.Ready(); return ok })
}

// awaitRead waits until the group has committed all of the input topics.
func (c *cluster) awaitRead(t *testing.T, topics ...string) {
	t.Helper()
	until(t, "everything is read", func() bool {
		ends, err := c.admin.ListEndOffsets(t.Context(), topics...)
		if err != nil {
			t.Fatal(err)
		}
		committed, err := c.admin.FetchOffsets(t.Context(), c.prefix)
		if err != nil {
			return false
		}
		read := true
		ends.Each(func(end kadm.ListedOffset) {
			at, ok := committed.Lookup(end.Topic, end.Partition)
			read = read && (end.Offset == 0 || ok && at.At >= end.Offset)
		})
		return read
	})
}

type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// committed reads a topic read_committed up to its present end.
func (c *cluster) committed(t *testing.T, topic string) []*kgo.Record {
	t.Helper()
	ends, err := c.admin.ListEndOffsets(t.Context(), topic)
	if err != nil {
		t.Fatal(err)
	}
	starts := map[int32]kgo.Offset{}
	left := map[int32]int64{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err == nil && end.Offset > 0 {
			starts[end.Partition], left[end.Partition] = kgo.NewOffset().At(0), end.Offset
		}
	})
	cl := c.client(t, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: starts}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.KeepControlRecords())
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var out []*kgo.Record
	for len(left) > 0 {
		for _, r := range cl.PollFetches(ctx).Records() {
			if !r.Attrs.IsControl() {
				out = append(out, r)
			}
			if r.Offset+1 >= left[r.Partition] {
				delete(left, r.Partition)
			}
		}
		if ctx.Err() != nil {
			t.Fatalf("%s: end not reached: %v left", topic, left)
		}
	}
	return out
}

// awaitAlerts waits for a number of alerts and returns them by rule and host, sorted.
func (c *cluster) awaitAlerts(t *testing.T, n int) []string {
	t.Helper()
	until(t, fmt.Sprintf("%d alerts", n), func() bool { return len(c.committed(t, c.prefix+"-alerts")) >= n })
	return c.alerts(t)
}

func (c *cluster) alerts(t *testing.T) []string {
	t.Helper()
	var got []string
	for _, r := range c.committed(t, c.prefix+"-alerts") {
		got = append(got, header(r, "rule.id")+" "+string(r.Key))
	}
	slices.Sort(got)
	return got
}

func header(r *kgo.Record, key string) string {
	i := slices.IndexFunc(r.Headers, func(h kgo.RecordHeader) bool { return h.Key == key })
	if i < 0 {
		return ""
	}
	return string(r.Headers[i].Value)
}

func TestServicePublishesAlerts(t *testing.T) {
	c := fakeCluster(t, 3)
	c.start(t, c.config(), t.TempDir())
	c.produce(t, "h1",
		doc("h1", "1", "process", "nc", 1, 0),
		doc("h1", "2", "process", "curl", 7, 100),
		doc("h1", "3", "network", "curl", 7, 200),
		doc("h1", "4", "process", "login", 9, 300),
	)
	got, want := c.awaitAlerts(t, 3), []string{"chain h1", "silent h1", "single h1"}
	if !slices.Equal(got, want) {
		t.Errorf("alerts %v, want %v", got, want)
	}
}
