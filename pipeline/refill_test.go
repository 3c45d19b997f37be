package pipeline_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// TestSameAlertsWithTightBuffers: with little memory for documents, so that they go to the store, and with little room in the
// reorder buffer, so that events leave it early, restarts and aborts change no alert either.
func TestSameAlertsWithTightBuffers(t *testing.T) {
	set := compile(t, rules.SetOptions{})
	limits := map[string]func(*pipeline.Limits){
		"all spilled":  func(l *pipeline.Limits) { l.BufferedBytes = 1 },
		"some spilled": func(l *pipeline.Limits) { l.BufferedBytes = 400 },
		"overflow":     func(l *pipeline.Limits) { l.Buffered = 12 },
		"both":         func(l *pipeline.Limits) { l.Buffered, l.BufferedBytes = 7, 700 },
	}
	for _, name := range slices.Sorted(maps.Keys(limits)) {
		reg := prometheus.NewRegistry()
		cfg := config(set)
		cfg.Metrics = pipeline.NewMetrics(reg)
		limits[name](&cfg.Limits)
		for seed := range seedsOf(8) {
			records := stream(rand.New(rand.NewPCG(seed, 21)), 300, int(seed%3)*10)
			want := (&driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}}).run(records)
			parts := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}, rnd: rand.New(rand.NewPCG(seed, 22))}
			compareAlerts(t, fmt.Sprintf("%s, seed %d", name, seed), want, parts.run(records))
		}
		spilled, overflow := sumMetric(t, reg, "weir_reorder_buffer_spilled_total", ""), sumMetric(t, reg, "weir_reorder_buffer_overflow_total", "")
		if (spilled > 0) != (name != "overflow") || (overflow > 0) != (name == "overflow" || name == "both") {
			t.Errorf("%s: %v spilled, %v overflown", name, spilled, overflow)
		}
	}
}

// TestRefillAtEveryPoint restarts after every record, and gives the records back one by one in any order, with others and
// some twice.
func TestRefillAtEveryPoint(t *testing.T) {
	set := compile(t, rules.SetOptions{})
	for seed := range seedsOf(5) {
		rnd := rand.New(rand.NewPCG(seed, 31))
		records := stream(rnd, 120, int(seed%3)*10)
		want := (&driver{t: t, cfg: config(set), store: state.OpenMemory(), out: map[string]string{}}).run(records)
		d := &driver{t: t, cfg: config(set), store: state.OpenMemory(), out: map[string]string{}}
		refilled := 0
		for n := range records {
			w, err := pipeline.NewWorker(d.cfg, d.store.Partition(0), 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Reload(); err != nil {
				t.Fatal(err)
			}
			missing := w.Missing()
			if len(missing) > 0 {
				refilled++
				log := slices.Concat(records[:n], records[:n])
				rnd.Shuffle(len(log), func(i, j int) { log[i], log[j] = log[j], log[i] })
				for _, r := range log {
					if r.Offset >= missing[0].From && r.Offset < missing[0].To {
						w.Refill([]pipeline.Record{r})
					}
				}
			}
			if lost, err := w.Refilled(); err != nil || lost > 0 || len(w.Missing()) > 0 {
				t.Fatalf("record %d: %d lost of %v, %v", n, lost, missing, err)
			}
			process(t, w, records[n])
			if n == len(records)-1 {
				if err := w.Finish(); err != nil {
					t.Fatal(err)
				}
			}
			d.commit(w)
		}
		compareAlerts(t, fmt.Sprintf("seed %d", seed), want, d.out)
		if refilled < 30 {
			t.Errorf("seed %d: only %d restarts had anything to read again", seed, refilled)
		}
	}
}

// TestRecordsBeforeTheRefillAreRefused: a worker that was reloaded doesn't go on without what waited.
func TestRecordsBeforeTheRefillAreRefused(t *testing.T) {
	set, store := sampleSet(t), state.OpenMemory()
	w := workerOf(t, set, store, func(*pipeline.Limits) {})
	process(t, w, of("h", "A", 7, 0))
	commit(t, w)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]pipeline.Span{{Topic: "events", From: 7, To: 8}}, w.Missing()); diff != "" {
		t.Errorf("missing (-want +got):\n%s", diff)
	}
	if err := w.Process([]pipeline.Record{of("h", "B", 8, 0)}); err == nil || !strings.Contains(err.Error(), "BUG") {
		t.Errorf("error %v, want one that names the bug", err)
	}
}

// TestWaitingEventsGone: events that waited and aren't on the input any more are lost, and counted; so are those in whose
// place another event stands. The rest goes on, also after another restart.
func TestWaitingEventsGone(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{
		"p": `sequence by host.id with maxspan=60s [any where tag == "A"] [any where tag == "B"]`,
	}, nil)
	reg := prometheus.NewRegistry()
	cfg := config(set)
	cfg.Metrics = pipeline.NewMetrics(reg)
	d := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}}
	w := d.worker()
	process(t, w, of("gone", "A", 0, 0), of("kept", "A", 1, 1), of("other", "A", 2, 2), of("early", "A", 3, 3))
	d.commit(w)
	w, err := pipeline.NewWorker(cfg, d.store.Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	w.Refill([]pipeline.Record{of("kept", "A", 1, 1), of("stranger", "A", 2, 2), of("early", "A", 3, 2)})
	if lost, err := w.Refilled(); err != nil || lost != 3 {
		t.Fatalf("%d lost, %v; want 3", lost, err)
	}
	process(t, w, of("q", "X", 4, 10))
	d.commit(w)
	d.log = []pipeline.Record{of("kept", "A", 1, 1)}
	w = d.worker()
	for i, host := range []string{"gone", "kept", "other", "early"} {
		process(t, w, of(host, "B", int64(5+i), 5000))
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	wantMatches(t, w, "p", "A1 B6")
	expectMetric(t, reg, "weir_reorder_buffer_lost_total", 3)
}

// TestRuleThatComesBack: a rule that was away while an event waited doesn't see it, whether or not the worker was restarted
// since.
func TestRuleThatComesBack(t *testing.T) {
	rule := map[string]string{"p": `sequence by host.id with maxspan=60s [any where tag == "A"] [any where tag == "B"]`}
	with := maps.Clone(rule)
	with["q"] = `sequence by host.id with maxspan=60s [any where tag == "A"] [any where tag == "C"]`
	first := config(compileQueries(t, rules.SetOptions{}, with, nil))
	less := withSet(t, first, compileQueries(t, rules.SetOptions{}, rule, nil))
	for _, restart := range []string{"", "less", "more", "less more"} {
		d := &driver{t: t, cfg: first, store: state.OpenMemory(), out: map[string]string{}, log: []pipeline.Record{of("h", "A", 0, 0)}}
		w := d.worker()
		process(t, w, d.log...)
		d.commit(w)
		for i, cfg := range []*pipeline.Config{less, first} {
			if d.cfg = cfg; strings.Contains(restart, []string{"less", "more"}[i]) {
				w = d.worker()
			} else if err := w.Swap(cfg); err != nil {
				t.Fatal(err)
			}
			d.commit(w)
		}
		w = d.worker()
		process(t, w, of("h", "B", 1, 1000), of("h", "C", 2, 2000))
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		wantMatches(t, w, "p", "A0 B1")
		wantMatches(t, w, "q")
	}
}

// TestManyHostsAndEvents: pages fill, empty and are used again, and restarts find what was left in them.
func TestManyHostsAndEvents(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{
		"p": `sequence by host.id with maxspan=4s [any where tag == "A"] [any where tag == "B"]`,
	}, nil)
	rnd := rand.New(rand.NewPCG(1, 41))
	var records []pipeline.Record
	for i := range int64(6000) {
		hosts := 300
		if i/1500%2 == 1 {
			hosts = 3 // a quiet time empties the pages
		}
		records = append(records, of(fmt.Sprint("h", rnd.IntN(hosts)), string("ABX"[rnd.IntN(3)]), i, i*2+rnd.Int64N(500)))
	}
	run := func(rnd *rand.Rand) map[string]string {
		return (&driver{t: t, cfg: config(set), store: state.OpenMemory(), out: map[string]string{}, rnd: rnd}).run(records)
	}
	want := run(nil)
	compareAlerts(t, "restarts", want, run(rand.New(rand.NewPCG(2, 42))))
	if len(want) < 500 {
		t.Errorf("only %d alerts", len(want))
	}
}
