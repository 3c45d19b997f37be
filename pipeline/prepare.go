package pipeline

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

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
	holds   []uint64 // by rule: the stages whose events it may remember by their id
	joins   [][]byte
	own     Batch // the memory of what again returns

	meter       *meter           // nil measures nothing
	quarantined uint64           // version of the quarantine that excluded is of; 0: nothing has rested yet
	excluded    map[int32][]bool // by partition: the rules that aren't matched there; none where it wasn't asked yet

	// What the running counts of the decoder and the matcher were when they were last reported.
	seenEvaluations, seenCandidates, seenExcluded, seenUncoerced []uint64
}

// NewPreparer returns a preparer of the records of any partition. EnsureDefaults was called.
func NewPreparer(cfg *Config) *Preparer {
	set := cfg.Set
	return &Preparer{
		cfg: cfg, meta: set.Meta(), decoder: event.NewDecoder(set.Schema()), ev: event.New(set.Schema()),
		matcher: set.NewMatcher(), meter: newMeter(cfg),
		seenExcluded:    make([]uint64, len(set.Rules())),
		seenEvaluations: make([]uint64, len(set.Rules())), seenCandidates: make([]uint64, len(set.Rules())),
		seenUncoerced: make([]uint64, set.Schema().Len()),
		holds:         heldStages(set),
	}
}

// heldStages returns for each rule the bits of the stages whose events its partials and matches refer to.
func heldStages(set *rules.Set) []uint64 {
	held := make([]uint64, len(set.Rules()))
	for i, c := range set.Rules() {
		for stage, st := range c.Query.Stages {
			if !st.Missing {
				held[i] |= 1 << stage
			}
		}
	}
	return held
}

// Batch holds records of one partition in the order of the log, and after Prepare what is known of each. Its memory is
// used again: what a worker keeps of a batch it copies.
type Batch struct {
	// Records are the caller's to fill before Prepare. They and what their values point to must not change until
	// the batch was processed.
	Records []Record
	// Partition is the number of the worker that takes the batch: what is in quarantine there isn't matched.
	Partition int32

	prepared []prepared
	hits     []hit       // by record, for those that have one
	text     []byte      // host names, ids, join keys
	cands    []candidate // of all hits
	unknown  uint64      // events of no known data stream
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
	waiting  []fieldHit // per timestamp field of the rules whose stages it hits; their candidates are the batch's
	shared   []fieldHit // per timestamp field of the rules that join events of any host; as waiting
	timeless []*rules.Compiled
	detail   string // of a dead letter
}

// sampledRecords is the number of records of which one is measured.
const sampledRecords = 64

// Prepare fills in what is known of b's records.
func (p *Preparer) Prepare(b *Batch) {
	defer p.meter.begin()()
	p.followQuarantine(b.Partition)
	b.prepared = slices.Grow(b.prepared[:0], len(b.Records))[:len(b.Records)]
	b.hits = slices.Grow(b.hits[:0], len(b.Records))[:len(b.Records)]
	b.text, b.cands = b.text[:0], b.cands[:0]
	unknown := p.matcher.UnknownStream()
	for i := range b.Records {
		if p.meter.sample(sampledRecords) {
			p.matcher.Measure(p.meter.took, p.meter.q.elapsed)
		}
		p.prepare(&b.Records[i], b, &b.prepared[i], &b.hits[i])
		if p.meter != nil {
			p.matcher.Measure(nil, nil)
		}
	}
	b.unknown = p.matcher.UnknownStream() - unknown
}

// followQuarantine has the matcher leave out what rests on a partition.
func (p *Preparer) followQuarantine(partition int32) {
	v := p.cfg.Quarantine.version()
	if v == 0 {
		return
	}
	if v != p.quarantined {
		p.quarantined, p.excluded = v, map[int32][]bool{}
	}
	excluded, ok := p.excluded[partition]
	if !ok {
		excluded = p.cfg.Quarantine.unmatchedOn(p.cfg, partition)
		p.excluded[partition] = excluded
	}
	p.matcher.Exclude(excluded)
}

func (p *Preparer) prepare(r *Record, b *Batch, out *prepared, h *hit) {
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
	out.host = b.keep(p.fold(p.host(), out))
	id := p.fold(p.meta.ID(p.ev), out)
	if hits := p.matcher.Match(p.ev, p.cfg.Streams[r.Topic]); len(hits.Single) > 0 || len(hits.Sequences) > 0 {
		p.fill(b, h, id, hits, out)
		out.hit = h
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

// host returns what tells the host of the event at hand from others. The pipeline's own names have a NUL, such as that of the shared
// orders and of a host's order by another timestamp field, so that those of hosts must not, whatever an event says.
func (p *Preparer) host() string {
	name := p.meta.Host(p.ev)
	if strings.IndexByte(name, 0) >= 0 {
		name = strings.ReplaceAll(name, "\x00", "\uFFFD")
	}
	return name
}

// hostBefore returns what host returned when it took NULs as they are: the state may have the event at hand under that name.
func (p *Preparer) hostBefore() string { return state.Fold(p.meta.Host(p.ev)) }

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

// roomForKey is more than join keys usually take.
const roomForKey = 256

// keepJoinKey is keep for the event's only join key; ok is false where it may have several, or a long one.
func (b *Batch) keepJoinKey(stage *eql.Stage, ev *event.Event) (key []byte, ok bool) {
	if cap(b.text)-len(b.text) < roomForKey {
		b.text = make([]byte, 0, max(16<<10, 2*cap(b.text)))
	}
	start := len(b.text)
	text, ok := stage.AppendJoinKey(b.text, ev)
	if !ok || len(text)-start > maxJoinKey {
		return nil, false
	}
	b.text = text
	return text[start:len(text):len(text)], true
}

// fill makes h what the event hits, in the memory of b. That of h is used again.
func (p *Preparer) fill(b *Batch, h *hit, id string, hits rules.Hits, out *prepared) {
	*h = hit{single: append(h.single[:0], hits.Single...), waiting: h.waiting[:0], shared: h.shared[:0]}
	if len(hits.Single) > 0 || slices.ContainsFunc(hits.Sequences, func(s rules.SequenceHit) bool { return s.Stages&p.holds[s.Rule.Number] != 0 }) {
		h.ref.ID = b.keep(id)
	}
	h.ref.Sequence, h.ref.HasSeq = p.meta.Sequence(p.ev)
	if len(hits.Sequences) == 0 {
		return
	}
	p.share(b, h, hits.Sequences, out)
	for i := 0; i < len(hits.Sequences); { // those of one timestamp field are neighbours, as a rule
		i = p.wait(b, h, hits.Sequences, i, out)
	}
}

// candidates returns those that were added since first, nil where none was.
func (b *Batch) candidates(first int) []candidate {
	if n := len(b.cands); n > first {
		return b.cands[first:n:n]
	}
	return nil
}

// hostOf returns the host of a document, empty where it can't be told.
func (p *Preparer) hostOf(raw []byte) string {
	if len(raw) == 0 || p.decoder.Decode(raw, p.ev) != nil {
		return ""
	}
	return strings.Clone(state.Fold(p.host()))
}

// again prepares an event that was taken already. ok is false where the record isn't that event. What rests is matched too: what waits for such a rule
// waits until it is fed, and by then the rest may be over.
func (p *Preparer) again(raw []byte, topic string) (out prepared, ok bool) {
	if err := p.decoder.Decode(raw, p.ev); err != nil {
		return out, false
	}
	if out.time, out.sub, ok = p.meta.Time(p.ev); !ok {
		return out, false
	}
	out.host = state.Fold(p.host()) // valid until the next event, as is all that the hit refers to
	out.hit = new(hit)
	p.own.text, p.own.cands = p.own.text[:0], p.own.cands[:0]
	resting := p.matcher.Exclude(nil)
	p.fill(&p.own, out.hit, state.Fold(p.meta.ID(p.ev)), p.matcher.Match(p.ev, p.cfg.Streams[topic]), &out)
	p.matcher.Exclude(resting)
	return out, true
}

// wait adds what the sequences from first on may do with the event, as far as they order events by the same timestamp
// field: one candidate per sequence and join key. Each such field makes an entry of its own. It returns the first
// sequence of another field.
func (p *Preparer) wait(b *Batch, h *hit, s []rules.SequenceHit, first int, out *prepared) (next int) {
	field := s[first].Rule.Rule.TimestampField
	next = first + 1
	for next < len(s) && s[next].Rule.Rule.TimestampField == field {
		next++
	}
	at, sub := int64(noTime), int32(0)
	if slot := s[first].Rule.TimestampSlot; slot != p.meta.Timestamp {
		var ok bool
		if at, sub, ok = event.TimeOf(p.ev.First(slot)); !ok {
			for _, hit := range s[first:next] {
				h.timeless = append(h.timeless, hit.Rule)
			}
			return next
		}
	}
	i := slices.IndexFunc(h.waiting, func(f fieldHit) bool { return f.field == field })
	from := len(b.cands)
	if i >= 0 {
		b.cands = append(b.cands, h.waiting[i].cands...)
	}
	for _, hit := range s[first:next] {
		if !p.cfg.shares(hit.Rule) {
			p.appendCandidates(b, hit, out)
		}
	}
	cands := b.candidates(from)
	if cands == nil {
		return next
	}
	if i < 0 {
		i = len(h.waiting)
		h.waiting = append(h.waiting, fieldHit{field: field, time: at, sub: sub})
	}
	h.waiting[i].cands = cands
	return next
}

// maxJoinKey is the size above which a join key is left out: a partial holds it beside the identities of its events,
// and has to fit the changelog.
const maxJoinKey = 16 << 10

// appendCandidates adds one candidate per join key under which the event takes part in a stage of the rule.
func (p *Preparer) appendCandidates(b *Batch, s rules.SequenceHit, out *prepared) {
	first := len(b.cands)
	stages := sequence.Hits(s.Stages)
	for i, st := range s.Rule.Query.Stages {
		if stages.Has(i) {
			p.appendStage(b, first, s.Rule, st, i, out)
		}
	}
	if stages.Has(sequence.UntilStage) {
		p.appendStage(b, first, s.Rule, s.Rule.Query.Until, sequence.UntilStage, out)
	}
}

// appendStage adds what the event may do as one stage; the candidates of the rule begin at first.
func (p *Preparer) appendStage(b *Batch, first int, rule *rules.Compiled, stage *eql.Stage, bit int, out *prepared) {
	if key, ok := b.keepJoinKey(stage, p.ev); ok {
		if b.addHit(first, key, bit) {
			b.text = b.text[:len(b.text)-len(key)]
		} else {
			b.addCandidate(rule, key, bit)
		}
		return
	}
	var truncated bool
	p.joins, truncated = stage.JoinKeys(p.ev, p.joins[:0])
	for _, key := range p.joins {
		if len(key) > maxJoinKey {
			truncated = true
			continue
		}
		if !b.addHit(first, key, bit) {
			b.addCandidate(rule, bytesOf(b.keep(alias(key))), bit)
		}
	}
	if truncated {
		out.truncated++
	}
}

// addHit adds a stage to the candidate with a join key, of those from first on, and reports whether there is one.
func (b *Batch) addHit(first int, key []byte, bit int) bool {
	for i := first; i < len(b.cands); i++ {
		if c := &b.cands[i]; bytes.Equal(c.join, key) {
			c.hits = c.hits.With(bit)
			return true
		}
	}
	return false
}

// addCandidate adds what the event may do as one stage of a rule, under a join key that is in the batch's memory.
func (b *Batch) addCandidate(rule *rules.Compiled, key []byte, bit int) {
	b.cands = append(b.cands, candidate{rule: rule, hits: sequence.Hits(0).With(bit), join: key, hash: noteHash(ruleHash(rule), key)})
}

// Report adds what the matcher and the decoder have counted since the last call to the metrics: the work that was done,
// whether or not it was committed. Call it on the preparer's goroutine.
func (p *Preparer) Report() {
	p.meter.report(sampledRecords)
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
	for i, rule := range p.cfg.Set.Rules() {
		if n := stats.Excluded[i] - p.seenExcluded[i]; n > 0 {
			m.quarantineSkipped.WithLabelValues(rule.Rule.ID).Add(float64(n))
		}
	}
	for slot, n := range p.decoder.Uncoerced() {
		if n -= p.seenUncoerced[slot]; n > 0 {
			m.uncoerced.WithLabelValues(p.cfg.Set.Schema().Field(event.Slot(slot)).Path).Add(float64(n))
		}
	}
	copy(p.seenCandidates, stats.Candidates)
	copy(p.seenEvaluations, stats.Evaluations)
	copy(p.seenExcluded, stats.Excluded)
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
