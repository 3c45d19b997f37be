package pipeline_test

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// wire makes records of a partition of 200 hosts, 20,000 in a second, of 2 KB each. One in every is a candidate of a rule.
type wire struct {
	records []pipeline.Record
	made    int64
	every   int64
	filler  string
}

// wireQueries are the rules of the benchmarks: the partials of one end before a commit is over, as a rule, those of the other
// live for a minute.
var wireQueries = map[string]map[string]string{
	"fleeting": {"r": `sequence by host.id, process.pid with maxspan=50ms [process where tag == "A"] [network where tag == "B"]`},
	"lasting":  {"r": `sequence by host.id, process.pid with maxspan=10s [process where tag == "A"] [network where tag == "B"]`},
}

// next returns n records, which are valid until the next call.
func (g *wire) next(n int) []pipeline.Record {
	if g.filler == "" {
		g.filler = strings.Repeat(`"k":"Lorem ipsum dolor sit amet, consectetur adipiscing elit","n":1234,`, 26)
	}
	for len(g.records) < n {
		g.records = append(g.records, pipeline.Record{Topic: "events", Clock: pipeline.ClockLogAppend})
	}
	for i := range g.records[:n] {
		r := &g.records[i]
		at := t0 + g.made/20
		tag := "X"
		if g.made%g.every == 0 {
			tag = "A"
		}
		r.Value = fmt.Appendf(r.Value[:0], `{"@timestamp":%d,%s"event":{"id":"e%d","category":"process"},"host":{"id":"5f0e2cd6-8f7a-4b8e-9d6a-%d"},"tag":%q,"process":{"pid":%d}}`,
			at, g.filler, g.made, g.made%200, tag, g.made)
		r.Offset, r.Time = g.made, at
		g.made++
	}
	return g.records[:n]
}

// cpu returns the CPU time of the process, or of the thread.
func cpu(b *testing.B, who int) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(who, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkDurable runs a worker with its state in memory alone, and with a store on disk, committing after each second of the
// stream. An operation is one event; cpu-ns/op is the CPU time of the whole process, the store's own goroutines included.
func BenchmarkDurable(b *testing.B) {
	for _, every := range []int64{20, 1} {
		for _, life := range []string{"fleeting", "lasting"} {
			set := compileQueries(b, rules.SetOptions{}, wireQueries[life], nil)
			for _, mode := range []string{"memory", "changes", "badger"} {
				b.Run(fmt.Sprintf("1of%d/%s/%s", every, life, mode), func(b *testing.B) {
					durable(b, set, every, mode)
				})
			}
		}
	}
}

func durable(b *testing.B, set *rules.Set, every int64, mode string) {
	b.Helper()
	store := state.OpenMemory()
	if mode == "badger" {
		var err error
		if store, err = state.Open(state.Options{Dir: b.TempDir()}); err != nil {
			b.Fatal(err)
		}
	}
	cfg := config(set)
	w, err := pipeline.NewWorker(cfg, store.Partition(0), 0)
	if err != nil {
		b.Fatal(err)
	}
	g := wire{every: every}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var generating time.Duration
	run := func() {
		began := cpu(b, syscall.RUSAGE_THREAD)
		records := g.next(1000)
		generating += cpu(b, syscall.RUSAGE_THREAD) - began
		if err := w.Process(records); err != nil {
			b.Fatal(err)
		}
		if g.made%20_000 == 0 || w.Full() {
			switch mode {
			case "memory":
				w.EndBatch()
			case "changes":
				for range w.Changes().All() {
				}
				w.EndBatch()
			default:
				w.Changes()
				if err := w.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	for g.made < 300_000 { // the partials of 10 s are there
		run()
	}
	b.ResetTimer()
	generating = 0
	began := cpu(b, syscall.RUSAGE_SELF)
	for range max(b.N/1000, 1) {
		run()
	}
	spent := cpu(b, syscall.RUSAGE_SELF) - began - generating
	b.ReportMetric(float64(spent.Nanoseconds())/float64(max(b.N/1000, 1)*1000), "cpu-ns/op")
	b.StopTimer()
	if err := store.Close(); err != nil {
		b.Fatal(err)
	}
}
