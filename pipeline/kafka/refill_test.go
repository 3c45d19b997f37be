package kafka_test

import (
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline"
)

// TestWaitingEventsAreReadAgain stops the service while many events wait, and starts it without its local state behind many
// records that nobody waits for: what waited is read again from the input.
func TestWaitingEventsAreReadAgain(t *testing.T) {
	c := fakeCluster(t, 2)
	hosts := hostNames(20)
	m := c.start(t, c.config(), t.TempDir())
	for step := range story("") {
		for _, h := range hosts {
			docs := []string{story(h)[step]}
			if step < 4 {
				docs = append(slices.Repeat([]string{doc(h, h+"-x", "file", "x", 1, int64(step))}, 5), docs...)
			}
			c.produce(t, h, docs...)
		}
		if step%2 == 1 {
			c.awaitRead(t, c.input)
			m.stop()
			m = c.start(t, c.config(), t.TempDir())
		}
	}
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestWaitingEventsDeleted deletes the records of events that wait while the service is down: they are lost, and counted, and the
// service goes on.
func TestWaitingEventsDeleted(t *testing.T) {
	c := fakeCluster(t, 1)
	m := c.start(t, c.config(), t.TempDir())
	c.produce(t, "h", story("h")[:2]...)
	c.awaitRead(t, c.input)
	m.stop()
	c.deleteBefore(t, 2)
	reg := prometheus.NewRegistry()
	c.metrics = pipeline.NewMetrics(reg)
	c.start(t, c.config(), t.TempDir())
	c.produce(t, "h", story("h")[2:]...)
	if diff := cmp.Diff([]string{"silent h", "single h"}, c.awaitAlerts(t, 2)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	rec := httptest.NewRecorder()
	promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
	expectText(t, rec.Body.String, `weir_reorder_buffer_lost_total{partition="0"} 1`)
}

// TestLostPartitionsAreNotReadAgain: a member that the group has thrown out doesn't read again what waited on the
// partitions that it is about to give up. The group waits for it meanwhile, for as long as it takes to read what came
// within the lateness.
func TestLostPartitionsAreNotReadAgain(t *testing.T) {
	c := fakeCluster(t, 2)
	c.pipeline = func() *pipeline.Config {
		p := pipelineConfig(t)
		p.Order.Lateness = time.Hour
		return p
	}
	log := &logLines{t: t}
	cfg := c.config()
	cfg.CommitInterval = time.Second
	m := c.startDeps(t, cfg, t.TempDir(), log.deps(time.Now))
	c.produce(t, "h1", story("h1")...)
	c.awaitRead(t, c.input)
	var expel, told atomic.Bool
	c.fake.ControlKey(int16(kmsg.Heartbeat), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		if !expel.Load() || told.Load() {
			return nil, nil, false
		}
		resp := kreq.ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = kerr.UnknownMemberID.Code
		told.Store(true)
		return resp, nil, true
	})
	c.fake.ControlKey(int16(kmsg.TxnOffsetCommit), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		if !expel.Load() {
			return nil, nil, false
		}
		expel.Store(false)
		return unknownMember(kreq.(*kmsg.TxnOffsetCommitRequest)), nil, true
	})
	c.produce(t, "h1", story("h1")...) // in a batch that lasts until the group has said that it goes on without us
	expel.Store(true)
	c.awaitRead(t, c.input)
	m.stop()
	if lines := log.find("transaction aborted by a rebalance"); len(lines) != 1 {
		t.Errorf("%d transactions were aborted, want one", len(lines))
	}
	if lines := log.find("waiting events read again"); len(lines) != 1 {
		t.Errorf("what waited was read again %d times, want once, by who took over: %q", len(lines), lines)
	}
}

// TestLaterEventsAreReadAgain: the event that goes on with a sequence comes before the one that begins it, and of what can't begin anything
// hardly more is kept than its place: it is read again, also by a member that didn't see it come.
func TestLaterEventsAreReadAgain(t *testing.T) {
	for _, restart := range []bool{false, true} {
		c := fakeCluster(t, 1)
		c.pipeline = func() *pipeline.Config {
			p := pipelineConfig(t)
			p.Order.Lateness = time.Minute // longer than a restart takes
			return p
		}
		reg := prometheus.NewRegistry()
		c.metrics = pipeline.NewMetrics(reg)
		m := c.start(t, c.config(), t.TempDir())
		told := story("h")
		c.produce(t, "h", told[3], doc("h", "h-x", "network", "x", 3, 700))
		c.awaitRead(t, c.input)
		if restart {
			m.stop()
			c.start(t, c.config(), t.TempDir())
		}
		c.produce(t, "h", told[0], told[1], told[2], told[4], told[5], doc("h", "h-y", "process", "true", 8, 100_000))
		if diff := cmp.Diff(expected("h"), c.awaitAlerts(t, 3)); diff != "" {
			t.Errorf("restart %v: alerts (-want +got):\n%s", restart, diff)
		}
		rec := httptest.NewRecorder()
		promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
		expectText(t, rec.Body.String, `weir_reorder_buffer_reread_total{partition="0"} 1`)
	}
}
