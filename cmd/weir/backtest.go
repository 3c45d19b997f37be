package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/internal/pacing"
	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
)

// backtestFlags are the flags of weir backtest.
type backtestFlags struct {
	rules    *ruleFlags
	events   *[]string
	sort     bool
	alerts   string
	anyIndex bool
	all      bool
	lateness time.Duration
	dedupe   time.Duration
	samples  string
	kafka    topicFlags
	format   *string
}

func newBacktestCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "backtest [--rules P…] (--events FILE… | --brokers HOST:PORT --topic T --from T --to T)",
		Short: "Replay events through the engine and count matches per rule",
		Long: `Replay events through the engine of weir run, at full speed and without caps, and print what each rule found.

Events come from files, in file order through the same reorder buffer as in weir run (--sort sorts them first), or from
a range of a Kafka topic, of which no group offsets are touched. Nothing is published.

` + eventsHelp + `

The file of --alerts gets its name, and replaces one that is there, when the replay has ended. Where it fails or is interrupted, the old
file stays, and the alerts up to there are in FILE.partial; a pipe or device is written as they come.

--from and --to are times (2026-01-31T08:00:00Z), a time back from now (-24h), or offsets that hold for every partition.
A replay from a time first warms up for as long as the longest sequence takes; what completes meanwhile is not reported.

A rule with a sample query takes the events, or the range, for one search: the earliest sample of each key. With --samples stream it
runs as in weir run: a sample is found as soon as its events are there within the rule's lookback, and then needs a whole new set.

Index patterns apply as in weir run; --any-index switches them off, for events that were collected elsewhere.
The exit code is 1 where rules didn't load: the others were run. It is 2 where nothing could be read as an event, and where an event file couldn't be read to its end, such as a
compressed one that is cut off: what could be read, and the other files, were replayed, and the report says that it is incomplete.`,
		Example: `  weir backtest --rules rules/ --events last-week.ndjson.gz
  weir backtest --rules rules/linux --rules my.toml --events events/ --alerts alerts.ndjson
  weir backtest --rules rules/ --brokers localhost:9092 --topic events --from -24h`,
	}
	f := backtestFlags{rules: addRuleFlags(cmd), events: eventsFlag(cmd)}
	cmd.Flags().BoolVar(&f.sort, "sort", false, "sort the events by time first; holds them in memory")
	cmd.Flags().StringVar(&f.alerts, "alerts", "", "write the alerts to a file, as JSON lines; - for standard output")
	cmd.Flags().BoolVar(&f.anyIndex, "any-index", false, "let every rule see every event, whatever its index patterns say")
	cmd.Flags().BoolVarP(&f.all, "all", "a", false, "show the rules without matches too")
	cmd.Flags().DurationVar(&f.lateness, "lateness", 0, "how long a sequence waits for earlier events of its host (default 2s)")
	cmd.Flags().DurationVar(&f.dedupe, "dedupe", config.Default().Dedupe.Window, "leave out an alert of an id that there was within this time, as dedupe.window of weir run does; 0 for never")
	cmd.Flags().StringVar(&f.samples, "samples", "batch", "samples are those of one search over all events (batch), or found as in weir run (stream)")
	cobra.CheckErr(cmd.RegisterFlagCompletionFunc("samples", cobra.FixedCompletions([]string{"batch", "stream"}, cobra.ShellCompDirectiveNoFileComp)))
	f.kafka.add(cmd)
	f.format = outputFlag(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.backtest(cmd.Context(), f, args) }
	return cmd
}

func (a *app) backtest(ctx context.Context, f backtestFlags, more []string) error {
	if err := f.kafka.check(append(slices.Clone(*f.events), more...)); err != nil {
		return err
	}
	samples, err := sampleMode(f.samples)
	if err != nil {
		return err
	}
	c, err := f.kafka.load()
	if err != nil {
		return err
	}
	if f.rules.table, err = declaredFields(c, *f.rules.fields); err != nil {
		return err
	}
	collection, err := f.rules.load()
	if err != nil {
		return err
	}
	if err := a.renderErrors(collection.Files); err != nil {
		return err
	}
	a.warnLoaded(collection)
	if f.lateness > 0 {
		c.Order.Lateness = f.lateness
	}
	c.Dedupe.Window = f.dedupe
	o := f.rules.setOptions()
	o.AnyIndex, o.HostKeys = f.anyIndex, c.Rules.HostKeys
	set, err := compile(collection, o)
	if err != nil {
		return err
	}
	if err := notAnInput("--alerts", f.alerts, rulePaths(collection), *f.rules.fields); err != nil {
		return err
	}
	src, err := a.openBacktest(ctx, f, more, c, set)
	if err != nil {
		return err
	}
	report := &backtestReport{app: a, files: tallyFiles(collection.Files), all: f.all, anyIndex: f.anyIndex, registry: prometheus.NewRegistry(), place: src.place}
	err = errors.Join(a.replay(ctx, f.alerts, samples, src, c, set, report), src.Close())
	unread, incomplete := errors.AsType[*replay.UnreadError](err)
	switch {
	case incomplete: // there is a result all the same
		report.unread = len(unread.Files)
	case errors.Is(err, context.Canceled) && report.result != nil:
		return &interruption{fmt.Sprintf("%s and %s", count(report.result.Records, "event"), plural(report.result.Alerts, "match", "matches"))}
	case err != nil:
		return err
	}
	if err := errors.Join(report.write(*f.format, f.alerts == "-"), err, report.noEvents()); err != nil {
		return err
	}
	if report.result.Alerts == 0 && len(collection.Files) <= fewFiles {
		if err := a.noteWarnings(*f.rules); err != nil {
			return err
		}
	}
	if report.files.errors > 0 {
		return errFindings
	}
	return nil
}

// fewFiles is the most rule files that a backtest without matches checks, which takes less than 50 ms. With more, a backtest of few events
// would take twice as long for it.
const fewFiles = 100

// backtestSource is a source of a backtest and what is to be reported of it.
type backtestSource struct {
	replay.Source

	reported func(pipeline.Alert) bool              // nil: all alerts
	progress func(records, bytes uint64)            // nil: the source shows it
	done     func()                                 // ends what progress shows; nil: nothing to end
	place    func(name string, offset int64) string // of a record in its file, nil for topics
}

func (a *app) openBacktest(
	ctx context.Context, f backtestFlags, more []string, c *config.Config, set *rules.Set,
) (backtestSource, error) {
	if f.kafka.given() {
		return a.openTopic(ctx, f.kafka, c, set)
	}
	files, err := a.eventFiles(*f.events, more)
	if err == nil {
		err = notAnInput("--alerts", f.alerts, files)
	}
	if err != nil {
		return backtestSource{}, err
	}
	src, err := replay.OpenFiles(files, a.stdin)
	if err != nil {
		return backtestSource{}, err
	}
	place := placer(src)
	bar := term.NewProgress(a.stderr, a.err, "replaying", totalSize(files))
	if f.sort { // reading takes longest there, and all of it comes first
		if src, err = replay.Sorted(watch(ctx, src, bar)); err != nil {
			return backtestSource{}, err
		}
		return backtestSource{Source: src, place: place}, nil
	}
	return backtestSource{
		Source: src, place: place, done: bar.Done,
		progress: func(records, bytes uint64) { bar.Set(int64(records + bytes)) }, // a line end each
	}, nil
}

// replay runs the engine and leaves what it found in report.
func (a *app) replay(
	ctx context.Context, alerts string, samples pipeline.SampleMode, src backtestSource, c *config.Config, set *rules.Set,
	report *backtestReport,
) error {
	sink, err := a.openAlerts(alerts)
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	limits := replay.NoCaps()
	limits.EventBytes = c.Limits.EventBytes
	builder := alert.NewBare() // nobody wants the documents: they are not built, and no evidence is kept for them
	if alerts != "" {
		builder = alert.NewECS(alert.Options{MaxBytes: c.Alerts.MaxBytes})
	}
	defer paced(ctx)()
	began := a.now()
	report.result, err = replay.Backtest(ctx, src.Source, replay.Options{
		Config: &pipeline.Config{
			Set: set, Alerts: builder, NoEvidence: alerts == "", Streams: c.DataStreams,
			Order:  pipeline.Order{Lateness: c.Order.Lateness, FutureTolerance: c.Order.FutureTolerance},
			Dedupe: pipeline.Dedupe{Window: c.Dedupe.Window, IDs: math.MaxInt},
			Limits: limits, Samples: samples, Metrics: pipeline.NewMetrics(report.registry),
		},
		Reported:   src.reported,
		Alert:      func(al pipeline.Alert) error { return sink.write(al.Body) },
		DeadLetter: report.deadLetter,
		Progress:   src.progress,
	})
	report.took = a.now().Sub(began)
	if src.done != nil {
		src.done()
	}
	return errors.Join(err, a.closeAlerts(sink, err != nil))
}

// sampleMode reads the value of --samples.
func sampleMode(text string) (pipeline.SampleMode, error) {
	switch text {
	case "batch":
		return pipeline.SamplesBatch, nil
	case "stream":
		return pipeline.SamplesStream, nil
	default:
		return 0, fmt.Errorf("unknown --samples %q: use batch or stream", text)
	}
}

// paced keeps the heap of a replay small where that costs little, until the function that it returns is called. See docs/performance.md.
func paced(ctx context.Context) (end func()) {
	p := pacing.Pace{Headroom: 160 << 20, Total: 288 << 20, Floor: 32 << 20, Least: 10, Limit: 350 << 20}
	ctx, cancel := context.WithCancel(ctx)
	var wait sync.WaitGroup
	wait.Go(func() { pacing.Keep(ctx, p) })
	return func() {
		cancel()
		wait.Wait()
	}
}

// batchGC is the GOGC of loading rules, where the environment says nothing: what that keeps is small beside what it allocates.
const batchGC = 400

// lessCollection lets the garbage collector run more rarely; the function that it returns restores it.
func lessCollection() func() {
	if os.Getenv("GOGC") != "" || os.Getenv("GOMEMLIMIT") != "" {
		return func() {}
	}
	old := debug.SetGCPercent(batchGC)
	return func() { debug.SetGCPercent(old) }
}

// alertSink writes alerts as lines; without a file it drops them.
type alertSink struct {
	w    *bufio.Writer // nil: to nowhere
	file *outFile      // nil: not to a file
}

func (a *app) openAlerts(path string) (alertSink, error) {
	switch path {
	case "":
		return alertSink{}, nil
	case "-":
		return alertSink{w: bufio.NewWriter(a.stdout)}, nil
	}
	file, err := createOut(path)
	if err != nil {
		return alertSink{}, err
	}
	return alertSink{w: bufio.NewWriter(file), file: file}, nil
}

// closeAlerts gives a file of alerts its name, or says where those are that there were until the replay failed.
func (a *app) closeAlerts(s alertSink, failed bool) error {
	if s.w == nil {
		return nil
	}
	err := s.w.Flush()
	switch {
	case s.file == nil:
	case failed || err != nil:
		name, closing := s.file.keep()
		if name != "" && name != s.file.path {
			a.warn("the alerts up to there are in %s", name)
		}
		err = errors.Join(err, closing)
	default:
		err = s.file.finish()
	}
	if err != nil {
		return fmt.Errorf("alerts: %w", err)
	}
	return nil
}

func (s alertSink) write(body []byte) error {
	if s.w == nil {
		return nil
	}
	if _, err := s.w.Write(body); err != nil {
		return err
	}
	return s.w.WriteByte('\n')
}

// stream returns where the report goes: not between the alerts.
func (a *app) stream(alertsOnStdout bool) io.Writer {
	if alertsOnStdout {
		return a.stderr
	}
	return a.stdout
}
