package kafka_test

import (
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/state"
)

// leaderless takes the leader of partition 1 of a topic away, as requests of some kinds see it.
func (c *cluster) leaderless(topic string, kinds ...kmsg.Key) *kfake.FaultHandle {
	return c.fake.Fault(kfake.Fault{Keys: kinds, Topic: topic, Partitions: []int32{1}, Err: kerr.LeaderNotAvailable, Count: -1})
}

// sendTo puts events of a host on a partition of the input.
func (c *cluster) sendTo(t *testing.T, partition int32, docs ...string) {
	t.Helper()
	for _, d := range docs {
		c.send(t, &kgo.Record{Topic: c.input, Partition: partition, Value: []byte(d)})
	}
}

// TestLeaderlessPartition: a member works on the partitions whose logs have leaders, and on the others when theirs have one again. It says
// what it waits for, stays with its client, and gives up what it waits for like anything else.
func TestLeaderlessPartition(t *testing.T) {
	for name, tt := range map[string]struct {
		topic string
		kinds []kmsg.Key
	}{
		"input":                 {"t-events", []kmsg.Key{kmsg.ListOffsets}},
		"changelog":             {"t-changelog", []kmsg.Key{kmsg.ListOffsets}},
		"input by metadata":     {"t-events", []kmsg.Key{kmsg.Metadata, kmsg.ListOffsets, kmsg.Fetch}},
		"changelog by metadata": {"t-changelog", []kmsg.Key{kmsg.Metadata, kmsg.ListOffsets, kmsg.Fetch}},
	} {
		t.Run(name, func(t *testing.T) {
			c := fakeCluster(t, 2)
			c.createChangelog(t, c.prefix+"-changelog", 2)
			c.sendTo(t, 1, story("p1")[:3]...)
			fault := c.leaderless(tt.topic, tt.kinds...)
			log := &logLines{t: t}
			a := c.startDeps(t, c.config(), t.TempDir(), log.deps(time.Now))
			c.sendTo(t, 0, story("p0")...)
			if diff := cmp.Diff(expected("p0"), c.awaitAlerts(t, 3)); diff != "" {
				t.Errorf("alerts while a partition has no leader (-want +got):\n%s", diff)
			}
			ready, status := a.Ready()
			if want := "restoring the state of 1 of 2 partitions\npartition 1 waits: offsets of " + tt.topic + "/1: LEADER_NOT_AVAILABLE"; ready || !strings.Contains(status, want) {
				t.Errorf("ready %v, status %q, want %q", ready, status, want)
			}
			if got := a.Restores(); len(got) != 1 || got[0].Partition != 1 || !strings.Contains(got[0].Waits, tt.topic+"/1") {
				t.Errorf("restores %+v", got)
			}
			other := c.config()
			other.Instance = "b"
			b := c.startDeps(t, other, t.TempDir(), log.deps(time.Now))
			until(t, "the partitions are shared out", func() bool { return len(log.find("partitions given up")) > 0 })
			fault.Remove()
			c.sendTo(t, 1, story("p1")[3:]...)
			a.awaitReady(t)
			b.awaitReady(t)
			if diff := cmp.Diff(expected("p0", "p1"), c.awaitAlerts(t, 6)); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
			if lines := log.find("starting again with a new client"); len(lines) > 0 {
				t.Errorf("a member gave up its client: %q", lines)
			}
			if lines := log.find("a partition waits for one of its logs", "partition=1", "LEADER_NOT_AVAILABLE"); len(lines) == 0 || len(lines) > 2 {
				t.Errorf("the log says %d times what is waited for, want once for each member: %q", len(lines), lines)
			}
		})
	}
}

// TestEpochsOfALeaderless: a partition whose leader is missing just when it is asked whether its log is still the one that was read waits for
// it too: to go on without the answer might be to miss what another leader has in place of that.
func TestEpochsOfALeaderless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, 2)
		m := c.runIn(t, c.config(), state.OpenMemory())
		for p, host := range []string{"p0", "p1"} {
			c.sendTo(t, int32(p), story(host)[:3]...)
		}
		c.awaitRead(t, c.input)
		m.stop()
		fault := c.leaderless(c.input, kmsg.OffsetForLeaderEpoch)
		m = c.runIn(t, c.config(), state.OpenMemory())
		for p, host := range []string{"p0", "p1"} {
			c.sendTo(t, int32(p), story(host)[3:]...)
		}
		time.Sleep(time.Minute)
		if diff := cmp.Diff(append(expected("p0"), "single p1"), c.alerts(t)); diff != "" {
			t.Errorf("alerts while it isn't there (-want +got):\n%s", diff)
		}
		if _, status := m.Ready(); !strings.Contains(status, "partition 1 waits: end of the last epoch that was read of t-events/1: LEADER_NOT_AVAILABLE") {
			t.Errorf("status %q", status)
		}
		fault.Remove()
		time.Sleep(time.Minute)
		if diff := cmp.Diff(expected("p0", "p1"), c.alerts(t)); diff != "" {
			t.Errorf("alerts in the end (-want +got):\n%s", diff)
		}
	})
}

// TestStopWhileLeaderless: who waits for a partition's log stops at once.
func TestStopWhileLeaderless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, 2)
		c.leaderless(c.input, kmsg.ListOffsets)
		m := c.runIn(t, c.config(), state.OpenMemory())
		time.Sleep(time.Minute)
		began := time.Now()
		m.stop()
		if took := time.Since(began); took > time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

// TestTimeGoesOnBesideALeaderless: absences are decided by the wall clock on partitions that are silent, whatever is with others.
func TestTimeGoesOnBesideALeaderless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, 2)
		m := c.runIn(t, c.config(), state.OpenMemory())
		m.awaitReady(t)
		c.sendTo(t, 1, doc("p1", "0", "process", "slow", 1, 0)) // its time doesn't go on, since nobody knows whether it is at its end
		c.awaitRead(t, c.input)
		fault := c.leaderless(c.input, kmsg.ListOffsets)
		c.sendTo(t, 0, doc("p0", "1", "process", "slow", 1, 0))
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"slow p0"}, c.alerts(t)); diff != "" {
			t.Errorf("alerts (-want +got):\n%s", diff)
		}
		fault.Remove()
		time.Sleep(time.Minute)
		if diff := cmp.Diff([]string{"slow p0", "slow p1"}, c.alerts(t)); diff != "" {
			t.Errorf("alerts when the partition is there again (-want +got):\n%s", diff)
		}
	})
}

// noteLate is a configuration in which events wait for a minute, so that an event may begin what later ones that are there already go on with.
func noteLate(t *testing.T) func() *pipeline.Config {
	t.Helper()
	return func() *pipeline.Config {
		p := pipelineConfig(t)
		p.Order.Lateness = time.Minute
		return p
	}
}

// TestReadAgainBesideALeaderless: an event that waits is read again from the input, whatever is with another partition of it.
func TestReadAgainBesideALeaderless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, 2)
		c.pipeline = noteLate(t)
		log := &logLines{t: t}
		deps := log.deps(time.Now)
		deps.Store = state.OpenMemory()
		m := c.startDeps(t, c.config(), "", deps)
		m.awaitReady(t)
		told := story("h")
		c.sendTo(t, 0, told[3], doc("h", "h-x", "network", "x", 3, 700))
		c.awaitRead(t, c.input)
		c.leaderless(c.input, kmsg.ListOffsets)
		c.sendTo(t, 0, told[0], told[1], told[2], told[4], told[5], doc("h", "h-y", "process", "true", 8, 100_000))
		if diff := cmp.Diff(expected("h"), c.awaitAlerts(t, 3)); diff != "" {
			t.Errorf("alerts (-want +got):\n%s", diff)
		}
		if lines := log.find("can't be read again"); len(lines) > 0 {
			t.Errorf("the log says %q", lines)
		}
	})
}

// TestReadAgainFromALeaderless: where the partition itself isn't there from which an event is to be read again, the member works on its others before
// long, also after an abort, and nothing is missed when it is back.
func TestReadAgainFromALeaderless(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := bubble(t, 2)
		c.pipeline = noteLate(t)
		m := c.startDeps(t, c.config(), "", kafka.Deps{Now: time.Now, Logger: slog.New(slog.DiscardHandler), Store: state.OpenMemory()})
		m.awaitReady(t)
		told := story("p1")
		c.sendTo(t, 1, told[3], doc("p1", "p1-x", "network", "x", 3, 700))
		for i := range 4 { // too far apart to be read at once: the member waits for one of them only
			c.sendTo(t, 1, slices.Repeat([]string{doc("p1", "", "file", "other", 1, 600)}, 1100)...)
			c.sendTo(t, 1, doc("p1", fmt.Sprint("p1-x", i), "network", "curl", 7, int64(610+i)))
		}
		c.awaitRead(t, c.input)
		fault := c.leaderless(c.input, kmsg.ListOffsets)
		c.sendTo(t, 1, told[0], told[1], told[2], told[4], told[5], doc("p1", "p1-y", "process", "true", 8, 100_000))
		time.Sleep(time.Second)
		c.sendTo(t, 0, slices.Concat(story("p0"), []string{doc("p0", "p0-y", "process", "true", 8, 100_000)})...)
		time.Sleep(readAgainWithin)
		if diff := cmp.Diff(expected("p0"), c.alerts(t)); diff != "" {
			t.Errorf("alerts of the other partition (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		fault.Remove()
		time.Sleep(time.Minute)
		if diff := cmp.Diff(expected("p0", "p1"), c.alerts(t)); diff != "" {
			t.Errorf("alerts in the end (-want +got):\n%s", diff)
		}
	})
}

// readAgainWithin is how long a member may do nothing because an event can't be read again.
const readAgainWithin = 20 * time.Second

// TestChangelogLosesItsLeader: when the changelog of a partition that is worked on loses its leader for a while, nothing is missed, and with transactions
// nothing doubled. Without them the member works on its others meanwhile; with them a real broker, unlike this one, can't end the one that is open.
func TestChangelogLosesItsLeader(t *testing.T) {
	for _, atLeastOnce := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			c := bubble(t, 2)
			cfg := c.config()
			cfg.AtLeastOnce = atLeastOnce
			m := c.runIn(t, cfg, state.OpenMemory())
			m.awaitReady(t)
			for p, host := range []string{"p0", "p1"} {
				c.sendTo(t, int32(p), story(host)[:3]...)
			}
			c.awaitRead(t, c.input)
			fault := c.leaderless(cfg.ChangelogTopic, kmsg.Metadata, kmsg.ListOffsets, kmsg.Fetch, kmsg.Produce)
			for p, host := range []string{"p0", "p1"} {
				c.sendTo(t, int32(p), story(host)[3:]...)
			}
			time.Sleep(5 * time.Minute)
			meanwhile := slices.DeleteFunc(slices.Compact(c.alerts(t)), func(a string) bool { return strings.HasSuffix(a, "p1") })
			if diff := cmp.Diff(expected("p0"), meanwhile); diff != "" && atLeastOnce {
				t.Errorf("alerts of the other partition while it has none (-want +got):\n%s", diff)
			}
			fault.Remove()
			time.Sleep(time.Minute)
			got := c.alerts(t)
			if atLeastOnce {
				got = slices.Compact(got)
			}
			if diff := cmp.Diff(expected("p0", "p1"), got); diff != "" {
				t.Errorf("at least once %v: alerts in the end (-want +got):\n%s", atLeastOnce, diff)
			}
		})
	}
}

// TestLeaderBackWhileEventsAreRead: the input loses its leader while events that wait are read again at a start, and has one again about when it would be taken
// for proven that they are gone. The client that reads may not have found the leader yet; none of them is lost.
func TestLeaderBackWhileEventsAreRead(t *testing.T) {
	for _, seconds := range []int{5, 29, 30, 60} {
		synctest.Test(t, func(t *testing.T) {
			c := bubble(t, 2)
			c.pipeline = noteLate(t)
			m := c.runIn(t, c.config(), state.OpenMemory())
			m.awaitReady(t)
			c.sendTo(t, 1, story("p1")...)
			c.awaitRead(t, c.input)
			m.stop()
			topics, err := c.admin.ListTopics(t.Context(), c.input)
			if err != nil {
				t.Fatal(err)
			}
			var gone sync.Once
			c.fake.ControlKey(int16(kmsg.Fetch), func(r kmsg.Request) (_ kmsg.Response, err error, handled bool) {
				c.fake.KeepControl()
				req, ok := r.(*kmsg.FetchRequest)
				if !ok || !slices.ContainsFunc(req.Topics, func(ft kmsg.FetchRequestTopic) bool { return ft.TopicID == topics[c.input].ID }) {
					return nil, nil, false
				}
				gone.Do(func() {
					err, handled = io.ErrUnexpectedEOF, true
					go func() {
						fault := c.leaderless(c.input, kmsg.Metadata, kmsg.ListOffsets, kmsg.Fetch)
						time.Sleep(time.Duration(seconds) * time.Second)
						fault.Remove()
					}()
				})
				return nil, err, handled
			})
			c.runIn(t, c.config(), state.OpenMemory())
			time.Sleep(4 * time.Minute)
			c.sendTo(t, 1, doc("p1", "p1-y", "process", "true", 8, 100_000))
			time.Sleep(time.Minute)
			if diff := cmp.Diff(expected("p1"), c.alerts(t)); diff != "" {
				t.Errorf("away for %d s: alerts (-want +got):\n%s", seconds, diff)
			}
		})
	}
}
