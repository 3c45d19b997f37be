package pipeline_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// brokenQueries are rules of which one's file is broken for a while: that of a host, and that of all hosts.
var brokenQueries = map[string]string{
	"kept":   `sequence by host.id with maxspan=1h [any where tag == "A"] [any where tag == "K"]`,
	"broken": `sequence by host.id with maxspan=1h [any where tag == "A"] [any where tag == "B"]`,
	"across": `sequence by process.pid with maxspan=1h [any where tag == "A"] [any where tag == "C"]`,
}

// brokenRun is a partition whose rules are in three states: whole, incomplete and, for good, without the broken ones.
type brokenRun struct {
	*driver
	reg                  *prometheus.Registry
	whole, broken, fewer *pipeline.Config
	offset               int64
	w                    *pipeline.Worker
	process              func(milli int64, tag string)
}

func newBrokenRun(t *testing.T, limits pipeline.Limits) *brokenRun {
	t.Helper()
	few := map[string]string{"kept": brokenQueries["kept"]}
	reg := prometheus.NewRegistry()
	whole := config(compileQueries(t, rules.SetOptions{}, brokenQueries, nil))
	whole.Metrics = pipeline.NewMetrics(reg)
	whole.Limits = limits
	whole.EnsureDefaults()
	r := &brokenRun{
		driver: &driver{t: t, cfg: whole, store: state.OpenMemory(), out: map[string]string{}}, reg: reg, whole: whole,
		broken: withSet(t, whole, compileQueries(t, rules.SetOptions{Incomplete: true}, few, nil)),
		fewer:  withSet(t, whole, compileQueries(t, rules.SetOptions{}, few, nil)),
	}
	r.process = func(milli int64, tag string) {
		t.Helper()
		rec := at(r.offset, milli, milli, tag)
		r.offset++
		r.log = append(r.log, rec)
		process(t, r.w, rec)
	}
	r.start(whole)
	return r
}

// start makes the worker anew, as after a kill.
func (r *brokenRun) start(cfg *pipeline.Config) {
	r.t.Helper()
	r.cfg = cfg
	r.w = r.worker()
}

// mend goes on with another set, by a reload of the rules or a restart.
func (r *brokenRun) mend(cfg *pipeline.Config, again bool) {
	r.t.Helper()
	if again {
		r.start(cfg)
	} else if err := r.w.Swap(cfg); err != nil {
		r.t.Fatal(err)
	}
}

// alerts returns the rules of the alerts so far with the offsets of their events.
func (r *brokenRun) alerts() []string {
	var out []string
	for _, body := range r.out {
		for id := range brokenQueries {
			if strings.Contains(body, fmt.Sprintf(`"name":%q`, id)) {
				out = append(out, fmt.Sprintf("%s %d", id, strings.Count(body, `"tag":"A"`)))
			}
		}
	}
	slices.Sort(out)
	return out
}

// stored returns the number of records in the store by family, without clock and marks.
func (r *brokenRun) stored() string {
	r.t.Helper()
	counts := map[state.Family]int{}
	for _, f := range []state.Family{state.FamilyPartial, state.FamilyEvidence, state.FamilyShared, state.FamilyUnclaimed} {
		if err := r.store.Partition(0).ScanKeys([]byte{byte(f)}, func([]byte) error { counts[f]++; return nil }); err != nil {
			r.t.Fatal(err)
		}
	}
	return fmt.Sprintf("p%d e%d r%d u%d", counts[state.FamilyPartial], counts[state.FamilyEvidence], counts[state.FamilyShared], counts[state.FamilyUnclaimed])
}

// TestPartialsOfABrokenFileGoOn: what a rule had when its file was broken at a start waits for the file to be mended, over restarts, with its
// evidence, also where another rule lets go of that meanwhile; and so do events that waited for their watermark.
func TestPartialsOfABrokenFileGoOn(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", again), func(t *testing.T) {
			r := newBrokenRun(t, pipeline.Limits{})
			r.process(0, "A") // a partial of each rule
			r.process(10_000, "X")
			r.commit(r.w)
			r.start(r.broken)
			r.process(12_000, "K") // the rule that runs is through with the evidence
			r.process(20_000, "X")
			r.commit(r.w)
			expectMetric(t, r.reg, "weir_unclaimed_partials", 2)
			r.start(r.broken)
			r.process(30_000, "X")
			r.commit(r.w)
			r.mend(r.whole, again)
			r.process(31_000, "B")
			r.process(32_000, "C")
			r.process(40_000, "X")
			r.commit(r.w)
			if got, want := r.alerts(), []string{"across 1", "broken 1", "kept 1"}; !slices.Equal(got, want) {
				t.Errorf("alerts %v, want %v", got, want)
			}
			if got, want := r.stored(), "p0 e0 r0 u0"; got != want {
				t.Errorf("the store has %s, want %s", got, want)
			}
			for name, want := range map[string]float64{"weir_partials_discarded_total": 0, "weir_unclaimed_partials": 0, "weir_unclaimed_expired_total": 0} {
				expectMetric(t, r.reg, name, want)
			}
		})
	}
}

func TestWaitingEventsOfABrokenFileGoOn(t *testing.T) {
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("restart=%v", again), func(t *testing.T) {
			r := newBrokenRun(t, pipeline.Limits{})
			r.process(0, "A") // waits for the watermark
			r.commit(r.w)
			r.start(r.broken)
			r.process(60_000, "X") // which passes it meanwhile
			r.commit(r.w)
			expectMetric(t, r.reg, "weir_unclaimed_events", 2)
			r.start(r.broken)
			r.commit(r.w)
			r.mend(r.whole, again)
			r.process(61_000, "B")
			r.process(62_000, "C")
			r.process(63_000, "K")
			r.process(70_000, "X")
			r.commit(r.w)
			if got, want := r.alerts(), []string{"across 1", "broken 1", "kept 1"}; !slices.Equal(got, want) {
				t.Errorf("alerts %v, want %v", got, want)
			}
			if got, want := r.stored(), "p0 e0 r0 u0"; got != want {
				t.Errorf("the store has %s, want %s", got, want)
			}
			expectMetric(t, r.reg, "weir_reorder_buffer_discarded_total", 0)
		})
	}
}

// TestUnclaimedIsDropped: what nobody claims goes once no file is broken, and what is kept goes when its time is over, with its evidence.
func TestUnclaimedIsDropped(t *testing.T) {
	begin := func(t *testing.T, limits pipeline.Limits) *brokenRun {
		t.Helper()
		r := newBrokenRun(t, limits)
		r.process(0, "A")
		r.process(10_000, "K")
		r.process(20_000, "X")
		r.process(20_500, "A") // waits
		r.commit(r.w)
		r.start(r.broken)
		r.commit(r.w)
		return r
	}
	for _, again := range []bool{false, true} {
		t.Run(fmt.Sprintf("whole without them, restart=%v", again), func(t *testing.T) {
			r := begin(t, pipeline.Limits{})
			if got, want := r.stored(), "p2 e1 r0 u2"; got != want {
				t.Fatalf("the store has %s, want %s", got, want)
			}
			r.mend(r.fewer, again)
			r.commit(r.w)
			if got, want := r.stored(), "p0 e0 r0 u0"; got != want {
				t.Errorf("the store has %s, want %s", got, want)
			}
			expectMetric(t, r.reg, "weir_partials_discarded_total", 2)
			expectMetric(t, r.reg, "weir_unclaimed_expired_total", 0)
		})
	}
	t.Run("maxspan over", func(t *testing.T) {
		r := begin(t, pipeline.Limits{})
		r.process(3_590_000, "X")
		r.commit(r.w)
		expectMetric(t, r.reg, "weir_unclaimed_partials", 2)
		r.process(3_610_000, "X")
		r.commit(r.w)
		expectMetric(t, r.reg, "weir_unclaimed_partials", 0)
		expectMetric(t, r.reg, "weir_unclaimed_expired_total", 2)
		r.process(26*3_600_000, "X")
		r.commit(r.w)
		expectMetric(t, r.reg, "weir_unclaimed_expired_total", 4)
		if got, want := r.stored(), "p0 e0 r0 u0"; got != want {
			t.Errorf("the store has %s, want %s", got, want)
		}
	})
	t.Run("too many", func(t *testing.T) {
		r := begin(t, pipeline.Limits{Buffered: 1})
		r.start(withSet(t, withLimits(r.broken, pipeline.Limits{Partials: 1, Buffered: 1}), r.broken.Set))
		r.commit(r.w)
		if got, want := r.stored(), "p1 e1 r0 u1"; got != want {
			t.Errorf("the store has %s, want %s", got, want)
		}
		expectMetric(t, r.reg, "weir_unclaimed_expired_total", 2)
	})
}

func withLimits(c *pipeline.Config, l pipeline.Limits) *pipeline.Config {
	next := *c
	next.Limits = l
	next.EnsureDefaults()
	return &next
}

// TestBrokenFilesForAMoment: members that know only some of the rules take the partition over again and again and give it back before
// anything comes. The alerts are those of a run in which no file was ever broken, of all rules.
func TestBrokenFilesForAMoment(t *testing.T) {
	base := config(compile(t, rules.SetOptions{}))
	var ids []string
	for id := range queries {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for seed := range seedsOf(30) {
		rnd := rand.New(rand.NewPCG(seed, 21))
		rnd.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
		var cfgs []*pipeline.Config // each lacks some of the rules that the one before it lacks
		for lacks := 5; lacks > 0; lacks -= 2 {
			some := maps.Clone(queries)
			for _, id := range ids[:lacks] {
				delete(some, id)
			}
			cfgs = append(cfgs, withSet(t, base, compileQueries(t, rules.SetOptions{Incomplete: true}, some, settings)))
		}
		records := stream(rnd, 300, 0)
		want := (&driver{t: t, cfg: base, store: state.OpenMemory(), out: map[string]string{}}).run(records)
		d := &driver{t: t, store: state.OpenMemory(), out: map[string]string{}, log: records}
		for len(records) > 0 {
			d.cfg = base
			w := d.worker()
			n := min(len(records), 1+rnd.IntN(40))
			process(t, w, records[:n]...)
			d.commit(w)
			records = records[n:]
			for range rnd.IntN(3) {
				at := rnd.IntN(len(cfgs))
				d.cfg = cfgs[at]
				w = d.worker()
				d.commit(w)
				if at++; at < len(cfgs) && rnd.IntN(2) == 0 { // one of the files is mended
					if err := w.Swap(cfgs[at]); err != nil {
						t.Fatal(err)
					}
					d.commit(w)
				}
			}
			if len(records) > 0 {
				continue
			}
			d.cfg = base
			w = d.worker()
			if err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			d.commit(w)
		}
		compareAlerts(t, fmt.Sprintf("seed %d", seed), want, d.out)
	}
}

// TestBrokenFilesForAMomentOnPartitions: so it is where members that lack rules take partitions over for a moment, with events of rules that
// join hosts waiting on them and on their way.
func TestBrokenFilesForAMomentOnPartitions(t *testing.T) {
	base := config(compile(t, rules.SetOptions{}))
	ids := slices.Sorted(maps.Keys(queries))
	alerts := 0
	for seed := range seedsOf(12) {
		rnd := rand.New(rand.NewPCG(seed, 43))
		partitions := 1 + rnd.IntN(3)
		records := stream(rnd, 300, 0)
		inputs := scatter(records, partitions, byHost(seed, partitions))
		want := alone(t, withLimits(base, base.Limits), records)
		cfg := withLimits(base, base.Limits)
		s := newSpread(t, cfg, partitions, rnd)
		for range 3 {
			some := maps.Clone(queries)
			rnd.Shuffle(len(ids), func(i, j int) { ids[i], ids[j] = ids[j], ids[i] })
			for _, id := range ids[:1+rnd.IntN(6)] {
				delete(some, id)
			}
			s.broken = append(s.broken, withSet(t, cfg, compileQueries(t, rules.SetOptions{Incomplete: true}, some, settings)))
		}
		for n, p := range s.parts {
			p.input = inputs[n]
		}
		compareAlerts(t, fmt.Sprintf("seed %d, %d partitions", seed, partitions), want, s.run())
		for _, body := range want {
			if strings.Contains(body, `"id":"across"`) {
				alerts++
			}
		}
	}
	if alerts < 20 {
		t.Errorf("only %d alerts of a rule that joins hosts: the streams prove too little", alerts)
	}
}
