package kafka_test

import (
	"net/http/httptest"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

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
