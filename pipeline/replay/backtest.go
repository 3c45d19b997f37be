package replay

import (
	"context"
	"errors"
	"fmt"
	"math"
	"runtime"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// Options configure a Backtest.
type Options struct {
	Config *pipeline.Config
	// Alert is called for each alert in the order in which it was decided; nil ignores them.
	Alert func(pipeline.Alert) error
	// DeadLetter is called for each record that can't be an event; nil ignores them.
	DeadLetter func(pipeline.DeadLetter) error
	// Reported says whether an alert belongs to the range that is replayed rather than to its warm-up; nil
	// takes all.
	Reported func(pipeline.Alert) bool
	// Progress is called now and then with what was processed so far; nil is silent.
	Progress func(records, bytes uint64)
	// Ahead is the number of goroutines that read, decode and match ahead of the workers; 0 means one per core. What a
	// replay finds doesn't depend on it.
	Ahead int
	// ChunkBytes is about how much of a file is read and prepared in one go; 0 means 512 KiB.
	ChunkBytes int
}

// RuleResult is what a replay found for one rule.
type RuleResult struct {
	Rule    *rules.Compiled
	Matches int
	Hosts   map[string]struct{}
	First   int64 // event time of the first and the last completing event, milliseconds; 0 without matches
	Last    int64
}

// Result is what a replay found.
type Result struct {
	Rules       []RuleResult // by rule number
	Records     uint64
	Bytes       uint64
	Alerts      int
	DeadLetters map[string]int // by reason
	First       int64          // earliest and latest event time of the alerts' completing events
	Last        int64
}

// batchSize is the number of records between two commits to the throw-away state. It is not seen in the result.
const batchSize = 4096

// batchBytes bounds the memory of a batch.
const batchBytes = 16 << 20

// Backtest runs all records of src through the engine, one worker per partition, and ends the input. Records are read,
// decoded and matched ahead of the workers, on goroutines that have ended when Backtest returns. Files that couldn't be read to their ends
// are an error that is an *UnreadError, with the result of all that was read. With another error the result is that of what was processed until then.
func Backtest(ctx context.Context, src Source, o Options) (*Result, error) {
	o.Config.EnsureDefaults()
	if o.Ahead <= 0 {
		o.Ahead = runtime.GOMAXPROCS(0)
	}
	if o.ChunkBytes <= 0 {
		o.ChunkBytes = chunkBytes
	}
	if o.Reported != nil { // the warm-up is no part of a search
		o.Config.SampleScope = func(ref sequence.Ref) bool { return o.Reported(pipeline.Alert{Completed: ref}) }
	}
	o.Config = joined(o.Config, src)
	b := &backtest{
		o: o, store: state.OpenMemory(), workers: map[int32]*pipeline.Worker{}, ended: map[int32]bool{},
		result: &Result{DeadLetters: map[string]int{}},
	}
	for _, c := range o.Config.Set.Rules() {
		b.result.Rules = append(b.result.Rules, RuleResult{Rule: c, Hosts: map[string]struct{}{}})
	}
	err := b.run(ctx, src)
	if err == nil && b.unread != nil {
		err = b.unread
	}
	return b.result, errors.Join(err, b.store.Close())
}

type backtest struct {
	o       Options
	store   *state.Store
	workers map[int32]*pipeline.Worker
	order   []int32
	target  *pipeline.Worker // joins the events of all partitions; nil where nothing has to be joined
	passed  int64            // records that were passed to it
	ended   map[int32]bool   // partitions that have no more records
	held    int              // records since the last commit
	bytes   int
	unread  *UnreadError // files that couldn't be read to their ends; nil: none
	result  *Result
}

func (b *backtest) run(ctx context.Context, src Source) error {
	var err error
	if files, ok := src.(*fileSource); ok && !files.began && (files.merge || len(files.files) == 1) {
		err = b.runFiles(ctx, files)
	} else {
		err = b.runRecords(ctx, src)
	}
	if err != nil {
		return err
	}
	for _, n := range b.order {
		if err := b.workers[n].Finish(); err != nil {
			return err
		}
		if err := b.commit(n); err != nil {
			return err
		}
	}
	return b.finishJoined()
}

// process gives some records of a chunk, which are of one partition, to their worker.
func (b *backtest) process(c *chunk, n int32, from, to int) error {
	w, err := b.worker(n)
	if err != nil {
		return err
	}
	for i := from; i < to; i++ {
		b.bytes += len(c.batch.Records[i].Value)
	}
	b.held += to - from
	return w.ProcessBatch(&c.batch, from, to)
}

// full reports whether what was processed is to be committed before more comes.
func (b *backtest) full() bool { return b.held >= batchSize || b.bytes >= batchBytes }

// counted adds what was processed since the last call to the result.
func (b *backtest) counted() {
	b.result.Records += uint64(b.held)
	b.result.Bytes += uint64(b.bytes)
	b.held, b.bytes = 0, 0
	if b.o.Progress != nil {
		b.o.Progress(b.result.Records, b.result.Bytes)
	}
}

func (b *backtest) worker(n int32) (*pipeline.Worker, error) {
	if w, ok := b.workers[n]; ok {
		return w, nil
	}
	w, err := pipeline.NewWorker(b.o.Config, b.store.Partition(n), n)
	if err != nil {
		return nil, err
	}
	b.workers[n] = w
	b.order = append(b.order, n)
	return w, nil
}

func (b *backtest) commit(n int32) error {
	if err := b.pass(n); err != nil {
		return err
	}
	return b.reportOutput(b.workers[n])
}

// reportOutput reports what a worker has made, and ends its batch.
func (b *backtest) reportOutput(w *pipeline.Worker) error {
	out := w.Output()
	for _, a := range out.Alerts {
		if err := b.report(a); err != nil {
			return err
		}
	}
	for _, d := range out.DeadLetters {
		b.result.DeadLetters[d.Reason]++
		if b.o.DeadLetter != nil {
			if err := b.o.DeadLetter(d); err != nil {
				return fmt.Errorf("dead letter: %w", err)
			}
		}
	}
	w.EndBatch()
	return nil
}

func (b *backtest) report(a pipeline.Alert) error {
	if b.o.Reported != nil && !b.o.Reported(a) {
		return nil
	}
	b.result.Alerts++
	r := &b.result.Rules[a.Rule.Number]
	at := a.Completed.Time
	if r.Matches == 0 {
		r.First, r.Last = at, at
	}
	r.Matches++
	r.First, r.Last = min(r.First, at), max(r.Last, at)
	if b.result.Alerts == 1 {
		b.result.First, b.result.Last = at, at
	}
	b.result.First, b.result.Last = min(b.result.First, at), max(b.result.Last, at)
	for _, h := range a.Hosts {
		r.Hosts[h] = struct{}{}
	}
	if len(a.Hosts) == 0 && len(a.Key) > 0 {
		r.Hosts[string(a.Key)] = struct{}{}
	}
	if b.o.Alert != nil {
		return b.o.Alert(a)
	}
	return nil
}

// NoCaps returns the limits of a replay: all partials, buffered events and hosts that a live worker would cut are
// kept. The size limit of an event stays: what is a dead letter there is one here.
func NoCaps() pipeline.Limits {
	return pipeline.Limits{
		PartialsPerRule: math.MaxInt, Partials: math.MaxInt,
		Buffered: math.MaxInt, BufferedBytes: math.MaxInt, Hosts: math.MaxInt / 2,
	}
}

// RunRule runs one compiled set over documents given inline and returns, per match, the positions of its events,
// -1 for a missing stage. It is how the cases beside rules are run: the engine is that of a replay.
func RunRule(ctx context.Context, cfg *pipeline.Config, docs [][]byte) ([][]int, error) {
	var records []pipeline.Record
	for i, d := range docs {
		records = append(records, pipeline.Record{Topic: "case", Offset: int64(i), Value: d, Clock: pipeline.ClockEvent})
	}
	var matches [][]int
	_, err := Backtest(ctx, FromRecords(records), Options{
		Config: cfg,
		Alert: func(a pipeline.Alert) error {
			var positions []int
			for _, e := range a.Match {
				if e.Missing {
					positions = append(positions, -1)
				} else {
					positions = append(positions, int(e.Ref.Offset))
				}
			}
			matches = append(matches, positions)
			return nil
		},
		DeadLetter: func(d pipeline.DeadLetter) error {
			return fmt.Errorf("event %d: %s: %s", d.Offset, d.Reason, d.Detail)
		},
	})
	return matches, err
}
