package sequence_test

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/weir-eql/weir/pipeline/sequence"
)

// input is one event of a random stream: its hits by join key.
type input struct {
	ref  sequence.Ref
	hits map[int]sequence.Hits
}

// outcome is a match as these tests compare it.
type outcome struct {
	key  int
	last sequence.Ordinal
	text string
}

// model finds the matches of a whole stream as Elasticsearch's batches do: stage by stage over all events, and the
// missing stages on what was completed. ticked is the last watermark that the machine saw. It knows nothing of
// slots, gaps that are open or hits that are remembered, and shares no code with the machine: order and identity of events
// are stated again below.
func model(spec sequence.Spec, stream []input, ticked int64) []outcome {
	var out []outcome
	for key := range 4 {
		out = append(out, modelKey(spec, stream, key, ticked)...)
	}
	sortOutcomes(out)
	return out
}

func sortOutcomes(out []outcome) {
	slices.SortStableFunc(out, func(a, b outcome) int {
		return cmp.Or(compareOrdinals(sequence.Ref{Ordinal: a.last}, sequence.Ref{Ordinal: b.last}), cmp.Compare(a.key, b.key))
	})
}

// compareOrdinals orders events by time, by event.sequence with those that have none last, by what is below a millisecond, and
// by their place in the log.
func compareOrdinals(a, b sequence.Ref) int {
	none := func(r sequence.Ref) int {
		if r.HasSeq {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(a.Time, b.Time), cmp.Compare(none(a), none(b)), cmp.Compare(a.Sequence, b.Sequence), cmp.Compare(a.SubMillis, b.SubMillis),
		cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset),
	)
}

// sameEvent tells deliveries of one event: by id, or by place where neither has one.
func sameEvent(a, b sequence.Ref) bool {
	if a.ID == "" && b.ID == "" {
		return a.Topic == b.Topic && a.Partition == b.Partition && a.Offset == b.Offset
	}
	return a.ID == b.ID
}

func modelKey(spec sequence.Spec, stream []input, key int, ticked int64) []outcome {
	var stages []int // as written, after expansion
	for i, s := range spec.Stages {
		stages = append(stages, slices.Repeat([]int{i}, s.Runs)...)
	}
	of := func(stage int) []sequence.Ref {
		var refs []sequence.Ref
		for _, e := range stream {
			if uint64(e.hits[key])>>stage&1 == 1 {
				refs = append(refs, e.ref)
			}
		}
		return refs
	}
	var untils []sequence.Ref
	if spec.Until {
		untils = of(sequence.UntilStage)
	}
	var begun [][]sequence.Ref
	first := true
	for _, stage := range stages {
		switch {
		case spec.Stages[stage].Missing:
		case first:
			for _, r := range of(stage) {
				begun = append(begun, []sequence.Ref{r})
			}
			first = false
		default:
			begun = join(begun, of(stage), untils, spec.MaxSpan)
		}
	}
	var out []outcome
	for _, refs := range begun {
		holds, open := absent(spec, stages, refs, of, ticked)
		if !holds {
			continue
		}
		last := refs[len(refs)-1].Ordinal
		var text strings.Builder
		fmt.Fprintf(&text, "key %d open %t:", key, open)
		for _, stage := range stages {
			if spec.Stages[stage].Missing {
				text.WriteString(" -")
				continue
			}
			fmt.Fprintf(&text, " %d", refs[0].Offset)
			refs = refs[1:]
		}
		out = append(out, outcome{key: key, last: last, text: text.String()})
	}
	return out
}

// join extends the sequences by the events of their next stage: each event takes the latest sequence before it, and
// those that are older than that one are lost.
func join(begun [][]sequence.Ref, events, untils []sequence.Ref, maxSpan int64) [][]sequence.Ref {
	var joined [][]sequence.Ref
	for _, e := range events {
		i := -1
		for j, refs := range begun {
			if compareOrdinals(refs[len(refs)-1], e) < 0 {
				i = j
			}
		}
		if i < 0 || slices.ContainsFunc(begun[i], func(r sequence.Ref) bool { return sameEvent(r, e) }) {
			continue
		}
		refs := begun[i]
		begun = begun[i+1:]
		if maxSpan > 0 && e.Time-refs[0].Time > maxSpan {
			continue
		}
		last := refs[len(refs)-1]
		if slices.ContainsFunc(untils, func(u sequence.Ref) bool {
			return compareOrdinals(last, u) <= 0 && compareOrdinals(u, e) < 0
		}) {
			continue
		}
		joined = append(joined, append(slices.Clone(refs), e))
	}
	return joined
}

// absent reports whether the missing stages of a completed sequence stayed away, and whether only the end of the
// input tells so.
func absent(spec sequence.Spec, stages []int, refs []sequence.Ref, of func(int) []sequence.Ref, ticked int64) (holds, open bool) {
	first, last := refs[0].Time, refs[len(refs)-1].Time
	var lead, trail []int64
	hasLead, hasTrail := false, false
	seen := 0
	for _, stage := range stages {
		if !spec.Stages[stage].Missing {
			seen++
			continue
		}
		hasLead = hasLead || seen == 0
		hasTrail = hasTrail || seen == len(refs)
		for _, hit := range of(stage) {
			switch {
			case seen == 0:
				if hit.Time < first {
					lead = append(lead, hit.Time)
				}
			case seen == len(refs):
				if hit.Time > last {
					trail = append(trail, hit.Time)
				}
			case refs[seen-1].Time < hit.Time && hit.Time < refs[seen].Time:
				return false, false
			}
		}
	}
	switch {
	case hasLead && hasTrail:
		if len(lead) == 0 {
			return true, false
		}
		from := slices.Max(lead)
		if len(trail) > 0 && slices.Min(trail)-from <= spec.MaxSpan {
			return false, false
		}
		return true, last-from < spec.MaxSpan && ticked-from < spec.MaxSpan
	case hasLead:
		return len(lead) == 0 || last-slices.Max(lead) > spec.MaxSpan, false
	case hasTrail:
		if len(trail) > 0 && slices.Min(trail)-first <= spec.MaxSpan {
			return false, false
		}
		return true, last-first < spec.MaxSpan && ticked-first < spec.MaxSpan
	}
	return true, false
}

func texts(out []outcome) string {
	var b strings.Builder
	for _, o := range out {
		b.WriteString(o.text + "\n")
	}
	return b.String()
}
