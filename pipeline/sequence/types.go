// Package sequence is the state machine of EQL sequences as Elasticsearch defines it, for one join key at a
// time. It is pure: time comes in with events and watermarks, state is a value that the caller keeps, and the
// package knows neither rules nor stores nor clocks.
package sequence

import (
	"cmp"
	"strings"
)

// Ordinal is the place of an event in the order of a stream. Before is strict on the whole ordinal.
type Ordinal struct {
	Time      int64  // event time, milliseconds since the epoch
	Sequence  int64  // event.sequence, or the tiebreaker of a query
	HasSeq    bool   // false sorts last among events of one millisecond
	SubMillis int32  // the part of the event time below a millisecond, in nanoseconds
	Topic     string // then the place in the log
	Partition int32
	Offset    int64
}

// Compare orders ordinals: negative when o is before p.
func (o Ordinal) Compare(p Ordinal) int {
	if c := cmp.Compare(o.Time, p.Time); c != 0 {
		return c
	}
	if o.HasSeq != p.HasSeq {
		if o.HasSeq {
			return -1
		}
		return 1
	}
	if c := cmp.Compare(o.Sequence, p.Sequence); c != 0 {
		return c
	}
	if c := cmp.Compare(o.SubMillis, p.SubMillis); c != 0 {
		return c
	}
	if c := strings.Compare(o.Topic, p.Topic); c != 0 {
		return c
	}
	if c := cmp.Compare(o.Partition, p.Partition); c != 0 {
		return c
	}
	return cmp.Compare(o.Offset, p.Offset)
}

// Ref is an event as a sequence remembers it: its place and its identity, never its content.
type Ref struct {
	Ordinal
	// ID is the event.id of the event, empty where it has none: then its place in the log is its identity.
	ID string
}

// SameEvent reports whether two refs are deliveries of one event.
func (r Ref) SameEvent(s Ref) bool {
	if r.ID != "" || s.ID != "" {
		return r.ID == s.ID
	}
	return r.Topic == s.Topic && r.Partition == s.Partition && r.Offset == s.Offset
}

// UntilStage is the bit of the until stage in Hits.
const UntilStage = 63

// MaxStages is the number of stages that a sequence may have as written, before runs are expanded.
const MaxStages = UntilStage

// Hits are the stages, as numbered in the query as written, that an event satisfies under one join key.
// Bit UntilStage is the until stage.
type Hits uint64

// Has reports whether stage i is among the hits.
func (h Hits) Has(i int) bool { return h&(1<<uint(i)) != 0 }

// With returns the hits with stage i.
func (h Hits) With(i int) Hits { return h | 1<<uint(i) }

// Stage is the shape of one stage as written.
type Stage struct {
	Missing bool
	Runs    int
}

// Spec is the shape of a sequence.
type Spec struct {
	Stages  []Stage
	MaxSpan int64 // milliseconds; 0 means unbounded
	Until   bool
}

// Match is a completed sequence, or sample: one entry per stage after runs were expanded, in stage order.
type Match struct {
	Events []MatchEvent
	// OpenEnd marks a match that only the end of the input decided: an absence that no watermark had confirmed.
	OpenEnd bool
}

// MatchEvent is one stage of a Match.
type MatchEvent struct {
	Missing bool // `![…]`: Ref is zero
	Ref     Ref
}

// Completed returns the ref that completed the match: the newest one. In a sequence that is the last one that isn't missing.
func (m Match) Completed() Ref {
	var last Ref
	found := false
	for _, e := range m.Events {
		if !e.Missing && (!found || last.Compare(e.Ref.Ordinal) <= 0) {
			last, found = e.Ref, true
		}
	}
	return last
}
