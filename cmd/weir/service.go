package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/internal/pacing"
	"github.com/weir-eql/weir/internal/telemetry"
	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// settingFlags are the settings that have a flag of their own; all others are reached with --set.
func settingFlags() []struct{ flag, path, usage string } {
	return []struct{ flag, path, usage string }{
		{"brokers", "brokers", "Kafka brokers to begin with, separated by commas"},
		{"input", "topics.input", "input topics, separated by commas"},
		{"group", "group", "consumer group"},
		{"rules", "rules.paths", "rule files and folders, repeated or separated by commas"},
		{"state-dir", "state.dir", "folder of the local state"},
		{"http", "http.address", "address of metrics and health"},
		{"log-level", "log.level", "debug, info, warn or error"},
		{"log-format", "log.format", "text or json"},
	}
}

func newRunCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "run -c weir.yaml",
		Short: "Run the service: events from Kafka, alerts to Kafka",
		Long: `Run the service as a member of a consumer group: events come from the input topics, matches of the rules go to the topic of
alerts, each exactly once. It runs until SIGINT or SIGTERM and finishes its batch; its partitions are kept for it until
session_timeout is over, or go to others at once with leave_group or with group_instance: none.

Settings come from the file, then the environment, then flags; what comes later wins. A variable is named after the setting's
path: topics.input is WEIR_TOPICS_INPUT. Lists are separated by commas there. --check validates the configuration and the
rules and stops; it connects to nothing.

Settings and their defaults:

` + settingsHelp(),
		Example: `  weir run -c weir.yaml
  weir run -c weir.yaml --check
  WEIR_SASL_PASSWORD=… weir run -c weir.yaml --set commit.interval=250ms`,
		Args: noArgs,
	}
	file := cmd.Flags().StringP("config", "c", "", "configuration file")
	check := cmd.Flags().Bool("check", false, "validate configuration and rules, then stop")
	set := cmd.Flags().StringArray("set", nil, "any other setting, as path=value; repeat it for more")
	values := map[string]*[]string{}
	for _, f := range settingFlags() {
		values[f.flag] = cmd.Flags().StringArray(f.flag, nil, f.usage)
	}
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		src := config.Source{File: *file, Environ: os.Environ()}
		for _, f := range settingFlags() {
			if cmd.Flags().Changed(f.flag) {
				src.Overrides = append(src.Overrides, config.Override{
					Flag: "--" + f.flag, Path: f.path, Value: strings.Join(*values[f.flag], ","),
				})
			}
		}
		for _, s := range *set {
			path, value, ok := strings.Cut(s, "=")
			if !ok {
				return fmt.Errorf("--set %s: write path=value", s)
			}
			src.Overrides = append(src.Overrides, config.Override{Flag: "--set " + path, Path: path, Value: value})
		}
		c, err := config.Load(src)
		if err != nil {
			return fmt.Errorf("the configuration has problems:\n%w", err)
		}
		if *check {
			return a.check(c)
		}
		return a.serve(cmd.Context(), c)
	}
	return cmd
}

// settingsHelp lists all settings with their defaults.
func settingsHelp() string {
	var b strings.Builder
	for _, s := range config.Settings() {
		name := s.Path
		if s.Default != "" {
			name += " = " + s.Default
		}
		fmt.Fprintf(&b, "  %-38s", name)
		for i, l := range term.Wrap(s.Doc, 76) {
			if i > 0 || len(name) > 37 {
				fmt.Fprintf(&b, "\n  %-38s", "")
			}
			b.WriteString(" " + l)
		}
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n")
}

// check says what the service would run.
func (a *app) check(c *config.Config) error {
	for _, w := range c.Warnings {
		a.warn("%s", w)
	}
	collection, set, err := configuredRules(c)
	if err != nil {
		return err
	}
	if err := a.renderErrors(collection.Files); err != nil {
		return err
	}
	logRules(a.logger(c.Log), collection, set, c.Rekey)
	table, err := declaredFields(c, nil)
	if err != nil {
		return err
	}
	if err := a.noteWarnings(ruleFlags{paths: c.Rules.Paths, shipped: c.Rules.Shipped, table: table}); err != nil {
		return err
	}
	t := tallyFiles(collection.Files)
	verdict := "is fine"
	if t.errors > 0 {
		verdict = "can be used, not all rules can"
	}
	if _, err := fmt.Fprintf(a.stdout, "configuration %s: %s would run\n", verdict, count(len(collection.Rules), "rule")); err != nil {
		return err
	}
	if t.errors > 0 {
		a.warn("%s with errors would not run", count(t.errors, "rule file"))
		return errFindings
	}
	return nil
}

// configuredRules loads and compiles the rules of a configuration.
func configuredRules(c *config.Config) (*rules.Collection, *rules.Set, error) {
	table, err := declaredFields(c, nil)
	if err != nil {
		return nil, nil, err
	}
	f := ruleFlags{paths: c.Rules.Paths, shipped: c.Rules.Shipped, table: table}
	collection, err := f.load()
	if err != nil {
		return nil, nil, err
	}
	o := f.setOptions()
	o.HostKeys = c.Rules.HostKeys
	set, err := compile(collection, o)
	return collection, set, err
}

// logRules says what runs, what doesn't run though nothing is wrong with it, and what runs otherwise than its author might think.
func logRules(log *slog.Logger, c *rules.Collection, set *rules.Set, rekeyAll bool) {
	t := tallyFiles(c.Files)
	log.Info("rules loaded", slog.Int("rules", len(c.Rules)), slog.Int("skipped", t.skipped),
		slog.Int("errors", t.errors),
		slog.Int("atoms", set.Atoms()), slog.Int("fields", set.Schema().Len()))
	if rekeyAll {
		log.Info("all sequences and samples are matched by way of the re-key topic: rekey is set")
	}
	twice := duplicates(c)
	for _, f := range c.Files {
		logFile(log, f, twice[f])
	}
	for _, compiled := range set.Rules() {
		ruleLog := log.With(slog.String("rule_id", compiled.Rule.ID), slog.String("rule_name", compiled.Rule.Name))
		if keys := compiled.Rule.Unhonoured(); len(keys) > 0 {
			ruleLog.Warn("rule asks for what is not honoured yet", slog.String("keys", strings.Join(keys, ", ")))
		}
		logRekeying(ruleLog, compiled)
	}
}

// logRekeying says where a rule is matched whose events aren't matched where they arrive.
func logRekeying(log *slog.Logger, c *rules.Compiled) {
	if c.HostLocal || !c.Joins() {
		return
	}
	if field := c.Rule.TimestampField; field != "" {
		log = log.With(slog.String("ordered_by", field))
	}
	log.Info("rule is matched by way of the re-key topic: its join keys don't imply the host")
}

// logFile says why a file's rule doesn't run, errors aside; winner is the rule of its id that runs instead, if there is one.
func logFile(log *slog.Logger, f *rules.File, winner *rules.Rule) {
	path := slog.String("path", f.Path)
	switch {
	case f.Status == rules.StatusSkipped:
		log.Info("rule file skipped", path, slog.String("type", f.Type), slog.String("name", f.Name))
	case winner != nil:
		log.Warn("duplicate rule id: another file wins", path, slog.String("rule_id", f.RuleID),
			slog.String("winner", winner.Path))
	}
}

// logErrors says what keeps rules from running, for those who see only the log; see renderErrors.
func logErrors(log *slog.Logger, c *rules.Collection) {
	for _, f := range c.Files {
		for _, p := range f.Problems {
			if p.Severity == rules.SeverityError {
				log.Error("rule does not run", slog.String("path", f.Path), slog.Int("line", p.Line),
					slog.Int("column", p.Column), slog.String("problem", p.Text()))
			}
		}
	}
}

// logger returns the log of the service, on stderr.
func (a *app) logger(c config.Log) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(c.Level)); err != nil {
		level = slog.LevelInfo
	}
	return newLogger(a.stderr, c.Format, level)
}

func newLogger(w io.Writer, format string, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// serve puts the service together and runs it to its end.
func (a *app) serve(ctx context.Context, c *config.Config) error {
	log := a.logger(c.Log)
	for _, w := range c.Warnings {
		log.Warn("configuration", slog.String("problem", w.String()))
	}
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	loaded, err := loadRules(c)
	if err != nil {
		return err
	}
	logRules(log, loaded.collection, loaded.set, c.Rekey)
	logErrors(log, loaded.collection)
	if c.Instance == "" {
		if c.Instance, err = instance(c.State.Dir); err != nil {
			return err
		}
	}
	registry := telemetry.NewRegistry()
	reloads := newReloader(c, loaded, newRuleMetrics(registry), log, a.now)
	e, err := a.newEngine(c, loaded.set, registry, log, nil)
	if err != nil {
		return err
	}
	reloads.swap = e.service.SwapRules
	e.reloads, e.hup = reloads, hup
	log.Info("starting", slog.String("version", readBuild().Version), slog.String("group", c.Group),
		slog.String("instance", c.Instance), slog.String("input", strings.Join(c.Topics.Input, ",")))
	return errors.Join(e.run(ctx, c.HTTP), e.store.Close())
}

// registry is where the service's metrics are registered and read.
type registry interface {
	prometheus.Registerer
	prometheus.Gatherer
}

// engine is the service with what it works with.
type engine struct {
	service    *kafka.Service
	store      *state.Store
	quarantine *pipeline.Quarantine
	registry   registry
	log        *slog.Logger
	reloads    *reloader // nil: the rules stay what they are
	hup        <-chan os.Signal
}

// ready is what /readyz says: a reload that failed and rules in quarantine are told, and take no member out of service.
func (e *engine) ready() (ready bool, status string) {
	ready, status = e.service.Ready()
	status = strings.Join(append([]string{status}, e.quarantine.Notes()...), "\n")
	if e.reloads != nil {
		if note := e.reloads.note(); note != "" {
			status += "\n" + note
		}
	}
	return ready, status
}

// newEngine opens the local state and makes the service. Close the store when it has ended.
func (a *app) newEngine(
	c *config.Config, set *rules.Set, registry registry, log *slog.Logger, onAlert func(pipeline.Alert),
) (*engine, error) {
	cfg, err := kafkaConfig(c)
	if err != nil {
		return nil, err
	}
	if err := limitDisk(c.State.Dir); err != nil {
		return nil, err
	}
	store, err := openStore(c.State, log)
	if err != nil {
		return nil, err
	}
	quarantine := pipeline.NewQuarantine(pipeline.QuarantineOptions{
		CPU: c.Limits.RuleCPU, Partials: c.Limits.RulePartials, Hold: c.Limits.Quarantine, Now: a.now, Logger: log,
	}, registry)
	at, tamper := plantedFaults(cfg.AlertTopic, cfg.ChangelogTopic, store)
	service := kafka.New(cfg, kafka.Deps{
		Pipeline: &pipeline.Config{
			Set: set, Alerts: alert.NewECS(alert.Options{MaxBytes: c.Alerts.MaxBytes}), Streams: c.DataStreams,
			Order: pipeline.Order{Lateness: c.Order.Lateness, FutureTolerance: c.Order.FutureTolerance},
			Limits: pipeline.Limits{
				EventBytes: c.Limits.EventBytes, PartialsPerRule: c.Limits.PartialsPerRule, Partials: c.Limits.Partials,
				PerKey: c.Limits.PerKey, MatchesPerEvent: c.Limits.MatchesPerEvent,
				Buffered: c.Limits.Buffered, BufferedBytes: c.Limits.BufferedBytes, Hosts: c.Limits.Hosts,
			},
			Rekey:      pipeline.Rekey{All: c.Rekey},
			Dedupe:     pipeline.Dedupe{Window: c.Dedupe.Window, IDs: c.Dedupe.IDs},
			Quarantine: quarantine,
			Metrics:    pipeline.NewMetrics(registry), Logger: log, Now: a.now,
		},
		Store: store, Metrics: kafka.NewMetrics(registry), Logger: log, Now: a.now, OnAlert: onAlert, At: at, Tamper: tamper,
	})
	return &engine{service: service, store: store, quarantine: quarantine, registry: registry, log: log}, nil
}

// maintenance is how often the store gives back the space of what is gone.
const maintenance = 5 * time.Minute

// run runs the service, its HTTP server and the upkeep of the store until ctx or one of them ends.
func (e *engine) run(ctx context.Context, h config.HTTP) error {
	g, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	g.Go(func() error {
		defer cancel()
		return e.service.Run(ctx)
	})
	if h.Address != "" {
		server := telemetry.New(telemetry.Options{
			Address: h.Address, Pprof: h.Pprof, Gatherer: e.registry, Ready: e.ready, Logger: e.log,
			Documents: map[string]func() any{"/restore": func() any { return e.service.Restores() }},
		})
		g.Go(func() error { return server.Run(ctx) })
	}
	g.Go(func() error { return e.maintain(ctx) })
	g.Go(func() error { return e.guard(ctx, guarding) })
	g.Go(func() error {
		pacing.Keep(ctx, pacing.Pace{Headroom: 56 << 20, Least: 25})
		return nil
	})
	if e.reloads != nil {
		g.Go(func() error { return e.reloads.run(ctx, e.hup) })
	}
	return g.Wait()
}

// guarding is how often it is looked whether the store's files are still there, beside with each commit.
const guarding = 5 * time.Second

// guard returns an error when the store's files were deleted or replaced: what works on with them must end.
func (e *engine) guard(ctx context.Context, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := e.store.Check(); err != nil {
				return err
			}
		}
	}
}

func (e *engine) maintain(ctx context.Context) error {
	ticker := time.NewTicker(maintenance)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := e.store.Maintain(ctx); err != nil && ctx.Err() == nil {
				e.log.Warn("upkeep of the state store", slog.Any("error", err))
			}
		}
	}
}
