package kafka_test

import (
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/state"
)

// gatedMember is a service whose first commit with an alert is held at a point until open is called, so that what comes meanwhile is read
// behind it.
type gatedMember struct {
	*member

	built atomic.Int64 // alerts, also those that nobody sees
	open  func()
}

// countingBuilder counts the alerts that are built.
type countingBuilder struct {
	alert.Builder

	built *atomic.Int64
}

// Build counts, and builds.
func (b countingBuilder) Build(m alert.Match, at time.Time) (alert.Document, error) {
	b.built.Add(1)
	return b.Builder.Build(m, at)
}

func (c *cluster) startGated(t *testing.T, cfg kafka.Config, point kafka.Point) *gatedMember {
	t.Helper()
	g := &gatedMember{}
	pipe := pipelineConfig(t)
	pipe.Alerts = countingBuilder{pipe.Alerts, &g.built}
	opened := make(chan struct{})
	g.open = sync.OnceFunc(func() { close(opened) })
	var holds atomic.Bool
	g.member = c.startDeps(t, cfg, "", kafka.Deps{
		Pipeline: pipe, Store: state.OpenMemory(), Now: time.Now, Logger: slog.New(slog.DiscardHandler),
		At: func(p kafka.Point) {
			if p == point && holds.Load() {
				<-opened
			}
		},
		Tamper: func(records []*kgo.Record) []*kgo.Record {
			if slices.ContainsFunc(records, func(r *kgo.Record) bool { return r.Topic == cfg.AlertTopic }) {
				holds.Store(true)
			}
			return records
		},
	})
	t.Cleanup(g.open) // before the member is stopped
	return g
}

// behindCommits are the ways in which a commit can end while records were read behind it. They open the gate.
var behindCommits = map[string]struct {
	point kafka.Point
	end   func(t *testing.T, c *cluster, g *gatedMember)
	again bool // the alerts are built again
}{
	"committed":                     {kafka.PointFlushed, func(_ *testing.T, _ *cluster, g *gatedMember) { g.open() }, false},
	"committed, the store lacks it": {kafka.PointEnded, func(_ *testing.T, _ *cluster, g *gatedMember) { g.open() }, false},
	"committed, the store has it":   {kafka.PointStored, func(_ *testing.T, _ *cluster, g *gatedMember) { g.open() }, false},
	"aborted": {kafka.PointProduced, func(_ *testing.T, c *cluster, g *gatedMember) {
		c.fake.ControlKey(int16(kmsg.TxnOffsetCommit), func(r kmsg.Request) (kmsg.Response, error, bool) {
			req, ok := r.(*kmsg.TxnOffsetCommitRequest)
			return unknownMember(req), nil, ok // once
		})
		g.open()
	}, true},
	"rules are swapped": {kafka.PointFlushed, func(t *testing.T, _ *cluster, g *gatedMember) {
		t.Helper()
		done := make(chan struct{})
		go func() {
			defer close(done)
			g.swap(t, compiledRules(t, map[string]string{"other": `process where process.name == "other"`}))
		}()
		g.open()
		<-done
	}, false},
	"the member stops": {kafka.PointFlushed, func(t *testing.T, c *cluster, g *gatedMember) {
		t.Helper()
		done := make(chan struct{})
		go func() { defer close(done); g.stop() }()
		g.open()
		<-done
		if got := len(c.alerts(t)); got != int(g.built.Load()) {
			t.Errorf("%d alerts are published when it has stopped, of %d", got, g.built.Load())
		}
		c.runIn(t, c.config(), state.OpenMemory()) // finds nothing to publish again
	}, false},
	"another member joins": {kafka.PointFlushed, func(t *testing.T, c *cluster, g *gatedMember) {
		t.Helper()
		cfg := c.config()
		cfg.Instance = "b"
		b := c.runIn(t, cfg, state.OpenMemory())
		time.Sleep(300 * time.Millisecond)
		g.open()
		b.awaitReady(t)
	}, false},
}

// TestRecordsBehindACommit: while a commit is under way the service reads on, and what it makes of that is published once, with the state that
// the commit has, whatever becomes of it.
func TestRecordsBehindACommit(t *testing.T) {
	for name, tt := range behindCommits {
		synctest.Test(t, func(t *testing.T) {
			c := bubble(t, 4)
			hosts := hostNames(6)
			g := c.startGated(t, c.config(), tt.point)
			g.awaitReady(t)
			for _, h := range hosts {
				c.produce(t, h, story(h)[:2]...)
			}
			time.Sleep(100 * time.Millisecond)
			if n := g.built.Load(); n != int64(len(hosts)) {
				t.Fatalf("%s: %d alerts are built of the first events", name, n)
			}
			for _, h := range hosts {
				c.produce(t, h, story(h)[2:]...)
			}
			time.Sleep(500 * time.Millisecond)
			all := int64(3 * len(hosts))
			if n := g.built.Load(); n != all {
				t.Fatalf("%s: %d alerts are built before the commit has ended, want %d", name, n, all)
			}
			tt.end(t, c, g)
			c.awaitRead(t, c.input)
			if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, int(all))); diff != "" {
				t.Errorf("%s: alerts (-want +got):\n%s", name, diff)
			}
			if again := g.built.Load() > all; again != tt.again {
				t.Errorf("%s: %d alerts were built", name, g.built.Load())
			}
		})
	}
}
