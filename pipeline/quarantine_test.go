package pipeline_test

import (
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// wall is a clock that tests move.
type wall struct {
	now  time.Time
	step time.Duration // with each look
}

func (w *wall) look() time.Time {
	w.now = w.now.Add(w.step)
	return w.now
}

// quarantined is a worker with a quarantine.
type quarantined struct {
	*pipeline.Worker
	q     *pipeline.Quarantine
	cfg   *pipeline.Config
	reg   *prometheus.Registry
	log   *strings.Builder
	store *state.Store
	clock *wall
}

func newQuarantined(t *testing.T, set *rules.Set, o pipeline.QuarantineOptions) *quarantined {
	t.Helper()
	w := &quarantined{reg: prometheus.NewRegistry(), log: &strings.Builder{}, store: state.OpenMemory(), clock: &wall{now: time.UnixMilli(t0)}}
	o.Now, o.Logger = w.clock.look, slog.New(slog.NewTextHandler(w.log, nil))
	w.q = pipeline.NewQuarantine(o, w.reg)
	w.cfg = &pipeline.Config{
		Set: set, Alerts: alert.NewECS(alert.Options{}), Quarantine: w.q, Metrics: pipeline.NewMetrics(w.reg),
	}
	w.cfg.EnsureDefaults()
	var err error
	if w.Worker, err = pipeline.NewWorker(w.cfg, w.store.Partition(3), 3); err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	return w
}

func pairSet(t *testing.T, changed string) *rules.Set {
	t.Helper()
	return compileQueries(t, rules.SetOptions{}, map[string]string{
		"greedy": `sequence by host.id with maxspan=60s [any where tag == "A"] [any where tag == "B"` + changed + `]`,
		"modest": `sequence by host.id with maxspan=60s [any where tag == "C"] [any where tag == "B"]`,
		"single": `any where tag == "D"`,
	}, nil)
}

// A rule with too many partials rests on its partition: nothing of it is left, others go on, and after a while it is tried again.
func TestQuarantineOfARuleWithTooManyPartials(t *testing.T) {
	w := newQuarantined(t, pairSet(t, ""), pipeline.QuarantineOptions{Partials: 3, Hold: time.Minute})
	process(t, w.Worker, of("a", "A", 0, 0), of("b", "A", 1, 100), of("c", "A", 2, 200), of("a", "C", 3, 300), of("q", "X", 4, 9000))
	commit(t, w.Worker)
	if got := w.Partials(); got != 4 || len(w.q.Notes()) > 0 {
		t.Fatalf("%d partials, notes %q", got, w.q.Notes())
	}
	process(t, w.Worker, of("d", "A", 5, 10_000), of("q", "X", 6, 19_000), of("e", "A", 7, 20_000), of("a", "B", 8, 20_000), of("q", "X", 9, 29_000))
	if got := ruleMatches(w.Worker, "greedy"); len(got) > 0 {
		t.Errorf("matches of the rule in quarantine: %v", got)
	}
	wantMatches(t, w.Worker, "modest", "C3 B8")
	commit(t, w.Worker)
	if got := w.Partials(); got != 0 {
		t.Errorf("%d partials are left", got)
	}
	if err := w.store.Partition(3).Scan([]byte{byte(state.FamilyPartial)}, func(key, _ []byte) error {
		t.Errorf("the store still has %q", key)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	expectMetric(t, w.reg, "weir_rule_quarantine_partials_dropped_total", 4)
	expectMetric(t, w.reg, "weir_rule_quarantine_skipped_total", 2)
	expectMetric(t, w.reg, "weir_rule_quarantined", 1)
	expectMetric(t, w.reg, "weir_rule_quarantines_total", 1)
	notes := w.q.Notes()
	if len(notes) != 1 || !strings.Contains(notes[0], "rule greedy (greedy) is in quarantine on partition 3 until") ||
		!strings.Contains(notes[0], "4 live partials, limits.rule_partials is 3; narrow") {
		t.Errorf("notes %q", notes)
	}
	if !strings.Contains(w.log.String(), "rule_id=greedy") {
		t.Errorf("log %q", w.log)
	}

	w.clock.now = w.clock.now.Add(2 * time.Minute)
	process(t, w.Worker, of("a", "A", 10, 130_000), of("a", "B", 11, 130_500), of("q", "X", 12, 140_000))
	wantMatches(t, w.Worker, "greedy", "A10 B11")
	commit(t, w.Worker)
	expectMetric(t, w.reg, "weir_rule_quarantined", 0)
	if got := w.q.Notes(); len(got) > 0 {
		t.Errorf("notes %q after the quarantine", got)
	}
}

// A quarantine outlives an abort, a reload of the same rule and a new worker; it ends when the rule's query changes.
func TestQuarantineEndsWithAChangedRule(t *testing.T) {
	w := newQuarantined(t, pairSet(t, ""), pipeline.QuarantineOptions{Partials: 1})
	process(t, w.Worker, of("a", "A", 0, 0), of("b", "A", 1, 100), of("q", "X", 2, 9000))
	commit(t, w.Worker)
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	same := withSet(t, w.cfg, pairSet(t, ""))
	if err := w.Swap(same); err != nil {
		t.Fatal(err)
	}
	process(t, w.Worker, of("a", "A", 3, 10_000), of("a", "B", 4, 10_100), of("q", "X", 5, 19_000))
	if got := ruleMatches(w.Worker, "greedy"); len(got) > 0 {
		t.Errorf("matches of the rule in quarantine: %v", got)
	}
	commit(t, w.Worker)
	if err := w.Swap(withSet(t, same, pairSet(t, ` and n == null`))); err != nil {
		t.Fatal(err)
	}
	if got := w.q.Notes(); len(got) > 0 {
		t.Errorf("notes %q after the rule has changed", got)
	}
	expectMetric(t, w.reg, "weir_rule_quarantined", 0)
	process(t, w.Worker, of("a", "A", 6, 20_000), of("a", "B", 7, 20_100), of("q", "X", 8, 29_000))
	wantMatches(t, w.Worker, "greedy", "A6 B7")
}

// A rule that takes nearly all of the time rests on all partitions: the matcher doesn't evaluate it any more.
func TestQuarantineOfARuleThatTakesTheTime(t *testing.T) {
	w := newQuarantined(t, pairSet(t, ""), pipeline.QuarantineOptions{CPU: 0.5, Window: time.Second})
	w.clock.step = 10 * time.Millisecond // each look at the clock takes so long, and only what is sampled looks
	for i := range int64(200) {
		process(t, w.Worker, of("a", "D", i, i))
		commit(t, w.Worker)
	}
	notes := w.q.Notes()
	if len(notes) != 1 || !strings.Contains(notes[0], "rule single (single) is in quarantine on all partitions") ||
		!strings.Contains(notes[0], "limits.rule_cpu is 50 %") {
		t.Fatalf("notes %q", notes)
	}
	process(t, w.Worker, of("a", "D", 1000, 1000))
	if got := ruleMatches(w.Worker, "single"); len(got) > 0 {
		t.Errorf("matches of the rule in quarantine: %v", got)
	}
	commit(t, w.Worker)
	if got := sumMetric(t, w.reg, "weir_rule_quarantine_skipped_total", ""); got < 1 {
		t.Errorf("%v candidates skipped", got)
	}
}

// again returns a worker of another process on the same store, with its own quarantine.
func (w *quarantined) again(t *testing.T, set *rules.Set, o pipeline.QuarantineOptions) *quarantined {
	t.Helper()
	next := newQuarantined(t, set, pipeline.QuarantineOptions{})
	next.store, next.clock.now = w.store, w.clock.now
	o.Now, o.Logger = next.clock.look, slog.New(slog.NewTextHandler(next.log, nil))
	next.reg = prometheus.NewRegistry()
	next.q = pipeline.NewQuarantine(o, next.reg)
	next.cfg.Quarantine, next.cfg.Metrics = next.q, pipeline.NewMetrics(next.reg)
	var err error
	if next.Worker, err = pipeline.NewWorker(next.cfg, w.store.Partition(3), 3); err != nil {
		t.Fatal(err)
	}
	if err := next.Reload(); err != nil {
		t.Fatal(err)
	}
	return next
}

// storedRests reports whether the store says that rules rest.
func (w *quarantined) storedRests(t *testing.T) bool {
	t.Helper()
	_, ok, err := w.store.Partition(3).Get(state.AppendQuarantineKey(nil))
	if err != nil {
		t.Fatal(err)
	}
	return ok
}

// TestQuarantineIsStored: a rule that rests does so in another process that reads the state too, until its time is over; and not where the
// rule has changed, or the budget was raised or taken away. Then the state says so no more.
func TestQuarantineIsStored(t *testing.T) {
	budget := pipeline.QuarantineOptions{Partials: 1, Hold: time.Minute}
	for _, tt := range []struct {
		name    string
		changed string // what the rule's query is changed by
		o       pipeline.QuarantineOptions
		later   time.Duration
		rests   bool
	}{
		{"at once", "", budget, time.Second, true},
		{"a minute later", "", budget, time.Minute, false},
		{"with a shorter time", "", pipeline.QuarantineOptions{Partials: 1, Hold: 2 * time.Second}, 30 * time.Second, true},
		{"with another rule", ` and n == null`, budget, time.Second, false},
		{"with a raised budget", "", pipeline.QuarantineOptions{Partials: 2, Hold: time.Minute}, time.Second, false},
		{"without a budget", "", pipeline.QuarantineOptions{CPU: 0.5}, time.Second, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			first := newQuarantined(t, pairSet(t, ""), budget)
			process(t, first.Worker, of("a", "A", 0, 0), of("b", "A", 1, 100), of("q", "X", 2, 9000))
			commit(t, first.Worker)
			if !first.storedRests(t) {
				t.Fatal("the store doesn't say that the rule rests")
			}
			first.clock.now = first.clock.now.Add(tt.later)
			w := first.again(t, pairSet(t, tt.changed), tt.o)
			if notes := w.q.Notes(); (len(notes) == 1) != tt.rests {
				t.Fatalf("notes %q", notes)
			}
			if tt.rests {
				expectMetric(t, w.reg, "weir_rule_quarantined", 1)
				if !strings.Contains(w.log.String(), "still in quarantine") || !strings.Contains(w.q.Notes()[0], "2 live partials, limits.rule_partials is 1") {
					t.Errorf("log %q, notes %q", w.log, w.q.Notes())
				}
			}
			process(t, w.Worker, of("a", "A", 3, 10_000), of("a", "B", 4, 10_100), of("q", "X", 5, 19_000))
			if got := ruleMatches(w.Worker, "greedy"); (len(got) == 0) != tt.rests {
				t.Errorf("matches %v", got)
			}
			commit(t, w.Worker)
			if got := w.storedRests(t); got != tt.rests {
				t.Errorf("the store says that rules rest: %v", got)
			}
			if !tt.rests {
				return
			}
			w.clock.now = w.clock.now.Add(time.Minute)
			process(t, w.Worker, of("a", "A", 6, 20_000), of("a", "B", 7, 20_100), of("q", "X", 8, 29_000))
			wantMatches(t, w.Worker, "greedy", "A6 B7")
			commit(t, w.Worker)
			expectMetric(t, w.reg, "weir_rule_quarantined", 0)
			if w.storedRests(t) {
				t.Error("the store says that rules rest when none does")
			}
		})
	}
}

// TestQuarantineMovesWithThePartition: a rule that rests everywhere for CPU rests on the partitions that it is taken over with; who gives a
// partition up knows nothing of it any more. What wasn't committed is tried again.
func TestQuarantineMovesWithThePartition(t *testing.T) {
	o := pipeline.QuarantineOptions{CPU: 0.5, Window: time.Second, Hold: time.Hour}
	first := newQuarantined(t, pairSet(t, ""), o)
	first.clock.step = 10 * time.Millisecond
	for i := range int64(200) {
		process(t, first.Worker, of("a", "D", i, i))
		commit(t, first.Worker)
	}
	w := first.again(t, pairSet(t, ""), o)
	if notes := w.q.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "rule single (single) is in quarantine on partition 3") {
		t.Fatalf("notes %q", notes)
	}
	was := w.q.Notes()
	w.clock.step = 10 * time.Millisecond
	for i := range int64(300) { // more than a window, in which the rule would take all of the time
		process(t, w.Worker, of("a", "D", 1000+i, 1000+i))
		if got := ruleMatches(w.Worker, "single"); len(got) > 0 {
			t.Fatalf("matches of the rule in quarantine: %v", got)
		}
		commit(t, w.Worker)
	}
	if now := w.q.Notes(); !slices.Equal(now, was) {
		t.Errorf("notes %q, they were %q", now, was)
	}
	if strings.Contains(w.log.String(), "put in quarantine") {
		t.Errorf("put in quarantine again: %s", w.log)
	}
	expectMetric(t, w.reg, "weir_rule_quarantine_skipped_total", 300)
	process(t, w.Worker, of("a", "C", 1300, 1300)) // evaluated once, and nothing before it
	commit(t, w.Worker)
	expectMetric(t, w.reg, "weir_rule_evaluations_total", 1)
	w.q.Forget(2)
	if len(w.q.Notes()) != 1 {
		t.Error("forgotten with another partition")
	}
	w.q.Forget(3)
	expectMetric(t, w.reg, "weir_rule_quarantined", 0)
	if again := first.again(t, pairSet(t, ""), o); len(again.q.Notes()) != 1 {
		t.Errorf("notes %q after the partition was given up and taken over again", again.q.Notes())
	}
}

// TestQuarantineOfSharedRulesOnTheirTarget: the partition where a rule that joins events of any host has too many partials goes on matching its own
// events for the others, where the rule doesn't rest.
func TestQuarantineOfSharedRulesOnTheirTarget(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{
		"shared": `sequence by user.name with maxspan=60s [any where tag == "A"] [any where tag == "B"]`,
		"local":  `sequence by host.id with maxspan=60s [any where tag == "A"] [any where tag == "B"]`,
	}, nil)
	w := newQuarantined(t, set, pipeline.QuarantineOptions{Partials: 1})
	process(t, w.Worker, of("a", "A", 0, 0), of("b", "A", 1, 100), of("q", "X", 2, 9000))
	commit(t, w.Worker)
	for _, c := range set.Rules() {
		w.q.Rest(c, 3)
	}
	before := sumMetric(t, w.reg, "weir_rule_evaluations_total", "shared")
	local := sumMetric(t, w.reg, "weir_rule_evaluations_total", "local")
	process(t, w.Worker, of("a", "A", 3, 10_000))
	commit(t, w.Worker)
	if got := sumMetric(t, w.reg, "weir_rule_evaluations_total", "shared"); got != before+1 {
		t.Errorf("%v evaluations of the shared rule, they were %v", got, before)
	}
	if got := sumMetric(t, w.reg, "weir_rule_evaluations_total", "local"); got != local {
		t.Errorf("%v evaluations of the local rule, they were %v", got, local)
	}
}

// TestQuarantineHoldsWhereNothingComes: events that waited when a partition was taken over aren't fed to a rule that rests there, also where the wall
// clock is what ends their waiting.
func TestQuarantineHoldsWhereNothingComes(t *testing.T) {
	o := pipeline.QuarantineOptions{Partials: 100, Hold: time.Hour}
	first := newQuarantined(t, pairSet(t, ""), o)
	log := []pipeline.Record{of("a", "A", 0, 0), of("b", "A", 1, 100), of("a", "A", 2, 100)}
	process(t, first.Worker, log[0], log[1], log[2])
	for _, c := range first.cfg.Set.Rules() {
		if c.Rule.ID == "greedy" {
			first.q.Rest(c, 3)
		}
	}
	commit(t, first.Worker)
	w := first.again(t, pairSet(t, ""), o)
	if err := w.RefillFrom(log); err != nil {
		t.Fatal(err)
	}
	if err := w.Idle(t0 + 30_000); err != nil {
		t.Fatal(err)
	}
	if got := w.Partials(); got != 0 {
		t.Errorf("%d partials of a rule in quarantine", got)
	}
}
