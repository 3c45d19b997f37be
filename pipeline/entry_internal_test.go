package pipeline

import (
	"fmt"
	"testing"

	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// TestMemoryOfWaitingEvents: an event that takes the memory of one that has gone stands on its page once, also where that one
// was on the same page, and is among those of the batch once.
func TestMemoryOfWaitingEvents(t *testing.T) {
	set, err := rules.NewSet([]*rules.Rule{
		{ID: "a", Name: "a", Query: `sequence by host.id with maxspan=1h [any where tag == "A"] [any where tag == "B"]`},
	}, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := &Config{Set: set, Alerts: alert.NewECS(alert.Options{})}
	cfg.EnsureDefaults()
	part := state.OpenMemory().Partition(0)
	start := func() *Worker {
		w, err := NewWorker(cfg, part, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		return w
	}
	w := start()
	var records []Record
	run := func(at int64) {
		doc := fmt.Appendf(nil, `{"@timestamp":%d,"host":{"id":"h"},"tag":"B"}`, at)
		records = append(records, Record{Topic: "t", Offset: int64(len(records)), Time: at, Clock: ClockLogAppend, Value: doc})
		if err := w.Process(records[len(records)-1:]); err != nil {
			t.Fatal(err)
		}
	}
	commit := func() {
		w.Changes()
		if err := w.Committed(state.Checkpoint{}); err != nil {
			t.Fatal(err)
		}
	}
	run(1000)
	run(2500)
	run(9000) // the first two go
	run(9100)
	commit()
	gone := w.pages.eventPage(0).events[0]
	run(11_050) // that of 9000 goes, and its place on the page stays
	run(11_060)
	run(11_070)
	if gone.waits() || gone.event.gone {
		t.Fatal("the memory of an event that has gone isn't used again: the test shows nothing")
	}
	if n := len(w.addedBuffers); n != 3 {
		t.Errorf("%d events were added since the commit, want 3", n)
	}
	commit()
	if got := w.buffered; got != 4 {
		t.Fatalf("%d events wait, want 4", got)
	}
	w = start()
	if err := w.RefillFrom(records); err != nil {
		t.Fatal(err)
	}
	if got := w.buffered; got != 4 {
		t.Errorf("%d events wait after a restart, want 4", got)
	}
}
