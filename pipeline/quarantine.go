package pipeline

import (
	"cmp"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/rules"
)

// The reasons for which a rule is in quarantine, as the metric's label has them.
const (
	QuarantineCPU      = "cpu"
	QuarantinePartials = "partials"
)

// QuarantineOptions are the budgets of a rule. A budget of 0 is none.
type QuarantineOptions struct {
	// CPU is the share of the processing time that a rule may take over Window: decoding, matching, sequences and alerts of
	// all partitions of the process. It is looked at only while that time is a tenth of the window at least.
	CPU    float64
	Window time.Duration // default 1 min
	// Partials is the number of live partials that a rule may have on a partition.
	Partials int
	// Hold is how long a rule rests before it is tried again; default 10 min.
	Hold time.Duration
	// Now is the wall clock: a quarantine ends by it, and the processing time is measured with it. Required.
	Now    func() time.Time
	Logger *slog.Logger // nil discards
}

// Quarantine keeps the rules that have exceeded their budgets. A rule in quarantine is not matched and has no partials: for CPU
// on all partitions of the process, for partials on the one where it had too many. What rests on a partition is in its state, and goes with it. All methods are safe for concurrent
// use; those of a nil Quarantine do nothing.
type Quarantine struct {
	o       QuarantineOptions
	began   time.Time
	metrics quarantineMetrics
	changed atomic.Uint64 // grows with each change of what rests

	mu      sync.Mutex // guards the rest
	resting map[quarantineKey]*rest
	busy    time.Duration // processing time in the window
	taken   map[[8]byte]*ruleTime
	window  time.Time // when it began
}

// quarantineKey names what rests: a rule whose query changes is another one.
type quarantineKey struct {
	rule      [8]byte // its state hash
	partition int32   // everywhere: all
}

const everywhere = -1

// rest is a rule in quarantine.
type rest struct {
	id, name, reason, detail string
	budget                   uint64 // what it exceeded
	until                    time.Time
}

// ruleTime is what a rule has taken in the window.
type ruleTime struct {
	rule *rules.Compiled
	took time.Duration
}

type quarantineMetrics struct {
	now   *prometheus.GaugeVec
	total *prometheus.CounterVec
}

// NewQuarantine returns a quarantine in which no rule is, and registers its metrics with reg.
func NewQuarantine(o QuarantineOptions, reg prometheus.Registerer) *Quarantine {
	o.Window = orDefault(o.Window, time.Minute)
	o.Hold = orDefault(o.Hold, 10*time.Minute)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	now := o.Now()
	q := &Quarantine{o: o, began: now, window: now, resting: map[quarantineKey]*rest{}, taken: map[[8]byte]*ruleTime{}}
	q.metrics.now = prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: "weir_rule_quarantined", Help: "Partitions on which a rule is in quarantine; 1 where it was put there on all of them, for cpu, since the start of the process.",
	}, []string{"rule_id", "reason"})
	q.metrics.total = prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "weir_rule_quarantines_total", Help: "Times that a rule was put in quarantine.",
	}, []string{"rule_id", "reason"})
	reg.MustRegister(q.metrics.now, q.metrics.total)
	return q
}

// elapsed reads a clock that only goes forward.
func (q *Quarantine) elapsed() time.Duration { return q.o.Now().Sub(q.began) }

// measures reports whether the time that rules take is of interest.
func (q *Quarantine) measures() bool { return q != nil && q.o.CPU > 0 }

// observe takes in the time that was spent, and by rule number what of it each rule of the set took. It puts rules in
// quarantine at the end of a window.
func (q *Quarantine) observe(set *rules.Set, busy time.Duration, took []time.Duration) {
	if !q.measures() {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.busy += busy
	for _, c := range set.Rules() {
		if d := took[c.Number]; d > 0 {
			t := q.taken[c.StateHash]
			if t == nil {
				t = &ruleTime{}
				q.taken[c.StateHash] = t
			}
			t.rule, t.took = c, t.took+d
		}
	}
	now := q.o.Now()
	length := now.Sub(q.window)
	if length < q.o.Window {
		return
	}
	if q.busy >= length/10 {
		for _, t := range q.taken {
			if share := float64(t.took) / float64(q.busy); share > q.o.CPU {
				q.put(t.rule, everywhere, QuarantineCPU, fmt.Sprintf(
					"it took %.0f %% of the processing time, limits.rule_cpu is %.0f %%", 100*share, 100*q.o.CPU), now)
			}
		}
	}
	q.busy, q.window = 0, now
	clear(q.taken)
}

// tooMany puts a rule in quarantine on a partition where it has too many partials, and reports whether it did.
func (q *Quarantine) tooMany(c *rules.Compiled, partition int32, live int) bool {
	if q == nil || q.o.Partials == 0 || live <= q.o.Partials {
		return false
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(c, partition, QuarantinePartials,
		fmt.Sprintf("it had %d live partials, limits.rule_partials is %d", live, q.o.Partials), q.o.Now())
	return true
}

const remedy = "narrow its conditions or join keys, or raise the limit: a changed rule is matched again as soon as it is loaded"

func (q *Quarantine) put(c *rules.Compiled, partition int32, reason, detail string, now time.Time) {
	key := quarantineKey{c.StateHash, partition}
	if q.resting[key] != nil {
		return
	}
	r := &rest{id: c.Rule.ID, name: c.Rule.Name, reason: reason, detail: detail, budget: q.o.budget(reason), until: now.Add(q.o.Hold)}
	q.resting[key] = r
	q.changed.Add(1)
	q.metrics.now.WithLabelValues(r.id, reason).Inc()
	q.metrics.total.WithLabelValues(r.id, reason).Inc()
	q.o.Logger.Warn("rule put in quarantine: it isn't matched, and attacks that it alone finds are missed",
		slog.String("rule_id", r.id), slog.String("rule_name", r.name), slog.String("where", whereOf(partition)),
		slog.String("reason", detail), slog.Time("until", r.until), slog.String("remedy", remedy))
}

func whereOf(partition int32) string {
	if partition == everywhere {
		return "all partitions"
	}
	return "partition " + strconv.Itoa(int(partition))
}

// release ends the quarantines whose time is over.
func (q *Quarantine) release() {
	now := q.o.Now()
	for key, r := range q.resting {
		if now.Before(r.until) {
			continue
		}
		q.drop(key, r)
		q.o.Logger.Info("rule out of quarantine: it is tried again",
			slog.String("rule_id", r.id), slog.String("where", whereOf(key.partition)))
	}
}

func (q *Quarantine) drop(key quarantineKey, r *rest) {
	delete(q.resting, key)
	q.changed.Add(1)
	q.metrics.now.WithLabelValues(r.id, r.reason).Dec()
}

// Keep ends the quarantines of rules that are not in the set: they were removed, or changed and are others now.
func (q *Quarantine) Keep(set *rules.Set) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, r := range q.resting {
		if !slices.ContainsFunc(set.Rules(), func(c *rules.Compiled) bool { return c.StateHash == key.rule }) {
			q.drop(key, r)
		}
	}
}

// version changes when restingOn would answer otherwise.
func (q *Quarantine) version() uint64 {
	if q == nil {
		return 0
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release()
	return q.changed.Load()
}

// restingOn returns by rule number which rules of the set rest on a partition, or everywhere; nil for none.
func (q *Quarantine) restingOn(set *rules.Set, partition int32) []bool {
	return q.restingWhere(set, partition, func(*rules.Compiled, *rest) bool { return true })
}

// unmatchedOn returns by rule number which rules the events of a partition aren't matched against; nil for none. A rule that has too many
// partials on one partition is among them only where they come from its own events: others meet on partitions where it doesn't rest.
func (q *Quarantine) unmatchedOn(cfg *Config, partition int32) []bool {
	return q.restingWhere(cfg.Set, partition, func(c *rules.Compiled, r *rest) bool { return r.reason == QuarantineCPU || !cfg.shares(c) })
}

// restingWhere returns by rule number which rules of the set rest on a partition, or everywhere, in a way that counts; nil for none.
func (q *Quarantine) restingWhere(set *rules.Set, partition int32, counts func(*rules.Compiled, *rest) bool) []bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.resting) == 0 {
		return nil
	}
	var out []bool
	for _, c := range set.Rules() {
		here, all := q.resting[quarantineKey{c.StateHash, partition}], q.resting[quarantineKey{c.StateHash, everywhere}]
		if (here == nil || !counts(c, here)) && (all == nil || !counts(c, all)) {
			continue
		}
		if out == nil {
			out = make([]bool, len(set.Rules()))
		}
		out[c.Number] = true
	}
	return out
}

// Notes says which rules are in quarantine, where, why, until when and what to do, a line each.
func (q *Quarantine) Notes() []string {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.release()
	keys := make([]quarantineKey, 0, len(q.resting))
	for key := range q.resting {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b quarantineKey) int {
		return cmp.Or(cmp.Compare(q.resting[a].id, q.resting[b].id), cmp.Compare(a.partition, b.partition))
	})
	var lines []string
	for _, key := range keys {
		r := q.resting[key]
		lines = append(lines, fmt.Sprintf("rule %s (%s) is in quarantine on %s until %s: %s; %s",
			r.id, r.name, whereOf(key.partition), r.until.UTC().Format(time.RFC3339), r.detail, remedy))
	}
	return lines
}

// meter measures by samples what time rules take. It belongs to one goroutine.
type meter struct {
	q    *Quarantine
	set  *rules.Set
	busy time.Duration
	took []time.Duration // by rule number, of samples
	next int             // until the next sample
}

// newMeter returns a meter, nil where nothing is to be measured.
func newMeter(cfg *Config) *meter {
	if !cfg.Quarantine.measures() {
		return nil
	}
	return &meter{q: cfg.Quarantine, set: cfg.Set, took: make([]time.Duration, len(cfg.Set.Rules()))}
}

// begin begins a stretch of work, which the function that it returns ends.
func (m *meter) begin() (end func()) {
	if m == nil {
		return func() {}
	}
	began := m.q.elapsed()
	return func() { m.busy += m.q.elapsed() - began }
}

// sample reports whether this is the one of so many that is measured.
func (m *meter) sample(oneOf int) bool {
	if m == nil {
		return false
	}
	if m.next--; m.next > 0 {
		return false
	}
	m.next = oneOf
	return true
}

// report hands on what was measured; each sample stands for so many.
func (m *meter) report(oneOf int) {
	if m == nil || m.busy == 0 {
		return
	}
	for i := range m.took {
		m.took[i] *= time.Duration(oneOf)
	}
	m.q.observe(m.set, m.busy, m.took)
	m.busy = 0
	clear(m.took)
}

// sampledCandidates is the number of candidates of which one is measured.
const sampledCandidates = 16

// rests reports whether a rule is in quarantine, and counts the candidate that it doesn't get.
func (w *Worker) rests(c *rules.Compiled) bool {
	if len(w.resting) == 0 || !w.resting[c.Number] {
		return false
	}
	w.counts.skipped[c.Number]++
	return true
}

// followQuarantine drops the partials of the rules that were put in quarantine since the last call.
func (w *Worker) followQuarantine() {
	v := w.cfg.Quarantine.version()
	if v == w.quarantined {
		return
	}
	was := w.resting
	w.resting, w.quarantined = w.cfg.Quarantine.restingOn(w.cfg.Set, w.number), v
	for number, rests := range w.resting {
		if !rests || len(was) > 0 && was[number] {
			continue
		}
		for list := &w.partials.byRule[number]; list.live > 0; {
			w.discard(w.partials.oldest(list))
			w.counts.quarantined[number]++
		}
	}
}
