package kafka_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// story is a row of events of one host that ends in one alert of each rule of these tests.
func story(host string) []string {
	return []string{
		doc(host, host+"-1", "process", "curl", 7, 0),
		doc(host, host+"-2", "process", "nc", 1, 50),
		doc(host, host+"-3", "process", "login", 9, 100),
		doc(host, host+"-4", "network", "curl", 7, 600),
		doc(host, host+"-5", "process", "true", 8, 5000), // closes the window of the absence
		doc(host, host+"-6", "process", "true", 8, 6000),
	}
}

// expected are the alerts of the stories of hosts.
func expected(hosts ...string) []string {
	var want []string
	for _, h := range hosts {
		want = append(want, "chain "+h, "silent "+h, "single "+h)
	}
	slices.Sort(want)
	return want
}

func hostNames(n int) []string {
	var hosts []string
	for i := range n {
		hosts = append(hosts, "h"+strconv.Itoa(i))
	}
	return hosts
}

// TestRestartBetweenEvents stops the service after each event of a sequence and starts it again, with its local
// state and without.
func TestRestartBetweenEvents(t *testing.T) {
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprintf("keep=%v", keep), func(t *testing.T) {
			c := fakeCluster(t, 2)
			dir := t.TempDir()
			for _, d := range story("h1") {
				if !keep {
					dir = t.TempDir()
				}
				m := c.start(t, c.config(), dir)
				c.produce(t, "h1", d)
				c.awaitRead(t, c.input)
				m.stop()
			}
			got, want := c.awaitAlerts(t, 3), expected("h1")
			if !slices.Equal(got, want) {
				t.Errorf("alerts %v, want %v", got, want)
			}
		})
	}
}

// TestMemberJoinsAndLeaves has partitions move to another member and back while sequences are half done.
func TestMemberJoinsAndLeaves(t *testing.T) {
	for _, leastOnce := range []bool{false, true} {
		t.Run(fmt.Sprintf("at_least_once=%v", leastOnce), func(t *testing.T) { membersJoinAndLeave(t, leastOnce) })
	}
}

func membersJoinAndLeave(t *testing.T, leastOnce bool) {
	t.Helper()
	c := fakeCluster(t, 4)
	hosts := hostNames(12)
	cfg := c.config()
	cfg.AtLeastOnce = leastOnce
	other := cfg
	other.Instance = "b"
	stories := map[string][]string{}
	for _, h := range hosts {
		stories[h] = story(h)
	}
	step := func() {
		for _, h := range hosts {
			c.produce(t, h, stories[h][0])
			stories[h] = stories[h][1:]
		}
	}
	a := c.start(t, cfg, t.TempDir())
	a.awaitReady(t)
	step()
	b := c.start(t, other, t.TempDir())
	step()
	b.awaitReady(t)
	step()
	c.awaitRead(t, c.input)
	b.stop()
	step()
	c.awaitRead(t, c.input)
	b = c.start(t, other, t.TempDir())
	b.awaitReady(t)
	step()
	a.stop()
	step()
	c.awaitRead(t, c.input)
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestSilentPartitionsMoveTwice: two rebalances pass while nothing is read. Then the wall clock decides absences:
// each by the owner of the partition alone.
func TestSilentPartitionsMoveTwice(t *testing.T) {
	c := fakeCluster(t, 12) // each member that joins takes some away from each that is there
	hosts := hostNames(24)
	a := c.start(t, c.config(), t.TempDir())
	a.awaitReady(t)
	for _, h := range hosts {
		c.produce(t, h, doc(h, h, "process", "slow", 1, 0))
	}
	c.awaitRead(t, c.input)
	for _, name := range []string{"b", "c"} {
		cfg := c.config()
		cfg.Instance = name
		c.start(t, cfg, t.TempDir()).awaitReady(t)
	}
	var want []string
	for _, h := range hosts {
		want = append(want, "slow "+h)
	}
	slices.Sort(want)
	c.awaitAlerts(t, len(hosts))
	// A member with stale state would decide a little later than the owner: a second round gives it the time.
	for _, h := range hosts {
		c.produce(t, h, doc(h, h+"-2", "process", "login", 1, 10_000))
		want = append(want, "silent "+h)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, c.awaitAlerts(t, len(want))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// unknownMember refuses offsets as the broker does when the group has gone on without the member.
func unknownMember(req *kmsg.TxnOffsetCommitRequest) *kmsg.TxnOffsetCommitResponse {
	resp := kmsg.NewPtrTxnOffsetCommitResponse()
	resp.Version = req.Version
	for _, t := range req.Topics {
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, kerr.UnknownMemberID.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// TestAbortByRebalance has the broker refuse the offsets of some transactions as it does when the group has gone on without the member.
func TestAbortByRebalance(t *testing.T) {
	c := fakeCluster(t, 2)
	var calls, refused atomic.Int32
	c.fake.ControlKey(int16(kmsg.TxnOffsetCommit), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		req := kreq.(*kmsg.TxnOffsetCommitRequest)
		if calls.Add(1)%2 == 0 {
			return nil, nil, false
		}
		refused.Add(1)
		return unknownMember(req), nil, true
	})
	c.start(t, c.config(), t.TempDir())
	hosts := hostNames(4)
	for i := range story("") {
		for _, h := range hosts {
			c.produce(t, h, story(h)[i])
		}
		c.awaitRead(t, c.input)
	}
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	if refused.Load() < 6 {
		t.Errorf("%d transactions were refused: too few to prove anything", refused.Load())
	}
}

// TestLostEndOfTransaction cuts the connection when the end of a transaction is asked for: before the broker acts on it, and after
// it has committed.
func TestLostEndOfTransaction(t *testing.T) {
	for _, applied := range []bool{false, true} {
		t.Run(fmt.Sprintf("applied=%v", applied), func(t *testing.T) {
			c := fakeCluster(t, 2)
			var calls, lost atomic.Int32
			var nested atomic.Bool
			c.fake.ControlKey(int16(kmsg.EndTxn), func(r kmsg.Request) (kmsg.Response, error, bool) {
				c.fake.KeepControl()
				if nested.Load() {
					return nil, nil, false
				}
				if n := calls.Add(1); n != 2 && n != 4 {
					return nil, nil, false
				}
				if applied {
					nested.Store(true)
					c.fake.SleepControl(func() { c.endTransaction(t, r.(*kmsg.EndTxnRequest)) })
					nested.Store(false)
				}
				lost.Add(1)
				return nil, errors.New("connection cut"), true
			})
			c.start(t, c.config(), t.TempDir())
			for _, d := range story("h1") {
				c.produce(t, "h1", d)
				c.awaitRead(t, c.input)
			}
			if diff := cmp.Diff(expected("h1"), c.awaitAlerts(t, 3)); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
			if lost.Load() != 2 {
				t.Errorf("%d ends of transactions were lost, want 2", lost.Load())
			}
		})
	}
}

// endTransaction does what a request asks for, so that its answer can be withheld.
func (c *cluster) endTransaction(t *testing.T, r *kmsg.EndTxnRequest) {
	t.Helper()
	req := kmsg.NewPtrEndTxnRequest()
	req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = r.TransactionalID, r.ProducerID, r.ProducerEpoch, r.Commit
	resp, err := req.RequestWith(t.Context(), c.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		t.Errorf("end of the transaction: %v", err)
	}
}

// TestDisorder has several partitions with interleaved hosts whose events come out of order within the lateness.
func TestDisorder(t *testing.T) {
	c := fakeCluster(t, 3)
	c.start(t, c.config(), t.TempDir())
	hosts := hostNames(6)
	for i := range 4 {
		at := int64(i) * 10_000
		for _, order := range [][2]int64{{50, 0}, {3000, 3001}} {
			for _, n := range order {
				for _, h := range hosts {
					kind, name := "process", "curl"
					switch {
					case n == 50:
						kind = "network" // the second stage arrives first
					case n >= 3000:
						name = "true"
					}
					c.produce(t, h, doc(h, fmt.Sprint(h, at+n), kind, name, i, at+n))
				}
			}
		}
	}
	c.awaitRead(t, c.input)
	var want []string
	for _, h := range hosts {
		for range 4 {
			want = append(want, "chain "+h)
		}
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, c.awaitAlerts(t, len(want))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestSeveralTopics has the stages of a sequence on two topics.
func TestSeveralTopics(t *testing.T) {
	c := fakeCluster(t, 2)
	c.createTopic(t, "net", 2)
	hosts := hostNames(4)
	for _, h := range hosts {
		docs := story(h)
		for i, d := range docs {
			topic := c.input
			if i == 3 {
				topic = "net"
			}
			c.send(t, &kgo.Record{Topic: topic, Key: []byte(h), Value: []byte(d)})
		}
	}
	cfg := c.config()
	cfg.Topics = []string{c.input, "net"}
	c.start(t, cfg, t.TempDir())
	c.awaitRead(t, cfg.Topics...)
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestHostOnTwoPartitions counts a host that is seen on two partitions, once.
func TestHostOnTwoPartitions(t *testing.T) {
	c := fakeCluster(t, 2)
	reg := prometheus.NewRegistry()
	c.startWith(t, c.config(), t.TempDir(), kafka.NewMetrics(reg))
	for i := range int32(6) {
		c.send(t, &kgo.Record{Topic: c.input, Partition: i % 2, Value: []byte(doc("stray", strconv.Itoa(int(i)), "process", "x", 1, 0))})
		c.send(t, &kgo.Record{Topic: c.input, Partition: 0, Value: []byte(doc("home", strconv.Itoa(int(i)), "process", "x", 1, 0))})
	}
	c.awaitRead(t, c.input)
	metric := func() int {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "weir_host_conflicts_total" {
				return int(f.GetMetric()[0].GetCounter().GetValue())
			}
		}
		return -1
	}
	until(t, "the conflict is counted", func() bool { return metric() == 1 })
}

// TestInputInTransactions: the input ends with transaction markers and holds records that were aborted. The wall
// clock still sees that the partition is caught up.
func TestInputInTransactions(t *testing.T) {
	c := fakeCluster(t, 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.TransactionalID("agent"), kgo.DefaultProduceTopic(c.input))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	write := func(end kgo.TransactionEndTry, docs ...string) {
		t.Helper()
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, d := range docs {
			if err := cl.ProduceSync(t.Context(), kgo.StringRecord(d)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := cl.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	c.start(t, c.config(), t.TempDir())
	write(kgo.TryCommit, doc("h1", "1", "process", "login", 1, 0))
	write(kgo.TryAbort, doc("h1", "2", "process", "logout", 1, 100), doc("h1", "3", "process", "nc", 1, 100))
	write(kgo.TryCommit, doc("h1", "4", "process", "true", 1, 200))
	write(kgo.TryAbort, doc("h1", "5", "process", "nc", 1, 300))
	if diff := cmp.Diff([]string{"silent h1"}, c.awaitAlerts(t, 1)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}
