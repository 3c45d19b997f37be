package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/state"
)

func (c *cluster) leastOnce() kafka.Config {
	cfg := c.config()
	cfg.AtLeastOnce = true
	return cfg
}

// startDoomed runs a service that ends when it passes a point for the nth time: nothing of what would come next is done.
func (c *cluster) startDoomed(t *testing.T, cfg kafka.Config, dir string, point kafka.Point, nth int) (died <-chan struct{}) {
	t.Helper()
	store, err := state.Open(state.Options{Dir: dir, MemTableSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	p := pipelineConfig(t)
	if c.pipeline != nil {
		p = c.pipeline()
	}
	p.Now = time.Now
	p.EnsureDefaults()
	ctx, cancel := context.WithCancel(context.Background())
	s := kafka.New(cfg, kafka.Deps{
		Pipeline: p, Store: store, Now: time.Now, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)),
		At: func(at kafka.Point) {
			if at != point {
				return
			}
			if nth--; nth == 0 {
				cancel() // or Run would begin anew
				runtime.Goexit()
			}
		},
	})
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = s.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := store.Close(); err != nil {
			t.Errorf("close store: %v", err)
		}
	})
	return done
}

// counted returns how often each alert is on the topic.
func counted(alerts []string) map[string]int {
	out := map[string]int{}
	for _, a := range alerts {
		out[a]++
	}
	return out
}

// TestAtLeastOnceKilled ends a member at each step of a commit. Its successor, with the local state or without, publishes the same alerts; only where it ended
// between the alerts and the checkpoint record some are on the topic twice.
func TestAtLeastOnceKilled(t *testing.T) {
	points := []kafka.Point{kafka.PointBegun, kafka.PointProduced, kafka.PointFlushed, kafka.PointCheckpointed, kafka.PointEnded}
	for i, point := range points {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			c := fakeCluster(t, 2)
			hosts := hostNames(3)
			dir := t.TempDir()
			for step := range story("") {
				died := c.startDoomed(t, c.leastOnce(), t.TempDir(), point, 1)
				for _, h := range hosts {
					c.produce(t, h, story(h)[step])
				}
				select {
				case <-died:
				case <-time.After(20 * time.Second):
					t.Fatal("the member doesn't pass the point")
				}
				if step%2 == i%2 {
					dir = t.TempDir()
				}
				m := c.start(t, c.leastOnce(), dir)
				c.awaitRead(t, c.input)
				m.stop()
			}
			want := counted(expected(hosts...))
			c.awaitAlerts(t, len(want))
			got := counted(c.alerts(t))
			for alert, n := range got {
				if n > 1 && point != kafka.PointProduced && point != kafka.PointFlushed {
					t.Errorf("%s is on the topic %d times", alert, n)
				}
				got[alert] = 1
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAtLeastOnceRekeyedKilled ends a member at each step of a commit that sends events to the re-key topic. They are sent again, and taken
// once.
func TestAtLeastOnceRekeyedKilled(t *testing.T) {
	points := []kafka.Point{kafka.PointBegun, kafka.PointProduced, kafka.PointFlushed, kafka.PointCheckpointed, kafka.PointEnded}
	for _, point := range points {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			c := fakeCluster(t, 3)
			cfg := c.rekeyed(t)
			cfg.AtLeastOnce = true
			want := c.tellStories(t, 5, 3, func(step int) {
				select {
				case <-c.startDoomed(t, cfg, t.TempDir(), point, 1+step%2):
				case <-time.After(20 * time.Second):
					t.Fatal("the member doesn't pass the point")
				}
				m := c.start(t, cfg, t.TempDir())
				c.awaitRead(t, c.input)
				m.stop()
			})
			c.start(t, cfg, t.TempDir())
			got := counted(nil)
			until(t, "all alerts", func() bool { got = counted(c.alerts(t)); return len(got) >= len(want) })
			for alert, n := range got {
				if n > 1 && point != kafka.PointProduced && point != kafka.PointFlushed {
					t.Errorf("%s is on the topic %d times", alert, n)
				}
				got[alert] = 1
			}
			if diff := cmp.Diff(counted(want), got); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestAtLeastOnceRestarts stops the service after each event, with its local state and without.
func TestAtLeastOnceRestarts(t *testing.T) {
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprintf("keep=%v", keep), func(t *testing.T) {
			t.Parallel()
			c := fakeCluster(t, 2)
			dir := t.TempDir()
			for _, d := range story("h1") {
				if !keep {
					dir = t.TempDir()
				}
				m := c.start(t, c.leastOnce(), dir)
				c.produce(t, "h1", d)
				c.awaitRead(t, c.input)
				m.stop()
			}
			if diff := cmp.Diff(expected("h1"), c.awaitAlerts(t, 3)); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
			c.expectOneJournal(t)
		})
	}
}

// expectOneJournal looks that journals of earlier owners were deleted.
func (c *cluster) expectOneJournal(t *testing.T) {
	t.Helper()
	type key struct {
		partition int32
		key       string
	}
	live := map[key]bool{}
	for _, r := range c.committed(t, c.prefix+"-changelog") {
		if r.Key[0] == byte(state.FamilyJournal) {
			live[key{r.Partition, string(r.Key)}] = r.Value != nil
		}
	}
	owners := map[key]bool{}
	for k, is := range live {
		if is {
			owners[key{k.partition, k.key[:9]}] = true
		}
	}
	if len(owners) > 2 { // of two partitions
		t.Errorf("%d owners' journals are on the changelog of 2 partitions", len(owners))
	}
}

// TestDeliverySwitched changes the mode at each restart.
func TestDeliverySwitched(t *testing.T) {
	for _, keep := range []bool{true, false} {
		t.Run(fmt.Sprintf("keep=%v", keep), func(t *testing.T) {
			t.Parallel()
			c := fakeCluster(t, 2)
			hosts := hostNames(3)
			dir := t.TempDir()
			for step := range story("") {
				if !keep {
					dir = t.TempDir()
				}
				cfg := c.config()
				cfg.AtLeastOnce = step%2 == 0
				m := c.start(t, cfg, dir)
				for _, h := range hosts {
					c.produce(t, h, story(h)[step])
				}
				c.awaitRead(t, c.input)
				m.stop()
			}
			if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestSwitchAfterKill has a member with transactions take over from one without that ended before its offsets were committed, or before the
// batch counted.
func TestSwitchAfterKill(t *testing.T) {
	for _, point := range []kafka.Point{kafka.PointFlushed, kafka.PointCheckpointed} {
		t.Run(string(point), func(t *testing.T) {
			t.Parallel()
			c := fakeCluster(t, 1)
			m := c.start(t, c.leastOnce(), t.TempDir())
			c.produce(t, "h1", story("h1")[0])
			c.awaitRead(t, c.input)
			m.stop()
			died := c.startDoomed(t, c.leastOnce(), t.TempDir(), point, 1)
			c.produce(t, "h1", story("h1")[1:4]...)
			<-died
			m = c.start(t, c.config(), t.TempDir())
			c.produce(t, "h1", story("h1")[4:]...)
			got := counted(c.awaitAlerts(t, 3))
			until(t, "all alerts", func() bool { got = counted(c.alerts(t)); return len(got) == 3 })
			if point == kafka.PointCheckpointed && got["single h1"] != 1 {
				t.Errorf("%v: the batch was complete", got)
			}
			c.awaitRead(t, c.input) // alerts of batches that died may have been there before
			m.stop()
			for _, r := range lastValues(c.committed(t, c.prefix+"-changelog")) {
				if r.Key[0] == byte(state.FamilyJournal) && r.Value != nil {
					t.Errorf("a journal is left: %x", r.Key)
				}
			}
		})
	}
}

// lastValues returns the last record of each key, as compaction leaves them.
func lastValues(records []*kgo.Record) []*kgo.Record {
	last := map[string]int{}
	for i, r := range records {
		last[fmt.Sprint(r.Partition, string(r.Key))] = i
	}
	var out []*kgo.Record
	for i, r := range records {
		if last[fmt.Sprint(r.Partition, string(r.Key))] == i {
			out = append(out, r)
		}
	}
	return out
}

// TestAtLeastOnceZombie has records of a member that was replaced come late: in the middle of the new owner's. It notices, reads the changelog anew, and the
// alerts are the same.
func TestAtLeastOnceZombie(t *testing.T) {
	c := fakeCluster(t, 1)
	var mu sync.Mutex
	var late []*kgo.Record
	m := c.start(t, c.leastOnce(), t.TempDir())
	c.produce(t, "h1", story("h1")[0])
	c.awaitRead(t, c.input)
	c.produce(t, "h1", story("h1")[1])
	c.awaitRead(t, c.input)
	m.stop()
	mu.Lock()
	for _, r := range c.committed(t, c.prefix+"-changelog") { // what it wrote is written again by one that woke up
		late = append(late, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers})
	}
	mu.Unlock()
	reg := prometheus.NewRegistry()
	n := &measured{member: c.startWith(t, c.leastOnce(), t.TempDir(), kafka.NewMetrics(reg)), text: metricsText(t, reg)}
	c.produce(t, "h1", story("h1")[2])
	c.awaitRead(t, c.input)
	manual, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer manual.Close()
	if err := manual.ProduceSync(t.Context(), late...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	c.produce(t, "h1", story("h1")[3])
	c.awaitRead(t, c.input)
	if restarts := n.metric(t, "weir_client_restarts_total", ""); restarts != 1 {
		t.Errorf("%v new clients, want 1", restarts)
	}
	n.stop()
	last := c.start(t, c.leastOnce(), t.TempDir())
	c.produce(t, "h1", story("h1")[4:]...)
	c.awaitRead(t, c.input)
	last.awaitReady(t)
	got := c.awaitAlerts(t, 3)
	if diff := cmp.Diff(expected("h1"), slices.Compact(got)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	if strings.Count(strings.Join(got, ","), "silent") != 1 {
		t.Errorf("%v", got)
	}
}

// TestAtLeastOnceZombiesState has a member that was replaced write state late, under the keys of the state: a partial that
// its successor has completed since. Whoever takes over leaves it out, says so, and writes over it: the partial doesn't
// come back.
func TestAtLeastOnceZombiesState(t *testing.T) {
	c := fakeCluster(t, 1)
	step := func(docs ...string) {
		t.Helper()
		c.produce(t, "h1", docs...)
		c.awaitRead(t, c.input)
	}
	m := c.start(t, c.leastOnce(), t.TempDir())
	step(doc("h1", "1", "process", "curl", 7, 0))
	for i := range 3 { // the first begins the partial, and the next batch writes it under its own key
		step(doc("h1", fmt.Sprint("x", i), "process", "true", 8, 5000+int64(i)*1000))
	}
	m.stop()
	var late []*kgo.Record
	for _, r := range c.committed(t, c.prefix+"-changelog") {
		if r.Value != nil && (len(r.Key) == 0 || r.Key[0] != byte(state.FamilyJournal)) {
			late = append(late, &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers})
		}
	}
	if !slices.ContainsFunc(late, func(r *kgo.Record) bool { return r.Key[0] == byte(state.FamilyPartial) }) {
		t.Fatal("the partial was never written under its own key: the test proves nothing")
	}
	next := c.start(t, c.leastOnce(), t.TempDir())
	step(doc("h1", "2", "network", "curl", 7, 8000))
	step(doc("h1", "y", "process", "true", 8, 12_000)) // completes the sequence
	step(doc("h1", "z", "process", "true", 8, 13_000)) // and this batch takes it away under its own key
	next.stop()
	manual, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer manual.Close()
	if err := manual.ProduceSync(t.Context(), late...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	log := &logLines{t: t}
	last := c.startDeps(t, c.leastOnce(), t.TempDir(), log.deps(time.Now))
	step(doc("h1", "3", "network", "curl", 7, 14_000), doc("h1", "4", "process", "true", 8, 19_000))
	last.stop()
	if lines := log.find("a member that had been replaced wrote to the changelog late"); len(lines) != 1 {
		t.Errorf("it is told %d times, want once: %q", len(lines), lines)
	}
	if diff := cmp.Diff([]string{"chain h1"}, c.alerts(t)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}
