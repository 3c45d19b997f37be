package answers_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline/kafka/answers"
)

// cutting is a connection that gives what it reads in pieces, and breaks after so many bytes.
type cutting struct {
	net.Conn
	left atomic.Int64
}

func (c *cutting) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p[:1+rand.IntN(min(len(p), 50_000))])
	if c.left.Add(-int64(n)) < 0 {
		_ = c.Close()
	}
	return n, err
}

// valueOf is that of a record, which differs from all others in each of its parts.
func valueOf(partition int32, offset int64) string {
	return fmt.Sprint(partition, "/", offset, strings.Repeat(fmt.Sprintf(" %d of %d", offset*offset, partition), 40))
}

// TestClientsReadAll: clients that share memory, whose connections break in the middle of answers, read each record once and unchanged.
func TestClientsReadAll(t *testing.T) {
	const partitions, each = 4, 4000
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(partitions, "events"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	for i, codec := range []kgo.CompressionCodec{kgo.Lz4Compression(), kgo.ZstdCompression(), kgo.SnappyCompression(), kgo.NoCompression()} {
		write(t, cluster.ListenAddrs(), codec, partitions, int64(i*each/4), each/4)
	}
	m := answers.New()
	m.Spoil()
	dialer := m.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := (&net.Dialer{}).DialContext(ctx, network, address)
		cut := &cutting{Conn: c}
		cut.left.Store(100_000 + rand.Int64N(2<<20))
		return cut, err
	})
	var all sync.WaitGroup
	for range 2 {
		all.Go(func() { readAll(t, m, dialer, cluster.ListenAddrs(), partitions*each) })
	}
	all.Wait()
	if m.Kept() == 0 {
		t.Error("no answer was kept")
	}
}

func write(t *testing.T, brokers []string, codec kgo.CompressionCodec, partitions int32, from, n int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ProducerBatchCompression(codec), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var records []*kgo.Record
	for p := range partitions {
		for i := range n {
			records = append(records, &kgo.Record{Topic: "events", Partition: p, Value: []byte(valueOf(p, from+i))})
		}
	}
	if err := cl.ProduceSync(t.Context(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func readAll(t *testing.T, m *answers.Memory, dial answers.Dial, brokers []string, n int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.ConsumeTopics("events"), kgo.Dialer(dial), kgo.FetchMaxPartitionBytes(100_000), kgo.FetchMaxWait(50*time.Millisecond),
		kgo.WithDecompressor(&decompressor{memory: m, usual: kgo.DefaultDecompressor()}))
	if err != nil {
		t.Error(err)
		return
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	next := map[int32]int64{}
	for n > 0 && !t.Failed() {
		fetches := cl.PollFetches(ctx)
		for _, e := range fetches.Errors() {
			if errors.Is(e.Err, context.DeadlineExceeded) {
				t.Errorf("%d records are missing", n)
			}
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if r.Offset != next[r.Partition] || string(r.Value) != valueOf(r.Partition, r.Offset) {
				t.Errorf("partition %d: offset %d, %.30q; want offset %d", r.Partition, r.Offset, r.Value, next[r.Partition])
			}
			next[r.Partition] = r.Offset + 1
			n--
		})
	}
}
