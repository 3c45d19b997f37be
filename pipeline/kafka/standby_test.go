package kafka_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// startStandby starts a member of a group that keeps one copy of each partition's state.
func (c *cluster) startStandby(t *testing.T, cfg kafka.Config, instance string) *measured {
	t.Helper()
	cfg.Instance, cfg.Standbys, cfg.Leave, cfg.StandbyGrace = instance, 1, true, time.Second
	cfg.GroupInstance, cfg.SessionTimeout = instance, 30*time.Second // nobody waits for it, and nobody is expelled on a loaded machine
	reg := prometheus.NewRegistry()
	return &measured{member: c.startWith(t, cfg, t.TempDir(), kafka.NewMetrics(reg)), text: metricsText(t, reg)}
}

// testStandby has three members keep copies for each other. One leaves in the middle of sequences; the others go on from their copies, which means that
// they read next to nothing of the changelog, and copies are kept of all partitions again, and of none twice.
func testStandby(t *testing.T, c *cluster, cfg kafka.Config) {
	t.Helper()
	hosts := hostNames(12)
	step := func(i int) {
		for _, h := range hosts {
			c.produce(t, h, story(h)[i])
		}
		c.awaitRead(t, c.input)
	}
	var members []*measured
	for _, name := range []string{"a", "b", "d"} {
		members = append(members, c.startStandby(t, cfg, name))
	}
	settled := func(n float64) func() bool {
		return func() bool {
			standby, behind := 0.0, 0.0
			for _, m := range members {
				if m.metric(t, "weir_assigned_partitions", "") < 6/float64(len(members)) {
					return false
				}
				standby += m.metric(t, "weir_standby_partitions", "")
				behind += m.metric(t, "weir_standby_lag_records", "")
			}
			return standby == n && behind == 0
		}
	}
	until(t, "copies are kept", settled(6))
	for i := range 3 {
		step(i)
	}
	before := members[1].metric(t, "weir_restored_records_total", "") + members[2].metric(t, "weir_restored_records_total", "")
	members[0].stop()
	members = members[1:]
	for i := 3; i < 6; i++ {
		step(i)
	}
	until(t, "copies are kept by those that are left", settled(6))
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	// Everything that was written until the member left is read again without copies: some hundred records.
	if read := members[0].metric(t, "weir_restored_records_total", "") + members[1].metric(t, "weir_restored_records_total", "") - before; read > 20 {
		t.Errorf("%v records of the changelog were read for the takeover", read)
	}
}

func TestStandby(t *testing.T) {
	c := fakeCluster(t, 6)
	testStandby(t, c, c.config())
}

func TestBrokerStandby(t *testing.T) {
	c, cfg := realCluster(t, 6)
	testStandby(t, c, cfg)
}

// TestCopyIsDropped: a member that had all partitions keeps its share of them, its share of copies, and deletes the rest.
func TestCopyIsDropped(t *testing.T) {
	c := fakeCluster(t, 6)
	log := &logLines{t: t}
	cfg := c.config()
	cfg.GroupInstance, cfg.Leave, cfg.SessionTimeout, cfg.Standbys, cfg.StandbyGrace = "a", true, 30*time.Second, 1, time.Second
	a := c.startDeps(t, cfg, t.TempDir(), kafka.Deps{Now: time.Now, Logger: slog.New(slog.NewTextHandler(log, nil))})
	a.awaitReady(t)
	for _, h := range hostNames(24) {
		c.produce(t, h, story(h)[:3]...)
	}
	c.awaitRead(t, c.input)
	for _, name := range []string{"b", "d"} {
		c.startStandby(t, c.config(), name).awaitReady(t)
	}
	until(t, "two copies are deleted", func() bool { return len(log.find("the copy of a partition's state is deleted")) == 2 })
}

// TestCopiesBesideALeaderless: copies are kept of partitions whose changelog is there, and of the others when theirs is.
func TestCopiesBesideALeaderless(t *testing.T) {
	c := fakeCluster(t, 4)
	fault := c.leaderless(c.prefix+"-changelog", kmsg.ListOffsets)
	a, b := c.startStandby(t, c.config(), "a"), c.startStandby(t, c.config(), "b")
	kept := func(partitions ...string) func() bool {
		return func() bool {
			n := 0
			for _, p := range partitions {
				if lag := fmt.Sprintf("weir_standby_lag_records{partition=%q}", p); strings.Contains(a.text(), lag) || strings.Contains(b.text(), lag) {
					n++
				}
			}
			return n == len(partitions)
		}
	}
	until(t, "copies are kept of those that are there", kept("0", "2", "3"))
	if kept("1")() {
		t.Error("a copy is kept of a partition that isn't there")
	}
	fault.Remove()
	until(t, "copies are kept of all", kept("0", "1", "2", "3"))
}
