package pipeline_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// occurrence is an event before it arrives anywhere.
type occurrence struct {
	at    int64
	value string
}

// occurrences makes events of some hosts, with ids of their own; ties are common, and event.sequence decides them.
func occurrences(r *rand.Rand, n int) []occurrence {
	var out []occurrence
	at := t0
	for i := range n {
		at += max(0, r.Int64N(400)-50)
		if r.IntN(40) == 0 {
			at += r.Int64N(20_000)
		}
		out = append(out, occurrence{at, fmt.Sprintf(
			`{"@timestamp":%d,"event":{"id":"e%d","sequence":%d,"created":%d,"start":%d,"end":%d,"category":"process"},"host":{"id":"h%d"},"tag":%q,"n":%d,"process":{"pid":%d,"parent":{"pid":%d}}}`,
			at, i, i, at-r.Int64N(400), at-60_000+int64(i*37%400), at+1600+int64(i*53%400), r.IntN(3), string("ABCDX"[r.IntN(5)]), r.IntN(3), r.IntN(3), r.IntN(3))})
	}
	return out
}

// arrive puts events on a topic, each delayed by less than the lateness that the records' clock and the events' share.
func arrive(r *rand.Rand, events []occurrence, clock pipeline.ClockSource) []pipeline.Record {
	var records []pipeline.Record
	for _, e := range events {
		records = append(records, pipeline.Record{Topic: "events", Time: e.at + r.Int64N(1500), Clock: clock, Value: []byte(e.value)})
	}
	slices.SortStableFunc(records, func(a, b pipeline.Record) int { return cmp.Compare(a.Time, b.Time) })
	for i := range records {
		records[i].Offset = int64(i)
	}
	return records
}

// way is one way to work on a stream.
type way struct {
	name       string
	set        *rules.Set
	batch      int // records of a batch; 0: at random, with aborts and kills
	partitions int
}

// found are the ids of the alerts, sorted, with the wall clock far behind everything at the end.
func (w way) found(t *testing.T, records []pipeline.Record, seed uint64) []string {
	t.Helper()
	rnd := rand.New(rand.NewPCG(seed, 21))
	if w.partitions > 1 {
		s := newSpread(t, config(w.set), w.partitions, rnd)
		for i, part := range scatter(records, w.partitions, byHost(seed, w.partitions)) {
			s.parts[i].input = part
		}
		return ids(s.run())
	}
	d := &driver{t: t, cfg: config(w.set), store: state.OpenMemory(), out: map[string]string{}}
	if w.batch == 0 {
		d.rnd = rnd
		return ids(d.run(records))
	}
	worker := d.worker()
	for batch := range slices.Chunk(records, w.batch) {
		if err := worker.Process(batch); err != nil {
			t.Fatal(err)
		}
		d.commit(worker)
	}
	if err := worker.Idle(lastClock); err != nil {
		t.Fatal(err)
	}
	d.commit(worker)
	return ids(d.out)
}

func ids(alerts map[string]string) []string {
	var out []string
	for id := range alerts {
		out = append(out, id)
	}
	slices.Sort(out)
	return out
}

// TestSameIDsHoweverItArrives: the same events give the same ids in any order of arrival within the lateness, by any clock, in one
// batch, in one of each record, or in any with restarts, on any number of partitions, with the index or without.
func TestSameIDsHoweverItArrives(t *testing.T) {
	plain := compile(t, rules.SetOptions{})
	bare := compile(t, rules.SetOptions{NoIndex: true, Env: eql.EnvOptions{NoSharing: true, NoOptimise: true}})
	ways := []way{
		{"one record per batch", plain, 1, 1},
		{"restarts", plain, 0, 1},
		{"without index", bare, 7, 1},
		{"two partitions", plain, 0, 2},
		{"five partitions, without index", bare, 0, 5},
	}
	clocks := []pipeline.ClockSource{pipeline.ClockLogAppend, pipeline.ClockCreate, pipeline.ClockEvent}
	byRule := map[string]int{}
	for seed := range uint64(4) {
		r := rand.New(rand.NewPCG(seed, 20))
		events := occurrences(r, 200)
		sorted := arrive(rand.New(rand.NewPCG(0, 0)), events, pipeline.ClockLogAppend)
		whole := &driver{t: t, cfg: config(plain), store: state.OpenMemory(), out: map[string]string{}}
		w := whole.worker()
		process(t, w, sorted...)
		if err := w.Idle(lastClock); err != nil {
			t.Fatal(err)
		}
		for _, a := range w.Output().Alerts {
			byRule[a.RuleID]++
		}
		whole.commit(w)
		want := ids(whole.out)
		for i, way := range ways {
			records := arrive(r, events, clocks[(int(seed)+i)%len(clocks)])
			if got := way.found(t, records, seed); !slices.Equal(got, want) {
				t.Errorf("seed %d, %s: %d alerts, want %d; missing %v, too many %v",
					seed, way.name, len(got), len(want), without(want, got), without(got, want))
			}
		}
	}
	for id := range queries {
		if byRule[id] == 0 {
			t.Errorf("no alert of rule %s: the streams prove nothing of it", id)
		}
	}
}

// without returns what is in a and not in b.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// TestOneRecordPerBatch: streams with late events, silences and broken records give the same alerts in the same order, to the byte,
// when each record is a batch.
func TestOneRecordPerBatch(t *testing.T) {
	set := compile(t, rules.SetOptions{})
	for seed := range uint64(3) {
		records := stream(rand.New(rand.NewPCG(seed, 22)), 150, int(seed%3)*5)
		run := func(size int) *driver {
			d := &driver{t: t, cfg: config(set), store: state.OpenMemory(), out: map[string]string{}}
			w := d.worker()
			for batch := range slices.Chunk(records, size) {
				process(t, w, batch...)
				d.commit(w)
			}
			if err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			d.commit(w)
			return d
		}
		whole, single := run(len(records)), run(1)
		compareAlerts(t, fmt.Sprint("seed ", seed), whole.out, single.out)
		if !slices.Equal(whole.order, single.order) {
			t.Errorf("seed %d: the same alerts in another order", seed)
		}
		if len(whole.out) == 0 {
			t.Errorf("seed %d: no alerts", seed)
		}
	}
}
