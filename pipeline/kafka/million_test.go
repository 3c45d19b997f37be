package kafka_test

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/internal/brokertest"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/kafka"
)

// TestTakeoverOfManyPartials measures how long takeovers of WEIR_TEST_PARTIALS live partials take, from a start with local state, without, and from the
// moment at which a member has left the group to the next alert of the one that keeps its copies. It runs against a real broker, and only where it is asked for:
//
//	WEIR_TEST_PARTIALS=1000000 WEIR_TEST_TAKEOVERS=20 hack/kafka.sh run go test -run TestTakeoverOfManyPartials -v ./pipeline/kafka
func TestTakeoverOfManyPartials(t *testing.T) {
	n, err := strconv.Atoi(os.Getenv("WEIR_TEST_PARTIALS"))
	if err != nil {
		t.Skip("WEIR_TEST_PARTIALS is not set")
	}
	c := newCluster(t, []string{brokertest.Address(t)}, brokertest.Prefix(t), 4)
	cfg := c.config()
	cfg.SessionTimeout, cfg.CommitInterval, cfg.Standbys, cfg.Leave = 30*time.Second, 100*time.Millisecond, 1, true
	cfg.TransactionTimeout = 60 * time.Second
	begin := func(name, dir string) *measured {
		mine := cfg
		mine.Instance, mine.GroupInstance = name, name
		reg := prometheus.NewRegistry()
		deps := kafka.Deps{Metrics: kafka.NewMetrics(reg), Now: time.Now, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil))}
		deps.Pipeline = pipelineConfig(t)
		deps.Pipeline.Limits = pipeline.Limits{PartialsPerRule: 10 * n, Partials: 10 * n, Buffered: 10 * n, Hosts: 10 * n}
		return &measured{member: c.startDeps(t, mine, dir, deps), text: metricsText(t, reg)}
	}
	long := func(what string, holds func() bool) {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Minute); !holds(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatal(what)
			}
		}
	}
	ready := func(m *measured) func() bool {
		return func() bool { ok, _ := m.Ready(); return ok && m.metric(t, "weir_assigned_partitions", "") > 0 }
	}
	alerts := 0
	nextAlert := func(name string) {
		t.Helper()
		alerts += 4
		for p := range int32(4) {
			c.send(t, &kgo.Record{Topic: c.input, Partition: p, Value: []byte(doc(fmt.Sprint("p", p), fmt.Sprint(name, p), "process", "nc", 1, 59_000))})
		}
	}
	dir := t.TempDir()
	m := begin("a", dir)
	m.awaitReady(t)
	began := time.Now()
	for i := range n {
		host := fmt.Sprint("h", i%4000)
		d := doc(host, strconv.Itoa(i), "process", "curl", i, int64(i)*50_000/int64(n))
		c.cl.Produce(t.Context(), &kgo.Record{Topic: c.input, Partition: int32(i % 4), Value: []byte(d)}, nil)
	}
	if err := c.cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	nextAlert("first")
	long("everything is read", func() bool { return len(c.committed(t, cfg.AlertTopic)) >= alerts })
	t.Logf("MEASURED %d partials: written in %v", n, time.Since(began).Round(time.Millisecond))
	m.stop()

	began = time.Now()
	m = begin("a", dir)
	long("ready", ready(m))
	t.Logf("MEASURED start with local state: %v", time.Since(began).Round(time.Millisecond))
	m.stop()

	began = time.Now()
	m = begin("a", t.TempDir())
	long("ready", ready(m))
	took := time.Since(began)
	read := m.metric(t, "weir_restored_records_total", "")
	t.Logf("MEASURED start without local state: %v, %.0f records, %.0f/s", took.Round(time.Millisecond), read, read/took.Seconds())

	b := begin("b", t.TempDir())
	takeovers, err := strconv.Atoi(os.Getenv("WEIR_TEST_TAKEOVERS"))
	if err != nil {
		takeovers = 6
	}
	for i := range takeovers {
		long("both work and have copies", func() bool {
			for _, x := range []*measured{m, b} {
				if x.metric(t, "weir_assigned_partitions", "") != 2 || x.metric(t, "weir_standby_partitions", "") != 2 || x.metric(t, "weir_standby_lag_records", "") != 0 || !ready(x)() {
					return false
				}
			}
			return true
		})
		gone := []*measured{m, b}[i%2]
		nextAlert(fmt.Sprint("before", i))
		long("alerts", func() bool { return len(c.committed(t, cfg.AlertTopic)) >= alerts })
		gone.stop()
		began = time.Now()
		nextAlert(fmt.Sprint("after", i))
		long("alerts", func() bool { return len(c.committed(t, cfg.AlertTopic)) >= alerts })
		t.Logf("MEASURED from the end of a member to the next alert of all partitions, with copies: %v", time.Since(began).Round(time.Millisecond))
		if name := []string{"a", "b"}[i%2]; i%2 == 0 {
			m = begin(name, t.TempDir())
		} else {
			b = begin(name, t.TempDir())
		}
	}
}
