package kafka_test

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/state"
)

// TestStoreFailsAfterACommit: the alerts of a batch that is committed are handed on and counted, also where the local store fails right after,
// and the next member doesn't make them again.
func TestStoreFailsAfterACommit(t *testing.T) {
	for _, atLeastOnce := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := bubble(t, 2)
			reg := prometheus.NewRegistry()
			cfg, store := c.config(), state.OpenMemory()
			cfg.AtLeastOnce = atLeastOnce
			var alerts, handed atomic.Int64
			pipe := pipelineConfig(t)
			pipe.Metrics, pipe.Now = pipeline.NewMetrics(reg), time.Now
			s := kafka.New(cfg, kafka.Deps{
				Pipeline: pipe, Store: store, Now: time.Now, Logger: slog.New(slog.DiscardHandler),
				OnAlert: func(pipeline.Alert) { handed.Add(1) },
				Tamper: func(records []*kgo.Record) []*kgo.Record {
					if slices.ContainsFunc(records, func(r *kgo.Record) bool { return r.Topic == cfg.AlertTopic }) {
						alerts.Add(1)
					}
					return records
				},
				At: func(p kafka.Point) {
					if p == kafka.PointEnded && alerts.Load() > 0 {
						if err := store.Close(); err != nil {
							t.Error(err)
						}
					}
				},
			})
			done := make(chan error, 1)
			go func() { done <- s.Run(context.Background()) }()
			for _, h := range []string{"h1", "h2"} {
				c.produce(t, h, doc(h, h, "process", "nc", 1, 0))
			}
			if err := <-done; err == nil || !strings.Contains(err.Error(), state.ErrClosed.Error()) {
				t.Errorf("run: %v, want that the store is closed", err)
			}
			published := int64(len(c.alerts(t)))
			if published == 0 || handed.Load() != published {
				t.Errorf("at least once %v: %d alerts handed on of %d", atLeastOnce, handed.Load(), published)
			}
			if n := metricSum(t, reg, "weir_alerts_total"); n != float64(published) {
				t.Errorf("at least once %v: %v alerts counted of %d", atLeastOnce, n, published)
			}
			m := c.startDeps(t, cfg, "", kafka.Deps{Now: time.Now, Logger: slog.New(slog.DiscardHandler), Store: state.OpenMemory()})
			time.Sleep(10 * time.Second)
			m.stop()
			if n := len(c.alerts(t)); n != 2 {
				t.Errorf("at least once %v: %d alerts in the end, want 2", atLeastOnce, n)
			}
		})
	}
}

// TestStateFolderDeleted: a member whose state folder is deleted or replaced under it ends with a clear error before it publishes anything else; the
// next one under its name rebuilds the state, and no alert is lost or doubled.
func TestStateFolderDeleted(t *testing.T) {
	for name, lose := range map[string]func(dir string) error{
		"folder": os.RemoveAll,
		"files": func(dir string) error {
			names, err := filepath.Glob(filepath.Join(dir, "*"))
			for _, n := range names {
				err = errors.Join(err, os.Remove(n))
			}
			return err
		},
		"another's": func(dir string) error {
			if err := os.RemoveAll(dir); err != nil {
				return err
			}
			other, err := state.Open(state.Options{Dir: dir, MemTableSize: 8 << 20})
			if err != nil {
				return err
			}
			return other.Close()
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := fakeCluster(t, 2)
			dir := filepath.Join(t.TempDir(), "store")
			store, err := state.Open(state.Options{Dir: dir, MemTableSize: 8 << 20})
			if err != nil {
				t.Fatal(err)
			}
			cfg, pipe := c.config(), pipelineConfig(t)
			pipe.Now = time.Now
			s := kafka.New(cfg, kafka.Deps{Pipeline: pipe, Store: store, Now: time.Now, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil))})
			done := make(chan error, 1)
			go func() { done <- s.Run(t.Context()) }()
			hosts := hostNames(4)
			for _, h := range hosts {
				c.produce(t, h, story(h)[:1]...)
			}
			c.awaitRead(t, c.input)
			if err := lose(dir); err != nil {
				t.Fatal(err)
			}
			before := len(c.alerts(t))
			for _, h := range hosts {
				c.produce(t, h, story(h)[1:]...)
			}
			if err := <-done; !errors.Is(err, state.ErrLost) {
				t.Errorf("run: %v, want that the folder is lost", err)
			}
			if after := len(c.alerts(t)); after != before {
				t.Errorf("%d alerts when it has ended, %d before the folder was lost", after, before)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
			if name == "files" { // the folder's lock is the lost store's, which only ends with its process
				next := filepath.Join(t.TempDir(), "store")
				if err := os.CopyFS(next, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				dir = next
				if _, err := state.Open(state.Options{Dir: dir}); !errors.Is(err, state.ErrCorrupt) {
					t.Fatalf("open: %v", err)
				}
				if err := state.Destroy(dir); err != nil {
					t.Fatal(err)
				}
			}
			c.start(t, cfg, dir)
			c.awaitRead(t, c.input)
			if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// dawdlingBuilder takes its time for the alerts of a host.
type dawdlingBuilder struct {
	alert.Builder

	id    string
	pause time.Duration
}

// Build waits, and builds.
func (b dawdlingBuilder) Build(m alert.Match, at time.Time) (alert.Document, error) {
	doc, err := b.Builder.Build(m, at)
	if err == nil && strings.Contains(string(doc.Body), b.id) {
		time.Sleep(b.pause)
	}
	return doc, err
}

// TestRecordLagOfACommit: the lag of a partition's records is that of when they were committed, also where that is noticed later since a worker is busy.
func TestRecordLagOfACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, 2)
		reg := prometheus.NewRegistry()
		pipe := pipelineConfig(t)
		pipe.Alerts = dawdlingBuilder{pipe.Alerts, "busy", 5 * time.Second}
		var published atomic.Bool
		m := c.startDeps(t, c.config(), "", kafka.Deps{
			Pipeline: pipe, Now: time.Now, Logger: slog.New(slog.DiscardHandler), Store: state.OpenMemory(), Metrics: kafka.NewMetrics(reg),
			At: func(p kafka.Point) {
				if p == kafka.PointEnded && !published.Swap(true) {
					time.Sleep(time.Second)
				}
			},
		})
		m.awaitReady(t)
		for i, id := range []string{"first", "busy"} {
			c.send(t, &kgo.Record{Topic: c.input, Partition: int32(i), Value: []byte(doc(id, id, "process", "nc", 1, 0))})
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(10 * time.Second)
		for partition, want := range map[string]float64{"0": 1, "1": 5} {
			if got := lagOf(t, reg, partition); got < want || got > want+0.9 {
				t.Errorf("partition %s: a lag of %v s, want about %v", partition, got, want)
			}
		}
	})
}

// lagOf returns the record lag of a partition in seconds.
func lagOf(t *testing.T, reg *prometheus.Registry, partition string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "weir_record_lag_seconds" && m.GetLabel()[0].GetValue() == partition {
				return m.GetGauge().GetValue()
			}
		}
	}
	return -1
}
