//go:build unix

// Command cmd runs the fault harness: make chaos SEED=… RUNS=… DURATION=….
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weir-eql/weir/internal/chaos"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "chaos:", err)
		os.Exit(1)
	}
}

type options struct {
	chaos.Options

	seed uint64
	runs int
	json bool

	prove bool // first a run that must not pass
}

func parse(args []string) (o options, err error) {
	flags := flag.NewFlagSet("chaos", flag.ContinueOnError)
	flags.StringVar(&o.Weir, "weir", "", "the program, built with -tags chaos")
	flags.StringVar(&o.Libs, "libs", "", "folder with the jars of Kafka, as hack/kafka.sh libs prints it")
	flags.StringVar(&o.Dir, "dir", ".build/chaos", "folder for state and logs; those of runs that didn't pass stay")
	flags.DurationVar(&o.Duration, "duration", 20*time.Second, "length of each run's script; a run takes 15 to 25 s more")
	flags.Uint64Var(&o.seed, "seed", 1, "seed of the first run; it chooses settings, script and faults")
	flags.IntVar(&o.runs, "runs", 1, "number of runs, with one seed after the other")
	only := flags.String("only", "", "kinds of faults, separated by commas, as results name them; default: all")
	flags.StringVar(&o.Plant, "plant", "", "an error that the members have: alerts (one in four is lost, one in four doubled) or "+
		"state (a change in four is lost) or checkpoint (the local store says before a commit that it has it)")
	flags.BoolVar(&o.prove, "prove", false, "first a short run without faults, but with -plant alerts, that must not pass")
	output := flags.String("o", "text", "output: text, or json for one line per run")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	o.json = *output == "json"
	if *only != "" {
		o.Only = strings.Split(*only, ",")
	}
	if o.Weir == "" || o.Libs == "" || *output != "text" && !o.json {
		return o, errors.New("-weir and -libs are needed, and -o is text or json")
	}
	if o.Dir, err = filepath.Abs(o.Dir); err != nil {
		return o, err
	}
	return o, nil
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parse(args)
	if err != nil {
		return err
	}
	o.Log = func(format string, args ...any) { fmt.Fprintf(stderr, format+"\n", args...) }
	h, err := chaos.Start(ctx, o.Options)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	if o.prove {
		if err := h.Prove(ctx, o.seed); err != nil {
			return fmt.Errorf("%w; logs are in %s", err, o.Dir)
		}
	}
	total := &summary{began: time.Now(), faults: map[string]int{}}
	for i := range o.runs {
		res, err := o.one(ctx, h, o.seed+uint64(i), stdout)
		if err != nil {
			return fmt.Errorf("seed %d: %w; logs are in %s", o.seed+uint64(i), err, o.Dir)
		}
		total.add(res)
	}
	if !o.json {
		if _, err := fmt.Fprint(stdout, total.text()); err != nil {
			return err
		}
	}
	if total.bad > 0 {
		return fmt.Errorf("%d of %d runs didn't pass", total.bad, total.runs)
	}
	return nil
}

// attempts is how often a seed is run that came to nothing because the machine stood still.
const attempts = 3

func (o *options) one(ctx context.Context, h *chaos.Harness, seed uint64, stdout io.Writer) (res *chaos.Result, err error) {
	for range attempts {
		if res, err = h.Run(ctx, seed); err != nil {
			return nil, err
		}
		if err := errors.Join(res.Keep(), o.print(stdout, res)); err != nil {
			return nil, err
		}
		if res.Verdict != chaos.Void {
			break
		}
	}
	return res, nil
}

func (o *options) print(w io.Writer, res *chaos.Result) error {
	if o.json {
		return json.NewEncoder(w).Encode(res)
	}
	_, err := fmt.Fprintln(w, res.Line())
	if err == nil && res.Verdict != chaos.Passed {
		_, err = fmt.Fprintf(w, "%s  faults: %s\n  %s\n  logs: %s\n  again: make chaos SEED=%d RUNS=1 DURATION=%v\n",
			res.Details(), res.FaultText(), res.Settings, res.Dir, res.Seed, o.Duration)
	}
	return err
}

// summary adds up results.
type summary struct {
	began                                              time.Time
	runs, bad, expected, published, lost, doubled, odd int
	stall                                              float64
	faults                                             map[string]int
}

func (s *summary) add(res *chaos.Result) {
	s.runs++
	if res.Verdict != chaos.Passed {
		s.bad++
	}
	s.expected += res.Expected
	s.published += res.Published
	s.lost += len(res.Lost)
	s.doubled += len(res.Doubled)
	s.odd += len(res.Unexpected)
	s.stall = max(s.stall, res.Stall)
	for kind, n := range res.Faults {
		s.faults[kind] += n
	}
}

func (s *summary) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%d runs in %v, %d not passed: expected %d, published %d, lost %d, doubled %d, unexpected %d, longest stall %.1f s\n",
		s.runs, time.Since(s.began).Round(time.Second), s.bad, s.expected, s.published, s.lost, s.doubled, s.odd, s.stall)
	for _, kind := range slices.Sorted(maps.Keys(s.faults)) {
		fmt.Fprintf(&b, "  %5d  %s\n", s.faults[kind], kind)
	}
	return b.String()
}
