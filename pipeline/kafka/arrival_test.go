package kafka_test

import (
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// TestAnyNumberOfMembers: one, two or five members find the same alerts, by id, in the same input, also when there are more members
// than partitions, and when all but one leave half-way.
func TestAnyNumberOfMembers(t *testing.T) {
	c := fakeCluster(t, 4)
	hosts := hostNames(10)
	produce := func(from, to int) {
		for i := from; i < to; i++ {
			for _, h := range hosts {
				c.produce(t, h, story(h)[i])
			}
		}
	}
	produce(0, 3)
	groups := map[int]*cluster{}
	running := map[int][]*member{}
	for _, n := range []int{1, 2, 5} {
		group := *c
		group.prefix = fmt.Sprint("members", n)
		groups[n] = &group
		for i := range n {
			cfg := group.config()
			cfg.Instance = fmt.Sprint("m", i)
			running[n] = append(running[n], group.start(t, cfg, t.TempDir()))
		}
	}
	for n, group := range groups {
		group.awaitRead(t, c.input)
		if n == 5 {
			for _, m := range running[n][1:] {
				m.stop()
			}
		}
	}
	produce(3, len(story("")))
	found := map[int][]string{}
	for n, group := range groups {
		group.awaitRead(t, c.input)
		got := group.awaitAlerts(t, 3*len(hosts))
		if diff := cmp.Diff(expected(hosts...), got); diff != "" {
			t.Errorf("%d members (-want +got):\n%s", n, diff)
		}
		found[n] = slices.Sorted(maps.Keys(group.published(t)))
	}
	for n, ids := range found {
		if diff := cmp.Diff(found[1], ids); diff != "" {
			t.Errorf("ids of %d members (-one +these):\n%s", n, diff)
		}
	}
}

// TestSilenceByTheClockGiven: the clock that the service was given, and no other, decides what waits on a silent partition.
func TestSilenceByTheClockGiven(t *testing.T) {
	c := fakeCluster(t, 1)
	set := compiledRules(t, map[string]string{
		"hour": `sequence by host.id with maxspan=1h [process where process.name == "slow"] ![process where process.name == "fast"]`,
	})
	var ahead atomic.Int64
	p := pipelineConfig(t)
	p.Set = set
	m := c.startDeps(t, c.config(), t.TempDir(), kafka.Deps{
		Now:      func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		Logger:   slog.New(slog.NewTextHandler(testLog{t}, nil)),
		Pipeline: p,
	})
	m.awaitReady(t)
	c.produce(t, "h1", doc("h1", "1", "process", "slow", 1, 0))
	c.awaitRead(t, c.input)
	ahead.Store(int64(59 * time.Minute))
	c.produce(t, "h1", doc("h1", "2", "process", "true", 1, 10)) // its commit comes after what the clock has decided
	c.awaitRead(t, c.input)
	if got := c.alerts(t); len(got) > 0 {
		t.Fatalf("alerts before the hour is over: %v", got)
	}
	ahead.Store(int64(3 * time.Hour))
	if diff := cmp.Diff([]string{"hour h1"}, c.awaitAlerts(t, 1)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}
