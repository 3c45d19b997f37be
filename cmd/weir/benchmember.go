package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/weir-eql/weir/internal/bench"
	"github.com/weir-eql/weir/internal/config"
)

// memberSpec is what weir bench tells the process that it measures, as JSON on its standard input. That stays open
// until the process is to end.
type memberSpec struct {
	Overrides []config.Override
	Procs     int
	Records   int           // measure until so many are committed
	Warmup    int           // measure from so many on
	Commit    time.Duration // commit interval
	Split     bool          // take a CPU profile and split it by stage
	Profile   string
}

// memberReport is a line of its answer: first that it is ready, then what it measured.
type memberReport struct {
	Ready bool
	Row   *bench.Row
}

// benchMember is the process that is measured, as its parent sees it.
type benchMember struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *json.Decoder
	done bool
}

func startMember(ctx context.Context, spec *memberSpec, stderr io.Writer) (*benchMember, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("bench: own program: %w", err)
	}
	cmd := exec.CommandContext(ctx, self, "bench", "member")
	cmd.Stderr = stderr
	cmd.WaitDelay = 5 * time.Second
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, fmt.Errorf("bench: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("bench: start the service: %w", err)
	}
	m := &benchMember{cmd: cmd, in: in, out: json.NewDecoder(bufio.NewReader(out))}
	if err := json.NewEncoder(in).Encode(spec); err != nil {
		m.kill()
		return nil, fmt.Errorf("bench: %w", err)
	}
	return m, nil
}

func (m *benchMember) read() (r memberReport, err error) {
	if err = m.out.Decode(&r); err == nil {
		return r, nil
	}
	if errors.Is(err, io.EOF) { // why is on its standard error, which is ours
		err = errors.New("it said nothing")
	}
	return r, fmt.Errorf("the measured process ended: %w", cmp.Or(m.stop(), err))
}

// ready waits until the service has its partitions.
func (m *benchMember) ready() error {
	_, err := m.read()
	return err
}

// measured waits for the figures.
func (m *benchMember) measured() (*bench.Row, error) {
	r, err := m.read()
	return r.Row, err
}

// stop lets the process end and waits for it.
func (m *benchMember) stop() error {
	m.done = true
	_ = m.in.Close()
	return m.cmd.Wait()
}

// kill ends the process where stop didn't.
func (m *benchMember) kill() {
	if !m.done {
		_ = m.cmd.Process.Kill()
		_ = m.stop()
	}
}

func newBenchMemberCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "member", Hidden: true, Args: noArgs, Short: "The process that weir bench measures",
		RunE: func(cmd *cobra.Command, _ []string) error {
			var spec memberSpec
			in := json.NewDecoder(a.stdin)
			if err := in.Decode(&spec); err != nil {
				return fmt.Errorf("what to measure: %w", err)
			}
			return a.benchMember(cmd.Context(), &spec, io.MultiReader(in.Buffered(), a.stdin))
		},
	}
}

// benchMember runs the service as weir run does, measures it, and ends when nothing more comes from in.
func (a *app) benchMember(ctx context.Context, spec *memberSpec, in io.Reader) error {
	if spec.Procs > 0 {
		runtime.GOMAXPROCS(spec.Procs)
	}
	c, err := config.Load(config.Source{Overrides: spec.Overrides})
	if err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	began := a.now()
	_, set, err := configuredRules(c)
	if err != nil {
		return err
	}
	loaded := a.now().Sub(began)
	counters := &counterTap{Registry: prometheus.NewRegistry()}
	e, err := a.newEngine(c, set, counters, a.logger(c.Log), nil)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g.Go(func() error { return e.run(ctx, config.HTTP{}) })
	go func() { // not waited for: the parent may keep the pipe open
		_, _ = io.Copy(io.Discard, in) // until it lets us go, or is gone
		cancel()
	}()
	g.Go(func() error {
		out := json.NewEncoder(a.stdout)
		if err := waitReady(ctx, e); err != nil {
			return nil //nolint:nilerr // it ended before it began: the service says why
		}
		if err := out.Encode(memberReport{Ready: true}); err != nil {
			return err
		}
		row, err := a.measureMember(ctx, spec, counters)
		if err != nil || row == nil {
			return err
		}
		row.LoadMS = loaded.Seconds() * 1000
		return out.Encode(memberReport{Row: row})
	})
	return errors.Join(g.Wait(), e.store.Close())
}

// counterTap is a registry that keeps hold of the counters that the measurement reads while the service runs: to
// gather all of them would cost more than some events do.
type counterTap struct {
	*prometheus.Registry
	records, candidates, evaluations, alerts prometheus.Collector
}

// MustRegister registers collectors and notes some of them.
func (t *counterTap) MustRegister(collectors ...prometheus.Collector) {
	for _, c := range collectors {
		desc := make(chan *prometheus.Desc, 16)
		go func() { c.Describe(desc); close(desc) }()
		for d := range desc {
			for name, field := range map[string]*prometheus.Collector{
				"weir_records_total": &t.records, "weir_rule_candidates_total": &t.candidates,
				"weir_rule_evaluations_total": &t.evaluations, "weir_alerts_total": &t.alerts,
			} {
				if bytes.Contains([]byte(d.String()), []byte(`fqName: "`+name+`"`)) {
					*field = c
				}
			}
		}
	}
	t.Registry.MustRegister(collectors...)
}

// total sums the values of a counter.
func total(c prometheus.Collector) float64 {
	if c == nil {
		return 0
	}
	values := make(chan prometheus.Metric, 64)
	go func() { c.Collect(values); close(values) }()
	sum := 0.0
	for v := range values {
		var m dto.Metric
		if v.Write(&m) == nil {
			sum += m.GetCounter().GetValue()
		}
	}
	return sum
}

// sample is what a process has used so far.
type sample struct {
	at                                       time.Time
	user, system                             time.Duration
	mem                                      runtime.MemStats
	records, candidates, evaluations, alerts float64
}

func (a *app) used(t *counterTap) sample {
	s := sample{
		at: a.now(), records: total(t.records), candidates: total(t.candidates), evaluations: total(t.evaluations), alerts: total(t.alerts),
	}
	s.user, s.system = cpuTime()
	runtime.ReadMemStats(&s.mem)
	return s
}

// measureMember measures from the first commit at the end of the warm-up until the last but one, since the last waits for
// the interval to end with nothing left to do; to the last where there are too few. It is nil where ctx ended before.
func (a *app) measureMember(ctx context.Context, spec *memberSpec, t *counterTap) (*bench.Row, error) {
	began := a.used(t)
	if err := a.waitRecords(ctx, t, spec.Warmup, nil); err != nil {
		return nil, nil // the end was asked for
	}
	var profile bytes.Buffer
	if spec.Split || spec.Profile != "" {
		if err := pprof.StartCPUProfile(&profile); err != nil {
			return nil, err
		}
		defer pprof.StopCPUProfile()
	}
	commits := []sample{a.used(t)}
	if err := a.waitRecords(ctx, t, spec.Records, &commits); err != nil {
		return nil, nil // the end was asked for
	}
	pprof.StopCPUProfile()
	commits = apart(commits, spec.Commit/2)
	whole := len(commits) < 3 || commits[0].records >= float64(spec.Records) // too few commits for a warm-up
	if whole {
		commits = []sample{began, a.used(t)}
	}
	last := len(commits) - 1
	if last > 2 {
		last--
	}
	row := between(&commits[0], &commits[last])
	row.Whole = whole
	row.RSSMB, row.PeakRSSMB = residentMB()
	if spec.Profile != "" {
		if err := os.WriteFile(spec.Profile, profile.Bytes(), 0o600); err != nil {
			return nil, fmt.Errorf("cpu profile: %w", err)
		}
		if err := writeHeapProfile(spec.Profile + ".heap"); err != nil {
			return nil, fmt.Errorf("heap profile: %w", err)
		}
	}
	if !spec.Split || whole { // the profile has only what is behind the warm-up
		return row, nil
	}
	split, err := bench.Split(&profile)
	if err != nil {
		return nil, err
	}
	row.Stages = map[string]float64{}
	for stage, share := range split {
		row.Stages[stage] = share * row.CPUMicros
	}
	return row, nil
}

// apart leaves the last of samples that are less than a time apart: a commit's counters come partition by partition, and what lies between
// two of them isn't a batch.
func apart(samples []sample, least time.Duration) []sample {
	kept := samples[:1]
	for _, s := range samples[1:] {
		if s.at.Sub(kept[len(kept)-1].at) < least {
			kept[len(kept)-1] = s
		} else {
			kept = append(kept, s)
		}
	}
	return kept
}

// commitSettles is how long the counters of a commit take to be there for all partitions, at most.
const commitSettles = 3 * time.Millisecond

// waitRecords waits until so many records are committed, and notes what was used at each commit, where that is wanted.
func (a *app) waitRecords(ctx context.Context, t *counterTap, records int, commits *[]sample) error {
	ticker := time.NewTicker(commitSettles)
	defer ticker.Stop()
	seen := total(t.records)
	for moving := false; ; {
		n := total(t.records)
		if n == seen && moving && commits != nil {
			*commits = append(*commits, a.used(t))
		}
		if n >= float64(records) && n == seen {
			return nil
		}
		moving, seen = n != seen, n
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
	}
}

// between sums up what happened between two samples.
func between(from, to *sample) *bench.Row {
	n := to.records - from.records
	per := func(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 / n }
	seconds := to.at.Sub(from.at).Seconds()
	return &bench.Row{
		Events: int(n), Seconds: seconds, EventsPerS: n / seconds,
		CPUMicros: per(to.user - from.user + to.system - from.system), UserMicros: per(to.user - from.user),
		Allocs: float64(to.mem.Mallocs-from.mem.Mallocs) / n, AllocBytes: float64(to.mem.TotalAlloc-from.mem.TotalAlloc) / n,
		GCs:         to.mem.NumGC - from.mem.NumGC,
		MatchesPerM: (to.alerts - from.alerts) / n * 1e6, CandidatesPer: (to.candidates - from.candidates) / n,
		EvaluationsP: (to.evaluations - from.evaluations) / n,
	}
}

// writeHeapProfile writes what is live and what was allocated, as of the last garbage collection, and so at full speed.
func writeHeapProfile(path string) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(pprof.Lookup("heap").WriteTo(f, 0), f.Close())
}
