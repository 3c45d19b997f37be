// Package conformance holds Weir to what others say EQL means: it runs the scripts of eql/eqltest and the public test
// suites of Elasticsearch and of the Python implementation through the engines, and counts what passes, what
// fails, and what doesn't apply to Weir's dialect and why. No part of it knows a single case by name: what
// applies is decided by rules that are stated with each suite.
package conformance

import (
	"fmt"
	"slices"
	"time"

	"github.com/weir-eql/weir/eql/eqltest"
	"github.com/weir-eql/weir/internal/fields"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// Batch is the engine of `weir query`, as eqltest has engines.
func Batch(query string, types []eqltest.FieldType, events []eqltest.Event) ([]eqltest.Match, error) {
	table, err := declared(types)
	if err != nil {
		return nil, err
	}
	docs := make([][]byte, len(events))
	for i, e := range events {
		docs[i] = e.Doc
	}
	res, err := runQuery(query, docs, replay.QueryOptions{Fields: table})
	if err != nil {
		return nil, err
	}
	out := make([]eqltest.Match, len(res.Matches))
	for i, m := range res.Matches {
		for _, e := range m.Events {
			name := eqltest.Missing
			if !e.Missing {
				name = events[e.Index].Name
			}
			out[i] = append(out[i], name)
		}
	}
	return out, nil
}

// declared returns the types of a script's fields.
func declared(types []eqltest.FieldType) (*fields.Table, error) {
	table := new(fields.Table)
	for _, f := range types {
		if err := table.Add(f.Path, f.Type); err != nil {
			return nil, err
		}
		if f.HasNull {
			table.SetNull(f.Path, f.Null)
		}
	}
	return table, nil
}

// runQuery runs a query over documents, whose positions are the indexes of the result.
func runQuery(query string, docs [][]byte, o replay.QueryOptions) (*replay.QueryResult, error) {
	records := make([]pipeline.Record, len(docs))
	for i, d := range docs {
		records[i] = pipeline.Record{Topic: "events", Offset: int64(i), Value: d}
	}
	return replay.Query(query, replay.FromRecords(records), o)
}

// lateness is how long the worker of a stream waits for earlier events.
const lateness = 2 * time.Second

// OpenStream starts the engine of `weir run` for one query, over a state in memory: a partition's worker, which commits
// after every event. It is an eqltest.Opener.
func OpenStream(query string, types []eqltest.FieldType) (eqltest.Stream, error) {
	table, err := declared(types)
	if err != nil {
		return nil, err
	}
	rule := &rules.Rule{
		ID: "script", Name: "script", Query: query, Type: "eql", Language: "eql", Severity: "low",
	}
	set, err := rules.NewSet([]*rules.Rule{rule}, rules.SetOptions{AnyIndex: true, Types: table.TypeOf, Nulls: table.Null})
	if err != nil {
		return nil, err
	}
	s := &stream{
		cfg: &pipeline.Config{
			Set: set, Alerts: alert.NewECS(alert.Options{}), Limits: replay.NoCaps(),
			Order: pipeline.Order{Lateness: lateness},
		},
		store: state.OpenMemory(), now: eqltest.Epoch().UnixMilli(),
	}
	s.cfg.EnsureDefaults()
	if err := s.Restart(); err != nil {
		return nil, err
	}
	return s, nil
}

// stream is a worker, and the matches that it has reported.
type stream struct {
	cfg    *pipeline.Config
	store  *state.Store
	worker *pipeline.Worker
	names  []string // of the events, by offset
	log    []pipeline.Record
	now    int64 // how far time has come, in milliseconds
	found  []found
}

type found struct {
	at    sequence.Ordinal
	match eqltest.Match
}

// Event gives the worker the next record, as if the broker had appended it at the event's time.
func (s *stream) Event(e eqltest.Event) error {
	s.now = max(s.now, eqltest.Epoch().Add(e.At).UnixMilli())
	r := pipeline.Record{
		Topic: "events", Offset: int64(len(s.names)), Value: e.Doc, Time: s.now, Clock: pipeline.ClockLogAppend,
	}
	s.names, s.log = append(s.names, e.Name), append(s.log, r)
	if err := s.worker.Process([]pipeline.Record{r}); err != nil {
		return err
	}
	return s.commit()
}

// Advance moves the time that Settle goes to.
func (s *stream) Advance(d time.Duration) error {
	s.now += d.Milliseconds()
	return s.idle()
}

// idle moves the record clock to where the watermark, which lies a millisecond below what is still awaited,
// reaches the present.
func (s *stream) idle() error {
	if err := s.worker.Idle(s.now + lateness.Milliseconds() + 1); err != nil {
		return err
	}
	return s.commit()
}

// Restart puts a new worker over the stored state.
func (s *stream) Restart() error {
	w, err := pipeline.NewWorker(s.cfg, s.store.Partition(0), 0)
	if err != nil {
		return err
	}
	s.worker = w
	if err := w.Reload(); err != nil {
		return err
	}
	return w.RefillFrom(s.log)
}

// Settle moves the watermark to the time that was reached.
func (s *stream) Settle() ([]eqltest.Match, error) {
	if err := s.idle(); err != nil {
		return nil, err
	}
	return s.take(), nil
}

// Finish ends the input and closes the state.
func (s *stream) Finish() ([]eqltest.Match, error) {
	if err := s.worker.Finish(); err != nil {
		return nil, err
	}
	if err := s.commit(); err != nil {
		return nil, err
	}
	return s.take(), s.store.Close()
}

// commit takes the batch's alerts and stores its state.
func (s *stream) commit() error {
	out := s.worker.Output()
	for _, d := range out.DeadLetters {
		return fmt.Errorf("event %s: %s: %s", s.names[d.Offset], d.Reason, d.Detail)
	}
	for _, a := range out.Alerts {
		f := found{at: a.Completed.Ordinal}
		for _, e := range a.Match {
			name := eqltest.Missing
			if !e.Missing {
				name = s.names[e.Ref.Offset]
			}
			f.match = append(f.match, name)
		}
		s.found = append(s.found, f)
	}
	s.worker.Changes()
	return s.worker.Committed(state.Checkpoint{Version: state.CodecVersion})
}

// take returns the matches since the last call in the order of completion: a sequence that ends in a missing
// stage is decided later than it was completed.
func (s *stream) take() []eqltest.Match {
	slices.SortStableFunc(s.found, func(a, b found) int { return a.at.Compare(b.at) })
	var out []eqltest.Match
	for _, f := range s.found {
		out = append(out, f.match)
	}
	s.found = nil
	return out
}
