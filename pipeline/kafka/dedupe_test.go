package kafka_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestEventsDeliveredTwice: an agent sends its events again, at once and after the service came back, with its local state,
// without it, and on another member. There is one alert of each.
func TestEventsDeliveredTwice(t *testing.T) {
	c := fakeCluster(t, 2)
	c.dedupe = 10 * time.Minute
	hosts := hostNames(4)
	send := func() {
		for _, h := range hosts {
			c.produce(t, h, story(h)...)
		}
		c.awaitRead(t, c.input)
	}
	dir := t.TempDir()
	m := c.start(t, c.config(), dir)
	send()
	send()
	m.stop()
	m = c.start(t, c.config(), dir)
	send()
	m.stop()
	m = c.start(t, c.config(), t.TempDir())
	send()
	other := c.config()
	other.Instance = "b"
	c.start(t, other, t.TempDir()).awaitReady(t)
	m.stop()
	send()
	// What comes last shows that all before it was worked on.
	for n := range int32(2) {
		c.send(t, &kgo.Record{Topic: c.input, Partition: n, Value: []byte(doc("last", "last", "process", "nc", 1, 60_000))})
	}
	c.awaitRead(t, c.input)
	want := append(expected(hosts...), "single last", "single last") // on two partitions: each remembers its own
	if diff := cmp.Diff(want, c.awaitAlerts(t, len(want))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}
