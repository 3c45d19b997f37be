package pipeline_test

import (
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"weak"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

func liveHeap() int64 {
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return int64(ms.HeapAlloc)
}

// bytesPerPartial builds partials of a rule of two stages in a worker, each with its own join key of a host's id and a
// process's entity id, 64 bytes together, and an event with an id as Elastic's agents write them, and returns what one takes.
func bytesPerPartial(tb testing.TB, partials, hosts int) float64 {
	tb.Helper()
	set := compileQueries(tb, rules.SetOptions{}, map[string]string{
		"p": `sequence by host.id with maxspan=10h [any where tag == "A"] by process.entity_id [any where tag == "B"] by process.parent.entity_id`,
	}, nil)
	cfg := config(set)
	cfg.NoEvidence = true // what is measured doesn't have it
	cfg.Limits.Partials, cfg.Limits.PartialsPerRule = partials, partials
	w, err := pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0)
	if err != nil {
		tb.Fatal(err)
	}
	run := func(offset, at int64, host, doc string) {
		doc = fmt.Sprintf(`{"@timestamp":%d,"host":{"id":"37c4a2a5-1a18-41fc-a0ba-%012s"},%s}`, t0+at, host, doc)
		if err := w.Process([]pipeline.Record{{
			Topic: "logs-endpoint.events.process", Offset: offset, Time: t0 + at, Clock: pipeline.ClockLogAppend, Value: []byte(doc),
		}}); err != nil {
			tb.Fatal(err)
		}
	}
	before := liveHeap()
	for i := range partials {
		run(1_000_000+int64(i), int64(i), strconv.Itoa(i%hosts), fmt.Sprintf(
			`"event":{"sequence":%d,"id":"vp2UuLNj%016d","category":"process"},"process":{"entity_id":"ZmQ5YjQyYzAtOWYz%08d"},"tag":"A"`, i, i, i))
		if i%1000 == 999 {
			w.EndBatch()
		}
	}
	run(1<<40, int64(partials)+10_000, "last", `"event":{"category":"process"},"tag":"X"`) // all watermarks pass
	w.EndBatch()
	used := float64(liveHeap()-before) / float64(partials)
	if got := w.Partials(); got != partials {
		tb.Fatalf("%d partials, want %d", got, partials)
	}
	return used
}

// TestBytesPerPartial guards the bound of 256 bytes for a partial that is live, without its evidence.
func TestBytesPerPartial(t *testing.T) {
	const partials = 60_000
	got := bytesPerPartial(t, partials, partials/100)
	t.Logf("%.1f bytes", got)
	if got > 256 {
		t.Errorf("a partial takes %.0f bytes, at most 256 are allowed", got)
	}
}

// BenchmarkPartialMemory reports the bytes of a million partials: of a thousand hosts, and each of a host of its own, the
// host's own state included.
func BenchmarkPartialMemory(b *testing.B) {
	for name, hosts := range map[string]int{"a thousand hosts": 1_000, "a million hosts": 1_000_000} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				b.ReportMetric(bytesPerPartial(b, 1_000_000, hosts), "B/partial")
			}
		})
	}
}

// TestPartialsKeepTheirDocumentsOnly: in a replay, whose state stays in memory, the document of a partial that lives for long keeps
// none of those in memory that waited beside its event.
func TestPartialsKeepTheirDocumentsOnly(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{
		"long": `sequence by host.id with maxspan=1h [any where tag == "A"] [any where tag == "B"]`,
	}, nil)
	w := workerOf(t, set, state.OpenMemory(), func(*pipeline.Limits) {})
	padding := strings.Repeat("x", 2_000)
	const events, every = 20_000, 40
	before := liveHeap()
	for i := range int64(events) {
		host, tag := "busy", "B" // it completes nothing
		if i%every == 0 {
			host, tag = fmt.Sprint("h", i), "A"
		}
		r := of(host, tag, i, i)
		r.Value = append(fmt.Appendf(nil, `{"padding":%q,`, padding), r.Value[1:]...)
		process(t, w, r)
		if i%1000 == 999 {
			w.EndBatch()
		}
	}
	if n := w.Partials(); n < events/every*8/10 {
		t.Fatalf("%d partials live: the test proves too little", n)
	}
	taken := liveHeap() - before
	runtime.KeepAlive(w)
	// 500 documents of partials, 2,000 events that wait within the lateness, and what belongs to hosts and partials.
	if most := int64(16 << 20); taken > most {
		t.Errorf("%d bytes are kept for %d partials, want %d at most", taken, w.Partials(), most)
	}
}

// TestCommittedBatchIsFreed: what a batch made isn't kept by a worker that nothing comes to any more.
func TestCommittedBatchIsFreed(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{"r": `any where tag == "A"`}, nil)
	w := workerOf(t, set, state.OpenMemory(), func(*pipeline.Limits) {})
	process(t, w, of("h", "A", 0, 0))
	w.Changes()
	sealed := w.Seal()
	if len(sealed.Alerts) != 1 {
		t.Fatalf("%d alerts, want 1", len(sealed.Alerts))
	}
	if err := sealed.Apply(state.Checkpoint{}); err != nil {
		t.Fatal(err)
	}
	kept := weak.Make(sealed)
	w.Confirm()
	runtime.GC()
	if kept.Value() != nil {
		t.Error("the batch is kept after it was committed")
	}
	runtime.KeepAlive(w)
}
