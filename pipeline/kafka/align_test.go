package kafka_test

import (
	"context"
	"fmt"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/kafka"
)

// lagging is a cluster with two input topics of one partition, of which the second is on a broker that gives nothing out
// while it is slow.
type lagging struct {
	*cluster
	slow    atomic.Bool
	refused atomic.Int32 // fetches
	cfg     kafka.Config
	reg     *prometheus.Registry // of the service that runs
}

const slowTopic = "net"

func newLagging(t *testing.T) *lagging {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "500"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c := newCluster(t, fake.ListenAddrs(), "t", 1)
	c.fake = fake
	return lag(t, c)
}

// lag makes the topics, on a cluster of two brokers.
func lag(t *testing.T, on *cluster) *lagging {
	t.Helper()
	c, fake := &lagging{cluster: on}, on.fake
	c.input = "proc"
	for node, topic := range []string{c.input, slowTopic} {
		if err := fake.CreateTopic(topic, 1, map[string]string{"message.timestamp.type": "CreateTime", "max.message.bytes": "10000000"}); err != nil {
			t.Fatal(err)
		}
		if err := fake.MoveTopicPartition(topic, 0, int32(node)); err != nil {
			t.Fatal(err)
		}
	}
	c.cfg = c.config()
	c.cfg.Topics, c.cfg.Dial = []string{c.input, slowTopic}, slowDial(on, &c.slow)
	if err := fake.CreateTopic(c.cfg.ChangelogTopic, 1, map[string]string{"cleanup.policy": "compact"}); err != nil {
		t.Fatal(err)
	}
	if err := fake.MoveTopicPartition(c.cfg.ChangelogTopic, 0, 0); err != nil { // it is never slow
		t.Fatal(err)
	}
	fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (kmsg.Response, error, bool) {
		fake.KeepControl()
		if fake.CurrentNode() != 1 || !c.slow.Load() {
			return nil, nil, false
		}
		c.refused.Add(1)
		return r.ResponseKind(), nil, true
	})
	return c
}

// slowDial connects to a cluster whose second broker is asked more slowly while slow is set: an empty answer to a fetch comes at
// once, and the client would do nothing but ask.
func slowDial(on *cluster, slow *atomic.Bool) func(context.Context, string, string) (net.Conn, error) {
	dial, second := on.dial, on.fake.ListenAddrs()[1]
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := dial(ctx, network, address)
		if err != nil || address != second {
			return conn, err
		}
		return slowConn{conn, slow}, nil
	}
}

type slowConn struct {
	net.Conn

	slow *atomic.Bool
}

func (c slowConn) Write(b []byte) (int, error) {
	if c.slow.Load() {
		time.Sleep(20 * time.Millisecond)
	}
	return c.Conn.Write(b)
}

// slowDown has the topic bring nothing. What a fetch that is under way brings has come when it returns.
func (c *lagging) slowDown(t *testing.T) {
	t.Helper()
	c.slow.Store(true)
	before := c.refused.Load()
	until(t, "fetches are refused", func() bool { return c.refused.Load() > before+1 })
}

// pairs writes n events to one topic each second and what completes them to the other, and in the end an event to each that
// lets the rest be decided.
func (c *lagging) pairs(t *testing.T, from, n int, padding string) {
	t.Helper()
	records := map[string][]*kgo.Record{}
	add := func(topic, host, id, category string, pid int, at int64) {
		value := strings.Replace(doc(host, id, category, "curl", pid, at), "{", `{"padding":"`+padding+`",`, 1)
		records[topic] = append(records[topic], &kgo.Record{
			Topic: topic, Partition: 0, Value: []byte(value), Timestamp: time.UnixMilli(1_790_000_000_000 + at),
		})
	}
	for i := from; i < from+n; i++ {
		host, at := fmt.Sprint("h", i%7), int64(i)*1000
		add(c.input, host, fmt.Sprint("a", i), "process", i, at)
		add(slowTopic, host, fmt.Sprint("b", i), "network", i, at+300)
	}
	for _, topic := range c.cfg.Topics {
		for host := range 7 {
			add(topic, fmt.Sprint("h", host), fmt.Sprint(topic, from, host), "file", 0, int64(from+n)*1000)
		}
	}
	for _, topic := range []string{slowTopic, c.input} { // it isn't silent when the other's records come
		c.send(t, records[topic]...)
	}
}

// run starts the service with metrics of its own.
func (c *lagging) run(t *testing.T, dir string) *member {
	t.Helper()
	c.reg = prometheus.NewRegistry()
	return c.startWith(t, c.cfg, dir, kafka.NewMetrics(c.reg))
}

// offset returns the group's offset on a topic, 0 where there is none.
func (c *lagging) offset(t *testing.T, topic string) int64 {
	t.Helper()
	committed, err := c.admin.FetchOffsets(t.Context(), c.prefix)
	if err != nil {
		t.Fatal(err)
	}
	at, _ := committed.Lookup(topic, 0)
	return at.At
}

func (c *lagging) metric(t *testing.T, name string) float64 {
	t.Helper()
	return metricSum(t, c.reg, name)
}

// metricSum adds up a metric over its labels.
func metricSum(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetGauge().GetValue() + m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// TestTopicThatLagsBehind: a topic that brings nothing for a while makes nothing late. The other is held back, with its
// offsets, over restarts, and what is found is what a backtest finds.
func TestTopicThatLagsBehind(t *testing.T) {
	for _, mode := range []string{"exactly once", "at least once"} {
		t.Run(mode, func(t *testing.T) {
			c := newLagging(t)
			c.cfg.AtLeastOnce = mode != "exactly once"
			workers := prometheus.NewRegistry()
			c.metrics = pipeline.NewMetrics(workers)
			const pairs = 100
			c.pairs(t, 0, 1, "") // both topics have offsets before one falls behind
			dir := t.TempDir()
			m := c.run(t, dir)
			c.awaitRead(t, c.cfg.Topics...)
			at := c.offset(t, c.input)
			c.slowDown(t)
			c.pairs(t, 1, pairs, "")
			until(t, "records are held back", func() bool { return c.metric(t, "weir_input_held_records") > 0 || c.offset(t, c.input) > at })
			m.stop()
			m = c.run(t, dir)
			until(t, "records are held back again", func() bool { return c.metric(t, "weir_input_held_records") > 0 || c.offset(t, c.input) > at+10 })
			time.Sleep(300 * time.Millisecond) // nothing may happen
			if got := c.offset(t, c.input); got > at+10 {
				t.Errorf("offset %d is committed of the topic that is ahead: it went on from %d", got, at)
			}
			c.slow.Store(false)
			c.awaitRead(t, c.cfg.Topics...)
			got := c.awaitAlerts(t, pairs+1)
			m.stop()
			var want []string
			for i := range pairs + 1 {
				want = append(want, fmt.Sprint("chain h", i%7))
			}
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(c.published(t), c.replayed(t, kafka.RangeOptions{Topics: c.cfg.Topics})); diff != "" {
				t.Errorf("backtest (-live +backtest):\n%s", diff)
			}
			if late := metricSum(t, workers, "weir_late_events_total"); late > 0 {
				t.Errorf("%v events were late", late)
			}
		})
	}
}

// TestTopicWaitIsBounded: a topic that has records and brings none is waited for so long, and counted; the other goes on.
func TestTopicWaitIsBounded(t *testing.T) {
	c := newLagging(t)
	c.cfg.TopicWait = 300 * time.Millisecond
	c.slow.Store(true)
	c.pairs(t, 0, 30, "")
	m := c.run(t, t.TempDir())
	began := time.Now()
	c.awaitRead(t, c.input)
	if took := time.Since(began); took < c.cfg.TopicWait {
		t.Errorf("the topic that is ahead was waited with for %s, want %s", took, c.cfg.TopicWait)
	}
	if got := c.metric(t, "weir_topic_wait_exceeded_total"); got != 1 {
		t.Errorf("counted %v times, want once", got)
	}
	c.slow.Store(false)
	c.awaitRead(t, c.cfg.Topics...)
	m.stop()
}

// TestSilentTopicHoldsNothingUp: a topic without any records is at its end, and the other goes on at once.
func TestSilentTopicHoldsNothingUp(t *testing.T) {
	c := newLagging(t)
	c.cfg.TopicWait = time.Hour
	c.run(t, t.TempDir())
	c.produce(t, "h1", doc("h1", "1", "process", "nc", 1, 0), doc("h1", "2", "process", "nc", 1, 5))
	if diff := cmp.Diff([]string{"single h1", "single h1"}, c.awaitAlerts(t, 2)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestHeldBackIsBounded: the partition that is ahead isn't fetched any more when it holds its share, goes on when the other
// has caught up, and nothing is lost.
func TestHeldBackIsBounded(t *testing.T) {
	c := newLagging(t)
	c.cfg.FetchMaxBytes, c.cfg.FetchMaxPartitionBytes = 64<<10, 32<<10
	c.cfg.BatchRecords = 20
	c.slow.Store(true)
	const pairs = 300
	c.pairs(t, 0, pairs, strings.Repeat("x", 4000)) // 1.2 MB
	m := c.run(t, t.TempDir())
	var most float64
	held := func() float64 {
		now := c.metric(t, "weir_input_held_records")
		most = max(most, now)
		return now
	}
	until(t, "records are held back", func() bool { return held() > 10 })
	for until := time.Now().Add(500 * time.Millisecond); time.Now().Before(until); time.Sleep(5 * time.Millisecond) {
		held()
	}
	// A share of 64 KiB is 15 records; a poll may bring 20 more.
	if most > 40 {
		t.Errorf("%v records of 4 KB were held back", most)
	}
	c.slow.Store(false)
	c.awaitRead(t, c.cfg.Topics...)
	if got := len(c.awaitAlerts(t, pairs)); got != pairs {
		t.Errorf("%d alerts, want %d", got, pairs)
	}
	m.stop()
}
