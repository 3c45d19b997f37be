package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/bench"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules/detections"
)

// benchTopic is the topic that weir bench makes, and the broker that holds it.
type benchTopic struct {
	*app
	f        *benchFlags
	prefix   string // of all topics
	name     string
	brokers  []string
	cluster  *kfake.Cluster // nil with a real broker
	cl       *kgo.Client
	events   int
	bytes    int64
	expected map[string]*plantedEvent // by event.id: those that complete an alert
	timed    time.Time                // latency counts from here on
	failure  error
	mu       sync.Mutex // guards failure
}

// plantedEvent is an event that is to have an alert.
type plantedEvent struct {
	rule     string
	produced time.Time // zero where the topic was filled before
}

// benchCodec returns the compression of a name.
func benchCodec(name string) (kgo.CompressionCodec, error) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(),
		"zstd": kgo.ZstdCompression(),
	}
	codec, ok := codecs[name]
	if !ok {
		return codec, fmt.Errorf("--compression %q: use none, gzip, snappy, lz4 or zstd", name)
	}
	return codec, nil
}

// openTopic starts the broker, or makes a client of a real one.
func (b *benchRun) openTopic() (*benchTopic, error) {
	codec, err := benchCodec(b.f.compression)
	if err != nil {
		return nil, err
	}
	t := &benchTopic{app: b.app, f: &b.f, prefix: b.name, brokers: b.f.brokers}
	if len(t.brokers) == 0 {
		t.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.BrokerConfigs(map[string]string{"group.initial.rebalance.delay.ms": "0"}))
		if err != nil {
			return nil, fmt.Errorf("bench broker: %w", err)
		}
		t.brokers = t.cluster.ListenAddrs()
	}
	linger := 20 * time.Millisecond
	if b.f.rate > 0 {
		linger = time.Millisecond
	}
	t.cl, err = kgo.NewClient(kgo.SeedBrokers(t.brokers...), kgo.ClientID("weir-bench"),
		kgo.ProducerBatchCompression(codec), kgo.ProducerLinger(linger), kgo.MaxBufferedRecords(50_000),
		kgo.RecordDeliveryTimeout(10*time.Minute))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("bench: %w", err), t.close())
	}
	return t, nil
}

// create makes the topic of the events, empty.
func (t *benchTopic) create(ctx context.Context, name string) error {
	t.name, t.events, t.bytes, t.expected = name, 0, 0, map[string]*plantedEvent{}
	wait, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	forever := "-1" // events may carry times at which any retention would have deleted them
	resp, err := kadm.NewClient(t.cl).CreateTopic(wait, int32(t.f.partitions), -1, map[string]*string{"retention.ms": &forever}, name)
	if err = errors.Join(err, resp.Err); err != nil {
		return fmt.Errorf("topic on %s: %w", joined(t.brokers), err)
	}
	return nil
}

// close deletes what the runs have made on a real broker.
func (t *benchTopic) close() error {
	if t.cl != nil && t.cluster == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
		defer cancel()
		admin := kadm.NewClient(t.cl)
		var mine []string
		topics, err := admin.ListTopics(ctx)
		for _, name := range topics.Names() {
			if strings.HasPrefix(name, t.prefix) {
				mine = append(mine, name)
			}
		}
		if err == nil && len(mine) > 0 {
			_, err = admin.DeleteTopics(ctx, mine...)
		}
		if err != nil {
			t.warn("topics %s… are left on the broker: %v", t.prefix, err)
		}
	}
	if t.cl != nil {
		t.cl.Close()
	}
	if t.cluster != nil {
		t.cluster.Close()
	}
	return nil
}

// fillRate is the number of generated events per second of event time on a topic that is filled before.
const fillRate = 20_000

// fill produces all events.
func (t *benchTopic) fill(ctx context.Context) error {
	if t.f.events != "" {
		if err := t.fillFrom(ctx, t.f.events); err != nil {
			return err
		}
		return t.flush(ctx)
	}
	g := bench.NewGenerator(t.f.options)
	step := time.Second / fillRate
	at := t.now().Add(-time.Duration(t.f.n) * step)
	for range t.f.n {
		if err := t.produce(ctx, g.Next(at), at, time.Time{}); err != nil {
			return err
		}
		at = at.Add(step)
	}
	return t.flush(ctx)
}

// fillFrom produces the events of a file.
func (t *benchTopic) fillFrom(ctx context.Context, path string) (err error) {
	f, err := replay.OpenFile(path, t.stdin)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	s := event.NewSchema(event.MetaTypes)
	meta := event.AddMeta(s, event.MetaOptions{})
	decoder, ev := event.NewDecoder(s), event.New(s)
	for t.events < t.f.n {
		d, err := f.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		host := ""
		if decoder.Decode(d.Data, ev) == nil { // else it becomes a dead letter, as it would
			host = meta.Host(ev)
		}
		if err := t.produce(ctx, bench.Event{Doc: d.Data, Host: strings.Clone(host)}, t.now(), time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// feed produces n generated events at the rate that is wanted.
func (t *benchTopic) feed(ctx context.Context, n int) error {
	g := bench.NewGenerator(t.f.options)
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for began := t.now(); t.events < n; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		now := t.now()
		if float64(t.events) <= t.f.warmup*float64(n) {
			t.timed = now
		}
		for due := min(n, int(now.Sub(began).Seconds()*t.f.rate)); t.events < due; {
			if err := t.produce(ctx, g.Next(now), now, now); err != nil {
				return err
			}
		}
	}
	if err := t.trail(ctx, g, ticker.C); err != nil {
		return err
	}
	return t.flush(ctx)
}

// trail produces ordinary events at the same rate for as long as the last sequences wait, and a commit or two: on a partition that is silent
// they would wait for the wall clock too. These events aren't counted.
func (t *benchTopic) trail(ctx context.Context, g *bench.Generator, tick <-chan time.Time) error {
	began := t.now()
	for sent := 0; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
		}
		now := t.now()
		passed := now.Sub(began)
		if passed > t.f.lateness()+max(time.Second, 2*t.f.commit) {
			return nil
		}
		for due := int(passed.Seconds() * t.f.rate); sent < due; sent++ {
			e := g.Next(now)
			if e.Kind != bench.Ordinary {
				continue
			}
			if err := t.send(ctx, e, now); err != nil {
				return err
			}
		}
	}
}

// produce hands one event to the client, and counts it.
func (t *benchTopic) produce(ctx context.Context, e bench.Event, at, produced time.Time) error {
	t.events++
	t.bytes += int64(len(e.Doc))
	rule := map[bench.Kind]string{bench.Single: bench.SingleRule, bench.Second: bench.SequenceRule}[e.Kind]
	if rule != "" {
		t.expected[e.ID] = &plantedEvent{rule: rule, produced: produced}
	}
	return t.send(ctx, e, at)
}

// send hands one event to the client.
func (t *benchTopic) send(ctx context.Context, e bench.Event, at time.Time) error {
	t.mu.Lock()
	err := t.failure
	t.mu.Unlock()
	if err != nil {
		return fmt.Errorf("produce events: %w", err)
	}
	t.cl.Produce(ctx, &kgo.Record{Topic: t.name, Key: []byte(e.Host), Value: slices.Clone(e.Doc), Timestamp: at}, func(_ *kgo.Record, err error) {
		if err != nil {
			t.mu.Lock()
			t.failure = cmp.Or(t.failure, err) // the others follow from it
			t.mu.Unlock()
		}
	})
	return ctx.Err()
}

func (t *benchTopic) flush(ctx context.Context) error {
	if err := t.cl.Flush(ctx); err != nil {
		return fmt.Errorf("produce events: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.failure
}

// isMissing reports whether a topic isn't there yet.
func isMissing(err error) bool { return errors.Is(err, kerr.UnknownTopicOrPartition) }

// writeShipped writes the rules that ship into a folder and returns their paths.
func writeShipped(dir string) ([]string, error) {
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	var paths []string
	files := detections.FS()
	names, err := fs.Glob(files, "*.toml")
	for _, name := range names {
		if err != nil || strings.HasSuffix(name, "_test.toml") {
			continue
		}
		var data []byte
		if data, err = fs.ReadFile(files, name); err == nil {
			path := filepath.Join(dir, name)
			err = os.WriteFile(path, data, 0o600)
			paths = append(paths, path)
		}
	}
	return paths, err
}

func isShipped(path string) bool { return strings.HasPrefix(path, shippedPrefix+"/") }

func joined(list []string) string { return strings.Join(list, ",") }

func cutSetting(s string) (path, value string) {
	path, value, _ = strings.Cut(s, "=")
	return path, value
}
