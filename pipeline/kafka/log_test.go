package kafka_test

import (
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// logLines keeps what a service logs, and shows it with the test.
type logLines struct {
	t     *testing.T
	mu    sync.Mutex
	lines []string
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lines = append(l.lines, string(p))
	return testLog{l.t}.Write(p)
}

// find returns the lines that have all of the parts.
func (l *logLines) find(parts ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.lines {
		has := true
		for _, part := range parts {
			has = has && strings.Contains(line, part)
		}
		if has {
			found = append(found, line)
		}
	}
	return found
}

func (l *logLines) deps(now func() time.Time) kafka.Deps {
	return kafka.Deps{Now: now, Logger: slog.New(slog.NewTextHandler(l, nil))}
}

// TestDeadLetters: they keep the key of their record, and the log names the first of each reason and partition.
func TestDeadLetters(t *testing.T) {
	c := fakeCluster(t, 1)
	log := &logLines{t: t}
	c.start1(t, log, time.Now)
	for i := range 20 {
		c.send(t, &kgo.Record{Topic: c.input, Key: fmt.Append(nil, "k", i), Value: []byte("{")})
	}
	c.send(t, &kgo.Record{Topic: c.input, Value: []byte("[1]")})
	until(t, "21 dead letters", func() bool { return len(c.committed(t, c.prefix+"-dead")) == 21 })
	for i, r := range c.committed(t, c.prefix+"-dead") {
		want := fmt.Sprint("k", i)
		if i == 20 {
			want = ""
		}
		if got := string(r.Key); got != want || (r.Key == nil) != (i == 20) {
			t.Errorf("dead letter %d has the key %q, want %q", i, got, want)
		}
	}
	where := []string{"level=WARN", "dead letters", "topic=" + c.input, "partition=0"}
	for _, want := range []string{"reason=malformed offset=0", "reason=not_object offset=20"} {
		until(t, want, func() bool {
			reason, offset, _ := strings.Cut(want, " ")
			return len(log.find(append(where, reason+" ", offset+" ")...)) == 1
		})
	}
	if lines := log.find(where...); len(lines) != 2 {
		t.Errorf("%d lines on dead letters, want 2: %q", len(lines), lines)
	}
}

// TestDeadLettersAgain: after a minute the log says how many there were since.
func TestDeadLettersAgain(t *testing.T) {
	c := fakeCluster(t, 1)
	log := &logLines{t: t}
	began := time.Now()
	c.start1(t, log, func() time.Time { return began.Add(200 * time.Since(began)) })
	broken := func() { c.send(t, &kgo.Record{Topic: c.input, Value: []byte("{")}) }
	broken()
	c.awaitRead(t, c.input)
	until(t, "the first line", func() bool { return len(log.find("reason=malformed", "offset=0 ", "count=1\n")) == 1 })
	sent := 1
	until(t, "a second line", func() bool {
		broken()
		sent++
		return len(log.find("reason=malformed")) >= 2
	})
	if lines := log.find("reason=malformed", "offset=1 "); len(lines) != 1 {
		t.Errorf("after %d dead letters no line begins at the second: %q", sent, log.find("reason=malformed"))
	}
}

// start1 runs the one member of a cluster with a log that is kept.
func (c *cluster) start1(t *testing.T, log *logLines, now func() time.Time) *member {
	t.Helper()
	return c.startDeps(t, c.config(), t.TempDir(), log.deps(now))
}

// TestSameInstanceTwice: two processes under one name fence each other, and the log says what to do.
func TestSameInstanceTwice(t *testing.T) {
	c := fakeCluster(t, 2)
	log := &logLines{t: t}
	a := c.start1(t, log, time.Now)
	a.awaitReady(t)
	c.start1(t, log, time.Now)
	n := 0
	until(t, "one is fenced", func() bool {
		for _, h := range []string{"h1", "h2", "h3"} {
			n++
			c.produce(t, h, doc(h, fmt.Sprint(h, n), "process", "nc", 1, int64(n)))
		}
		return len(log.find("level=ERROR", "another process runs under this instance name", "transactional_id=t-a")) > 0
	})
}

// TestRestoreWaits: a member that can't read the changelog to its end says what it waits for.
func TestRestoreWaits(t *testing.T) {
	c := fakeCluster(t, 1)
	c.createChangelog(t, c.prefix+"-changelog", 1)
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.TransactionalID("t-b"), kgo.DefaultProduceTopic(c.prefix+"-changelog"))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), kgo.StringRecord("x")).FirstErr(); err != nil {
		t.Fatal(err)
	}
	log := &logLines{t: t}
	began := time.Now()
	m := c.start1(t, log, func() time.Time { return began.Add(20 * time.Since(began)) })
	until(t, "it says so", func() bool {
		return len(log.find("level=WARN", "waits for an open transaction", "topic=t-changelog", "partition=0", "offset=0", "end=1")) > 0
	})
	if ready, status := m.Ready(); ready || !strings.Contains(status, "partition 0: 0 of 1 changelog records restored") {
		t.Errorf("while the transaction is open: ready %v, status %q", ready, status)
	}
	if got := m.Restores(); len(got) != 1 || got[0].Total != 1 || got[0].Restored != 0 || got[0].Seconds != -1 {
		t.Errorf("restores %+v", got)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Fatal(err)
	}
	m.awaitReady(t)
	if got := m.Restores(); len(got) > 0 {
		t.Errorf("restores %+v when all are done", got)
	}
	if _, status := m.Ready(); strings.Contains(status, "restored") {
		t.Errorf("status %q when all are done", status)
	}
}

// TestQuietEnd: a service that is told to end while it asks the broker something doesn't complain that the answer
// never came.
func TestQuietEnd(t *testing.T) {
	c := fakeCluster(t, 1)
	log := &logLines{t: t}
	m := c.start1(t, log, time.Now)
	m.awaitReady(t)
	asked := make(chan struct{})
	ask := sync.OnceFunc(func() { close(asked) })
	c.fake.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		ask()
		return nil, errors.New("connection cut"), true
	})
	c.produce(t, "h1", doc("h1", "1", "process", "login", 1, 0)) // the wall clock decides its absence, at the end of the topic
	<-asked
	m.stop()
	if lines := log.find("the ends of the input topics are not known"); len(lines) > 0 {
		t.Errorf("the log complains of the end: %q", lines)
	}
}

// TestRecordLag: the gauge tells how old the records are that are worked on.
func TestRecordLag(t *testing.T) {
	c := fakeCluster(t, 1)
	reg := prometheus.NewRegistry()
	deps := (&logLines{t: t}).deps(func() time.Time { return time.Now().Add(time.Hour) })
	deps.Metrics = kafka.NewMetrics(reg)
	c.startDeps(t, c.config(), t.TempDir(), deps)
	c.produce(t, "h1", doc("h1", "1", "process", "x", 1, 0))
	lag := func() float64 {
		families, err := reg.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if f.GetName() == "weir_record_lag_seconds" {
				return f.GetMetric()[0].GetGauge().GetValue()
			}
		}
		return -1
	}
	until(t, "the lag is known", func() bool { return lag() != -1 })
	if got := lag(); got < 3600 || got > 3630 {
		t.Errorf("lag %v s, want the hour that the clock is ahead and a little more", got)
	}
}
