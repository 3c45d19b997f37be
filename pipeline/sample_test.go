package pipeline_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// sampleSet is a rule with a lookback of a minute.
func sampleSet(t *testing.T) *rules.Set {
	t.Helper()
	return compileQueries(t, rules.SetOptions{}, map[string]string{
		"s": `sample by host.id [any where tag in ("A", "C")] [any where tag in ("B", "C")]`,
	}, map[string]string{"s": "from = \"now-60s\"\n"})
}

// stored names the families of what is in the state, but for the clock.
func stored(t *testing.T, store *state.Store) string {
	t.Helper()
	var families []string
	for _, f := range []state.Family{state.FamilyPartial, state.FamilyEvidence, state.FamilyWaiting, state.FamilyMarks} {
		n := 0
		if err := store.Partition(0).Scan([]byte{byte(f)}, func(_, _ []byte) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		families = append(families, fmt.Sprintf("%c%d", f, n))
	}
	return strings.Join(families, " ")
}

// A sample takes its events and the older ones with it; what is left of them after the lookback is nothing. Each commit is
// followed by a restart.
func TestSampleLeavesNothing(t *testing.T) {
	set := sampleSet(t)
	store := state.OpenMemory()
	steps := []struct {
		record pipeline.Record
		match  string
		stored string // p: partials, e: evidence, w: pages of waiting events, m: pages of hosts
	}{
		{of("h", "A", 0, 0), "", "p0 e0 w1 m1"},
		{of("h", "A", 1, 10_000), "", "p1 e1 w1 m1"},
		{of("h", "A", 2, 20_000), "", "p1 e2 w1 m1"}, // fed: two As, the third waits
		{of("h", "X", 3, 30_000), "", "p1 e2 w0 m1"}, // of three As the two newest are kept
		{of("h", "B", 4, 40_000), "", "p1 e2 w1 m1"},
		{of("h", "X", 5, 50_000), "A2 B4", "p1 e0 w0 m1"}, // the place of the sample is remembered
		{of("h", "X", 6, 90_000), "", "p1 e0 w0 m1"},
		{of("h", "X", 7, 110_000), "", "p0 e0 w0 m0"}, // a lookback later it isn't
		{of("h", "C", 8, 120_000), "", "p0 e0 w1 m1"},
		{of("h", "X", 9, 130_000), "", "p1 e1 w0 m1"}, // one event of both stages is no sample
		{of("h", "X", 10, 190_000), "", "p0 e0 w0 m0"},
	}
	var log []pipeline.Record
	for _, step := range steps {
		w := workerOf(t, set, store, func(*pipeline.Limits) {}, log...)
		log = append(log, step.record)
		process(t, w, step.record)
		if got := strings.Join(ruleMatches(w, "s"), ", "); got != step.match {
			t.Errorf("record %d: matches %q, want %q", step.record.Offset, got, step.match)
		}
		commit(t, w)
		if got := stored(t, store); got != step.stored {
			t.Errorf("record %d: stored %s, want %s", step.record.Offset, got, step.stored)
		}
	}
}

// The cap on partials takes the key whose first event is the oldest.
func TestSampleCap(t *testing.T) {
	w := workerOf(t, sampleSet(t), state.OpenMemory(), func(l *pipeline.Limits) { l.PartialsPerRule = 2 })
	for i, host := range []string{"a", "b", "c"} {
		process(t, w, of(host, "A", int64(i), int64(i)*100))
	}
	process(t, w, of("x", "X", 3, 9000))
	for i, host := range []string{"c", "b", "a"} {
		process(t, w, of(host, "B", int64(4+i), 10_000+int64(i)))
	}
	process(t, w, of("x", "X", 7, 20_000))
	got := ruleMatches(w, "s")
	slices.Sort(got)
	if want := []string{"A1 B5", "A2 B4"}; !slices.Equal(got, want) {
		t.Errorf("matches %v, want %v", got, want)
	}
}

// The warm-up of a replay is no part of a search, and part of a stream.
func TestSampleScope(t *testing.T) {
	records := []pipeline.Record{
		of("h", "A", 0, 0), of("h", "B", 1, 1000), of("h", "B", 2, 2000), // the range begins with offset 2
		of("h", "A", 3, 3000), of("g", "B", 4, 4000), of("g", "A", 5, 5000),
	}
	for _, tt := range []struct {
		mode pipeline.SampleMode
		want []string
	}{
		{pipeline.SamplesBatch, []string{"3 2 ", "5 4 "}},
		{pipeline.SamplesStream, []string{"3 2 ", "5 4 "}}, // (0 1) completes in the warm-up
	} {
		var got []string
		_, err := replay.Backtest(t.Context(), replay.FromRecords(records), replay.Options{
			Config:   sampling(sampleSet(t), tt.mode),
			Reported: func(a pipeline.Alert) bool { return a.Completed.Offset >= 2 },
			Alert:    func(a pipeline.Alert) error { got = append(got, places(a.Match)); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(got)
		if !slices.Equal(got, tt.want) {
			t.Errorf("mode %d: got %q, want %q", tt.mode, got, tt.want)
		}
	}
}

// The order of arrival doesn't matter within the lateness: the samples of a stream are those of the stream sorted by time.
func TestSampleOfDisorder(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{"sample": queries["sample"], "overlap": queries["overlap"]}, settings)
	found := func(records []pipeline.Record) string {
		var lines []string
		_, err := replay.Backtest(t.Context(), replay.FromRecords(records), replay.Options{
			Config: config(set),
			Alert:  func(a pipeline.Alert) error { lines = append(lines, a.RuleID+" "+places(a.Match)); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(lines)
		return strings.Join(lines, "\n")
	}
	total := 0
	for seed := range uint64(30) {
		records := stream(rand.New(rand.NewPCG(seed, 5)), 300, 0)
		want := found(records)
		total += strings.Count(want, "\n")
		var sorted []pipeline.Record
		for _, r := range records {
			var doc struct {
				At int64 `json:"@timestamp"`
			}
			if json.Unmarshal(r.Value, &doc) == nil {
				r.Time, r.Clock = doc.At, pipeline.ClockLogAppend
				sorted = append(sorted, r)
			}
		}
		slices.SortStableFunc(sorted, func(a, b pipeline.Record) int { return cmp.Compare(a.Time, b.Time) })
		if got := found(sorted); got != want {
			t.Errorf("seed %d: sorted\n%s\ndisordered\n%s", seed, got, want)
		}
	}
	if total < 1000 {
		t.Errorf("only %d samples: the streams prove too little", total)
	}
}

// A search takes the earliest sample of each key, whatever it costs; a stream cuts at the lookback.
func TestSampleModes(t *testing.T) {
	records := []pipeline.Record{
		of("h", "A", 0, 0), of("h", "B", 1, 100_000), of("h", "A", 2, 130_000), of("h", "C", 3, 140_000), of("h", "C", 4, 150_000),
	}
	for _, tt := range []struct {
		mode pipeline.SampleMode
		want []string
	}{
		{pipeline.SamplesBatch, []string{"0 1 "}},
		{pipeline.SamplesStream, []string{"2 1 ", "4 3 "}},
	} {
		var got []string
		_, err := replay.Backtest(t.Context(), replay.FromRecords(records), replay.Options{
			Config: sampling(sampleSet(t), tt.mode),
			Alert:  func(a pipeline.Alert) error { got = append(got, places(a.Match)); return nil },
		})
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("mode %d: got %q, want %q", tt.mode, got, tt.want)
		}
	}
}
