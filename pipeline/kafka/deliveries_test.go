package kafka_test

import (
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/state"
)

// TestMixedDeliveriesAreNoticed: while members of a group differ in their delivery all of them say so, and no longer than that.
func TestMixedDeliveriesAreNoticed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, 2)
		start := func(name string, atLeastOnce bool) *measured {
			cfg := c.config()
			cfg.Instance, cfg.AtLeastOnce = name, atLeastOnce
			reg := prometheus.NewRegistry()
			m := c.startDeps(t, cfg, "", kafka.Deps{
				Metrics: kafka.NewMetrics(reg), Now: time.Now, Logger: slog.New(slog.DiscardHandler), Store: state.OpenMemory(),
			})
			return &measured{member: m, text: metricsText(t, reg)}
		}
		expect := func(want float64, members ...*measured) {
			t.Helper()
			time.Sleep(20 * time.Second)
			for i, m := range members {
				if got := m.metric(t, "weir_group_delivery_mixed", ""); got != want {
					t.Errorf("member %d has weir_group_delivery_mixed %v, want %v", i, got, want)
				}
			}
		}
		a, b := start("a", false), start("b", false)
		expect(0, a, b)
		other := start("c", true)
		expect(1, a, b, other)
		other.stop()
		expect(0, a, b)
	})
}
