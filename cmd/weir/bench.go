package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/bench"
	"github.com/weir-eql/weir/internal/config"
)

// benchFlags are the flags of weir bench.
type benchFlags struct {
	rules       *ruleFlags
	counts      []int
	events      string
	n           int
	options     bench.Options
	brokers     []string
	partitions  int
	compression string
	commit      time.Duration
	rate        float64
	length      time.Duration
	repeat      int
	procs       int
	warmup      float64
	profile     string
	noSplit     bool
	set         []string
	write       string
	decode      bool
}

func newBenchCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the service from Kafka to Kafka: CPU per event, throughput, latency",
		Long: `Measure weir run from Kafka to Kafka, exactly once: a topic is filled with events, then the service reads it in a process of
its own, whose CPU time, memory and allocations are those that are shown; broker and producer are left out. The broker is one
in this process, or a real one with --brokers.

Events are generated, in the shape of Elastic Defend's, at a size, with a share of them that alerts and a share that hits a
stage of a sequence, by two planted rules; or they are read from a file, one JSON document per line. Rules are the shipped
ones or those of --rules. With --count that many of them run, the two planted ones included; made-up rules fill up what is missing.

With --rate events are produced at that rate while the service runs, and the time from each event that was made to
alert until its alert is visible under read_committed is shown; ordinary events go on until the last sequences are over. Otherwise the topic is full before the service begins,
and it runs as fast as it can. CPU is split by stage by a CPU profile.

With --decode there is no Kafka: the file of --events, all of it, is read in chunks on all cores as weir backtest reads it, and decoded
onto the fields that the rules read, and nothing else is done. That is what a backtest of the same rules and events is compared with.

All alerts are counted on the topic. One that is there twice, and one of the planted rules that is missing or unexpected, makes the exit code 1.
-o csv gives the medians, for charts: "make bench-charts" draws them.`,
		Example: `  weir bench
  weir bench --rules rules/ --count 10,100,300,1000 --repeat 3
  weir bench --brokers localhost:9092 --rules rules/ --commit 1s --procs 1 -o json
  weir bench --rate 20000 --for 30s
  weir bench --decode --events events.ndjson --rules rules/ --repeat 3`,
		Args: noArgs,
	}
	f := benchFlags{rules: addRuleFlags(cmd)}
	fl := cmd.Flags()
	numbers := fl.StringSlice("count", nil, "numbers of rules to run with, separated by commas (default: all)")
	fl.StringVar(&f.events, "events", "", "file of events to fill the topic with, plain or .gz or .zst (default: generated ones)")
	fl.IntVarP(&f.n, "number", "n", 1_000_000, "number of events; of a file, at most")
	fl.IntVar(&f.options.Size, "size", 2068, "mean size of a generated event in bytes")
	fl.IntVar(&f.options.Hosts, "hosts", 200, "number of hosts of generated events")
	fl.Float64Var(&f.options.AlertShare, "alerts", 0.001, "share of generated events that complete an alert")
	fl.Float64Var(&f.options.StageShare, "stages", 0.02, "share of generated events that hit a stage of a sequence")
	fl.Uint64Var(&f.options.Seed, "seed", 1, "the same seed gives the same events and rules")
	fl.StringSliceVar(&f.brokers, "brokers", nil, "a real broker, host:port, instead of the one in this process")
	fl.IntVar(&f.partitions, "partitions", 4, "partitions of the input topic")
	fl.StringVar(&f.compression, "compression", "lz4", "of the input topic: none, gzip, snappy, lz4 or zstd")
	fl.DurationVar(&f.commit, "commit", 0, "commit interval (default 1s; with --rate that of weir run)")
	fl.Float64Var(&f.rate, "rate", 0, "produce this many events per second while the service runs, and measure latency")
	fl.DurationVar(&f.length, "for", 30*time.Second, "with --rate: how long")
	fl.IntVar(&f.repeat, "repeat", 1, "runs per number of rules, by turns; the table shows the median by CPU")
	fl.IntVar(&f.procs, "procs", 0, "GOMAXPROCS of the service (default: the number of cores)")
	fl.Float64Var(&f.warmup, "warmup", 0.2, "share of the events that the service has done before measuring begins")
	fl.StringVar(&f.profile, "cpuprofile", "", "keep the CPU profile of each run as FILE.RULES.RUN, and beside it that of memory, .heap")
	fl.BoolVar(&f.noSplit, "no-split", false, "take no CPU profile: no split by stage, and some 2 % less CPU")
	fl.StringArrayVar(&f.set, "set", nil, "a setting of weir run, as path=value; repeat it for more")
	fl.StringVar(&f.write, "write", "", "only write the generated events to this file, as weir backtest reads them")
	fl.BoolVar(&f.decode, "decode", false, "only decode the file of --events onto the fields of the rules, as weir backtest does")
	format := outputFlag(cmd, "table", "json", "csv")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		var err error
		if f.counts, err = ruleNumbers(*numbers); err != nil {
			return err
		}
		if !cmd.Flags().Changed("commit") {
			f.commit = f.usualCommit()
		}
		if err := f.check(); err != nil {
			return err
		}
		if f.write != "" {
			return a.writeEvents(cmd.Context(), &f)
		}
		if f.decode {
			if err := f.checkDecode(cmd, *format); err != nil {
				return err
			}
			return a.benchDecode(cmd.Context(), &f, *format)
		}
		return a.bench(cmd.Context(), f, *format)
	}
	cmd.AddCommand(newBenchMemberCommand(a))
	return cmd
}

// usualCommit returns the commit interval where none is given. Latency is that of the service as it is; throughput is of commits that cost little.
func (f *benchFlags) usualCommit() time.Duration {
	if f.rate > 0 {
		return config.Default().Commit.Interval
	}
	return time.Second
}

func (f *benchFlags) check() error {
	switch {
	case f.n <= 0 || f.partitions <= 0 || f.repeat <= 0 || f.procs < 0 || f.options.Hosts <= 0 || f.options.Size <= 0:
		return errors.New("--number, --size, --hosts, --partitions and --repeat must be positive")
	case f.options.AlertShare < 0 || f.options.StageShare < f.options.AlertShare || f.options.StageShare > 0.5:
		return errors.New("--alerts and --stages are shares: 0 <= alerts <= stages <= 0.5")
	case f.warmup < 0 || f.warmup >= 1:
		return errors.New("--warmup is a share of the events, at least 0 and below 1")
	case f.rate < 0 || f.rate > 0 && (f.length <= 0 || f.events != ""):
		return errors.New("--rate and --for must be positive, and --rate is for generated events")
	}
	return nil
}

// ruleNumbers reads --count.
func ruleNumbers(texts []string) (numbers []int, err error) {
	for _, text := range texts {
		n, err := strconv.Atoi(text)
		switch {
		case err != nil:
			return nil, fmt.Errorf("--count: %q is no number of rules, such as 100 or 10,100,300", text)
		case n < 2:
			return nil, errors.New("--count: the two planted rules are counted too: at least 2")
		}
		numbers = append(numbers, n)
	}
	return numbers, nil
}

// checkSettings reports what is wrong with --set before anything is written.
func (b *benchRun) checkSettings(rules []string) error {
	o := append(b.overrides("check", rules), config.Override{Flag: "bench", Path: "topics.input", Value: "events"})
	if _, err := config.Load(config.Source{Overrides: o}); err != nil {
		return fmt.Errorf("the settings have problems:\n%w", err)
	}
	return nil
}

// benchRun is what the runs of one command share.
type benchRun struct {
	*app
	f      benchFlags
	dir    string
	name   string // of topics and groups
	topic  *benchTopic
	report bench.Report
}

// bench fills a topic and runs the service on it, once per number of rules and repetition.
func (a *app) bench(ctx context.Context, f benchFlags, format string) (err error) {
	dir, err := os.MkdirTemp("", "weir-bench-")
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	b := &benchRun{app: a, f: f, dir: dir, name: "weir-bench-" + strconv.FormatInt(a.now().UnixNano(), 36)}
	counts, err := b.ruleCounts()
	if err != nil {
		return err
	}
	if b.topic, err = b.openTopic(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.topic.close()) }()
	if err := b.checkSettings(counts[0]); err != nil {
		return err
	}
	if f.rate == 0 {
		if err := b.topic.create(ctx, b.name); err != nil {
			return err
		}
		if err := b.topic.fill(ctx); err != nil {
			return err
		}
	}
	b.describe()
	exact := true
	for run := range f.repeat { // by turns, so that what else the machine does meets all alike
		for _, rules := range counts {
			row, err := b.measure(ctx, rules, run)
			if ctx.Err() != nil { // what the measured process says then follows from it
				return ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("run %d with %s: %w", run+1, count(len(rules), "rule"), err)
			}
			b.report.Rows = append(b.report.Rows, *row)
			exact = exact && row.Alerts.Doubled == 0 && (row.Planted == nil || row.Planted.Exact())
		}
	}
	if err := b.render(format); err != nil {
		return err
	}
	if !exact {
		return errFindings
	}
	return nil
}

// describe notes what the figures are of.
func (b *benchRun) describe() {
	f, t := b.f, b.topic
	b.report = bench.Report{
		Version: readBuild().Version, Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: cpuModel(), Cores: runtime.NumCPU(),
		Setup: bench.Setup{
			Broker: "embedded", Source: "generated", Events: t.events, TopicBytes: t.bytes, Seed: f.options.Seed, Hosts: f.options.Hosts,
			AlertShare: f.options.AlertShare, StageShare: f.options.StageShare, Partitions: f.partitions, Compression: f.compression,
			CommitInterval: f.commit, Procs: f.procs, Rate: f.rate, Overrides: f.set,
		},
	}
	s := &b.report.Setup
	if len(f.brokers) > 0 {
		s.Broker = f.brokers[0]
	}
	if f.events != "" {
		s.Source, s.Hosts, s.AlertShare, s.StageShare = filepath.Base(f.events), 0, 0, 0
	}
	if t.events > 0 {
		s.EventBytes = float64(t.bytes) / float64(t.events)
	}
}

// ruleCounts returns the rule files of each number of rules that is wanted.
func (b *benchRun) ruleCounts() ([][]string, error) {
	shipped := len(b.f.rules.paths) == 0 || b.f.rules.shipped
	collection, err := b.f.rules.load()
	if err != nil {
		return nil, err
	}
	var paths []string
	if shipped { // they are in the binary: the member reads files
		if paths, err = writeShipped(filepath.Join(b.dir, "shipped")); err != nil {
			return nil, err
		}
	}
	for _, r := range collection.Rules {
		if !isShipped(r.Path) {
			paths = append(paths, r.Path)
		}
	}
	var planted []string
	if b.f.events == "" {
		if planted, err = bench.WritePlanted(b.dir); err != nil {
			return nil, err
		}
	}
	slices.Sort(paths)
	rng := rand.New(rand.NewPCG(b.f.options.Seed, 0))
	rng.Shuffle(len(paths), func(i, j int) { paths[i], paths[j] = paths[j], paths[i] })
	if len(b.f.counts) == 0 {
		return [][]string{slices.Concat(planted, paths)}, nil
	}
	most := slices.Max(b.f.counts)
	synthetic, err := bench.WriteSynthetic(b.dir, max(0, most-len(planted)-len(paths)), b.f.options.Seed)
	if err != nil {
		return nil, err
	}
	all := slices.Concat(planted, paths, synthetic)
	var counts [][]string
	for _, n := range b.f.counts {
		counts = append(counts, all[:n])
	}
	return counts, nil
}

// measure is one run of the service.
func (b *benchRun) measure(ctx context.Context, rules []string, run int) (*bench.Row, error) {
	id := fmt.Sprintf("%s-%d-%d", b.name, len(rules), run)
	if b.f.rate > 0 {
		if err := b.topic.create(ctx, id+"-events"); err != nil {
			return nil, err
		}
	}
	spec := memberSpec{
		Overrides: b.overrides(id, rules), Procs: b.f.procs, Records: b.topic.events, Commit: b.f.commit, Split: !b.f.noSplit,
	}
	if b.f.profile != "" {
		spec.Profile = fmt.Sprintf("%s.%d.%d", b.f.profile, len(rules), run+1)
	}
	if b.f.rate > 0 {
		spec.Records = int(b.f.rate * b.f.length.Seconds())
	}
	spec.Warmup = int(b.f.warmup * float64(spec.Records))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	m, err := startMember(ctx, &spec, b.stderr)
	if err != nil {
		return nil, err
	}
	defer m.kill()
	alerts := b.topic.watch(id + "-alerts")
	defer alerts.close()
	if err := m.ready(); err != nil {
		return nil, err
	}
	if b.f.rate > 0 {
		if err := b.topic.feed(ctx, spec.Records); err != nil {
			return nil, err
		}
	}
	row, err := m.measured()
	if err != nil {
		return nil, err
	}
	row.Rules, row.Run = len(rules), run+1
	if err := alerts.gather(ctx, row, b.settles()); err != nil {
		return nil, err
	}
	return row, m.stop()
}

// settles is how long to wait for more alerts of a file's events: sequences wait for order.lateness, and on a silent partition a while longer.
func (b *benchRun) settles() time.Duration { return b.f.lateness() + 2*time.Second + b.f.commit }

// lateness is order.lateness of the runs.
func (f *benchFlags) lateness() time.Duration {
	lateness := config.Default().Order.Lateness
	for _, s := range f.set {
		if path, value := cutSetting(s); path == "order.lateness" {
			if d, err := time.ParseDuration(value); err == nil {
				lateness = d
			}
		}
	}
	return lateness
}

// overrides are the settings of a run.
func (b *benchRun) overrides(id string, rules []string) []config.Override {
	set := func(path, value string) config.Override {
		return config.Override{Flag: "bench", Path: path, Value: value}
	}
	o := []config.Override{
		set("brokers", joined(b.topic.brokers)), set("topics.input", b.topic.name), set("topics.alerts", id+"-alerts"),
		set("topics.dead_letters", id+"-dead-letters"), set("topics.changelog", id+"-changelog"), set("group", id), set("instance", "bench"),
		set("rules.paths", joined(rules)), set("rules.shipped", "false"), set("rules.reload", "0s"),
		set("state.dir", filepath.Join(b.dir, id)), set("commit.interval", b.f.commit.String()), set("http.address", ""), set("log.level", "warn"),
	}
	if b.f.rules.fields != nil && len(*b.f.rules.fields) > 0 {
		o = append(o, set("fields_files", joined(*b.f.rules.fields)))
	}
	for _, s := range b.f.set {
		path, value := cutSetting(s)
		o = append(o, set(path, value))
	}
	return o
}
