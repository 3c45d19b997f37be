package rules

import (
	"errors"
	"fmt"
	"slices"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// maxStages is the number of stages that a sequence or sample may be written with: SequenceHit has a bit for each.
const maxStages = 63

// maxExpanded is the number of stages that a sequence may have after its runs are expanded: what the sequence machine
// takes.
const maxExpanded = 1024

// UntilBit is the bit of SequenceHit.Stages that stands for the until stage.
const UntilBit uint64 = 1 << 63

// SetOptions configure a Set. The zero value is what production uses.
type SetOptions struct {
	// Types tells the types of fields; nil means those of the Elastic Common Schema and of known integrations.
	Types func(path string) event.Type
	// Nulls tells what an explicit null stands for: Schema.SetNulls. Nil means nothing.
	Nulls func(path string) (text string, ok bool)
	// Meta names the fields that place an event in time.
	Meta event.MetaOptions
	// HostKeys are the fields that imply the host: a sequence that is joined by one of them sees all its events on
	// one host. Nil means DefaultHostKeys.
	HostKeys []string
	// AnyIndex switches the rules' index patterns off: every rule sees every event.
	AnyIndex bool
	// NoIndex evaluates every stage for every event. For differential tests.
	NoIndex bool
	// NoGate doesn't sort stages out by the event's category, type, operating system and action before anything
	// else. For differential tests.
	NoGate bool
	// NoNarrow looks events up in the index of all units rather than of those that the gate and the index patterns leave. For
	// differential tests.
	NoNarrow bool
	// NoShapes evaluates what the values of the gate decide of a stage for each event anew. For differential tests.
	NoShapes bool
	// NoRecall looks each text up in the index anew. For differential tests.
	NoRecall bool
	// NoParts doesn't look up texts that stand anywhere in a value. For differential tests.
	NoParts bool
	// Incomplete says that rules are missing that nobody knows: their files are broken.
	Incomplete bool
	// Env configures the compilation of the queries.
	Env eql.EnvOptions
}

// EnsureDefaults fills in what is zero.
func (o *SetOptions) EnsureDefaults() {
	if o.Types == nil {
		o.Types = ecs.TypeOf
	}
	if o.HostKeys == nil {
		o.HostKeys = DefaultHostKeys()
	}
}

// DefaultHostKeys returns the fields that imply the host where nothing else is configured: identifiers of hosts
// and agents, and those that no two hosts share.
func DefaultHostKeys() []string {
	return []string{
		"host.id", "agent.id", "host.name", "host.hostname",
		"process.entity_id", "process.parent.entity_id", "process.group_leader.entity_id",
		"process.session_leader.entity_id", "process.entry_leader.entity_id", "process.Ext.ancestry",
		"container.id", "elastic.agent.id", "observer.id",
	}
}

// Compiled is a rule of a Set with its compiled query. It is immutable.
type Compiled struct {
	Rule  *Rule
	Query *eql.Query
	// Number is the rule's index in Set.Rules.
	Number int
	// HostLocal is set where all events of a match come from one host: always for an event query, for a
	// sequence or sample where one of its join keys implies the host in every stage.
	HostLocal bool
	// MaxSpan bounds a sequence or sample in milliseconds: its maxspan, or the rule's lookback where it has none. 0 for
	// event queries.
	MaxSpan int64
	// TimestampSlot is the field of the rule's event time, @timestamp unless the rule has a timestamp_field.
	TimestampSlot event.Slot
	// StateHash identifies the rule's partials: Rule.StateHash.
	StateHash [8]byte
	// Hash is Rule.Hash.
	Hash string

	keys []indexKey // what the index holds each unit under: the stages, then until
}

// Sequence reports whether the rule is a sequence.
func (c *Compiled) Sequence() bool { return c.Query.Kind == eql.Sequence }

// Sample reports whether the rule is a sample.
func (c *Compiled) Sample() bool { return c.Query.Kind == eql.Sample }

// Joins reports whether a match of the rule joins several events, so that it keeps partials: a sequence or a sample.
func (c *Compiled) Joins() bool { return c.Sequence() || c.Sample() }

// Set is a set of rules that are compiled together: over one schema, with shared atoms and one index of
// candidates. It is immutable and may be shared; each goroutine has a Matcher of its own.
type Set struct {
	rules   []*Compiled
	env     *eql.Env
	schema  *event.Schema
	meta    event.Meta
	opts    SetOptions
	units   []unit
	gates   []gateField
	index   *index
	streams *patternTable
	// everything has a bit for each rule.
	everything []uint64
}

// unit is a stage of a rule: what the index finds and the matcher evaluates.
type unit struct {
	stage *eql.Stage
	rule  int32
	bit   uint64 // 0 for an event query
}

// NewSet compiles rules together. Each id may occur once. The error names every rule that could not be compiled.
func NewSet(rs []*Rule, o SetOptions) (*Set, error) {
	o.EnsureDefaults()
	schema := event.NewSchema(o.Types)
	schema.SetNulls(o.Nulls)
	s := &Set{schema: schema, meta: event.AddMeta(schema, o.Meta), env: eql.NewEnv(schema, o.Env), opts: o}
	var errs []error
	seen := map[string]bool{}
	for _, r := range rs {
		if seen[r.ID] {
			errs = append(errs, fmt.Errorf("rules: rule %s is in the set twice", r.ID))
			continue
		}
		seen[r.ID] = true
		c, err := s.compile(r)
		if err != nil {
			errs = append(errs, fmt.Errorf("rules: rule %s (%s): %w", r.ID, r.Path, err))
			continue
		}
		s.add(c)
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if !s.opts.NoGate && !s.opts.NoIndex {
		s.gates = newGateFields(s)
	}
	s.index = buildIndex(s)
	s.streams = newPatternTable(s.rules)
	s.everything = newBits(len(s.rules))
	for i := range s.rules {
		setBit(s.everything, int32(i))
	}
	return s, nil
}

func (s *Set) compile(r *Rule) (*Compiled, error) {
	category := r.EventCategoryOverride
	if category == "" {
		category = s.opts.Meta.Category
	}
	o := eql.QueryOptions{CategoryField: category, Automata: r.automata}
	var q *eql.Query
	var err error
	if r.parsed != nil && r.parsedText == r.Query { // as Load left it
		q, err = s.env.CompileStatement(r.parsed, o)
	} else {
		q, err = s.env.Compile(r.Query, o)
	}
	if err != nil {
		return nil, err
	}
	if err := checkQuery(q); err != nil {
		return nil, err
	}
	c := &Compiled{Rule: r, Query: q, HostLocal: true, TimestampSlot: s.meta.Timestamp, StateHash: r.StateHash(), Hash: r.Hash()}
	if r.TimestampField != "" {
		c.TimestampSlot = s.schema.Add(r.TimestampField)
	}
	if c.Joins() {
		c.HostLocal = hostLocal(q, s.opts.HostKeys)
		c.MaxSpan = q.MaxSpan
		if c.MaxSpan == 0 {
			c.MaxSpan = r.LookbackMillis()
		}
	}
	return c, nil
}

// checkQuery finds what the language allows and a set doesn't.
func checkQuery(q *eql.Query) error {
	if len(q.Stages) > maxStages {
		return fmt.Errorf("the %s has %d stages, at most %d are supported", q.Kind, len(q.Stages), maxStages)
	}
	expanded := 0
	for _, stage := range q.Stages {
		expanded += stage.Runs
	}
	if q.Kind == eql.Sequence && expanded > maxExpanded {
		return fmt.Errorf("the sequence has %d stages after its runs are expanded, at most %d are supported", expanded, maxExpanded)
	}
	return nil
}

func (s *Set) add(c *Compiled) {
	c.Number = len(s.rules)
	s.rules = append(s.rules, c)
	number := int32(c.Number)
	if !c.Joins() {
		s.units = append(s.units, unit{stage: c.Query.Stages[0], rule: number})
		return
	}
	for i, stage := range c.Query.Stages {
		s.units = append(s.units, unit{stage: stage, rule: number, bit: 1 << i})
	}
	if c.Query.Until != nil {
		s.units = append(s.units, unit{stage: c.Query.Until, rule: number, bit: UntilBit})
	}
}

// hostLocal reports whether some position of the join keys implies the host in all stages. An optional key does not: null
// joins null across hosts.
func hostLocal(q *eql.Query, hostKeys []string) bool {
	stages := q.Stages
	if q.Until != nil {
		stages = append(slices.Clone(stages), q.Until)
	}
	if len(stages) == 0 {
		return false
	}
	for position := range stages[0].By {
		if !slices.ContainsFunc(stages, func(st *eql.Stage) bool {
			key := st.By[position]
			return key.Optional || !slices.Contains(hostKeys, key.Path)
		}) {
			return true
		}
	}
	return false
}

// Rules returns the rules of the set by number. The caller must not change the slice.
func (s *Set) Rules() []*Compiled { return s.rules }

// Incomplete reports whether rules are missing that nobody knows: SetOptions.Incomplete.
func (s *Set) Incomplete() bool { return s.opts.Incomplete }

// Rule returns a rule by its id, nil where the set has none of that id.
func (s *Set) Rule(id string) *Compiled {
	for _, c := range s.rules {
		if c.Rule.ID == id {
			return c
		}
	}
	return nil
}

// Schema returns the fields that the set's rules read, and those of Meta.
func (s *Set) Schema() *event.Schema { return s.schema }

// Meta returns the slots that place an event in time, on a host and in a data stream.
func (s *Set) Meta() event.Meta { return s.meta }

// Atoms returns the number of distinct atoms of all rules.
func (s *Set) Atoms() int { return s.env.Atoms() }

// LongestSpan returns the longest MaxSpan of the set's rules in milliseconds: how long a replay must warm up.
func (s *Set) LongestSpan() int64 {
	longest := int64(0)
	for _, c := range s.rules {
		longest = max(longest, c.MaxSpan)
	}
	return longest
}
