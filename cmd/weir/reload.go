package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/rules"
)

// loadedRules are rules that run, or are to run, with the files that they came from.
type loadedRules struct {
	files      string // their fingerprint
	collection *rules.Collection
	set        *rules.Set
}

// ruleFingerprint tells whether the files have changed that the rules and the types of their fields come from.
func ruleFingerprint(c *config.Config) string {
	return rules.Fingerprint(slices.Concat(c.Rules.Paths, c.FieldsFiles), rules.LoadOptions{})
}

func loadRules(c *config.Config) (*loadedRules, error) {
	files := ruleFingerprint(c) // before: what changes while they are read is seen later
	collection, set, err := configuredRules(c)
	return &loadedRules{files: files, collection: collection, set: set}, err
}

// reloader loads the rules again when their files change or SIGHUP comes, and has the service go on with them.
type reloader struct {
	cfg     *config.Config
	swap    func(context.Context, *rules.Set) error
	log     *slog.Logger
	now     func() time.Time
	metrics *ruleMetrics
	running *loadedRules
	seen    string // fingerprint at the last look
	tried   string // fingerprint of the last attempt

	mu      sync.Mutex
	failure string // what is wrong with the last attempt; empty where it succeeded
	broken  string // which files had errors when the rules that run were loaded; empty for none
}

// newReloader returns a reloader for rules that run already.
func newReloader(c *config.Config, running *loadedRules, m *ruleMetrics, log *slog.Logger, now func() time.Time) *reloader {
	m.loaded(running, now())
	return &reloader{
		cfg: c, log: log, now: now, metrics: m, running: running, seen: running.files, tried: running.files,
		broken: brokenFiles(running.collection),
	}
}

// run looks at the files every rules.reload, and at once when a signal comes, until ctx ends.
func (r *reloader) run(ctx context.Context, signals <-chan os.Signal) error {
	var looks <-chan time.Time
	if r.cfg.Rules.Reload > 0 && len(r.cfg.Rules.Paths)+len(r.cfg.FieldsFiles) > 0 {
		ticker := time.NewTicker(r.cfg.Rules.Reload)
		defer ticker.Stop()
		looks = ticker.C
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-signals:
			r.log.Info("SIGHUP: rules are loaded again")
			r.reload(ctx)
		case <-looks:
			r.look(ctx)
		}
	}
}

// look loads the rules again when their files have changed and have been the same for two looks: somebody may be
// in the middle of copying them. What was refused is not tried again until it changes.
func (r *reloader) look(ctx context.Context) {
	files := ruleFingerprint(r.cfg)
	settled := files == r.seen
	r.seen = files
	if settled && files != r.tried {
		r.log.Info("rule files have changed")
		r.reload(ctx)
	}
}

func (r *reloader) reload(ctx context.Context) {
	next, err := loadRules(r.cfg)
	r.tried = next.files
	if err == nil {
		err = r.newFaults(next)
	}
	if err == nil && next.files != r.running.files {
		err = r.swap(ctx, next.set)
	}
	switch {
	case ctx.Err() != nil:
	case err != nil:
		r.metrics.failed()
		r.setFailure(err.Error())
		r.log.Error("rules not reloaded: those that were loaded before keep running", slog.Any("error", err))
	default:
		r.setFailure("")
		r.logChanges(next)
		r.running = next
		r.setBroken(brokenFiles(next.collection))
		r.metrics.loaded(next, r.now())
	}
}

// newFaults returns an error where a file is faulty that was fine, or not there, when the rules that run were loaded: a
// rule that runs must not be lost by a slip. A file that was faulty then doesn't keep the others from being reloaded.
func (r *reloader) newFaults(next *loadedRules) error {
	known := map[string]bool{}
	for _, f := range r.running.collection.Files {
		known[f.Path] = f.Status == rules.StatusError
	}
	var faulty []string
	for _, f := range next.collection.Files {
		if f.Status == rules.StatusError && !known[f.Path] {
			faulty = append(faulty, f.Path)
		}
	}
	if len(faulty) == 0 {
		return nil
	}
	logErrors(r.log, next.collection)
	return errors.New(withErrors(faulty))
}

// withErrors names files that have errors, the first five.
func withErrors(files []string) string {
	return fmt.Sprintf("%s with errors: %s", count(len(files), "rule file"), strings.Join(files[:min(len(files), 5)], ", "))
}

// brokenFiles says which files of a collection have errors, empty for none.
func brokenFiles(c *rules.Collection) string {
	var broken []string
	for _, f := range c.Files {
		if f.Status == rules.StatusError {
			broken = append(broken, f.Path)
		}
	}
	if len(broken) == 0 {
		return ""
	}
	return withErrors(broken)
}

// logChanges says what became of the rules.
func (r *reloader) logChanges(next *loadedRules) {
	if next.files == r.running.files {
		r.log.Info("rule files are unchanged: nothing to reload")
		return
	}
	logRules(r.log, next.collection, next.set, r.cfg.Rekey)
	logErrors(r.log, next.collection)
	d := compareSets(r.running.set, next.set)
	r.log.Info("rules reloaded", slog.Int("rules", len(next.set.Rules())), slog.Int("unchanged", d.unchanged), slog.Int("edited", len(d.edited)),
		slog.Int("changed", len(d.changed)), slog.Int("added", len(d.added)), slog.Int("removed", len(d.removed)))
	for _, id := range d.edited {
		r.log.Info("rule has the same query, and something else of it changed: its sequences go on, and alerts say what the file says now", slog.String("rule_id", id))
	}
	for _, id := range d.changed {
		r.log.Info("rule changed: its sequences start afresh", slog.String("rule_id", id))
	}
	for _, id := range d.added {
		r.log.Info("rule added", slog.String("rule_id", id))
	}
	for _, id := range d.removed {
		r.log.Info("rule removed, and its partials with it", slog.String("rule_id", id))
	}
}

// setChanges are the ids of what differs between two rule sets, sorted. Edited are those whose query is the same, and not the rest of the file.
type setChanges struct {
	changed, edited, added, removed []string
	unchanged                       int
}

// compareSets compares the rules by what their partials depend on.
func compareSets(old, next *rules.Set) setChanges {
	var d setChanges
	for _, c := range next.Rules() {
		switch before := old.Rule(c.Rule.ID); {
		case before == nil:
			d.added = append(d.added, c.Rule.ID)
		case before.StateHash != c.StateHash:
			d.changed = append(d.changed, c.Rule.ID)
		case !before.Rule.SameText(c.Rule):
			d.edited = append(d.edited, c.Rule.ID)
		default:
			d.unchanged++
		}
	}
	for _, c := range old.Rules() {
		if next.Rule(c.Rule.ID) == nil {
			d.removed = append(d.removed, c.Rule.ID)
		}
	}
	for _, ids := range [][]string{d.changed, d.edited, d.added, d.removed} {
		slices.Sort(ids)
	}
	return d
}

// setFailure keeps the first line of what is wrong for /readyz; empty: nothing.
func (r *reloader) setFailure(text string) {
	text, _, _ = strings.Cut(text, "\n")
	if text != "" {
		text = r.now().UTC().Format(time.RFC3339) + ": " + text
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.failure = text
}

// note is what /readyz says of the rules, empty where there is nothing to say. It may be called from any goroutine.
func (r *reloader) note() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.failure != "":
		return "rules not reloaded, older ones run: " + r.failure
	case r.broken != "":
		return "rules of broken files don't run, what they had is kept: " + r.broken
	default:
		return ""
	}
}

func (r *reloader) setBroken(text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = text
}

// ruleMetrics say which rules run, and how loading them went.
type ruleMetrics struct {
	files    *prometheus.GaugeVec
	rules    prometheus.Gauge
	reloads  prometheus.Counter
	failures prometheus.Counter
	ok       prometheus.Gauge
	at       prometheus.Gauge
}

func newRuleMetrics(reg prometheus.Registerer) *ruleMetrics {
	m := &ruleMetrics{
		files: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_rule_files", Help: "Rule files by what became of them when the rules that run were loaded.",
		}, []string{"status"}),
		rules: prometheus.NewGauge(prometheus.GaugeOpts{Name: "weir_rules", Help: "Rules that run."}),
		reloads: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_rules_reloads_total", Help: "Times that the rules were loaded, the start included.",
		}),
		failures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_rules_reload_failures_total", Help: "Times that the rules were loaded again and refused.",
		}),
		ok: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_rules_last_reload_successful", Help: "1 where the last attempt to load the rules, the start included, succeeded and found no error in any file, else 0.",
		}),
		at: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_rules_last_reload_success_timestamp_seconds", Help: "When the rules that run were loaded, in seconds since the epoch.",
		}),
	}
	reg.MustRegister(m.files, m.rules, m.reloads, m.failures, m.ok, m.at)
	return m
}

func (m *ruleMetrics) loaded(l *loadedRules, now time.Time) {
	t := tallyFiles(l.collection.Files)
	m.files.WithLabelValues(string(rules.StatusOK)).Set(float64(t.ok))
	m.files.WithLabelValues(string(rules.StatusError)).Set(float64(t.errors))
	m.files.WithLabelValues(string(rules.StatusSkipped)).Set(float64(t.skipped))
	m.rules.Set(float64(len(l.collection.Rules)))
	m.reloads.Inc()
	m.ok.Set(1)
	if t.errors > 0 {
		m.ok.Set(0)
	}
	m.at.Set(float64(now.UnixMilli()) / 1000)
}

func (m *ruleMetrics) failed() {
	m.failures.Inc()
	m.ok.Set(0)
}
