package ruletest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
)

// Seen is what a rule sees of one event of a case.
type Seen struct {
	// Offset is how long after the case's first event it happened, in milliseconds; Timed says whether that is known.
	Offset int64
	Timed  bool
	// Fields holds the fields that the rule reads and the event has, by path; Lacking names those that it doesn't have.
	Fields  []FieldText
	Lacking []string
	// Hits names the stages that hold for the event: stage 1, until, query; with the join keys that it doesn't have, without
	// which it takes no part.
	Hits []string
	// Filtered says that the rule's index patterns leave the event out, whatever its stages say.
	Filtered bool
	// Err is set where the event can't be read.
	Err error
}

// FieldText is a field with its values as text.
type FieldText struct {
	Path, Text string
}

// Inspect says what a rule sees of each of the events, one by one: join keys and order are not looked at.
func Inspect(rule *rules.Rule, events [][]byte) ([]Seen, error) {
	anywhere, err := rules.NewSet([]*rules.Rule{rule}, rules.SetOptions{AnyIndex: true})
	if err != nil {
		return nil, fmt.Errorf("ruletest: %w", err)
	}
	indexed, err := rules.NewSet([]*rules.Rule{rule}, rules.SetOptions{})
	if err != nil {
		return nil, fmt.Errorf("ruletest: %w", err)
	}
	explained, ok := anywhere.Explain(rule.ID)
	if !ok {
		return nil, fmt.Errorf("ruletest: rule %s is not in its own set", rule.ID)
	}
	free, bound := newInspector(anywhere, explained), newInspector(indexed, explained)
	out := make([]Seen, 0, len(events))
	first, begun := int64(0), false
	for _, doc := range events {
		s := free.look(doc)
		s.Filtered = s.Err == nil && len(s.Hits) > 0 && len(bound.look(doc).Hits) == 0
		if s.Timed {
			if !begun {
				first, begun = s.Offset, true
			}
			s.Offset -= first
		}
		out = append(out, s)
	}
	return out, nil
}

// inspector decodes and matches events for one set of one rule.
type inspector struct {
	set       *rules.Set
	explained rules.Explanation
	matcher   *rules.Matcher
	decoder   *event.Decoder
	ev        *event.Event
}

func newInspector(s *rules.Set, e rules.Explanation) *inspector {
	return &inspector{
		set: s, explained: e, matcher: s.NewMatcher(), decoder: event.NewDecoder(s.Schema()), ev: event.New(s.Schema()),
	}
}

// look returns what is seen of an event, with its time as the offset.
func (i *inspector) look(doc []byte) Seen {
	var s Seen
	if s.Err = i.decoder.Decode(doc, i.ev); s.Err != nil {
		return s
	}
	s.Offset, _, s.Timed = i.set.Meta().Time(i.ev)
	for _, f := range i.explained.Fields {
		values := i.ev.Values(i.set.Schema().Lookup(f.Path))
		if len(values) == 0 {
			s.Lacking = append(s.Lacking, f.Path)
			continue
		}
		texts := make([]string, len(values))
		for n, v := range values {
			texts[n] = v.Text()
			if v.Kind() == event.String {
				texts[n] = fmt.Sprintf("%q", v.Str())
			}
		}
		s.Fields = append(s.Fields, FieldText{Path: f.Path, Text: strings.Join(texts, ", ")})
	}
	hits := i.matcher.Match(i.ev, "")
	if len(hits.Single) > 0 {
		s.Hits = append(s.Hits, i.explained.Stages[0].Name)
	}
	for _, h := range hits.Sequences {
		for n, st := range i.explained.Stages {
			bit := uint64(1) << n
			if st.Name == "until" {
				bit = rules.UntilBit
			}
			if h.Stages&bit != 0 {
				s.Hits = append(s.Hits, st.Name+s.lackingKeys(st.By))
			}
		}
	}
	return s
}

// lackingKeys names the join keys of a stage that the event doesn't have; optional ones begin with a question mark.
func (s *Seen) lackingKeys(by []string) string {
	var lacking []string
	for _, k := range by {
		if slices.Contains(s.Lacking, k) {
			lacking = append(lacking, k)
		}
	}
	if len(lacking) == 0 {
		return ""
	}
	return " (takes no part without " + strings.Join(lacking, " and ") + ")"
}
