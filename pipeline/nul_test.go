package pipeline_test

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// ofHost makes a record of a host, whose name is as JSON has it, that came at so many milliseconds and began at start.
func ofHost(host, tag string, offset, at, start int64) pipeline.Record {
	return pipeline.Record{
		Topic: "events", Offset: offset, Time: t0 + at, Clock: pipeline.ClockLogAppend,
		Value: fmt.Appendf(nil, `{"@timestamp":%d,"event":{"created":%d,"start":%d,"id":"%s%d","category":"process"},"host":{"id":"%s"},"agent":{"id":"a"},"tag":%q}`,
			t0+at, t0+at, t0+start, tag, offset, host, tag),
	}
}

// alertKeys returns the keys of what a worker has put out.
func alertKeys(w *pipeline.Worker) []string {
	keys := []string{}
	for _, a := range w.Output().Alerts {
		keys = append(keys, string(a.Key))
	}
	slices.Sort(keys)
	return keys
}

// TestHostNamesWithNUL: hosts may name themselves as what the pipeline itself names with a NUL, and lose nothing by a restart.
func TestHostNamesWithNUL(t *testing.T) {
	queries := map[string]string{
		"p": pairByHost, "any": `sequence by tag with maxspan=1s [any where tag == "C"] [any where tag == "D"]`,
		"start": pairByHost,
	}
	settings := map[string]string{"start": "timestamp_field = \"event.start\"\n"}
	for _, host := range []string{"h", `\u0000x`, `\u0000shared`, `\u0000`, `z\u0000event.start`, `h\u0000`} {
		for _, restart := range []bool{false, true} {
			log := []pipeline.Record{ofHost(host, "A", 0, 0, 0), ofHost("z", "X", 1, 9000, 9000), ofHost(host, "B", 2, 10_000, 10_000), ofHost("z", "X", 3, 30_000, 30_000)}
			d := &driver{t: t, cfg: config(compileQueries(t, rules.SetOptions{}, queries, settings)), store: state.OpenMemory(), out: map[string]string{}, log: log}
			w := d.worker()
			process(t, w, log[:2]...)
			d.commit(w)
			if restart {
				w = d.worker()
			}
			process(t, w, log[2:]...)
			d.commit(w)
			if len(d.out) != 2 { // one of each rule
				t.Errorf("host %q, restart %v: alerts %v", host, restart, slices.Collect(maps.Keys(d.out)))
			}
		}
	}
}

// TestHostNamedAsAnOrder: a host doesn't move the watermark of another's order by a timestamp field, and is told apart from it.
func TestHostNamedAsAnOrder(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{
		"start": pairByHost, "any": `sequence with maxspan=30s [any where tag == "A"] [any where tag == "C"]`,
	}, map[string]string{"start": "timestamp_field = \"event.start\"\n"})
	d := &driver{t: t, cfg: config(set), store: state.OpenMemory(), out: map[string]string{}}
	w := d.worker()
	ahead := ofHost(`h\u0000event.start`, "C", 1, 20_000, 20_000)
	ahead.Time = t0 + 1100
	process(t, w, ofHost("h", "B", 0, 1000, 2000), ahead, ofHost("h", "A", 2, 1200, 1000), ofHost("z", "X", 3, 90_000, 90_000))
	got := map[string][]string{}
	for _, a := range w.Output().Alerts {
		got[a.RuleID] = append([]string{string(a.Key)}, a.Hosts...)
	}
	want := map[string][]string{"start": {"h"}, "any": {"h\x00event.start", "h", "h\uFFFDevent.start"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}

// TestWaitingUnderNameWithNUL: a state from before names were freed of NULs has hosts with it, and what waited for them goes on.
func TestWaitingUnderNameWithNUL(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{"p": pairByHost}, nil)
	d := &driver{t: t, cfg: config(set), store: state.OpenMemory(), out: map[string]string{}}
	w := d.worker()
	process(t, w, ofHost("?x", "A", 0, 0, 0))
	commit(t, w)
	var o state.Overlay
	renamed := 0
	if err := d.store.Partition(0).Scan(nil, func(key, value []byte) error {
		renamed += bytes.Count(value, []byte("?x"))
		o.Put(slices.Clone(key), bytes.ReplaceAll(value, []byte("?x"), []byte("\x00x")))
		return nil
	}); err != nil || renamed != 1 {
		t.Fatal(renamed, err)
	}
	if err := d.store.Partition(0).Apply(&o, state.Checkpoint{}); err != nil {
		t.Fatal(err)
	}
	d.log = []pipeline.Record{ofHost(`\u0000x`, "A", 0, 0, 0)}
	w = d.worker()
	process(t, w, ofHost(`\u0000x`, "B", 1, 1000, 1000), ofHost("z", "X", 2, 30_000, 30_000))
	if got := alertKeys(w); len(got) != 1 {
		t.Errorf("alerts of %q, want one", got)
	}
}
