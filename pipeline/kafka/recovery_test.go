package kafka_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestRebalanceWhileRestoring: members come and go while the state of all partitions is being restored, and events come
// meanwhile. Nobody falls over it, nothing is missed, and nothing is done twice.
func TestRebalanceWhileRestoring(t *testing.T) {
	c := fakeCluster(t, 2)
	changelog := c.prefix + "-changelog"
	c.createChangelog(t, changelog, 2)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.TransactionalID("t-z"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	// Reading committed stops here, as it does behind a member that is slow to end its transaction.
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	for n := range int32(2) {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: changelog, Partition: n, Value: []byte("x")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	restoring := func(m *member) {
		t.Helper()
		until(t, "a member restores", func() bool { _, status := m.Ready(); return strings.Contains(status, "restoring") })
	}
	hosts := hostNames(6)
	steps := 0
	step := func() {
		for _, h := range hosts {
			c.produce(t, h, story(h)[steps])
		}
		steps++
	}
	log := &logLines{t: t}
	a := c.startDeps(t, c.config(), t.TempDir(), log.deps(time.Now))
	restoring(a)
	step()
	other := c.config()
	other.Instance = "b"
	b := c.startDeps(t, other, t.TempDir(), log.deps(time.Now))
	restoring(b)
	step()
	b.stop()
	step()
	b = c.startDeps(t, other, t.TempDir(), log.deps(time.Now))
	restoring(b)
	if err := cl.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	a.awaitReady(t)
	b.awaitReady(t)
	for steps < len(story("")) {
		step()
	}
	want := expected(hosts...)
	if diff := cmp.Diff(want, c.awaitAlerts(t, len(want))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	a.stop()
	b.stop()
	if got := c.alerts(t); !slices.Equal(got, want) {
		t.Errorf("alerts at the end %v, want %v", got, want)
	}
	if lines := log.find("starting again with a new client"); len(lines) > 0 {
		t.Errorf("a member gave up its client: %q", lines)
	}
}
