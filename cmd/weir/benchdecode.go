package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/bench"
	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
)

// notDecode are the flags that mean nothing with --decode.
func notDecode() []string {
	return []string{
		"count", "number", "size", "hosts", "alerts", "stages", "seed", "brokers", "partitions", "compression", "commit", "rate", "for", "warmup",
		"cpuprofile", "no-split", "set",
	}
}

// checkDecode refuses what --decode would pass over.
func (f *benchFlags) checkDecode(cmd *cobra.Command, format string) error {
	if f.events == "" {
		return errors.New("--decode reads a file of events: name it with --events FILE; --write makes one")
	}
	if format == "csv" {
		return errors.New("--decode has no csv: use -o table or json")
	}
	for _, name := range notDecode() {
		if cmd.Flags().Changed(name) {
			return fmt.Errorf("--%s means nothing with --decode, which takes no Kafka and reads all of the file", name)
		}
	}
	return nil
}

// benchDecode measures the decoder alone, as weir backtest of the same rules and events runs it.
func (a *app) benchDecode(ctx context.Context, f *benchFlags, format string) error {
	collection, err := f.rules.load()
	if err != nil {
		return err
	}
	o := f.rules.setOptions()
	o.HostKeys = config.Default().Rules.HostKeys
	set, err := compile(collection, o)
	if err != nil {
		return err
	}
	if f.procs > 0 {
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(f.procs))
	}
	d := bench.Decoding{
		Version: readBuild().Version, Go: runtime.Version(), OS: runtime.GOOS + "/" + runtime.GOARCH, CPU: cpuModel(), Cores: runtime.NumCPU(),
		Procs: runtime.GOMAXPROCS(0), File: filepath.Base(f.events), Rules: len(set.Rules()), Fields: set.Schema().Len(),
	}
	defer paced(ctx)()
	for run := range f.repeat {
		if err := a.decodeOnce(ctx, f.events, set, run+1, &d); err != nil {
			return err
		}
	}
	d.Median = bench.MedianDecoded(d.Runs)
	if format == "json" {
		out := json.NewEncoder(a.stdout)
		out.SetIndent("", "  ")
		return out.Encode(d)
	}
	return a.renderDecoding(&d)
}

// decodeOnce reads the file once and adds the run to d.
func (a *app) decodeOnce(ctx context.Context, path string, set *rules.Set, run int, d *bench.Decoding) error {
	file, err := replay.OpenFile(path, a.stdin)
	if err != nil {
		return err
	}
	user, system := cpuTime()
	began := a.now()
	got, err := replay.Decode(ctx, file, set.Schema(), 0)
	took := a.now().Sub(began)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if got.Records == 0 {
		return fmt.Errorf("events: %s has none", path)
	}
	after, afterSystem := cpuTime()
	cpu := (after + afterSystem - user - system).Seconds()
	d.Events, d.Bytes, d.Broken = got.Records, got.Bytes, got.Rejected
	d.Found = float64(got.Fields) / float64(got.Records)
	d.Runs = append(d.Runs, bench.Decoded{Run: run, DecodeRate: bench.RateOf(got.Records, got.Bytes, took.Seconds(), cpu)})
	return nil
}

func (a *app) renderDecoding(d *bench.Decoding) error {
	if _, err := fmt.Fprintf(a.stdout, "%d events of %.0f bytes of %s, %d of them broken; %d fields of %s, %.1f found per event\n%s, %d of %d cores, %s, weir %s\n\n",
		d.Events, float64(d.Bytes)/float64(d.Events), d.File, d.Broken, d.Fields, count(d.Rules, "rule"), d.Found,
		d.CPU, d.Procs, d.Cores, d.Go, d.Version); err != nil {
		return err
	}
	t := term.NewTable(a.out.Width, term.Column{Title: "run"}, term.Column{Title: "seconds", Right: true}, term.Column{Title: "events/s", Right: true},
		term.Column{Title: "µs CPU/event", Right: true}, term.Column{Title: "MB/s", Right: true})
	row := func(name string, r bench.DecodeRate) {
		t.Row(name, fixed(r.Seconds, 2), fixed(r.EventsPerS, 0), fixed(r.CPUMicros, 2), fixed(r.MBPerS, 0))
	}
	for _, r := range d.Runs {
		row(strconv.Itoa(r.Run), r.DecodeRate)
	}
	if len(d.Runs) > 1 {
		row("median", d.Median)
	}
	return t.Write(a.stdout)
}
