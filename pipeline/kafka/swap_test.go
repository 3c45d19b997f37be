package kafka_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/rules"
)

func (m *member) swap(t *testing.T, set *rules.Set) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := m.SwapRules(ctx, set); err != nil {
		t.Fatal(err)
	}
}

// TestSwapRules changes the rules while sequences are half done, on several partitions, and then takes the local state away:
// what was dropped is gone from the changelog too.
func TestSwapRules(t *testing.T) {
	c := fakeCluster(t, 3)
	hosts := hostNames(6)
	stories := map[string][]string{}
	for _, h := range hosts {
		stories[h] = story(h)
	}
	step := func() {
		for _, h := range hosts {
			c.produce(t, h, stories[h][0])
			stories[h] = stories[h][1:]
		}
		c.awaitRead(t, c.input)
	}
	m := c.start(t, c.config(), t.TempDir())
	m.awaitReady(t)
	step() // the first stage of chain
	m.swap(t, testSet(t))
	step() // single
	m.swap(t, compiledRules(t, map[string]string{
		"chain":  strings.ReplaceAll(ruleFiles["chain"], " where ", "  where "),
		"silent": ruleFiles["silent"],
		"other":  `any where destination.port == 1 and user.name == "x"`,
	}))
	step() // the first stage of silent
	changed := maps.Clone(ruleFiles)
	changed["silent"] = strings.Replace(ruleFiles["silent"], "logout", "exit", 1)
	m.swap(t, compiledRules(t, changed)) // silent starts afresh: nothing comes of it
	step()
	m.stop()
	m = c.start(t, c.config(), t.TempDir()) // with the old rules, and the state of the changed ones
	m.awaitReady(t)
	step()
	step()
	var want []string
	for _, h := range hosts {
		want = append(want, "chain "+h, "single "+h)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, c.awaitAlerts(t, len(want))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestSwapRulesWaits: rules wait for a service that doesn't run, and the last of several are the ones that run when it does.
func TestSwapRulesWaits(t *testing.T) {
	c := fakeCluster(t, 1)
	held := make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	t.Cleanup(release)
	c.fake.ControlKey(int16(kmsg.JoinGroup), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.SleepControl(func() { <-held })
		return nil, nil, false
	})
	m := c.start(t, c.config(), t.TempDir())
	until(t, "the member joins", func() bool { _, status := m.Ready(); return status == "joining the group" })
	m.swap(t, testSet(t)) // there is no worker yet: nothing to wait for
	first := compiledRules(t, map[string]string{"first": `any where true`})
	second := compiledRules(t, map[string]string{"second": `any where true`})
	m.swap(t, first)
	m.swap(t, second)
	release()
	c.produce(t, "h1", doc("h1", "1", "process", "x", 1, 0))
	if diff := cmp.Diff([]string{"second h1"}, c.awaitAlerts(t, 1)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestSwapRulesEnds: who waits for a service that is gone waits no longer than its context.
func TestSwapRulesEnds(t *testing.T) {
	s := kafka.New(kafka.Config{}, kafka.Deps{Pipeline: pipelineConfig(t)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.SwapRules(ctx, testSet(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that of the context", err)
	}
}
