package lint

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
)

// Sample is what events show of the rules of a collection. It belongs to one goroutine.
type Sample struct {
	set     *rules.Set
	matcher *rules.Matcher
	decoder *event.Decoder
	event   *event.Event
	events  int
	streams map[string]*stream
	rules   []reached // by number
}

// stream is what the events of one data stream have.
type stream struct {
	events int
	has    []bool // by slot
	seenBy []bool // by rule
}

// reached is how far a rule's stages are reached: bits as in rules.SequenceHit, bit 0 for an event query.
type reached struct{ passed, keyed uint64 }

// maxStreams bounds what a sample tells apart by data stream: names come from events. Events of further streams count as
// of one without a name.
const maxStreams = 1024

// NewSample returns an empty sample for the rules of a collection that can run, in a set with the options.
func NewSample(c *rules.Collection, o rules.SetOptions) (*Sample, error) {
	set, err := rules.NewSet(c.Rules, o)
	if err != nil {
		return nil, err
	}
	return &Sample{
		set: set, matcher: set.NewMatcher(), decoder: event.NewDecoder(set.Schema()), event: event.New(set.Schema()),
		streams: map[string]*stream{}, rules: make([]reached, len(set.Rules())),
	}, nil
}

// Add takes one JSON document into the sample. A document that can't be decoded is an error, and isn't counted.
func (s *Sample) Add(doc []byte) error {
	if err := s.decoder.Decode(doc, s.event); err != nil {
		return err
	}
	s.events++
	hits := s.matcher.Match(s.event, "")
	for _, c := range hits.Single {
		s.rules[c.Number].passed = 1
		s.rules[c.Number].keyed = 1
	}
	for _, h := range hits.Sequences {
		s.sequence(h)
	}
	st := s.stream()
	st.events++
	for slot := range st.has {
		st.has[slot] = st.has[slot] || len(s.event.Values(event.Slot(slot))) > 0
	}
	return nil
}

// stream returns the data stream of the event at hand.
func (s *Sample) stream() *stream {
	name := ""
	if typ, dataset, namespace := s.set.Meta().DataStream(s.event); dataset != "" {
		name = cmp.Or(typ, "logs") + "-" + dataset + "-" + cmp.Or(namespace, "default")
	}
	st := s.streams[name]
	if st == nil && len(s.streams) >= maxStreams {
		name = ""
		st = s.streams[name]
	}
	if st == nil {
		st = &stream{has: make([]bool, s.set.Schema().Len()), seenBy: make([]bool, len(s.rules))}
		s.streams[strings.Clone(name)] = st
	}
	if st.events == 0 || name == "" {
		for i, c := range s.set.Rules() {
			st.seenBy[i] = st.seenBy[i] || s.matcher.Sees(c)
		}
	}
	return st
}

// sequence notes which stages the event passes, and under which it has the join keys.
func (s *Sample) sequence(h rules.SequenceHit) {
	r := &s.rules[h.Rule.Number]
	r.passed |= h.Stages
	for i, stage := range h.Rule.Query.Stages {
		if bit := uint64(1) << i; h.Stages&bit != 0 && r.keyed&bit == 0 {
			if keys, _ := stage.JoinKeys(s.event, nil); len(keys) > 0 {
				r.keyed |= bit
			}
		}
	}
}

// report adds what the sample shows to the files.
func (s *Sample) report(c *rules.Collection) {
	for _, f := range c.Files {
		if f.Rule == nil || f.Source.Statement() == nil {
			continue
		}
		if compiled := s.set.Rule(f.RuleID); compiled != nil && compiled.Rule == f.Rule {
			f.Add(s.file(f.Source, compiled)...)
		}
	}
}

// file returns what the sample shows of one rule.
func (s *Sample) file(src *rules.Source, c *rules.Compiled) []rules.Problem {
	events := 0
	has := make([]bool, s.set.Schema().Len())
	for _, st := range s.streams {
		if !st.seenBy[c.Number] {
			continue
		}
		events += st.events
		for i, ok := range st.has {
			has[i] = has[i] || ok
		}
	}
	if events == 0 {
		return []rules.Problem{src.AtKey(finding.NoEvent, "rule.index",
			fmt.Sprintf("none of the %d events of the sample is in a data stream that the rule sees", s.events), "they are in "+s.streamNames())}
	}
	var found []rules.Problem
	missing := map[string]bool{}
	for i, part := range stagesOf(src.Statement()) {
		stage := c.Query.Stages[i]
		bit := uint64(1) << i
		switch {
		case stage.Missing:
		case s.rules[c.Number].passed&bit == 0:
			found = append(found, src.InQuery(finding.NoMatch, part.at, s.noMatch(c, i, events), ""))
			found = append(found, s.fields(src, part, has, missing, events)...)
		case s.rules[c.Number].keyed&bit == 0:
			found = append(found, s.keys(src, part, stage, i)...)
		}
	}
	return found
}

func (s *Sample) noMatch(c *rules.Compiled, i, events int) string {
	if !c.Joins() {
		return fmt.Sprintf("none of the %d events that the rule sees passes its condition", events)
	}
	return fmt.Sprintf("none of the %d events that the rule sees passes stage %d", events, i+1)
}

// streamNames lists the data streams of the sample.
func (s *Sample) streamNames() string {
	const shown = 5
	names := slices.Sorted(maps.Keys(s.streams))
	more := ""
	if len(names) > shown {
		more = fmt.Sprintf(" and %d more", len(names)-shown)
		names = names[:shown]
	}
	for i, n := range names {
		names[i] = cmp.Or(n, "no data stream")
	}
	return strings.Join(names, ", ") + more
}

// part is a filter of a query with the join keys that it has.
type part struct {
	at    ast.Span // its category
	where ast.Expr
	keys  []ast.Key
}

func stagesOf(stmt ast.Statement) []part {
	var stages []ast.Stage
	var by []ast.Key
	switch q := stmt.(type) {
	case *ast.EventQuery:
		return []part{{at: q.Filter.Category.Span, where: q.Filter.Where}}
	case *ast.Sequence:
		stages, by = q.Stages, q.By
	case *ast.Sample:
		stages, by = q.Stages, q.By
	}
	out := make([]part, 0, len(stages))
	for i := range stages {
		out = append(out, part{at: stages[i].Filter.Category.Span, where: stages[i].Filter.Where, keys: slices.Concat(by, stages[i].By)})
	}
	return out
}

// fields reports the fields of a stage that no event has, each once.
func (s *Sample) fields(src *rules.Source, p part, has []bool, reported map[string]bool, events int) []rules.Problem {
	var found []rules.Problem
	eql.EachField(p.where, func(f *ast.Field) {
		slot := s.set.Schema().Lookup(f.Path)
		if f.Optional || reported[f.Path] || slot < 0 || has[slot] {
			return
		}
		reported[f.Path] = true
		found = append(found, src.InQuery(finding.FieldInNone, f.Span,
			fmt.Sprintf("none of the %d events that the rule sees has the field %s", events, f.Path), ""))
	})
	return found
}

// keys reports the join keys that no event which passes a stage has. Which one it is can't always be told: it may be another one
// for each event.
func (s *Sample) keys(src *rules.Source, p part, stage *eql.Stage, i int) []rules.Problem {
	var names []string
	for _, k := range stage.By {
		if !k.Optional {
			names = append(names, k.Path)
		}
	}
	at := p.at
	if len(p.keys) > 0 {
		at = p.keys[0].Span
		at.End = p.keys[len(p.keys)-1].End
		if at.End < at.Pos {
			at = p.at
		}
	}
	return []rules.Problem{src.InQuery(finding.KeyInNone, at,
		"events pass stage "+strconv.Itoa(i+1)+", but none of them has all of its join keys: "+strings.Join(names, ", "), "an event without a join key takes no part; ?key makes it optional")}
}
