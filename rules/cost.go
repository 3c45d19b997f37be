package rules

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/textindex"
)

// Meter measures what each stage of a set costs on given events. It matches as a Matcher does and then evaluates again, apart
// and with a clock, what was evaluated: ordinary matching carries nothing of it. It belongs to one goroutine.
type Meter struct {
	set     *Set
	matcher *Matcher
	memo    *eql.Memo
	now     func() time.Duration // reads a clock that only goes forward
	events  uint64
	stages  []meteredStage // by unit
}

type meteredStage struct {
	cost       StageCost
	measured   uint64
	nanos      time.Duration
	conditions []*eql.Condition
	timed      []time.Duration // by condition
}

// StageCost is what one stage of a rule costs on the events of a Meter.
type StageCost struct {
	Rule *Compiled `json:"-"`
	ID   string    `json:"rule_id"`
	Name string    `json:"rule"`
	// Stage is the stage's name, as Explain has it.
	Stage string `json:"stage"`
	// Key is the condition under which the index finds the stage; none means every event that the gate leaves.
	Key []string `json:"key"`
	// Candidates counts the events that the index found, Evaluations those of them that the gate and the index patterns
	// left, Matches those that satisfy the stage.
	Candidates  uint64 `json:"candidates"`
	Evaluations uint64 `json:"evaluations"`
	Matches     uint64 `json:"matches"`
	// NanosPerEvaluation is what an evaluation takes by itself: conditions that rules share cost less in the set.
	NanosPerEvaluation float64 `json:"ns_per_evaluation"`
	// NanosPerEvent is the share of it in each event.
	NanosPerEvent float64 `json:"ns_per_event"`
	// Conditions are the parts of the filter in their written order; each is evaluated where those before it hold.
	Conditions []ConditionCost `json:"conditions"`
	// Hint says which edit would let the index find the stage; empty where it does.
	Hint string `json:"hint,omitempty"`
}

// ConditionCost is what one condition of a stage costs.
type ConditionCost struct {
	Text        string  `json:"condition"`
	Evaluations uint64  `json:"evaluations"` // of those that were measured
	Holds       uint64  `json:"holds"`
	Nanos       float64 `json:"ns_per_evaluation"`
}

// How much is measured: every evaluation at first, then one of some; each is repeated, since a clock costs more than most. The
// least of some timings counts: what else runs on the machine only adds to them.
const (
	measureFirst = 200
	measureOneOf = 16
	repeats      = 8
	timings      = 3
)

// NewMeter returns a meter of s. now reads a clock.
func NewMeter(s *Set, now func() time.Duration) *Meter {
	m := &Meter{set: s, matcher: s.NewMatcher(), memo: s.env.NewMemo(), now: now, stages: make([]meteredStage, len(s.units))}
	m.matcher.wide = true             // how often the index finds a stage is said whatever the gate leaves
	next := make([]int, len(s.rules)) // the units of a rule come in the order of its stages
	for u := range s.units {
		c := s.rules[s.units[u].rule]
		i := next[c.Number]
		next[c.Number]++
		st := &m.stages[u]
		explained := s.explainStage(c, i, s.units[u].stage)
		st.cost = StageCost{Rule: c, ID: c.Rule.ID, Name: c.Rule.Name, Stage: explained.Name, Key: explained.Key}
		category := c.Rule.EventCategoryOverride
		if category == "" {
			category = s.opts.Meta.Category
		}
		st.conditions = s.units[u].stage.Conditions(s.schema, eql.QueryOptions{CategoryField: category})
		for _, cond := range st.conditions {
			st.cost.Conditions = append(st.cost.Conditions, ConditionCost{Text: cond.Text})
		}
		st.timed = make([]time.Duration, len(st.conditions))
		st.cost.Hint = s.indexHint(c.keys[i], st.conditions)
	}
	return m
}

// Observe takes in one event.
func (m *Meter) Observe(ev *event.Event, stream string) {
	m.events++
	m.matcher.Match(ev, stream)
	for u := range m.stages {
		if m.matcher.visits[u].seen != m.matcher.generation {
			continue
		}
		st := &m.stages[u]
		st.cost.Candidates++
		if !hasBit(m.matcher.view.allowed, int32(u)) {
			continue
		}
		st.cost.Evaluations++
		m.memo.Reset()
		if m.set.units[u].stage.Match(ev, m.memo) {
			st.cost.Matches++
		}
		if st.cost.Evaluations <= measureFirst || st.cost.Evaluations%measureOneOf == 0 {
			m.measure(st, m.set.units[u].stage, ev)
		}
	}
}

func (m *Meter) measure(st *meteredStage, stage *eql.Stage, ev *event.Event) {
	st.measured++
	st.nanos += m.time(func() {
		m.memo.Reset()
		stage.Match(ev, m.memo)
	})
	for i, c := range st.conditions {
		holds := false
		st.timed[i] += m.time(func() { holds = c.Match(ev, m.memo) })
		st.cost.Conditions[i].Evaluations++
		if !holds {
			return
		}
		st.cost.Conditions[i].Holds++
	}
}

// time returns what repeats calls of f take.
func (m *Meter) time(f func()) time.Duration {
	best := time.Duration(-1)
	for range timings {
		began := m.now()
		for range repeats {
			f()
		}
		if took := m.now() - began; best < 0 || took < best {
			best = took
		}
	}
	return best
}

// Events returns the number of events observed.
func (m *Meter) Events() uint64 { return m.events }

// Stages returns the number of stages of all rules, evaluated or not.
func (m *Meter) Stages() int { return len(m.stages) }

// Costs returns the stages that were evaluated, those that take the most time first.
func (m *Meter) Costs() []StageCost {
	var out []StageCost
	for i := range m.stages {
		st := &m.stages[i]
		if st.cost.Evaluations == 0 {
			continue
		}
		c := st.cost
		c.Conditions = slices.Clone(c.Conditions)
		c.NanosPerEvaluation = float64(st.nanos) / float64(st.measured*repeats)
		c.NanosPerEvent = c.NanosPerEvaluation * float64(c.Evaluations) / float64(m.events)
		for j := range c.Conditions {
			if n := c.Conditions[j].Evaluations; n > 0 {
				c.Conditions[j].Nanos = float64(st.timed[j]) / float64(n*repeats)
			}
		}
		out = append(out, c)
	}
	slices.SortStableFunc(out, func(a, b StageCost) int {
		switch {
		case a.NanosPerEvent > b.NanosPerEvent:
			return -1
		case a.NanosPerEvent < b.NanosPerEvent:
			return 1
		default:
			return 0
		}
	})
	return out
}

// indexHint says which edit would let the index find a stage by a value, "" where it does.
func (s *Set) indexHint(key indexKey, conditions []*eql.Condition) string {
	if s.lookedUp(key) {
		return ""
	}
	inside := ""
	for _, c := range conditions {
		var bad []string
		alternatives := c.Alternatives()
		for _, side := range alternatives {
			if !slices.ContainsFunc(side.Needs(), s.lookedUp) {
				bad = append(bad, side.Text)
			}
		}
		if len(bad) > 0 && len(bad) < len(alternatives) {
			return "an alternative has no value to look up: join a condition such as process.name == \"…\" to " + shorten(bad[0])
		}
		for _, group := range c.Needs() {
			if i := slices.IndexFunc(group, short); i >= 0 && inside == "" {
				inside = fmt.Sprintf("%s is searched for %q anywhere, which is too short to be looked up: write %d characters or more, "+
					"anchor the pattern at its beginning or end, or add a condition on a name",
					s.schema.Field(group[i].Slot).Path, group[i].Text, textindex.MinPart)
			}
		}
	}
	if inside != "" {
		return inside
	}
	return "no condition asks for a text that few events have, or a number: add one, such as process.name == \"…\""
}

// lookedUp reports whether a group of needs is found by values, rather than by the gate or a field's presence alone.
func (s *Set) lookedUp(group []eql.Need) bool {
	if len(group) == 0 || gated(s.gates, group) {
		return false
	}
	return s.indexable(group) && !slices.ContainsFunc(group, func(n eql.Need) bool { return n.Op == eql.NeedPresent })
}

// short reports whether a need is for a part of a text that is too short to be looked up.
func short(n eql.Need) bool { return n.Op == eql.NeedContains && len(n.Text) < textindex.MinPart }

func shorten(text string) string {
	if r := []rune(text); len(r) > 80 {
		return strings.TrimSpace(string(r[:79])) + "…"
	}
	return text
}
