package rules

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
)

// Hits are the rules and stages that one event satisfies, in order of the rules' numbers.
type Hits struct {
	// Single holds the event queries that hold: each is a match.
	Single []*Compiled
	// Sequences holds the sequences and samples of which the event satisfies a stage.
	Sequences []SequenceHit
}

// SequenceHit is a sequence or sample with the stages that an event satisfies: bit i is stage i as written, missing stages
// included, and UntilBit the until stage.
type SequenceHit struct {
	Rule   *Compiled
	Stages uint64
}

// Stats counts the work of a Matcher since it was made. The slices are by rule number and belong to the Matcher.
type Stats struct {
	// Candidates counts the events that the index found for a rule, once per stage, of those that the gate and its index
	// patterns leave it.
	Candidates []uint64
	// Evaluations counts the predicates that were evaluated for a rule: its candidates, unless it was left out. One that the gate
	// decides counts as well.
	Evaluations []uint64
	// Excluded counts the candidates that were not evaluated because their rule was left out.
	Excluded []uint64
	// UnknownStream counts the events whose data stream was unknown, so that no index pattern filtered them.
	UnknownStream uint64
}

// Matcher matches events against a Set. It belongs to one goroutine.
type Matcher struct {
	set  *Set
	memo *eql.Memo

	generation uint32
	visits     []visits // by unit
	stages     []uint64 // by rule: the stages hit by the event at hand
	touched    []int32  // the rules that have stages
	hits       Hits

	view  *view // of the event at hand
	event *event.Event
	views *views
	wide  bool // the index isn't narrowed down to what the gate leaves

	excluded []bool          // by rule; nil: none
	times    []time.Duration // by rule; nil: nothing is measured
	now      func() time.Duration

	visit func(u int32) bool // consider, for searches that could end early

	recalled []recalled         // by hash
	gather   func(u int32) bool // takes the units of a search down in found
	found    []int32

	stats  Stats
	folded []byte
	digits []byte
}

// visits is what a matcher keeps of a unit, in one place: most units that are found aren't evaluated.
type visits struct {
	seen                    uint32 // the generation of the event that it was considered for last
	candidates, evaluations uint64
}

// NewMatcher returns a matcher for one goroutine.
func (s *Set) NewMatcher() *Matcher {
	m := &Matcher{
		set:      s,
		memo:     s.env.NewMemo(),
		visits:   make([]visits, len(s.units)),
		stages:   make([]uint64, len(s.rules)),
		wide:     s.opts.NoNarrow,
		recalled: make([]recalled, 1<<recalledBits),
		found:    make([]int32, 0, recalledUnits+1),
		stats: Stats{
			Candidates: make([]uint64, len(s.rules)), Evaluations: make([]uint64, len(s.rules)), Excluded: make([]uint64, len(s.rules)),
		},
	}
	m.views = newViews(s, m.visits)
	m.gather = m.gatherer()
	m.visit = func(u int32) bool {
		m.consider(u)
		return false
	}
	return m
}

// Set returns the set that the matcher works on.
func (m *Matcher) Set() *Set { return m.set }

// Stats returns the counts so far, until the next call; read them on the matcher's goroutine.
func (m *Matcher) Stats() *Stats {
	clear(m.stats.Candidates)
	clear(m.stats.Evaluations)
	m.views.count()
	for u := range m.visits {
		rule := m.set.units[u].rule
		m.stats.Candidates[rule] += m.visits[u].candidates
		m.stats.Evaluations[rule] += m.visits[u].evaluations
	}
	return &m.stats
}

// UnknownStream is that of Stats, at hardly any cost.
func (m *Matcher) UnknownStream() uint64 { return m.stats.UnknownStream }

// Match returns what ev satisfies. stream is the data stream that the event's topic carries
// ("logs-endpoint.events.process-default"), for events that don't name their own; "" where that is unknown: Match adds
// its parts to such an event, since in Elasticsearch every document of a data stream has them (constant_keyword fields). The
// hits are valid until the next call.
func (m *Matcher) Match(ev *event.Event, stream string) Hits {
	m.reset()
	m.event = ev
	typ, dataset, namespace := m.completeStream(ev, stream)
	if o := &m.set.opts; !m.wide && !o.NoIndex && !o.NoShapes && len(m.excluded) == 0 {
		sh := m.shapeOf(ev, typ, dataset, namespace)
		m.view = sh.view
		m.ask(sh, ev)
		m.lookup(ev)
		return m.collect()
	}
	m.view, _ = m.viewOf(ev, typ, dataset, namespace)
	if m.set.opts.NoIndex {
		for u := range m.set.units {
			m.consider(int32(u))
		}
	} else {
		for _, u := range m.view.residual {
			m.consider(u)
		}
		for i := range m.view.present {
			if p := &m.view.present[i]; len(ev.Values(p.slot)) > 0 {
				for _, u := range p.units {
					m.consider(u)
				}
			}
		}
		m.lookup(ev)
	}
	return m.collect()
}

// lookup calls consider for the units that the values of the event may satisfy.
func (m *Matcher) lookup(ev *event.Event) {
	if !m.wide {
		for i := range m.view.filters {
			f := &m.view.filters[i]
			values := ev.Values(f.slot)
			for j := range values {
				if v := &values[j]; v.Kind() != event.String {
					m.view.probes[i].lookup(m, m.text(*v))
				} else if text := v.Str(); f.marks&markOf(text) != 0 {
					m.view.probes[i].lookup(m, text)
				}
			}
		}
		return
	}
	fields := m.set.index.bySlot
	for _, slot := range ev.Touched() {
		if int(slot) < len(fields) && fields[slot] != nil {
			fields[slot].lookup(m, ev.Values(slot))
		}
	}
}

func (m *Matcher) reset() {
	m.memo.Reset()
	m.generation++
	if m.generation == 0 { // wrapped: old marks would look fresh
		for u := range m.visits {
			m.visits[u].seen = 0
		}
		m.generation = 1
	}
	for _, rule := range m.touched {
		m.stages[rule] = 0
	}
	m.touched = m.touched[:0]
	m.hits.Single = m.hits.Single[:0]
	m.hits.Sequences = m.hits.Sequences[:0]
}

// consider evaluates a unit, once per event.
func (m *Matcher) consider(u int32) {
	k := &m.visits[u]
	if k.seen == m.generation {
		return
	}
	k.seen = m.generation
	k.candidates++
	if !hasBit(m.view.allowed, u) {
		return
	}
	unit := &m.set.units[u]
	if len(m.excluded) > 0 && m.excluded[unit.rule] {
		m.stats.Excluded[unit.rule]++
		return
	}
	k.evaluations++
	if !m.holds(unit) {
		return
	}
	m.hit(unit.rule, unit.bit)
}

// hit takes down that the event satisfies a unit of a rule.
func (m *Matcher) hit(rule int32, bit uint64) {
	if bit == 0 {
		m.hits.Single = append(m.hits.Single, m.set.rules[rule])
		return
	}
	if m.stages[rule] == 0 {
		m.touched = append(m.touched, rule)
	}
	m.stages[rule] |= bit
}

func (m *Matcher) collect() Hits {
	if len(m.hits.Single) > 1 {
		slices.SortFunc(m.hits.Single, func(a, b *Compiled) int { return cmp.Compare(a.Number, b.Number) })
	}
	if len(m.touched) > 1 {
		slices.Sort(m.touched)
	}
	for _, rule := range m.touched {
		m.hits.Sequences = append(m.hits.Sequences, SequenceHit{Rule: m.set.rules[rule], Stages: m.stages[rule]})
	}
	return m.hits
}

// Sees reports whether the event that was matched last is in a data stream that the rule's index patterns cover.
func (m *Matcher) Sees(c *Compiled) bool { return hasBit(m.view.rules, int32(c.Number)) }

// completeStream gives the event the parts of its data stream's name that it doesn't have: those of its topic's, or
// where it names its dataset itself, Fleet's. It returns all of them; dataset is empty where the data stream is unknown.
func (m *Matcher) completeStream(ev *event.Event, stream string) (typ, dataset, namespace string) {
	meta := &m.set.meta
	typ, dataset, namespace = meta.DataStream(ev)
	if dataset == "" && stream == "" || typ != "" && dataset != "" && namespace != "" {
		return typ, dataset, namespace
	}
	wantType, wantSet, wantSpace := "logs", dataset, "default"
	if dataset == "" {
		wantType, wantSet, wantSpace = splitStream(stream)
	}
	complete := func(slot event.Slot, has, want string) string {
		if has != "" || want == "" {
			return has
		}
		ev.Add(slot, event.StringValue(want))
		return want
	}
	return complete(meta.StreamType, typ, wantType), complete(meta.Dataset, dataset, wantSet), complete(meta.Namespace, namespace, wantSpace)
}

// splitStream returns the parts of a data stream's name. Fleet lets none of them hold a dash but the namespace.
func splitStream(name string) (typ, dataset, namespace string) {
	typ, rest, _ := strings.Cut(name, "-")
	dataset, namespace, _ = strings.Cut(rest, "-")
	return typ, dataset, namespace
}

// viewOf returns what of the set concerns the event: the rules that see its data stream, as far as the gate leaves them.
func (m *Matcher) viewOf(ev *event.Event, typ, dataset, namespace string) (*view, viewKey) {
	if m.views.full {
		m.views.forget()
	}
	stream := int32(0)
	if !m.set.opts.AnyIndex {
		if dataset == "" {
			m.stats.UnknownStream++
		} else {
			stream = m.views.stream(typ, dataset, namespace)
		}
	}
	key := viewKey{m.gateKey(ev), stream}
	return m.views.of(key), key
}
