package kafka_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// measured is a service that runs, with its metrics.
type measured struct {
	*member
	text func() string
}

func (c *cluster) startNamed(t *testing.T, instance string) *measured {
	t.Helper()
	cfg := c.config()
	cfg.Instance = instance
	m, text := c.startMeasured(t, cfg)
	return &measured{member: m, text: text}
}

// metric returns the sum of a metric's samples whose labels include a text.
func (m *measured) metric(t *testing.T, name, labels string) (sum float64) {
	t.Helper()
	for line := range strings.Lines(m.text()) {
		sample, value, _ := strings.Cut(strings.TrimSpace(line), "} ")
		if labels == "" {
			sample, value, _ = strings.Cut(strings.TrimSpace(line), " ")
		}
		if sample == name || strings.HasPrefix(sample, name+"{") && strings.Contains(sample, labels) {
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatal(err)
			}
			sum += v
		}
	}
	return sum
}

// TestRebalancesAbortNothing has members join and leave while events come all the time: no transaction is aborted, no client is replaced,
// each alert is there once, and who keeps partitions goes on with them.
func TestRebalancesAbortNothing(t *testing.T) {
	c := fakeCluster(t, 6)
	hosts := hostNames(12)
	var members []*measured
	step := func(i int) {
		for _, h := range hosts {
			c.produce(t, h, story(h)[i])
		}
	}
	for i, name := range []string{"a", "b", "c"} {
		m := c.startStatic(t, name, t.TempDir(), 30*time.Second, true) // nobody is expelled on a loaded machine
		step(2 * i)
		m.awaitReady(t)
		step(2*i + 1)
		members = append(members, m)
	}
	until(t, "partitions are shared out evenly", func() bool {
		for _, m := range members {
			if m.metric(t, "weir_assigned_partitions", "") != 2 {
				return false
			}
		}
		return true
	})
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	for _, m := range members {
		if n := m.metric(t, "weir_transaction_end_duration_seconds_count", `outcome="aborted"`) + m.metric(t, "weir_client_restarts_total", ""); n != 0 {
			t.Errorf("%v transactions were aborted or clients replaced", n)
		}
		if m.metric(t, "weir_transaction_end_duration_seconds_count", `outcome="committed"`) == 0 {
			t.Error("a member committed nothing")
		}
	}
}

// startStatic starts a static member, with a session that no test waits for.
func (c *cluster) startStatic(t *testing.T, instance, dir string, session time.Duration, leave bool) *measured {
	t.Helper()
	cfg := c.config()
	cfg.Instance, cfg.GroupInstance, cfg.SessionTimeout, cfg.Leave = instance, instance, session, leave
	reg := prometheus.NewRegistry()
	m := c.startWith(t, cfg, dir, kafka.NewMetrics(reg))
	return &measured{member: m, text: metricsText(t, reg)}
}

// TestStaticMemberRestarts stops a static member and starts it again: it has its partitions back, and the other goes on with its own. (The fake
// broker rebalances then, other than a real one: TestBrokerStaticMember.)
func TestStaticMemberRestarts(t *testing.T) {
	c := fakeCluster(t, 4)
	hosts := hostNames(8)
	dir := t.TempDir()
	a := c.startStatic(t, "a", dir, time.Minute, false)
	a.awaitReady(t)
	b := c.startStatic(t, "b", t.TempDir(), time.Minute, false)
	until(t, "partitions are shared out evenly", func() bool {
		return a.metric(t, "weir_assigned_partitions", "") == 2 && b.metric(t, "weir_assigned_partitions", "") == 2
	})
	for i := range story("") {
		a.stop()
		for _, h := range hosts {
			c.produce(t, h, story(h)[i])
		}
		a = c.startStatic(t, "a", dir, time.Minute, false)
		c.awaitRead(t, c.input)
	}
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	if n := b.metric(t, "weir_transaction_end_duration_seconds_count", `outcome="aborted"`) + b.metric(t, "weir_client_restarts_total", ""); n != 0 {
		t.Errorf("%v transactions were aborted or clients replaced", n)
	}
	if n := a.metric(t, "weir_partitions_taken_over_total", "") + b.metric(t, "weir_partitions_taken_over_total", ""); n != 4 {
		t.Errorf("%v partitions were taken over by the last two members, want 4: each its own", n)
	}
}

// TestNobodysPartitions has a static member come back to a group that has two partitions which are nobody's, as where it was killed
// when it was to give them up: the first plan of the group is cut to that. It has them shared out again.
func TestNobodysPartitions(t *testing.T) {
	c := fakeCluster(t, 4)
	var cut atomic.Bool
	c.fake.ControlKey(int16(kmsg.SyncGroup), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		req, ok := kreq.(*kmsg.SyncGroupRequest)
		if !ok || len(req.GroupAssignment) != 1 || !cut.CompareAndSwap(false, true) {
			return nil, nil, false
		}
		var a kmsg.ConsumerMemberAssignment
		if err := a.ReadFrom(req.GroupAssignment[0].MemberAssignment); err != nil {
			t.Error(err)
		}
		for i := range a.Topics {
			a.Topics[i].Partitions = []int32{2, 3}
		}
		req.GroupAssignment[0].MemberAssignment = a.AppendTo(nil)
		return nil, nil, false
	})
	a := c.startStatic(t, "a", t.TempDir(), time.Minute, false)
	until(t, "all partitions are assigned", func() bool { return a.metric(t, "weir_assigned_partitions", "") == 4 })
	if !cut.Load() {
		t.Fatal("no plan was cut: the test shows nothing")
	}
}

// TestStaticMemberLeaves stops a static member for good: others take over long before its session is over.
func TestStaticMemberLeaves(t *testing.T) {
	c := fakeCluster(t, 4)
	hosts := hostNames(8)
	a := c.startStatic(t, "a", t.TempDir(), time.Minute, true)
	a.awaitReady(t)
	b := c.startStatic(t, "b", t.TempDir(), time.Minute, true)
	b.awaitReady(t)
	for i := range story("") {
		for _, h := range hosts {
			c.produce(t, h, story(h)[i])
		}
		if i == 2 {
			a.stop()
		}
	}
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestTwoProcessesWithOneName: the one that came last works, the other says why it doesn't, and takes over when the first is gone.
func TestTwoProcessesWithOneName(t *testing.T) {
	c := fakeCluster(t, 2)
	hosts := hostNames(4)
	step := func(i int) {
		for _, h := range hosts {
			c.produce(t, h, story(h)[i])
		}
	}
	stands := func(m *measured) bool {
		ready, status := m.Ready()
		return !ready && strings.Contains(status, "another process")
	}
	first := c.startStatic(t, "a", t.TempDir(), 10*time.Second, true)
	first.awaitReady(t)
	step(0)
	second := c.startStatic(t, "a", t.TempDir(), 10*time.Second, true)
	step(1)
	until(t, "one stands back", func() bool { return stands(first) || stands(second) })
	step(2)
	c.awaitRead(t, c.input)
	step(3)
	if stands(first) == stands(second) {
		t.Error("both work, or none")
	}
	worker, other := first, second
	if stands(first) {
		worker, other = second, first
	}
	worker.stop()
	other.awaitReady(t)
	step(4)
	step(5)
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestOldMember has a member in the group that only knows the range balancer, as those of older versions: it joins and leaves in
// the middle of sequences.
func TestOldMember(t *testing.T) {
	c := fakeCluster(t, 4)
	hosts := hostNames(12)
	step := func(i int) {
		for _, h := range hosts {
			c.produce(t, h, story(h)[i])
		}
	}
	a, b := c.startNamed(t, "a"), c.startNamed(t, "b")
	a.awaitReady(t)
	b.awaitReady(t)
	step(0)
	var has atomic.Int32
	old, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.ConsumerGroup(c.prefix), kgo.ConsumeTopics(c.input),
		kgo.Balancers(kgo.RangeBalancer()), kgo.DisableAutoCommit(), kgo.HeartbeatInterval(100*time.Millisecond),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, added map[string][]int32) {
			has.Store(int32(len(added[c.input])))
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(old.Close)
	step(1)
	until(t, "the old member has partitions", func() bool { return has.Load() > 0 })
	step(2)
	step(3)
	old.Close()
	step(4)
	step(5)
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestRestoreHoldsNothingUp: while the state of one partition can't be restored, the other is worked on.
func TestRestoreHoldsNothingUp(t *testing.T) {
	c := fakeCluster(t, 2)
	c.createChangelog(t, c.prefix+"-changelog", 2)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.TransactionalID("t-b"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: c.prefix + "-changelog", Partition: 1, Value: []byte("x")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	m := c.start(t, c.config(), t.TempDir())
	for p := range int32(2) {
		host := fmt.Sprint("p", p)
		c.send(t, &kgo.Record{Topic: c.input, Partition: p, Value: []byte(doc(host, host, "process", "nc", 1, 0))})
	}
	if diff := cmp.Diff([]string{"single p0"}, c.awaitAlerts(t, 1)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	if ready, status := m.Ready(); ready || status != "restoring the state of 1 of 2 partitions\npartition 1: 0 of 1 changelog records restored" {
		t.Errorf("ready %v, status %q", ready, status)
	}
	if diff := cmp.Diff([]kafka.RestoreProgress{{Partition: 1, Total: 1, Seconds: -1}}, m.Restores()); diff != "" {
		t.Errorf("restores (-want +got):\n%s", diff)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"single p0", "single p1"}, c.awaitAlerts(t, 2)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	m.awaitReady(t)
	if got := m.Restores(); len(got) != 0 {
		t.Errorf("restores %v, want none", got)
	}
}

// TestCoordinatorsMove has the coordinators of group and transactions move between brokers all the time.
func TestCoordinatorsMove(t *testing.T) {
	fake, err := kfake.NewCluster(kfake.NumBrokers(3), kfake.BrokerConfigs(map[string]string{"group.min.session.timeout.ms": "500"}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c := newCluster(t, fake.ListenAddrs(), "t", 4)
	c.start(t, c.config(), t.TempDir())
	hosts := hostNames(8)
	for i := range story("") {
		fake.RehashCoordinators()
		for _, h := range hosts {
			c.produce(t, h, story(h)[i])
		}
		fake.RehashCoordinators()
		c.awaitRead(t, c.input)
	}
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestFaults has requests of every kind that a commit or a rebalance consists of fail, in every way that a broker has, before and after they
// took effect: nothing is lost, and nothing is published twice.
func TestFaults(t *testing.T) {
	for _, c := range []struct {
		key  kmsg.Key
		errs []*kerr.Error
	}{
		{kmsg.EndTxn, []*kerr.Error{kerr.RequestTimedOut, kerr.UnknownServerError, kerr.NotCoordinator, kerr.CoordinatorLoadInProgress, kerr.InvalidProducerEpoch, kerr.ConcurrentTransactions, kerr.TransactionAbortable}},
		{kmsg.TxnOffsetCommit, []*kerr.Error{kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.RebalanceInProgress, kerr.NotCoordinator, kerr.ConcurrentTransactions, kerr.UnknownServerError, kerr.RequestTimedOut}},
		{kmsg.Produce, []*kerr.Error{kerr.NotLeaderForPartition, kerr.NotEnoughReplicasAfterAppend, kerr.KafkaStorageError, kerr.InvalidProducerEpoch, kerr.UnknownServerError, kerr.RequestTimedOut}},
		{kmsg.InitProducerID, []*kerr.Error{kerr.CoordinatorNotAvailable, kerr.ConcurrentTransactions, kerr.UnknownServerError}},
		{kmsg.OffsetFetch, []*kerr.Error{kerr.UnstableOffsetCommit, kerr.CoordinatorLoadInProgress}},
		{kmsg.Heartbeat, []*kerr.Error{kerr.RebalanceInProgress, kerr.IllegalGeneration, kerr.UnknownMemberID, kerr.NotCoordinator}},
		{kmsg.JoinGroup, []*kerr.Error{kerr.UnknownMemberID, kerr.CoordinatorNotAvailable}},
		{kmsg.SyncGroup, []*kerr.Error{kerr.RebalanceInProgress, kerr.IllegalGeneration}},
	} {
		t.Run(c.key.Name(), func(t *testing.T) {
			t.Parallel()
			testFaults(t, c.key, c.errs)
		})
	}
}

func testFaults(t *testing.T, key kmsg.Key, errs []*kerr.Error) {
	t.Helper()
	c := fakeCluster(t, 2)
	hosts := hostNames(4)
	a := c.startNamed(t, "a")
	a.awaitReady(t)
	var faults []*kfake.FaultHandle
	for i, e := range errs {
		f := kfake.Fault{Keys: []kmsg.Key{key}, Err: e, When: ours}
		f.TopLevel = key == kmsg.EndTxn || key == kmsg.Heartbeat || key == kmsg.JoinGroup || key == kmsg.SyncGroup || key == kmsg.InitProducerID
		handle := c.fake.Fault(f)
		faults = append(faults, handle)
		if key == kmsg.OffsetFetch || key == kmsg.InitProducerID || key == kmsg.JoinGroup || key == kmsg.SyncGroup {
			a.stop()
			a = c.startNamed(t, "a")
		}
		for _, h := range hosts {
			c.produce(t, h, story(fmt.Sprint(h, "-", i))...)
		}
		if err := handle.Wait(t.Context(), 1); err != nil {
			t.Fatalf("%v: %v", e, err)
		}
		c.awaitRead(t, c.input)
	}
	var want []string
	for i := range errs {
		for _, h := range hosts {
			want = append(want, fmt.Sprint(h, "-", i))
		}
	}
	if diff := cmp.Diff(expected(want...), c.awaitAlerts(t, 3*len(want))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	for i, f := range faults {
		if f.Hits() == 0 {
			t.Errorf("%v never happened", errs[i])
		}
	}
}

// ours reports whether a request is the service's and not the test's: it produces in a transaction.
func ours(r kmsg.Request) bool {
	p, ok := r.(*kmsg.ProduceRequest)
	return !ok || p.TransactionID != nil
}
