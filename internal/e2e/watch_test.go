//go:build unix

package e2e_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// alertLog notes the alerts of the topic, committed, as they come.
type alertLog struct {
	mu    sync.Mutex // guards the rest
	came  map[string]time.Time
	count map[string]int
}

func newAlertLog(t *testing.T, r *trial) *alertLog {
	t.Helper()
	l := &alertLog{came: map[string]time.Time{}, count: map[string]int{}}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.brokers...), kgo.ConsumeTopics(r.alertTopic()), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(20*time.Millisecond), kgo.MetadataMinAge(200*time.Millisecond),
		kgo.UnknownTopicRetries(-1))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			records := cl.PollFetches(ctx).Records()
			now := time.Now()
			l.mu.Lock()
			for _, rec := range records {
				line := r.line(rec)
				if l.count[line]++; l.count[line] == 1 {
					l.came[line] = now
				}
			}
			l.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		cl.Close()
	})
	return l
}

func (l *alertLog) at(line string) (time.Time, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, ok := l.came[line]
	return at, ok
}

// pairs counts the alerts of sequences.
func (l *alertLog) pairs() (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line, count := range l.count {
		if strings.HasPrefix(line, "pair ") {
			n += count
		}
	}
	return n
}

func (l *alertLog) doubled() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.DeleteFunc(slices.Sorted(maps.Keys(l.count)), func(line string) bool { return l.count[line] == 1 })
}

// watch sends an event that is an alert to each partition again and again.
type watch struct {
	f          *failover
	name       string
	partitions []int // of the member that is killed
	killed     time.Time
	cancel     context.CancelFunc
	done       chan struct{}

	mu   sync.Mutex // guards sent
	sent []time.Time
}

func (f *failover) watch(gone *failoverMember) *watch {
	f.t.Helper()
	ctx, cancel := context.WithCancel(f.t.Context())
	w := &watch{f: f, name: fmt.Sprintf("probe-%d", time.Now().UnixNano()), cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for n := 0; ctx.Err() == nil; n++ {
			w.mu.Lock()
			w.sent = append(w.sent, time.Now())
			w.mu.Unlock()
			for p := range partitions {
				f.send(p, f.event(w.id(p, n), host(p), "probe", n))
			}
			select {
			case <-ctx.Done():
			case <-time.After(probeEvery):
			}
		}
	}()
	// Events have to come: a member tells nothing of the hosts of a partition that it has read nothing of.
	f.await("the member's partitions", time.Minute, func() bool { w.partitions = gone.partitions(); return len(w.partitions) == partitions/2 })
	f.await("alerts before the kill", time.Minute, func() bool {
		return !slices.ContainsFunc(w.partitions, func(p int) bool { _, ok := f.log.at(w.line(p, 0)); return !ok })
	})
	return w
}

func (w *watch) id(p, n int) string   { return w.name + "-" + strconv.Itoa(p) + "-" + strconv.Itoa(n) }
func (w *watch) line(p, n int) string { return "probe " + w.id(p, n) }

// after returns the number of the first event that was sent after the kill, -1 where there is none yet.
func (w *watch) after() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.IndexFunc(w.sent, w.killed.Before)
}

// next returns when the first alert came of an event of a partition that was sent after the kill.
func (w *watch) next(p int) (time.Time, bool) {
	n := w.after()
	if n < 0 {
		return time.Time{}, false
	}
	return w.f.log.at(w.line(p, n))
}

// over reports whether all partitions of the killed member have given alerts again.
func (w *watch) over() bool {
	return !slices.ContainsFunc(w.partitions, func(p int) bool { _, ok := w.next(p); return !ok })
}

// stop ends the sending, and completes a partial of each partition.
func (w *watch) stop() {
	w.cancel()
	<-w.done
	f := w.f
	for p := range partitions {
		i := f.next/partitions*partitions + p
		f.send(p, f.event("second-"+strconv.Itoa(i), host(i), "second", i))
	}
	f.next += partitions
	if err := f.cl.Flush(f.t.Context()); err != nil {
		f.t.Fatal(err)
	}
}

// took returns the time from the kill to the next alert of any, and of the last of the partitions.
func (w *watch) took() (first, all time.Duration) {
	for _, p := range w.partitions {
		at, _ := w.next(p)
		took := at.Sub(w.killed)
		if first == 0 || took < first {
			first = took
		}
		all = max(all, took)
	}
	return first, all
}

func spread(d []time.Duration) string {
	d = slices.Sorted(slices.Values(d))
	return fmt.Sprintf("median %v, worst %v", d[len(d)/2].Round(time.Millisecond), d[len(d)-1].Round(time.Millisecond))
}
