package pipeline

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"unsafe"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// Preparer does the part of a record's work that depends on nothing but the record and the rule set: it decodes it,
// finds out when and on which host the event happened, and which rules and stages it satisfies. A Preparer belongs to
// one goroutine. Any number of them may work ahead of a Worker of the same rule set, which takes their batches in the order of the log.
type Preparer struct {
	cfg     *Config
	meta    event.Meta
	decoder *event.Decoder
	ev      *event.Event
	matcher *rules.Matcher
	joins   [][]byte

	// What the running counts of the decoder and the matcher were when they were last reported.
	seenEvaluations, seenCandidates, seenUncoerced []uint64
}

// NewPreparer returns a preparer of the records of any partition. EnsureDefaults was called.
func NewPreparer(cfg *Config) *Preparer {
	set := cfg.Set
	return &Preparer{
		cfg: cfg, meta: set.Meta(), decoder: event.NewDecoder(set.Schema()), ev: event.New(set.Schema()),
		matcher:         set.NewMatcher(),
		seenEvaluations: make([]uint64, len(set.Rules())), seenCandidates: make([]uint64, len(set.Rules())),
		seenUncoerced: make([]uint64, set.Schema().Len()),
	}
}

// Batch holds records of one partition in the order of the log, and after Prepare what is known of each. Its memory is
// used again: what a worker keeps of a batch it copies.
type Batch struct {
	// Records are the caller's to fill before Prepare. They and what their values point to must not change until
	// the batch was processed.
	Records []Record

	prepared []prepared
	text     []byte // the host names
	unknown  uint64 // events of no known data stream
}

// prepared is what a record says by itself.
type prepared struct {
	host      string // host.id or what stands in for it, folded; in the batch's text
	time      int64  // event time in milliseconds, noTime where there is none
	ingested  int64  // event.ingested, noTime where it has none
	sub       int32
	folded    uint8  // names that were shortened
	truncated uint16 // stages with more join keys than are kept
	reason    string // why it is a dead letter, one of the Reason constants; empty for an event
	hit       *hit   // nil for an event that no rule looks at
}

// hit is what is known of an event beyond its time and host, where rules want it.
type hit struct {
	ref      sequence.Ref // without the time and the place in the log
	single   []*rules.Compiled
	waiting  []*buffered // per timestamp field of the rules whose stages it hits
	timeless []*rules.Compiled
	detail   string // of a dead letter
}

// Prepare fills in what is known of b's records.
func (p *Preparer) Prepare(b *Batch) {
	b.prepared = slices.Grow(b.prepared[:0], len(b.Records))[:len(b.Records)]
	b.text = b.text[:0]
	unknown := p.matcher.Stats().UnknownStream
	for i := range b.Records {
		p.prepare(&b.Records[i], b, &b.prepared[i])
	}
	b.unknown = p.matcher.Stats().UnknownStream - unknown
}

func (p *Preparer) prepare(r *Record, b *Batch, out *prepared) {
	*out = prepared{time: noTime, ingested: noTime}
	if len(r.Value) > p.cfg.Limits.EventBytes {
		out.reject(ReasonTooLarge, fmt.Sprintf("%d bytes, the limit is %d", len(r.Value), p.cfg.Limits.EventBytes))
		return
	}
	if err := p.decoder.Decode(r.Value, p.ev); err != nil {
		out.reject(decodeReason(err), err.Error())
		return
	}
	ms, sub, ok := p.meta.Time(p.ev)
	if !ok {
		out.reject(ReasonNoTimestamp, "the event has no @timestamp that is a date")
		return
	}
	out.time, out.sub = ms, sub
	if ms, _, ok := p.meta.IngestTime(p.ev); ok {
		out.ingested = ms
	}
	out.host = b.keep(p.fold(p.meta.Host(p.ev), out))
	id := p.fold(p.meta.ID(p.ev), out)
	if hits := p.matcher.Match(p.ev, p.cfg.Streams[r.Topic]); len(hits.Single) > 0 || len(hits.Sequences) > 0 {
		out.hit = p.hit(id, hits, out)
	}
}

func (p *prepared) reject(reason, detail string) { p.reason, p.hit = reason, &hit{detail: detail} }

// clock returns the time that orders the records of files: event.ingested, else the event time; noTime for a record
// that has neither.
func (p *prepared) clock() int64 {
	if p.ingested != noTime {
		return p.ingested
	}
	return p.time
}

// fold shortens a name that is longer than any real one: names as large as an event would make keys and values that
// no topic takes.
func (p *Preparer) fold(name string, out *prepared) string {
	if len(name) > state.MaxNameBytes {
		out.folded++
		return state.Fold(name)
	}
	return name
}

// keep copies a name into the batch's memory: the decoder's is used again with the next record.
func (b *Batch) keep(name string) string {
	if cap(b.text)-len(b.text) < len(name) { // never moved: names point into it
		b.text = make([]byte, 0, max(16<<10, 2*cap(b.text), len(name)))
	}
	start := len(b.text)
	b.text = append(b.text, name...)
	return alias(b.text[start:])
}

func (p *Preparer) hit(id string, hits rules.Hits, out *prepared) *hit {
	h := &hit{ref: sequence.Ref{ID: strings.Clone(id)}, single: slices.Clone(hits.Single)}
	h.ref.Sequence, h.ref.HasSeq = p.meta.Sequence(p.ev)
	for _, s := range hits.Sequences {
		p.wait(h, s, out)
	}
	return h
}

// again prepares the evidence of an event that was taken already.
func (p *Preparer) again(raw []byte, topic string) (*hit, error) {
	if err := p.decoder.Decode(raw, p.ev); err != nil {
		return nil, err
	}
	id := state.Fold(p.meta.ID(p.ev))
	return p.hit(id, p.matcher.Match(p.ev, p.cfg.Streams[topic]), new(prepared)), nil
}

// wait adds what a sequence may do with the event, one candidate per join key. Rules with a timestamp_field order the
// event by that: each such field makes an entry of its own.
func (p *Preparer) wait(h *hit, s rules.SequenceHit, out *prepared) {
	field := s.Rule.Rule.TimestampField
	at, sub := int64(noTime), int32(0)
	if slot := s.Rule.TimestampSlot; slot != p.meta.Timestamp {
		var ok bool
		if at, sub, ok = event.TimeOf(p.ev.First(slot)); !ok {
			h.timeless = append(h.timeless, s.Rule)
			return
		}
	}
	i := slices.IndexFunc(h.waiting, func(b *buffered) bool { return b.field == field })
	if i < 0 {
		i = len(h.waiting)
		b := &buffered{field: field}
		b.ref.Time, b.ref.SubMillis = at, sub
		h.waiting = append(h.waiting, b)
	}
	h.waiting[i].cands = p.appendCandidates(h.waiting[i].cands, s, out)
}

// maxJoinKey is the size above which a join key is left out: a partial holds it beside the identities of its events,
// and has to fit the changelog.
const maxJoinKey = 16 << 10

// appendCandidates adds one candidate per join key under which the event takes part in a stage of the rule.
func (p *Preparer) appendCandidates(dst []candidate, s rules.SequenceHit, out *prepared) []candidate {
	first := len(dst)
	add := func(stage *eql.Stage, bit int) {
		var truncated bool
		p.joins, truncated = stage.JoinKeys(p.ev, p.joins[:0])
		for _, key := range p.joins {
			if len(key) > maxJoinKey {
				truncated = true
				continue
			}
			i := slices.IndexFunc(dst[first:], func(c candidate) bool { return bytes.Equal(c.join, key) })
			if i < 0 {
				dst = append(dst, candidate{rule: s.Rule, join: slices.Clone(key)})
				i = len(dst) - 1 - first
			}
			dst[first+i].hits = dst[first+i].hits.With(bit)
		}
		if truncated {
			out.truncated++
		}
	}
	stages := sequence.Hits(s.Stages)
	for i, st := range s.Rule.Query.Stages {
		if stages.Has(i) {
			add(st, i)
		}
	}
	if stages.Has(sequence.UntilStage) {
		add(s.Rule.Query.Until, sequence.UntilStage)
	}
	return dst
}

// Report adds what the matcher and the decoder have counted since the last call to the metrics: the work that was done,
// whether or not it was committed. Call it on the preparer's goroutine.
func (p *Preparer) Report() {
	m := p.cfg.Metrics
	if m == nil {
		return
	}
	stats := p.matcher.Stats()
	for i, rule := range p.cfg.Set.Rules() {
		if n := stats.Candidates[i] - p.seenCandidates[i]; n > 0 {
			m.candidates.WithLabelValues(rule.Rule.ID).Add(float64(n))
		}
		if n := stats.Evaluations[i] - p.seenEvaluations[i]; n > 0 {
			m.evaluations.WithLabelValues(rule.Rule.ID).Add(float64(n))
		}
	}
	for slot, n := range p.decoder.Uncoerced() {
		if n -= p.seenUncoerced[slot]; n > 0 {
			m.uncoerced.WithLabelValues(p.cfg.Set.Schema().Field(event.Slot(slot)).Path).Add(float64(n))
		}
	}
	copy(p.seenCandidates, stats.Candidates)
	copy(p.seenEvaluations, stats.Evaluations)
	copy(p.seenUncoerced, p.decoder.Uncoerced())
}

// Len returns the number of records that were prepared.
func (b *Batch) Len() int { return len(b.prepared) }

// Clock returns the time that orders record i of a file among those of other files: event.ingested, else the event
// time, in milliseconds. ok is false where it has none.
func (b *Batch) Clock(i int) (ms int64, ok bool) {
	p := &b.prepared[i]
	if ms = p.clock(); ms == noTime {
		return 0, false
	}
	return ms, p.reason == ""
}

// alias returns b as a string that shares its memory.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
