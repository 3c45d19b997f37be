package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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
}

func testSet(t testing.TB) *rules.Set {
	t.Helper()
	dir := t.TempDir()
	for _, name := range []string{"single", "chain", "silent"} {
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
	admin   *kadm.Client
	cl      *kgo.Client
}

func fakeCluster(t testing.TB, partitions int32) *cluster {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	return newCluster(t, fake.ListenAddrs(), "t", partitions)
}

func newCluster(t testing.TB, brokers []string, prefix string, partitions int32) *cluster {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ProducerLinger(0))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	c := &cluster{brokers: brokers, prefix: prefix, input: prefix + "-events", admin: kadm.NewClient(cl), cl: cl}
	logAppend := "LogAppendTime"
	largest := "10000000"
	resp, err := c.admin.CreateTopic(t.Context(), partitions, 1,
		map[string]*string{"message.timestamp.type": &logAppend, "max.message.bytes": &largest}, c.input)
	if err != nil || resp.Err != nil {
		t.Fatal(err, resp.Err)
	}
	return c
}

func (c *cluster) config() kafka.Config {
	return kafka.Config{
		Brokers: c.brokers, Topics: []string{c.input}, Group: c.prefix, Instance: "a",
		AlertTopic: c.prefix + "-alerts", DeadLetterTopic: c.prefix + "-dead", ChangelogTopic: c.prefix + "-changelog",
		CreateTopics: true, CommitInterval: 20 * time.Millisecond, ReplicationFactor: 1,
	}
}

func (c *cluster) produce(t testing.TB, host string, docs ...string) {
	t.Helper()
	for _, d := range docs {
		r := &kgo.Record{Topic: c.input, Key: []byte(host), Value: []byte(d)}
		if err := c.cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// start runs a service until stop is called; stop waits for its end.
func (c *cluster) start(t testing.TB, cfg kafka.Config, dir string) (stop func()) {
	t.Helper()
	store, err := state.Open(state.Options{Dir: dir, MemTableSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	p := &pipeline.Config{Set: testSet(t), Alerts: alert.NewECS(alert.Options{}), Order: pipeline.Order{Lateness: 200 * time.Millisecond}}
	p.EnsureDefaults()
	s := kafka.New(cfg, kafka.Deps{Pipeline: p, Store: store, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)), Now: time.Now})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	}
}

type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}

// committed reads a topic read_committed until it has n records or the time is over.
func (c *cluster) committed(t testing.TB, topic string, n int, within time.Duration) []*kgo.Record {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.ConsumeTopics(topic),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n && ctx.Err() == nil {
		out = append(out, cl.PollFetches(ctx).Records()...)
	}
	return out
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
	stop := c.start(t, c.config(), t.TempDir())
	defer stop()
	c.produce(t, "h1",
		doc("h1", "1", "process", "nc", 1, 0),
		doc("h1", "2", "process", "curl", 7, 100),
		doc("h1", "3", "network", "curl", 7, 200),
		doc("h1", "4", "process", "login", 9, 300),
	)
	var got []string
	for _, r := range c.committed(t, c.prefix+"-alerts", 3, 20*time.Second) {
		got = append(got, header(r, "rule.id"))
		if string(r.Key) != "h1" {
			t.Errorf("alert of %s is keyed %q, want h1", header(r, "rule.id"), r.Key)
		}
	}
	slices.Sort(got)
	if want := []string{"chain", "silent", "single"}; !slices.Equal(got, want) {
		t.Errorf("alerts of rules %v, want %v", got, want)
	}
}
