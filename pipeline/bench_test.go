package pipeline_test

import (
	"slices"
	"testing"
	"time"

	"github.com/weir-eql/weir/internal/bench"
	"github.com/weir-eql/weir/internal/demo"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/detections"
	"github.com/weir-eql/weir/state"
)

// BenchmarkWorker runs the demo's events through a worker with the shipped rules: decode, match, order, sequences,
// alerts, and a commit to a store in memory every 2,000 events. An operation is one event.
func BenchmarkWorker(b *testing.B) {
	c, err := rules.LoadFS(detections.FS(), "", rules.LoadOptions{})
	if err != nil {
		b.Fatal(err)
	}
	set, err := rules.NewSet(c.Rules, rules.SetOptions{})
	if err != nil {
		b.Fatal(err)
	}
	g := demo.New(demo.Options{Seed: 1})
	var records []pipeline.Record
	bytes := 0
	for i := range 20_000 {
		at, doc, _ := g.Next()
		records = append(records, pipeline.Record{
			Topic: "events", Offset: int64(i), Value: doc, Time: at.UnixMilli(), Clock: pipeline.ClockLogAppend,
		})
		bytes += len(doc)
	}
	b.SetBytes(int64(bytes / len(records)))
	b.ReportAllocs()
	cfg := config(set)
	var w *pipeline.Worker
	alerts, done := 0, 0
	for b.Loop() {
		i := done % len(records)
		if i == 0 { // the stream begins again, so must the state
			if w, err = pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Process(records[i : i+1]); err != nil {
			b.Fatal(err)
		}
		if done++; done%2000 == 0 {
			alerts += len(w.Output().Alerts)
			w.Changes()
			if err := w.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(alerts)/float64(done), "alerts/event")
}

// waitingRules make most generated events wait: later stages that common events hit, a first stage that few hit, and an absence.
func waitingRules() map[string]string {
	return map[string]string{
		"first":   `sequence by host.id, process.entity_id with maxspan=1m [process where process.pid < 3000] [network where true]`,
		"later":   `sequence by host.id, process.entity_id with maxspan=1m [process where event.action == "bench-none"] [file where true]`,
		"silence": `sequence by host.id with maxspan=5m [any where event.category == "bench-none"] ![any where true]`,
	}
}

// BenchmarkWaiting runs generated events, of which most wait for the watermark, through a worker: 20,000 of them per second of event
// time, a commit every 20,000. An operation is one event.
func BenchmarkWaiting(b *testing.B) {
	set := compileQueries(b, rules.SetOptions{}, waitingRules(), nil)
	g := bench.NewGenerator(bench.Options{Seed: 1, Size: 2068, Hosts: 200, AlertShare: 0.001, StageShare: 0.02})
	var records []pipeline.Record
	for i := range 60_000 {
		at := time.UnixMilli(t0 + int64(i)/20)
		records = append(records, pipeline.Record{
			Topic: "events", Offset: int64(i), Value: slices.Clone(g.Next(at).Doc), Time: at.UnixMilli(), Clock: pipeline.ClockLogAppend,
		})
	}
	b.ReportAllocs()
	cfg := config(set)
	cfg.Order.Lateness = 200 * time.Millisecond // the memory for what waits is made anew with each pass: not much of it
	var w *pipeline.Worker
	var err error
	const batch = 250
	for done := 0; b.Loop(); done++ {
		i := done % len(records)
		if i == 0 { // the stream begins again, so must the state
			if w, err = pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0); err != nil {
				b.Fatal(err)
			}
		}
		if i%batch == 0 {
			if err := w.Process(records[i : i+batch]); err != nil {
				b.Fatal(err)
			}
		}
		if (done+1)%20_000 == 0 {
			w.Changes()
			if err := w.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
				b.Fatal(err)
			}
		}
	}
}
