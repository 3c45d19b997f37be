package pipeline

import (
	"log/slog"
	"math"
	"strings"

	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
)

// partial is what is live of one rule under one join key.
type partial struct {
	key    string // key in the state store: rule and join key
	rule   *rules.Compiled
	join   []byte
	st     MachineState
	host   *host
	begun  int64 // its number among the partition's partials, in the order in which they began
	at     int64 // deadline of its current timer; math.MaxInt64: none
	stored bool  // the store has a record of it
	dirty  bool
	dead   bool // taken out of the worker's map
}

// candidate is what a buffered event may do: hit stages of one rule under one join key.
type candidate struct {
	rule *rules.Compiled
	hits sequence.Hits
	join []byte
}

// feed gives an event to the sequence machines of its candidates. The event's evidence is in place.
func (w *Worker) feed(b *buffered, h *host) {
	for i := range b.cands {
		w.advance(&b.cands[i], b, h)
	}
}

func (w *Worker) advance(c *candidate, b *buffered, h *host) {
	ref := b.ref
	if w.cfg.searches(c.rule) && w.cfg.SampleScope != nil && !w.cfg.SampleScope(ref) {
		return
	}
	m := w.machines[c.rule.Number]
	w.keyBuf = appendPartialKey(w.keyBuf[:0], c.rule, c.join)
	p, ok := w.partials[string(w.keyBuf)]
	if !ok {
		if !m.Begins(c.hits) {
			return
		}
		key := string(w.keyBuf)
		p = &partial{key: key, rule: c.rule, join: joinOf(key, c.join), host: h, at: math.MaxInt64}
	}
	if !b.owned { // a partial may outlive its event's neighbours by far
		b.ref.ID, b.owned = strings.Clone(ref.ID), true
		ref.ID = b.ref.ID
	}
	w.before = appendRefs(w.before[:0], &p.st)
	w.matches = m.Advance(&p.st, c.hits, ref, w.matches[:0])
	if !ok && p.st.Empty() && len(w.matches) == 0 {
		return
	}
	if !ok {
		w.begun++
		p.begun = w.begun
		w.insert(p)
	}
	w.settle(p, m)
	w.enforceCaps(p, !ok)
}

// settle brings everything that depends on a partial's state in line with it: evidence, alerts, timers, the
// commit, and the partial's own life. w.before holds the refs of the old state, w.matches what completed.
func (w *Worker) settle(p *partial, m Machine) {
	w.after = appendRefs(w.after[:0], &p.st)
	for _, r := range w.after {
		w.retain(r)
	}
	for _, match := range w.matches {
		w.alert(p.rule, p.join, p.host, match)
	}
	for _, r := range w.before {
		w.release(r)
	}
	w.markPartial(p)
	if p.st.Empty() {
		w.drop(p)
		return
	}
	w.setTimer(p, m)
}

func appendRefs(dst []sequence.Ref, st *MachineState) []sequence.Ref {
	for r := range st.Refs {
		dst = append(dst, r)
	}
	return dst
}

// enforceCaps evicts what a new or grown partial leaves no room for: the oldest of the rule, or of the partition, or
// the partial itself where its own sequences are too many.
func (w *Worker) enforceCaps(p *partial, isNew bool) {
	limits := &w.cfg.Limits
	queue := &w.byRule[p.rule.Number]
	switch {
	case !p.dead && p.st.Len() > limits.PerKey:
		w.evict(p)
	case isNew && queue.live > limits.PartialsPerRule:
		w.evict(queue.oldest())
	case isNew && len(w.partials) > limits.Partials:
		w.evict(w.oldestOfAll())
	}
}

func (w *Worker) insert(p *partial) {
	w.partials[p.key] = p
	w.byRule[p.rule.Number].push(p)
	w.drives(p, 1)
}

// oldestOfAll returns the partial that was begun first, over all rules.
func (w *Worker) oldestOfAll() *partial {
	var oldest *partial
	first := int64(math.MaxInt64)
	for i := range w.byRule {
		p := w.byRule[i].oldest()
		if p == nil {
			continue
		}
		t, ok := p.st.Oldest()
		if !ok {
			return p // nothing but the memory of an absence's hit
		}
		if t < first {
			oldest, first = p, t
		}
	}
	return oldest
}

// evict drops a partial that a cap has no room for.
func (w *Worker) evict(p *partial) {
	if p == nil {
		return
	}
	w.counts.evicted[p.rule.Number]++
	if !w.evictionLogged[p.rule.Number] {
		w.evictionLogged[p.rule.Number] = true
		w.log.Warn("partials evicted: the cap is reached and sequences may be missed",
			slog.String("rule_id", p.rule.Rule.ID), slog.Int("limit_per_rule", w.cfg.Limits.PartialsPerRule))
	}
	for r := range p.st.Refs {
		w.release(r)
	}
	p.st = MachineState{}
	w.markPartial(p)
	w.drop(p)
}

// drop takes a partial out whose state is empty.
func (w *Worker) drop(p *partial) {
	if p.dead {
		return
	}
	p.dead = true
	delete(w.partials, p.key)
	w.byRule[p.rule.Number].gone()
	w.drives(p, -1)
}

// drives counts a partial among those that live by its host's watermark. One that waits for the end of the input doesn't: the
// watermark of a host that nothing else waits for is the same with and without it.
func (w *Worker) drives(p *partial, n int) {
	if w.cfg.searches(p.rule) {
		return
	}
	p.host.partials += n
	w.recount(p.host)
	w.touch(p.host)
}

// markPartial notes that the partial's record in the store has to change with the next commit.
func (w *Worker) markPartial(p *partial) {
	if !p.dirty {
		p.dirty = true
		w.dirtyPartials = append(w.dirtyPartials, p)
	}
}

// setTimer lets the host's watermark wake the partial when its state has something to decide.
//
// A partial that a late event began or advanced may be past its deadline already. Where the rule has absences to
// decide, they are decided now. Otherwise the deadline only tidies up, and waits for another maxspan: the late
// event's successors are likely to be late too.
func (w *Worker) setTimer(p *partial, m Machine) {
	at, ok := m.Deadline(&p.st)
	if !ok {
		p.at = math.MaxInt64
		return
	}
	if w.feedingLate && at <= p.host.mark && !w.absences[p.rule.Number] {
		at = p.host.mark + max(p.rule.MaxSpan, w.lateness)
	}
	w.wake(p, at)
}

// wake sets the partial's timer.
func (w *Worker) wake(p *partial, at int64) {
	if at == p.at {
		return
	}
	p.at = at
	timers := &p.host.timers
	if timers.Len() > 2*p.host.partials+64 { // most are stale
		timers.Retain(func(t timer) bool { return !t.stale() })
	}
	timers.Push(timer{at: at, p: p})
	w.schedule(p.host)
}

// tick wakes the partial of the host's first deadline, which the watermark has reached.
func (w *Worker) tick(h *host) {
	if t := h.timers.Pop(); !t.stale() {
		p := t.p
		p.at = math.MaxInt64
		m := w.machines[p.rule.Number]
		w.before = appendRefs(w.before[:0], &p.st)
		w.matches = m.Tick(&p.st, h.mark, w.matches[:0])
		w.settle(p, m)
	}
}

// ruleQueue holds the partials of a rule in the order in which they began. Dead ones stay until they reach
// the front or outnumber the living.
type ruleQueue struct {
	items []*partial
	live  int
}

func (q *ruleQueue) push(p *partial) {
	if len(q.items) > 64 && len(q.items) > 2*q.live {
		q.compact()
	}
	q.items = append(q.items, p)
	q.live++
}

func (q *ruleQueue) gone() { q.live-- }

func (q *ruleQueue) compact() {
	kept := q.items[:0]
	for _, p := range q.items {
		if !p.dead {
			kept = append(kept, p)
		}
	}
	clear(q.items[len(kept):])
	q.items = kept
}

func (q *ruleQueue) oldest() *partial {
	for len(q.items) > 0 && q.items[0].dead {
		q.items[0] = nil
		q.items = q.items[1:]
	}
	if len(q.items) == 0 {
		return nil
	}
	return q.items[0]
}
