package pipeline

import (
	"fmt"
	"strings"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/pipeline/sample"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
)

// SampleMode says what a rule's samples are.
type SampleMode uint8

// The modes.
const (
	// SamplesStream emits a sample as soon as its events are there, all within the rule's lookback.
	SamplesStream SampleMode = iota
	// SamplesBatch takes the whole input for one search, which Finish decides: one sample for each key of a partition. What
	// events wait for it is not bounded.
	SamplesBatch
)

// Machine matches the events of a sequence or sample; a MachineState is what it remembers of one join key. The methods
// mean what those of sequence.Machine and sample.Machine mean. It is immutable.
type Machine interface {
	Advance(st *MachineState, h sequence.Hits, ref sequence.Ref, dst []sequence.Match) []sequence.Match
	Tick(st *MachineState, watermark int64, dst []sequence.Match) []sequence.Match
	Finish(st *MachineState, dst []sequence.Match) []sequence.Match
	Deadline(st *MachineState) (at int64, ok bool)
	// Begins reports whether an event with these hits can change a state that is empty.
	Begins(h sequence.Hits) bool
	// Holds reports whether an event with these hits may be held by a state or be part of a match.
	Holds(h sequence.Hits) bool
}

// MachineState is the state of a sequence or of a sample. The zero value is empty, and becomes what the Machine is that it
// is given to: use it with one.
type MachineState struct {
	sequence sequence.State
	sample   *sample.State // nil where it is a sequence's, or empty
}

// NewMachine returns the machine of a query that joins events. maxSpan is in milliseconds, 0 where there is no bound; a sample
// without a bound is a search that gives perKey samples for each key, 0 counts as 1.
func NewMachine(q *eql.Query, maxSpan int64, perKey int) (Machine, error) {
	if q.Kind == eql.Sample {
		m, err := sample.New(sample.Spec{Stages: len(q.Stages), Lookback: maxSpan, PerKey: perKey})
		if err != nil {
			return nil, err
		}
		return sampleMachine{m}, nil
	}
	spec := sequence.Spec{MaxSpan: maxSpan, Until: q.Until != nil}
	for _, st := range q.Stages {
		spec.Stages = append(spec.Stages, sequence.Stage{Missing: st.Missing, Runs: st.Runs})
	}
	m, err := sequence.New(spec)
	if err != nil {
		return nil, err
	}
	return sequenceMachine{m}, nil
}

// newMachines returns the machines of a set by rule number, nil for single-event rules.
func newMachines(cfg *Config) ([]Machine, error) {
	compiled := cfg.Set.Rules()
	machines := make([]Machine, len(compiled))
	for i, c := range compiled {
		if !c.Joins() {
			continue
		}
		span := c.MaxSpan
		if cfg.searches(c) {
			span = 0
		}
		m, err := NewMachine(c.Query, span, 0)
		if err != nil {
			return nil, fmt.Errorf("rule %s: %w", c.Rule.ID, err)
		}
		machines[i] = m
	}
	return machines, nil
}

// searches reports whether a rule takes the whole input for one search.
func (c *Config) searches(r *rules.Compiled) bool { return c.Samples == SamplesBatch && r.Sample() }

type sequenceMachine struct{ m *sequence.Machine }

func (m sequenceMachine) Advance(st *MachineState, h sequence.Hits, ref sequence.Ref, dst []sequence.Match) []sequence.Match {
	return m.m.Advance(&st.sequence, h, ref, dst)
}

func (m sequenceMachine) Tick(st *MachineState, watermark int64, dst []sequence.Match) []sequence.Match {
	return m.m.Tick(&st.sequence, watermark, dst)
}

func (m sequenceMachine) Finish(st *MachineState, dst []sequence.Match) []sequence.Match {
	return m.m.Finish(&st.sequence, dst)
}

func (m sequenceMachine) Deadline(st *MachineState) (at int64, ok bool) {
	return m.m.Deadline(&st.sequence)
}

func (m sequenceMachine) Begins(h sequence.Hits) bool { return m.m.Begins(h) }

func (m sequenceMachine) Holds(h sequence.Hits) bool { return m.m.Holds(h) }

func (m sampleMachine) Begins(sequence.Hits) bool { return true }

func (m sampleMachine) Holds(sequence.Hits) bool { return true }

type sampleMachine struct{ m *sample.Machine }

func (m sampleMachine) Advance(st *MachineState, h sequence.Hits, ref sequence.Ref, dst []sequence.Match) []sequence.Match {
	if st.sample == nil {
		st.sample = new(sample.State)
	}
	return m.m.Advance(st.sample, h, ref, dst)
}

func (m sampleMachine) Tick(st *MachineState, watermark int64, dst []sequence.Match) []sequence.Match {
	if st.sample == nil {
		return dst
	}
	return m.m.Tick(st.sample, watermark, dst)
}

func (m sampleMachine) Finish(st *MachineState, dst []sequence.Match) []sequence.Match {
	if st.sample == nil {
		return dst
	}
	return m.m.Finish(st.sample, dst)
}

func (m sampleMachine) Deadline(st *MachineState) (at int64, ok bool) {
	if st.sample == nil {
		return 0, false
	}
	return m.m.Deadline(st.sample)
}

// Empty reports whether the state remembers nothing: it may be forgotten.
func (st *MachineState) Empty() bool {
	if st.sample != nil {
		return st.sample.Empty()
	}
	return st.sequence.Empty()
}

// Len is the number of partials, and of completed sequences that wait for an absence.
func (st *MachineState) Len() int {
	if st.sample != nil {
		return st.sample.Len()
	}
	return st.sequence.Len()
}

// Refs yields every event held, as often as it is held.
func (st *MachineState) Refs(yield func(sequence.Ref) bool) {
	if st.sample != nil {
		st.sample.Refs(yield)
		return
	}
	st.sequence.Refs(yield)
}

// topic returns the topic of an event held, "" where none is.
func (st *MachineState) topic() string {
	for r := range st.Refs {
		return strings.Clone(r.Topic)
	}
	return ""
}

// clone returns a copy that shares no memory with st.
func (st *MachineState) clone() MachineState {
	if st.sample != nil {
		return *st // nobody else has it
	}
	own, err := sequence.DecodeState(st.sequence.Append(nil))
	if err != nil {
		panic("BUG: an encoded state doesn't decode: " + err.Error())
	}
	return MachineState{sequence: own}
}

// append appends the encoded state to dst.
func (st *MachineState) append(dst []byte) []byte {
	if st.sample != nil {
		return st.sample.Append(dst)
	}
	return st.sequence.Append(dst)
}

// decodeState decodes the state of a rule that append wrote.
func decodeState(c *rules.Compiled, b []byte) (st MachineState, err error) {
	if c.Sample() {
		own, err := sample.DecodeState(b)
		st.sample = &own
		return st, err
	}
	st.sequence, err = sequence.DecodeState(b)
	return st, err
}
