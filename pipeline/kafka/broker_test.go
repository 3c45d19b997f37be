package kafka_test

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/internal/brokertest"
	"github.com/weir-eql/weir/pipeline/kafka"
)

// realCluster is a cluster on the real broker, and a configuration that it takes.
func realCluster(t *testing.T, partitions int32) (*cluster, kafka.Config) {
	t.Helper()
	c := newCluster(t, []string{brokertest.Address(t)}, brokertest.Prefix(t), partitions)
	cfg := c.config()
	cfg.SessionTimeout = 6 * time.Second // the least that a broker allows by default
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := c.admin.DeleteTopics(ctx, c.input, cfg.AlertTopic, cfg.DeadLetterTopic, cfg.ChangelogTopic); err != nil {
			t.Logf("topics not deleted: %v", err)
		}
	})
	return c, cfg
}

func (c *cluster) setMaxMessage(t *testing.T, topic string, size int) {
	t.Helper()
	value := strconv.Itoa(size)
	resp, err := c.admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}, topic)
	if err == nil {
		_, err = resp.On(topic, func(r *kadm.AlterConfigsResponse) error { return r.Err })
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestBrokerTooLarge has a real broker refuse alerts for their size: all of them, then only those that come together.
func TestBrokerTooLarge(t *testing.T) {
	c, cfg := realCluster(t, 1)
	m := c.start(t, cfg, t.TempDir())
	m.awaitReady(t)
	c.setMaxMessage(t, cfg.AlertTopic, 400)
	send := func(from int) {
		var records []*kgo.Record
		for i := range 5 {
			records = append(records, &kgo.Record{Topic: c.input, Key: []byte("h"), Value: []byte(doc("h", strconv.Itoa(from+i), "process", "nc", from+i, 0))})
		}
		c.send(t, records...)
	}
	send(0)
	m.awaitHeld(t, "alerts topic "+cfg.AlertTopic, "MESSAGE_TOO_LARGE", "max.message.bytes=")
	c.setMaxMessage(t, cfg.AlertTopic, 1300) // one takes about 1,000 bytes
	c.awaitRead(t, c.input)
	send(5)
	c.awaitRead(t, c.input)
	if got := len(c.awaitAlerts(t, 10)); got != 10 {
		t.Errorf("%d alerts, want 10", got)
	}
	m.awaitReady(t)
}

// TestBrokerTopicDeleted deletes the alert topic of a real broker under a service that may not create it.
func TestBrokerTopicDeleted(t *testing.T) {
	c, cfg := realCluster(t, 2)
	first := c.start(t, cfg, t.TempDir())
	first.awaitReady(t)
	first.stop()
	cfg.CreateTopics = false
	m := c.start(t, cfg, t.TempDir())
	m.awaitReady(t)
	c.produce(t, "h0", story("h0")[0])
	c.awaitRead(t, c.input)
	if _, err := c.admin.DeleteTopics(t.Context(), cfg.AlertTopic); err != nil {
		t.Fatal(err)
	}
	c.produce(t, "h0", story("h0")[1:]...)
	c.produce(t, "h1", story("h1")...)
	m.awaitHeld(t, cfg.AlertTopic, "it was deleted")
	c.createTopic(t, cfg.AlertTopic, 2)
	c.awaitRead(t, c.input)
	if diff := cmp.Diff(expected("h0", "h1"), c.awaitAlerts(t, 6)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestBrokerPositions deletes records and the group's offsets on a real broker.
func TestBrokerPositions(t *testing.T) {
	c, cfg := realCluster(t, 1)
	m := c.start(t, cfg, t.TempDir())
	c.produce(t, "h", events(0, 3)...)
	c.awaitRead(t, c.input)
	m.stop()
	c.produce(t, "h", events(3, 5)...)
	c.deleteBefore(t, 6)
	m, metrics := c.startMeasured(t, cfg)
	c.awaitRead(t, c.input)
	if got := len(c.awaitAlerts(t, 5)); got != 5 {
		t.Errorf("%d alerts, want 5", got)
	}
	expectText(t, metrics, `weir_input_records_lost_total{partition="0",topic="`+c.input+`"} 3`)
	m.stop()
	until(t, "the group is empty", func() bool {
		_, err := c.admin.DeleteGroup(t.Context(), c.prefix)
		return err == nil
	})
	if err := runBriefly(t, cfg); !errors.Is(err, kafka.ErrTopics) {
		t.Errorf("error %v, want ErrTopics", err)
	}
}

// TestBrokerMembers has static members of a real broker's group join, restart and leave in the middle of sequences: a restart is no rebalance,
// a rebalance aborts nothing.
func TestBrokerMembers(t *testing.T) {
	c, cfg := realCluster(t, 6)
	hosts := hostNames(12)
	cfg.SessionTimeout = 30 * time.Second // no test waits for it
	begin := func(name, dir string, leave bool) *measured {
		mine := cfg
		mine.Instance, mine.GroupInstance, mine.Leave = name, name, leave
		reg := prometheus.NewRegistry()
		return &measured{member: c.startWith(t, mine, dir, kafka.NewMetrics(reg)), text: metricsText(t, reg)}
	}
	step := func(i int) {
		for _, h := range hosts {
			c.produce(t, h, story(h)[i])
		}
	}
	dir := t.TempDir()
	a := begin("a", dir, false)
	a.awaitReady(t)
	step(0)
	b := begin("b", t.TempDir(), true)
	step(1)
	d := begin("d", t.TempDir(), true)
	step(2)
	until(t, "partitions are shared out evenly", func() bool {
		return a.metric(t, "weir_assigned_partitions", "") == 2 && b.metric(t, "weir_assigned_partitions", "") == 2 &&
			d.metric(t, "weir_assigned_partitions", "") == 2
	})
	before := b.metric(t, "weir_rebalances_total", "")
	a.stop()
	a = begin("a", dir, false)
	step(3)
	c.awaitRead(t, c.input)
	if after := b.metric(t, "weir_rebalances_total", ""); after != before {
		t.Errorf("%v rebalances while a static member restarted", after-before)
	}
	d.stop()
	step(4)
	step(5)
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	for _, m := range []*measured{a, b, d} {
		if n := m.metric(t, "weir_transaction_end_duration_seconds_count", `outcome="aborted"`) + m.metric(t, "weir_client_restarts_total", ""); n != 0 {
			t.Errorf("%v transactions were aborted or clients replaced", n)
		}
	}
}

// TestBrokerAtLeastOnce ends members of a real broker's group in the middle of commits without transactions, and has one with transactions go on.
func TestBrokerAtLeastOnce(t *testing.T) {
	c, cfg := realCluster(t, 2)
	cfg.AtLeastOnce = true
	hosts := hostNames(6)
	for i, point := range []kafka.Point{kafka.PointProduced, kafka.PointFlushed, kafka.PointCheckpointed, kafka.PointEnded} {
		died := c.startDoomed(t, cfg, t.TempDir(), point, 1)
		for _, h := range hosts {
			c.produce(t, h, story(h)[i])
		}
		select {
		case <-died:
		case <-time.After(30 * time.Second):
			t.Fatal("the member doesn't pass the point")
		}
		m := c.start(t, cfg, t.TempDir())
		c.awaitRead(t, c.input)
		m.stop()
	}
	cfg.AtLeastOnce = false
	c.start(t, cfg, t.TempDir())
	for _, h := range hosts {
		c.produce(t, h, story(h)[4:]...)
	}
	want := counted(expected(hosts...))
	var got map[string]int
	until(t, "all alerts", func() bool { got = counted(c.alerts(t)); return len(got) >= len(want) })
	c.awaitRead(t, c.input)
	got = counted(c.alerts(t))
	t.Logf("alerts, and how often: %v", got)
	for alert := range got {
		got[alert] = 1
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestBrokerSeveralTopics reads a backlog of two topics from a real broker in small fetches, so that one is ahead of the other again and again, with a restart in between. What is
// found is what a backtest finds.
func TestBrokerSeveralTopics(t *testing.T) {
	c, cfg := realCluster(t, 1)
	net := c.prefix + "-net"
	c.createTopic(t, net, 1)
	t.Cleanup(func() { _, _ = c.admin.DeleteTopics(context.Background(), net) })
	const pairs = 400
	padding := strings.Repeat("x", 3000)
	for i := range pairs {
		host := "h" + strconv.Itoa(i%7)
		for topic, category := range map[string]string{c.input: "process", net: "network"} { // in either order
			at := int64(i) * 10
			if topic == net {
				at += 5
			}
			value := doc(host, category+strconv.Itoa(i), category, "curl", i, at)
			c.send(t, &kgo.Record{Topic: topic, Key: []byte(host), Value: []byte(`{"padding":"` + padding + `",` + value[1:])})
		}
	}
	time.Sleep(time.Second) // longer than the lateness
	for host := range 7 {
		c.send(t, &kgo.Record{Topic: net, Key: []byte("h"), Value: []byte(doc("h"+strconv.Itoa(host), "end"+strconv.Itoa(host), "file", "x", 1, pairs*10+5000))})
	}
	cfg.Topics = []string{c.input, net}
	cfg.FetchMaxBytes, cfg.FetchMaxPartitionBytes, cfg.BatchRecords = 128<<10, 32<<10, 50
	dir := t.TempDir()
	m := c.start(t, cfg, dir)
	until(t, "some of it is read", func() bool { return len(c.alerts(t)) > pairs/8 })
	m.stop()
	m = c.start(t, cfg, dir)
	c.awaitRead(t, cfg.Topics...)
	m.stop()
	live := c.published(t)
	if len(live) != pairs {
		t.Errorf("%d alerts, want %d", len(live), pairs)
	}
	if diff := cmp.Diff(live, c.replayed(t, kafka.RangeOptions{Topics: cfg.Topics})); diff != "" {
		t.Errorf("backtest (-live +backtest):\n%s", diff)
	}
}
