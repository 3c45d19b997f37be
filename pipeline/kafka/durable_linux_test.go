package kafka_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/internal/brokertest"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// durability is a benchmark's topic, rule and broker.
type durability struct {
	brokers []string
	prefix  string
	topic   string
	events  int
	admin   *kadm.Client
	set     *rules.Set
	runs    int
}

const durablePartitions = 2

// BenchmarkDurability reads a topic of a real broker with state in memory alone, with Badger, and as the service does, with Badger,
// changelog and transactions, by turns, and reports the CPU time of the process per event for each, and memory/full,
// the throughput of the last in that of the first where the CPU is what bounds it; and events per second by the wall clock, where the
// broker has its part of the same cores, the last of them from its first commit on. Commits are a second apart.
// An operation is a round of all three.
func BenchmarkDurability(b *testing.B) {
	for _, every := range []int{20, 1} {
		for _, life := range []string{"50ms", "10s"} {
			b.Run(fmt.Sprintf("1of%d/%s", every, life), func(b *testing.B) {
				d := newDurability(b, every, life)
				var memory, disk, full costs
				for range b.N {
					memory.add(d.poll(b, false))
					disk.add(d.poll(b, true))
					full.add(d.serve(b))
				}
				b.ReportMetric(median(memory.cpu), "memory-cpu-ns/event")
				b.ReportMetric(median(disk.cpu), "badger-cpu-ns/event")
				b.ReportMetric(median(full.cpu), "full-cpu-ns/event")
				b.ReportMetric(median(memory.cpu)/median(full.cpu), "memory/full")
				b.ReportMetric(median(memory.rate), "memory-events/s")
				b.ReportMetric(median(disk.rate), "badger-events/s")
				b.ReportMetric(median(full.rate), "full-events/s")
			})
		}
	}
}

// costs are the CPU nanoseconds per event and the events per second of some runs.
type costs struct{ cpu, rate []float64 }

func (c *costs) add(cpu, rate float64) { c.cpu, c.rate = append(c.cpu, cpu), append(c.rate, rate) }

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}

func newDurability(b *testing.B, every int, life string) *durability {
	b.Helper()
	d := &durability{brokers: []string{brokertest.Address(b)}, prefix: brokertest.Prefix(b), events: 1_500_000}
	if every == 1 {
		d.events = 400_000
	}
	set, err := rules.NewSet([]*rules.Rule{{
		ID: "r", Name: "r", Query: `sequence by host.id, process.pid with maxspan=` + life + ` [process where tag == "A"] [network where tag == "B"]`,
	}}, rules.SetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	d.set, d.topic = set, d.prefix+"-events"
	cl, err := kgo.NewClient(kgo.SeedBrokers(d.brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.ProducerBatchCompression(kgo.Lz4Compression()))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(cl.Close)
	d.admin = kadm.NewClient(cl)
	forever := "-1" // its records are old
	if resp, err := d.admin.CreateTopic(b.Context(), durablePartitions, 1, map[string]*string{"retention.ms": &forever}, d.topic); err != nil || resp.Err != nil {
		b.Fatal(err, resp.Err)
	}
	b.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if _, err := d.admin.DeleteTopics(ctx, d.topic); err != nil {
			b.Log(err)
		}
	})
	d.fill(b, cl, every)
	return d
}

// fill writes events of 2 KB, 20,000 in a second of their time, of 200 hosts. One in every is a candidate.
func (d *durability) fill(b *testing.B, cl *kgo.Client, every int) {
	b.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range d.events {
		at := time.UnixMilli(1_790_000_000_000 + int64(i/20))
		tag := "X"
		if i%every == 0 {
			tag = "A"
		}
		doc := fmt.Appendf(nil, `{"@timestamp":%d,"event":{"id":"e%d","category":"process"},"host":{"id":"5f0e2cd6-8f7a-4b8e-9d6a-%d"},"tag":%q,"process":{"pid":%d}`,
			at.UnixMilli(), i, i%200, tag, i)
		for len(doc) < 2000 {
			doc = fmt.Appendf(doc, `,"field%d":{"name":"value %d","number":%d,"text":"Lorem ipsum dolor sit amet"}`, len(doc), rnd.Uint32(), rnd.Uint32())
		}
		cl.Produce(b.Context(), &kgo.Record{
			Topic: d.topic, Partition: int32(i % durablePartitions), Timestamp: at, Value: append(doc, '}'),
		}, func(_ *kgo.Record, err error) {
			if err != nil {
				b.Error(err)
			}
		})
	}
	if err := cl.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}

func (d *durability) pipeline() *pipeline.Config {
	c := &pipeline.Config{Set: d.set, Alerts: alert.NewECS(alert.Options{}), Now: time.Now}
	c.EnsureDefaults()
	return c
}

func (d *durability) store(b *testing.B, disk bool) *state.Store {
	b.Helper()
	if !disk {
		return state.OpenMemory()
	}
	store, err := state.Open(state.Options{Dir: b.TempDir()})
	if err != nil {
		b.Fatal(err)
	}
	return store
}

func cpuOf(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// poll reads the topic without a group, and keeps state in memory or with Badger. It returns CPU nanoseconds per event, and events per second.
func (d *durability) poll(b *testing.B, disk bool) (cpu, rate float64) {
	b.Helper()
	store := d.store(b, disk)
	offsets := map[int32]kgo.Offset{}
	workers := map[int32]*pipeline.Worker{}
	cfg := d.pipeline()
	for n := range int32(durablePartitions) {
		offsets[n] = kgo.NewOffset().AtStart()
		w, err := pipeline.NewWorker(cfg, store.Partition(n), n)
		if err != nil {
			b.Fatal(err)
		}
		workers[n] = w
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(d.brokers...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{d.topic: offsets}),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(32<<20), kgo.FetchMaxPartitionBytes(4<<20))
	if err != nil {
		b.Fatal(err)
	}
	began, start := cpuOf(b), time.Now()
	last := start
	var records []pipeline.Record
	for read := 0; read < d.events; {
		cl.PollRecords(b.Context(), 20_000).EachPartition(func(p kgo.FetchTopicPartition) {
			records = records[:0]
			for _, r := range p.Records {
				records = append(records, pipeline.Record{
					Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Value: r.Value, Time: r.Timestamp.UnixMilli(), Clock: pipeline.ClockCreate,
				})
			}
			read += len(records)
			if err := workers[p.Partition].Process(records); err != nil {
				b.Fatal(err)
			}
		})
		if time.Since(last) < time.Second && read < d.events {
			continue
		}
		last = time.Now()
		for _, w := range workers {
			if !disk {
				w.EndBatch()
				continue
			}
			w.Changes()
			if err := w.Committed(state.Checkpoint{}); err != nil {
				b.Fatal(err)
			}
		}
	}
	spent, took := cpuOf(b)-began, time.Since(start)
	cl.Close()
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	return float64(spent.Nanoseconds()) / float64(d.events), float64(d.events) / took.Seconds()
}

// serve runs the service until it has committed the topic. It returns CPU nanoseconds per event, and events per second between its first
// commit and its last.
func (d *durability) serve(b *testing.B) (cpu, rate float64) {
	b.Helper()
	d.runs++
	prefix := d.prefix + "-" + strconv.Itoa(d.runs)
	store := d.store(b, true)
	cfg := kafka.Config{
		Brokers: d.brokers, Topics: []string{d.topic}, Group: prefix, Instance: "a",
		AlertTopic: prefix + "-alerts", DeadLetterTopic: prefix + "-dead", ChangelogTopic: prefix + "-changelog",
		CreateTopics: true, CommitInterval: time.Second, ReplicationFactor: 1,
	}
	s := kafka.New(cfg, kafka.Deps{Pipeline: d.pipeline(), Store: store, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan error, 1)
	began := cpuOf(b)
	go func() { done <- s.Run(ctx) }()
	var first time.Time
	after := 0 // events that were left then
	for left := d.events; left > 0; left = d.lag(b, prefix) {
		if left < d.events && after == 0 {
			first, after = time.Now(), left
		}
		select {
		case err := <-done:
			b.Fatal(err)
		case <-time.After(20 * time.Millisecond):
		}
	}
	spent, took := cpuOf(b)-began, time.Since(first)
	cancel()
	if err := <-done; err != nil {
		b.Fatal(err)
	}
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
	if _, err := d.admin.DeleteTopics(b.Context(), cfg.AlertTopic, cfg.DeadLetterTopic, cfg.ChangelogTopic); err != nil {
		b.Fatal(err)
	}
	return float64(spent.Nanoseconds()) / float64(d.events), float64(after) / took.Seconds()
}

func (d *durability) lag(b *testing.B, group string) int {
	b.Helper()
	committed, err := d.admin.FetchOffsets(b.Context(), group)
	if err != nil {
		return d.events
	}
	left := d.events
	for n := range int32(durablePartitions) {
		if at, ok := committed.Lookup(d.topic, n); ok {
			left -= int(max(at.At, 0))
		}
	}
	return left
}
