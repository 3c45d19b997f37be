package kafka_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/state"
)

// deleteBefore deletes the records of partition 0 of the input before an offset, as retention does.
func (c *cluster) deleteBefore(t *testing.T, offset int64) {
	t.Helper()
	var offsets kadm.Offsets = map[string]map[int32]kadm.Offset{}
	offsets.AddOffset(c.input, 0, offset, -1)
	resp, err := c.admin.DeleteRecords(t.Context(), offsets)
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// events returns events of which each gives an alert.
func events(from, n int) (docs []string) {
	for i := range n {
		docs = append(docs, doc("h", strconv.Itoa(from+i), "process", "nc", 1, int64(i)))
	}
	return docs
}

// TestRecordsLost deletes records before they are read: while the service is down, and while it holds its output. What is left is worked on, and
// what is lost is counted, once.
func TestRecordsLost(t *testing.T) {
	c := fakeCluster(t, 1)
	dir := t.TempDir()
	m := c.start(t, c.config(), dir)
	c.produce(t, "h", events(0, 3)...)
	c.awaitRead(t, c.input)
	refuse := c.refuseProduce(t, c.prefix+"-alerts", kerr.TopicAuthorizationFailed, always)
	m.stop()
	c.produce(t, "h", events(3, 5)...) // offsets 3 to 7
	c.deleteBefore(t, 6)
	m, metrics := c.startMeasured(t, c.config())
	c.awaitRead(t, c.input)
	lost := func(n int) {
		t.Helper()
		want := fmt.Sprintf("weir_input_records_lost_total{partition=\"0\",topic=%q} %d\n", c.input, n)
		until(t, want, func() bool { return strings.Contains(metrics(), want) })
	}
	lost(3)
	refuse.on.Store(true)
	c.produce(t, "h", events(8, 4)...) // offsets 8 to 11
	m.awaitHeld(t, "Not authorized")
	c.deleteBefore(t, 10)
	before := refuse.times.Load() // the next attempt may still find them in the client's memory
	until(t, "they are fetched again", func() bool { return refuse.times.Load() >= before+3 })
	refuse.on.Store(false)
	c.produce(t, "h", events(12, 1)...)
	c.awaitRead(t, c.input)
	lost(5)
	if got := len(c.awaitAlerts(t, 8)); got != 8 {
		t.Errorf("%d alerts, want 8", got)
	}
}

// TestAllThatWasUnreadIsGone: a partition of which everything unread was deleted while the service was down, and that stays silent, is at
// its end: time goes on there, and what waits for it is decided.
func TestAllThatWasUnreadIsGone(t *testing.T) {
	c := fakeCluster(t, 1)
	m := c.start(t, c.config(), t.TempDir())
	at := time.Now().UnixMilli() - 1_790_000_000_000
	c.produce(t, "h", doc("h", "1", "process", "slow", 1, at), doc("h", "2", "process", "true", 1, at+2_000)) // it waits for no earlier events
	c.awaitRead(t, c.input)
	m.stop()
	c.produce(t, "h", "{", "{")
	c.deleteBefore(t, 4)
	c.start(t, c.config(), t.TempDir())
	if diff := cmp.Diff([]string{"slow h"}, c.awaitAlerts(t, 1)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestNothingIsLostAtTheFirstStart: records that were deleted before a group began are not its loss.
func TestNothingIsLostAtTheFirstStart(t *testing.T) {
	c := fakeCluster(t, 1)
	c.produce(t, "h", events(0, 5)...)
	c.deleteBefore(t, 3)
	_, metrics := c.startMeasured(t, c.config())
	c.awaitRead(t, c.input)
	if got := len(c.awaitAlerts(t, 2)); got != 2 {
		t.Errorf("%d alerts, want 2", got)
	}
	if text := metrics(); !strings.Contains(text, fmt.Sprintf("weir_input_records_lost_total{partition=\"0\",topic=%q} 0\n", c.input)) {
		t.Errorf("records are counted as lost:\n%s", text)
	}
}

// TestOffsetsExpired deletes the group's offsets and keeps the changelog: the service doesn't start, and says how to go on. With
// the offsets that it names it goes on where it was.
func TestOffsetsExpired(t *testing.T) {
	c := fakeCluster(t, 1)
	m := c.start(t, c.config(), t.TempDir())
	c.produce(t, "h", story("h")[:2]...)
	c.awaitRead(t, c.input)
	m.stop()
	before := c.alerts(t)
	if _, err := c.admin.DeleteGroup(t.Context(), c.prefix); err != nil {
		t.Fatal(err)
	}
	err := runBriefly(t, c.config())
	if !errors.Is(err, kafka.ErrTopics) {
		t.Fatalf("error %v, want ErrTopics", err)
	}
	for _, part := range []string{
		"the group t has no committed offsets for partitions [0] of t-events", "changelog t-changelog", "--reset-offsets --to-datetime 20", "delete t-changelog",
	} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q doesn't say %q", err, part)
		}
	}
	if diff := cmp.Diff(before, c.alerts(t)); diff != "" {
		t.Errorf("alerts were published again (-want +got):\n%s", diff)
	}
	var offsets kadm.Offsets = map[string]map[int32]kadm.Offset{}
	offsets.AddOffset(c.input, 0, 2, -1)
	if _, err := c.admin.CommitOffsets(t.Context(), c.prefix, offsets); err != nil {
		t.Fatal(err)
	}
	c.start(t, c.config(), t.TempDir())
	c.produce(t, "h", story("h")[2:]...)
	if diff := cmp.Diff(expected("h"), c.awaitAlerts(t, 3)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestPartitionsAddedWhileRunning: an input that grows ends a service that runs, with the remedy, as soon as its client hears of it.
func TestPartitionsAddedWhileRunning(t *testing.T) {
	c := fakeCluster(t, 2)
	s := kafka.New(c.config(), kafka.Deps{
		Pipeline: pipelineConfig(t), Store: state.OpenMemory(), Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)), Now: time.Now,
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	c.produce(t, "h", events(0, 1)...)
	c.awaitRead(t, c.input)
	refuse := c.refuseProduce(t, c.prefix+"-alerts", kerr.TopicAuthorizationFailed, always)
	refuse.on.Store(true) // a service that holds output asks for the topics again, which else takes minutes
	c.produce(t, "h", events(1, 1)...)
	(&member{Service: s}).awaitHeld(t, "Not authorized")
	if _, err := c.admin.UpdatePartitions(t.Context(), 4, c.input); err != nil {
		t.Fatal(err)
	}
	var err error
	select {
	case err = <-done:
	case <-time.After(20 * time.Second):
		cancel()
		err = <-done
	}
	cancel()
	if !errors.Is(err, kafka.ErrTopics) || !strings.Contains(err.Error(), "changelog t-changelog has 2 partitions but the input has 4") {
		t.Errorf("error %v, want that of the partitions", err)
	}
}

// TestInputEndsEarly: the log of the input is shorter than what was read, as after an election of a leader that lacked the
// last records. What is there isn't read again, the log says so, and new records are worked on.
func TestInputEndsEarly(t *testing.T) {
	for _, mode := range []string{"exactly once", "at least once"} {
		t.Run(mode, func(t *testing.T) {
			c := fakeCluster(t, 1)
			cfg := c.config()
			cfg.AtLeastOnce = mode != "exactly once"
			m := c.start(t, cfg, t.TempDir())
			c.produce(t, "h", events(0, 3)...)
			c.awaitRead(t, c.input)
			m.stop()
			var offsets kadm.Offsets = map[string]map[int32]kadm.Offset{}
			offsets.AddOffset(c.input, 0, 100, -1)
			if err := c.admin.CommitAllOffsets(t.Context(), c.prefix, offsets); err != nil {
				t.Fatal(err)
			}
			log := &logLines{t: t}
			m = c.startDeps(t, cfg, t.TempDir(), log.deps(time.Now))
			m.awaitReady(t)
			c.produce(t, "h", events(3, 2)...)
			until(t, "new records are read", func() bool { return len(c.alerts(t)) >= 5 })
			m.stop()
			if got := len(c.alerts(t)); got != 5 {
				t.Errorf("%d alerts, want 5", got)
			}
			if lines := log.find("the input ends before what was read"); len(lines) != 1 && !cfg.AtLeastOnce { // else the checkpoint record counts
				t.Errorf("it is told %d times, want once", len(lines))
			}
			committed, err := c.admin.FetchOffsets(t.Context(), c.prefix)
			if at, _ := committed.Lookup(c.input, 0); err != nil || at.At != 5 {
				t.Errorf("offset %d is committed, want 5: %v", at.At, err)
			}
		})
	}
}
