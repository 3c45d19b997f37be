package pipeline_test

import (
	"testing"

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
