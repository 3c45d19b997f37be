package pipeline_test

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// startedBy are rules that join events of any host, by @timestamp, by event.start and by event.end.
var startedBy = map[string]string{
	"plain": `sequence by n with maxspan=3s [any where tag == "A"] [any where tag == "B"]`,
	"start": `sequence by n with maxspan=3s [any where tag == "A"] [any where tag == "B"]`,
	"end":   `sequence by n with maxspan=3s [any where tag == "A"] ![any where tag == "B"]`,
}

var startedSettings = map[string]string{
	"start": "timestamp_field = \"event.start\"\n", "end": "timestamp_field = \"event.end\"\n",
}

// startedSet compiles rules of startedBy.
func startedSet(t *testing.T, o rules.SetOptions, ids ...string) *rules.Set {
	t.Helper()
	queries := map[string]string{}
	for _, id := range ids {
		queries[id] = startedBy[id]
	}
	return compileQueries(t, o, queries, startedSettings)
}

// startedAt makes a record that came at so many milliseconds, with the times of event.start and event.end, if any.
func startedAt(offset, came int64, tag string, times ...int64) pipeline.Record {
	r := at(offset, came, came, tag)
	fields := []byte(`"n":1,"event":{`)
	for i, ms := range times {
		fields = fmt.Appendf(fields, `%q:%d,`, []string{"start", "end"}[i], t0+ms)
	}
	r.Value = bytes.Replace(r.Value, []byte(`"event":{`), fields, 1)
	return r
}

// startedWorker returns a worker over a store with the events that waited read from log.
func startedWorker(t *testing.T, set *rules.Set, store *state.Store, change func(*pipeline.Config), log ...pipeline.Record) *pipeline.Worker {
	t.Helper()
	cfg := config(set)
	if change != nil {
		change(cfg)
	}
	w, err := pipeline.NewWorker(cfg, store.Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := w.RefillFrom(log); err != nil {
		t.Fatal(err)
	}
	return w
}

// sentBy returns what a source hands out for records, with its delays.
func sentBy(t *testing.T, set *rules.Set, records ...pipeline.Record) (events []*rekey.Event, delays []rekey.Delay) {
	t.Helper()
	w := startedWorker(t, set, state.OpenMemory(), func(c *pipeline.Config) { c.Rekey.Partitions = 1 })
	process(t, w, records...)
	for _, r := range w.Output().Rekeyed {
		rec, err := rekey.Decode(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if r.Value[0] != 2 {
			t.Errorf("an event is of version %d: members of the version before must be able to read it", r.Value[0])
		}
		events = append(events, rec.Event)
	}
	return events, w.Delays(7)
}

// TestSentOnceForEachField: an event goes out once for each field that orders it, with its time by that, and the source says by how much
// its times are behind its clock.
func TestSentOnceForEachField(t *testing.T) {
	set := startedSet(t, rules.SetOptions{}, "plain", "start", "end")
	events, delays := sentBy(t, set, startedAt(0, 5000, "A", 1000, 6000), startedAt(1, 6000, "A", 2500, 6200), startedAt(2, 6100, "X", 6100))
	var got []int64
	for _, e := range events {
		got = append(got, e.Ref.Time-t0)
	}
	slices.Sort(got)
	if want := []int64{1000, 2500, 5000, 6000, 6000, 6200}; !slices.Equal(got, want) {
		t.Errorf("sent with the times %v, want %v", got, want)
	}
	want := []rekey.Delay{{Clock: 7, Field: "event.end", Delay: 0}, {Clock: 7, Field: "event.start", Delay: 3500}}
	if !slices.Equal(delays, want) {
		t.Errorf("delays %+v, want %+v", delays, want)
	}
}

// TestWatermarkOfEachField: a target moves the watermark of each field by the clocks of the sources and the delay of that field, once it
// has one.
func TestWatermarkOfEachField(t *testing.T) {
	set := startedSet(t, rules.SetOptions{}, "plain", "start")
	reg := prometheus.NewRegistry()
	w := startedWorker(t, set, state.OpenMemory(), func(c *pipeline.Config) { c.Rekey.Partitions, c.Metrics = 2, pipeline.NewMetrics(reg) })
	receive := receiver(t, w)
	events, _ := sentBy(t, set, startedAt(1, 500, "B", -9600), startedAt(0, 510, "A", -9700))
	for _, e := range events {
		receive(e.Append(nil))
	}
	told := func(source int32, ms, behind int64) {
		report := rekey.Report{Delays: []rekey.Delay{{Source: source, Clock: t0 + ms, Field: "event.start", Delay: behind}}}
		receive(report.Append(nil), progress(source, ms))
	}
	receive(progress(0, 60_000), progress(1, 2490))
	wantMatches(t, w, "start") // nobody has told a delay
	told(1, 2500, 10_100)
	wantMatches(t, w, "start") // the watermark is -9601 ms
	told(1, 2501, 10_100)
	wantMatches(t, w, "start", "A0 B1")
	told(0, 70_000, 0) // it is that of a clock that the other source hasn't come to
	told(1, 60_000, 10_100)
	for _, late := range []bool{true, false} {
		at := int64(60_000 - 10_100 - 2001)
		if !late {
			at++
		}
		events, _ = sentBy(t, set, startedAt(2, 60_000, "A", at))
		receive(events[0].Append(nil), events[1].Append(nil))
		commit(t, w)
		for rule, want := range map[string]float64{"": 1, "start": 1} {
			if got := sumMetric(t, reg, "weir_rule_late_events_total", rule); got != want {
				t.Errorf("late %v: %v late events of rule %q, want %v", late, got, rule, want)
			}
		}
	}
}

// TestFieldAhead: times that are ahead of the record clock are waited for until that is there: what comes later by these times is not late.
func TestFieldAhead(t *testing.T) {
	reg := prometheus.NewRegistry()
	w := startedWorker(t, startedSet(t, rules.SetOptions{}, "start"), state.OpenMemory(), func(c *pipeline.Config) { c.Metrics = pipeline.NewMetrics(reg) })
	process(t, w, startedAt(0, 0, "B", 100_000), startedAt(1, 500, "A", 99_000), startedAt(2, 102_000, "X"))
	wantMatches(t, w, "start")
	process(t, w, startedAt(3, 102_001, "X"))
	wantMatches(t, w, "start", "A1 B0")
	process(t, w, startedAt(4, 200_000, "A", 500_001)) // five minutes ahead, and a millisecond
	commit(t, w)
	if got := sumMetric(t, reg, "weir_future_events_total", ""); got != 1 {
		t.Errorf("%v events clamped, want 1", got)
	}
}

// TestFieldIsMissing: an event without the field is left out by the rules that order events by it, counted once for each, and by no others.
func TestFieldIsMissing(t *testing.T) {
	reg := prometheus.NewRegistry()
	set := startedSet(t, rules.SetOptions{}, "plain", "start", "end")
	w := startedWorker(t, set, state.OpenMemory(), func(c *pipeline.Config) { c.Metrics = pipeline.NewMetrics(reg) })
	process(t, w, startedAt(0, 0, "A", 0), startedAt(1, 100, "B", 100), startedAt(2, 9000, "X", 9000))
	wantMatches(t, w, "plain", "A0 B1")
	wantMatches(t, w, "start", "A0 B1")
	commit(t, w)
	for rule, want := range map[string]float64{"": 2, "end": 2} {
		if got := sumMetric(t, reg, "weir_rule_timeless_events_total", rule); got != want {
			t.Errorf("%v events of rule %q have no time, want %v", got, rule, want)
		}
	}
}

// TestEventWaitsInTwoOrders: an event that waits by two fields is stored for each of them, under keys of its own.
func TestEventWaitsInTwoOrders(t *testing.T) {
	set, store := startedSet(t, rules.SetOptions{}, "plain", "start"), state.OpenMemory()
	w := startedWorker(t, set, store, nil)
	process(t, w, startedAt(0, 0, "A", 50), startedAt(1, 100, "B", 60))
	commit(t, w)
	w = startedWorker(t, set, store, nil)
	process(t, w, startedAt(2, 9000, "X", 9000))
	wantMatches(t, w, "plain", "A0 B1")
	wantMatches(t, w, "start", "A0 B1")
}

// TestOrderGoesWithItsRules: what is stored of an order goes when no rule has its field any more, at a reload as over a restart; a rule that
// comes back finds nothing of it.
func TestOrderGoesWithItsRules(t *testing.T) {
	both, plain := startedSet(t, rules.SetOptions{}, "plain", "start"), startedSet(t, rules.SetOptions{}, "plain")
	for _, reload := range []bool{true, false} {
		store := state.OpenMemory()
		stored := func() (n int) {
			err := store.Partition(0).ScanKeys([]byte{byte(state.FamilySources)}, func(key []byte) error {
				if !bytes.Equal(key, state.AppendSourcesKey(nil)) {
					n++
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		w := startedWorker(t, both, store, nil)
		process(t, w, startedAt(0, 0, "A", -5000), startedAt(1, 3000, "A", -2000))
		commit(t, w)
		if n := stored(); n != 1 {
			t.Fatalf("%d orders by a field are stored, want 1", n)
		}
		change := func(set *rules.Set) {
			if !reload {
				w = startedWorker(t, set, store, nil)
				return
			}
			cfg, err := config(both).WithSet(set)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Swap(cfg); err != nil {
				t.Fatal(err)
			}
		}
		change(plain)
		commit(t, w)
		if n := stored(); n != 0 {
			t.Errorf("reload %v: %d orders by a field are stored without its rules", reload, n)
		}
		change(both)
		process(t, w, startedAt(2, 3100, "B", -1900), startedAt(3, 9000, "X"))
		wantMatches(t, w, "plain", "A1 B2")
		wantMatches(t, w, "start")
	}
}

// TestStateOfTheVersionBefore: a rule with a timestamp_field was ordered by its events' hosts before. What is stored of it so is dropped, once,
// and the rest of the state goes on.
func TestStateOfTheVersionBefore(t *testing.T) {
	before := startedSet(t, rules.SetOptions{HostKeys: append(rules.DefaultHostKeys(), "n")}, "start")
	now := startedSet(t, rules.SetOptions{}, "start")
	log := []pipeline.Record{startedAt(0, 0, "A", 0), startedAt(1, 2500, "A", 2500), startedAt(2, 2600, "B", 2600), startedAt(3, 9000, "X", 9000)}
	store, reg := state.OpenMemory(), prometheus.NewRegistry()
	w := startedWorker(t, before, store, nil)
	process(t, w, log[:2]...) // one is a partial, the other waits
	commit(t, w)
	w = startedWorker(t, before, store, nil, log...)
	process(t, w, log[2:]...)
	wantMatches(t, w, "start", "A1 B2")
	w = startedWorker(t, now, store, func(c *pipeline.Config) { c.Metrics = pipeline.NewMetrics(reg) }, log...)
	process(t, w, log[2:]...)
	wantMatches(t, w, "start")
	commit(t, w)
	for name, want := range map[string]float64{"weir_partials_discarded_total": 1, "weir_reorder_buffer_discarded_total": 1} {
		if got := sumMetric(t, reg, name, ""); got != want {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}
