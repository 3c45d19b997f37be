package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
)

// Explanation says how a rule runs in its set.
type Explanation struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Path  string `json:"path"`
	Query string `json:"query"` // canonical
	Hash  string `json:"hash"`
	// Index holds the rule's index patterns; none means every data stream.
	Index []string `json:"index"`
	// CategoryField and TimestampField are the fields that the rule names in place of event.category and @timestamp.
	CategoryField  string `json:"category_field,omitempty"`
	TimestampField string `json:"timestamp_field,omitempty"`
	// Kind is event, sequence or sample.
	Kind     string           `json:"kind"`
	Sequence bool             `json:"sequence"`
	Fields   []ExplainedField `json:"fields"`
	Stages   []ExplainedStage `json:"stages"`
	// HostLocal and MaxSpanMillis are those of Compiled. SpanSource says where the bound comes from: maxspan or lookback.
	HostLocal     bool   `json:"host_local"`
	MaxSpanMillis int64  `json:"max_span_ms"`
	SpanSource    string `json:"span_source,omitempty"`
	// Partition says where the rule's events must meet.
	Partition  string   `json:"partition"`
	Unhonoured []string `json:"unhonoured"`
	// State is what a sequence or sample keeps while it is unfinished, nil for an event query.
	State *StateCost `json:"state,omitempty"`
}

// StateCost says what the partials of a sequence or sample hold. Sizes are estimates for event ids of 36 characters, without the
// join key; the events themselves are on disk and not counted.
type StateCost struct {
	// Key holds the join keys as stage 1 names them: there is a state for each tuple of their values.
	Key []string `json:"key"`
	// Events is the most events that one partial holds: all but the one that completes it, or all where the sequence
	// ends in an absence; of a sample, for each stage as many as it has stages.
	Events int `json:"events"`
	// Begun is the most partials under one key that have got to different stages, 1 for a sample.
	Begun int `json:"begun"`
	// BytesFirst is the memory of a partial of one event, BytesFull that of one with Events.
	BytesFirst int `json:"bytes_first"`
	BytesFull  int `json:"bytes_full"`
	// Waits is set where the sequence ends in an absence: complete ones wait under their key until it is certain.
	Waits bool `json:"waits"`
	// Remembers is set where it begins with one: the time of the last such event is kept under each of its keys for as
	// long as the sequence may last.
	Remembers bool `json:"remembers"`
}

// What a live partial takes in memory: the benchmarks of pipeline/sequence and pipeline/sample measure it.
const (
	bytesFirst         = 192
	bytesFurther       = 130
	bytesSampleFirst   = 256
	bytesSampleFurther = 205
)

// ExplainedField is a field that the rule reads. Type is "unknown" where the field table doesn't have it.
type ExplainedField struct {
	Path string `json:"path"`
	Type string `json:"type"`
}

// ExplainedStage is a stage of a sequence or sample, or the one filter of an event query.
type ExplainedStage struct {
	// Name is stage 1, stage 2 …, until, or query.
	Name    string   `json:"name"`
	Missing bool     `json:"missing,omitempty"`
	Runs    int      `json:"runs,omitempty"`
	By      []string `json:"by,omitempty"`
	// Key is the condition under which the index finds the stage: `process.name : "nc"`, one per alternative. None means
	// that the stage is evaluated for every event.
	Key []string `json:"key"`
}

// Explain says how the rule of an id runs; ok is false where the set has none.
func (s *Set) Explain(id string) (e Explanation, ok bool) {
	c := s.Rule(id)
	if c == nil {
		return Explanation{}, false
	}
	e = Explanation{
		ID: c.Rule.ID, Name: c.Rule.Name, Path: c.Rule.Path, Query: c.Query.String(), Hash: c.Hash,
		Index: c.Rule.Index, Kind: c.Query.Kind.String(), Sequence: c.Sequence(), HostLocal: c.HostLocal, MaxSpanMillis: c.MaxSpan,
		Unhonoured: c.Rule.Unhonoured(), CategoryField: c.Rule.EventCategoryOverride, TimestampField: c.Rule.TimestampField,
	}
	stages := c.Query.Stages
	if c.Query.Until != nil {
		stages = append(slices.Clone(stages), c.Query.Until)
	}
	for i, st := range stages {
		e.Stages = append(e.Stages, s.explainStage(c, i, st))
	}
	e.Fields = s.explainFields(stages)
	e.Partition = "each event is matched where it arrives"
	if c.Joins() {
		e.State = stateCost(c.Query, e.Stages[0].By)
		e.SpanSource = "maxspan"
		if c.Query.MaxSpan == 0 {
			e.SpanSource = "lookback"
		}
		e.Partition = "the join keys imply the host: events are matched where they arrive"
		if !c.HostLocal {
			e.Partition = "the join keys don't imply the host: weir run sends the events through the re-key topic to the partition of their join keys, where they are matched in the order of their event times"
			if e.TimestampField != "" {
				e.Partition += ", which are those of " + e.TimestampField
			}
		}
	}
	return e, true
}

func stateCost(q *eql.Query, by []string) *StateCost {
	st := &StateCost{Key: append([]string{}, by...), BytesFirst: bytesFirst}
	if q.Kind == eql.Sample {
		st.Events, st.Begun = len(q.Stages)*len(q.Stages), 1
		st.BytesFirst, st.BytesFull = bytesSampleFirst, bytesSampleFirst+bytesSampleFurther*(st.Events-1)
		return st
	}
	for _, stage := range q.Stages {
		st.Waits = stage.Missing
		if !stage.Missing {
			st.Events += stage.Runs
		}
	}
	st.Remembers = q.Stages[0].Missing
	st.Begun = st.Events - 1
	if !st.Waits {
		st.Events--
	}
	if st.Events == 0 { // the first event completes it
		st.BytesFirst = 0
		return st
	}
	st.BytesFull = bytesFirst + bytesFurther*(st.Events-1)
	return st
}

func (s *Set) explainStage(c *Compiled, i int, st *eql.Stage) ExplainedStage {
	out := ExplainedStage{Name: "query", Missing: st.Missing, Key: []string{}}
	if c.Joins() {
		out.Name = fmt.Sprintf("stage %d", i+1)
		out.Runs = st.Runs
		if st == c.Query.Until {
			out.Name, out.Runs = "until", 0
		}
	}
	for _, key := range st.By {
		path := key.Path
		if key.Optional {
			path = "?" + path
		}
		out.By = append(out.By, path)
	}
	for _, need := range c.keys[i] {
		out.Key = append(out.Key, s.describe(need))
	}
	slices.Sort(out.Key)
	out.Key = slices.Compact(out.Key)
	return out
}

func (s *Set) describe(n eql.Need) string {
	path := s.schema.Field(n.Slot).Path
	switch n.Op {
	case eql.NeedEqual:
		return fmt.Sprintf("%s : %q", path, n.Text) // the index ignores case, and the condition decides
	case eql.NeedPrefix:
		return fmt.Sprintf("%s begins with %q", path, n.Text)
	case eql.NeedRest:
		return fmt.Sprintf("%s begins with %q behind one character", path, n.Text)
	case eql.NeedPresent:
		return path + " is there"
	case eql.NeedSuffix:
		return fmt.Sprintf("%s ends with %q", path, n.Text)
	default:
		return fmt.Sprintf("%s contains %q", path, n.Text)
	}
}

func (s *Set) explainFields(stages []*eql.Stage) []ExplainedField {
	var slots []event.Slot
	for _, st := range stages {
		slots = append(slots, st.Fields...)
	}
	slices.Sort(slots)
	fields := make([]ExplainedField, 0, len(slots))
	for _, slot := range slices.Compact(slots) {
		f := s.schema.Field(slot)
		fields = append(fields, ExplainedField{Path: f.Path, Type: f.Type.String()})
	}
	slices.SortFunc(fields, func(a, b ExplainedField) int { return cmp.Compare(a.Path, b.Path) })
	return fields
}

// KeySummary returns in one line what the index finds a rule by, stage by stage.
func (e Explanation) KeySummary() string {
	parts := make([]string, len(e.Stages))
	for i, st := range e.Stages {
		switch n := len(st.Key); n {
		case 0:
			parts[i] = st.Name + ": every event"
		case 1:
			parts[i] = st.Name + ": " + st.Key[0]
		default:
			parts[i] = fmt.Sprintf("%s: %s or %d more", st.Name, st.Key[0], n-1)
		}
	}
	return strings.Join(parts, "; ")
}
