package pipeline_test

import (
	"testing"

	"github.com/weir-eql/weir/internal/demo"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/detections"
	"github.com/weir-eql/weir/state"
)

// TestNoAllocationWithoutHits pins that an event that no rule looks at costs no memory: decoded, matched, its host found,
// taken by the worker.
func TestNoAllocationWithoutHits(t *testing.T) {
	c, err := rules.LoadFS(detections.FS(), "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.NewSet(c.Rules, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := config(set)
	p := pipeline.NewPreparer(cfg)
	g := demo.New(demo.Options{Seed: 3, AttackEvery: -1})
	var b pipeline.Batch
	for i := len(b.Records); i < 400; i++ {
		at, doc, _ := g.Next()
		b.Records = append(b.Records, pipeline.Record{
			Topic: "events", Offset: int64(i), Value: doc, Time: at.UnixMilli(), Clock: pipeline.ClockLogAppend,
		})
	}
	p.Prepare(&b)
	b.Records = b.Unhit()
	if len(b.Records) < 100 {
		t.Fatalf("only %d of the demo's events hit nothing", len(b.Records))
	}
	if n := testing.AllocsPerRun(20, func() { p.Prepare(&b) }); n != 0 {
		t.Errorf("decode and match: %v allocations for %d events", n, len(b.Records))
	}
	w, err := pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(20, func() {
		p.Prepare(&b)
		if err := w.ProcessBatch(&b, 0, b.Len()); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("decode, match and process: %v allocations for %d events", n, len(b.Records))
	}
}
