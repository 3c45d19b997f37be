package pipeline_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// runSets runs a stream in batches of random sizes, each with the rule set of a random one of the configurations, which the
// worker takes over after the commit, or a new worker with what it finds in the store; now and then a batch is aborted.
func runSets(t *testing.T, records []pipeline.Record, rnd *rand.Rand, cfgs ...*pipeline.Config) map[string]string {
	t.Helper()
	d := &driver{t: t, store: state.OpenMemory(), out: map[string]string{}, log: records}
	var w *pipeline.Worker
	for {
		d.cfg = cfgs[rnd.IntN(len(cfgs))]
		if w == nil || rnd.IntN(3) == 0 {
			w = d.worker()
		} else if err := w.Swap(d.cfg); err != nil {
			t.Fatal(err)
		}
		n := min(len(records), 1+rnd.IntN(40))
		if err := w.Process(records[:n]); err != nil {
			t.Fatal(err)
		}
		if rnd.IntN(6) == 0 && len(records) > n {
			w.Changes()
			d.reload(w)
			continue
		}
		if records = records[n:]; len(records) == 0 {
			if err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			d.commit(w)
			return d.out
		}
		d.commit(w)
	}
}

func withSet(t *testing.T, cfg *pipeline.Config, set *rules.Set) *pipeline.Config {
	t.Helper()
	next, err := cfg.WithSet(set)
	if err != nil {
		t.Fatal(err)
	}
	return next
}

// TestReloadOfTheSameRules: a reload at any commit, of rules that only stand in another order, with other fields in other
// slots, changes no alert.
func TestReloadOfTheSameRules(t *testing.T) {
	base := config(compile(t, rules.SetOptions{}))
	more := map[string]string{"0 first": `any where process.thread.id == 77 and user.name == "none"`}
	maps.Copy(more, queries)
	again := withSet(t, base, compileQueries(t, rules.SetOptions{}, more, settings))
	for seed := range seedsOf(20) {
		records := stream(rand.New(rand.NewPCG(seed, 11)), 300, int(seed%3)*10)
		want := (&driver{t: t, cfg: base, store: state.OpenMemory(), out: map[string]string{}}).run(records)
		compareAlerts(t, fmt.Sprintf("seed %d", seed), want, runSets(t, records, rand.New(rand.NewPCG(seed, 12)), base, again))
	}
}

func seedsOf(n uint64) uint64 {
	if testing.Short() {
		return n / 5
	}
	return n
}

// TestReloadOfOneRule: while one rule is changed, removed or added again and again, all others give the alerts that they
// give without that.
func TestReloadOfOneRule(t *testing.T) {
	base := config(compile(t, rules.SetOptions{}))
	var ids []string
	for id := range queries {
		ids = append(ids, id)
	}
	alerts := 0
	for seed := range seedsOf(30) {
		rnd := rand.New(rand.NewPCG(seed, 13))
		changed, removed := maps.Clone(queries), maps.Clone(queries)
		id := ids[rnd.IntN(len(ids))]
		changed[id] = strings.Replace(queries[id], `any where tag ==`, `process where process.pid >= 0 and tag ==`, 1)
		delete(removed, id)
		cfgs := []*pipeline.Config{
			base,
			withSet(t, base, compileQueries(t, rules.SetOptions{}, changed, settings)),
			withSet(t, base, compileQueries(t, rules.SetOptions{}, removed, settings)),
		}
		records := stream(rnd, 300, 0) // a late event's fate hangs on what else waits for its host
		want := (&driver{t: t, cfg: base, store: state.OpenMemory(), out: map[string]string{}}).run(records)
		got := runSets(t, records, rnd, cfgs...)
		named := fmt.Sprintf(`"name":%q`, id)
		for _, list := range []map[string]string{want, got} {
			maps.DeleteFunc(list, func(_, body string) bool { return strings.Contains(body, named) })
		}
		compareAlerts(t, fmt.Sprintf("seed %d, rule %s", seed, id), want, got)
		alerts += len(want)
	}
	if alerts < 500 && !testing.Short() {
		t.Errorf("only %d alerts: the streams prove too little", alerts)
	}
}

// TestReloadDropsAndCounts: what belongs to a changed or removed rule is dropped with tombstones, and counted; a rule that is
// added doesn't see the events that wait for others.
func TestReloadDropsAndCounts(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("new worker=%v", again), func(t *testing.T) { testDropsAndCounts(t, again) })
	}
}

func testDropsAndCounts(t *testing.T, again bool) {
	t.Helper()
	old := compileQueries(t, rules.SetOptions{}, map[string]string{
		"kept":    `sequence by host.id with maxspan=1h [any where tag == "A"] [any where tag == "B"]`,
		"changed": `sequence by host.id with maxspan=1h [any where tag == "A"] [any where tag == "C"]`,
		"removed": `sequence by host.id with maxspan=1h [any where tag == "D"] [any where tag == "E"]`,
	}, nil)
	next := compileQueries(t, rules.SetOptions{}, map[string]string{
		"kept":    `sequence by host.id with maxspan=1h [any where tag == "A"]   [any where tag == "B"] // the same`,
		"changed": `sequence by host.id with maxspan=1h [any where tag == "A"] [any where tag == "C" and n == 0]`,
		"added":   `sequence by host.id with maxspan=1h [any where tag == "A"] ![any where tag == "X"] [any where tag == "B"]`,
	}, nil)
	event := func(offset, at int64, tag string) pipeline.Record {
		at += 1_790_000_000_000
		return pipeline.Record{
			Topic: "events", Offset: offset, Time: at, Clock: pipeline.ClockLogAppend,
			Value: fmt.Appendf(nil, `{"@timestamp":%d,"event":{"id":"e%d","category":"process"},"host":{"id":"h"},"tag":%q,"n":0}`, at, offset, tag),
		}
	}
	reg := prometheus.NewRegistry()
	cfg := config(old)
	cfg.Metrics = pipeline.NewMetrics(reg)
	d := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}}
	w := d.worker()
	// Two partials of A, one of D; then an A and a D still wait for the watermark.
	d.log = []pipeline.Record{event(0, 0, "A"), event(1, 1, "D"), event(2, 60_000, "X"), event(3, 61_000, "A"), event(4, 61_000, "D")}
	if err := w.Process(d.log); err != nil {
		t.Fatal(err)
	}
	d.commit(w)
	d.cfg = withSet(t, cfg, next)
	if again {
		w = d.worker()
	} else if err := w.Swap(d.cfg); err != nil {
		t.Fatal(err)
	}
	deleted := 0
	for _, value := range w.Changes().All() {
		if value == nil {
			deleted++
		}
	}
	// The partials of changed and removed, with the evidence of D. The waiting D is left out of its page.
	if deleted != 3 {
		t.Errorf("%d tombstones, want 3", deleted)
	}
	if err := w.Process([]pipeline.Record{event(5, 70_000, "C"), event(6, 71_000, "E"), event(7, 72_000, "B"), event(8, 90_000, "X")}); err != nil {
		t.Fatal(err)
	}
	d.commit(w)
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	d.commit(w)
	var got []string
	for _, body := range d.out {
		got = append(got, body)
	}
	if len(got) != 1 || !strings.Contains(got[0], `"name":"kept"`) {
		t.Errorf("alerts %v, want one of the rule kept", got)
	}
	expectMetric(t, reg, "weir_partials_discarded_total", 2)
	expectMetric(t, reg, "weir_reorder_buffer_discarded_total", 1)
}
