//go:build linux

// Command soak runs partials that begin and expire through a worker and the local store, as fast as they go, and writes
// what disk, memory and CPU do meanwhile as CSV. Each partial outlives several commits, so that it is written and deleted:
// the life that leaves tombstones behind. It needs no broker; a commit takes the way of the service but for the transaction.
//
//	go run ./internal/soak -partials 50000000 -dir /var/tmp/soak > soak.csv
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

type options struct {
	partials int           // to begin, and to let expire
	live     int           // partials that are live at a time, about
	commit   int           // events per commit
	rows     int           // lines of the output
	maintain time.Duration // between two calls of Store.Maintain
	dir      string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	var o options
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(stderr)
	f.IntVar(&o.partials, "partials", 50_000_000, "partials that begin and expire")
	f.IntVar(&o.live, "live", 100_000, "partials that are live at a time")
	f.IntVar(&o.commit, "commit", 20_000, "events per commit")
	f.IntVar(&o.rows, "rows", 100, "lines of the output")
	f.DurationVar(&o.maintain, "maintain", 5*time.Minute, "time between two upkeeps of the store, as in the service")
	f.StringVar(&o.dir, "dir", "", "folder of the store; default: a temporary one, removed at the end")
	if err := f.Parse(args); err != nil {
		return err
	}
	if o.partials < 1 || o.live < 1 || o.commit < 1 || o.rows < 1 || o.maintain <= 0 {
		return errors.New("all numbers must be positive")
	}
	if o.dir == "" {
		dir, err := os.MkdirTemp("", "weir-soak-")
		if err != nil {
			return err
		}
		defer func() { _ = os.RemoveAll(dir) }()
		o.dir = dir
	}
	store, err := state.Open(state.Options{Dir: o.dir, Logger: slog.New(slog.NewTextHandler(stderr, nil))})
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	soaking, done := context.WithCancel(ctx)
	g.Go(func() error {
		defer done()
		return soak(ctx, &o, store, stdout)
	})
	g.Go(func() error { return upkeep(soaking, store, o.maintain) })
	return errors.Join(g.Wait(), store.Close())
}

// upkeep gives back the space of what is gone, as the service does.
func upkeep(ctx context.Context, store *state.Store, every time.Duration) error {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			if err := store.Maintain(ctx); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

const (
	topic    = "logs-endpoint.events.process"
	hosts    = 1_000
	maxSpan  = 2_000 // milliseconds
	lateness = 200   // milliseconds
	start    = 1_790_000_000_000
)

func newWorker(o *options, store *state.Store) (*pipeline.Worker, error) {
	rule := &rules.Rule{
		ID: "soak", Name: "soak", Severity: "low", RiskScore: 21,
		Query: `sequence by host.id with maxspan=2s [process where event.type == "start"] by process.entity_id
			[network where event.type == "start"] by process.entity_id`,
	}
	set, err := rules.NewSet([]*rules.Rule{rule}, rules.SetOptions{})
	if err != nil {
		return nil, err
	}
	cfg := &pipeline.Config{
		Set: set, Alerts: alert.NewECS(alert.Options{}),
		Order:  pipeline.Order{Lateness: lateness * time.Millisecond},
		Limits: pipeline.Limits{Partials: 4 * o.live, PartialsPerRule: 4 * o.live, Buffered: 4 * o.live},
	}
	cfg.EnsureDefaults()
	w, err := pipeline.NewWorker(cfg, store.Partition(0), 0)
	if err != nil {
		return nil, err
	}
	if err := w.Reload(); err != nil {
		return nil, err
	}
	return w, nil
}

// soak feeds one event per partial, so many in a millisecond of event time that as many as asked for are live.
func soak(ctx context.Context, o *options, store *state.Store, out io.Writer) error {
	w, err := newWorker(o, store)
	if err != nil {
		return err
	}
	csv := bufio.NewWriter(out)
	if err := header(csv); err != nil {
		return err
	}
	perMilli := max(1, o.live/(maxSpan+lateness))
	row := max(1, o.partials/o.rows)
	before, err := measure(store, 0)
	if err != nil {
		return err
	}
	batch := make([]pipeline.Record, 0, o.commit)
	memory := make([]byte, 0, 512*o.commit)
	begun := 0
	for next := row; begun < o.partials; {
		batch, memory = batch[:0], memory[:0]
		for range min(o.commit, o.partials-begun) {
			at := start + int64(begun/perMilli)
			first := len(memory)
			memory = appendEvent(memory, begun, at)
			batch = append(batch, pipeline.Record{
				Topic: topic, Offset: int64(begun), Value: memory[first:len(memory):len(memory)], Time: at, Clock: pipeline.ClockLogAppend,
			})
			begun++
		}
		if err := commit(w, batch, int64(begun)); err != nil {
			return err
		}
		if begun < next && begun < o.partials {
			continue
		}
		next += row
		now, err := measure(store, begun)
		if err != nil {
			return err
		}
		if err := now.write(csv, &before, w.Partials()); err != nil {
			return err
		}
		if err := csv.Flush(); err != nil {
			return err
		}
		if before = now; ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// commit does what the service does with a batch, but for the transaction.
func commit(w *pipeline.Worker, batch []pipeline.Record, offset int64) error {
	if err := w.Process(batch); err != nil {
		return err
	}
	w.Changes()
	return w.Committed(state.Checkpoint{
		Version: state.CodecVersion, Cluster: "soak", Topic: topic, Inputs: map[string]int64{topic: offset}, Changelog: offset,
	})
}

// appendEvent appends the document of event n, of about 450 bytes.
func appendEvent(dst []byte, n int, at int64) []byte {
	return fmt.Appendf(dst, `{"@timestamp":%d,"event":{"id":"vp2UuLNj%016d","category":"process","type":"start"},`+
		`"host":{"id":"37c4a2a5-1a18-41fc-a0ba-%012d"},"process":{"entity_id":"ZmQ5YjQyYzAtOWYz%08d"}}`, at, n, n%hosts, n)
}
