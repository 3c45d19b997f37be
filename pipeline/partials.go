package pipeline

import (
	"log/slog"
	"math"
	"strings"

	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
)

// candidate is what a buffered event may do: hit stages of one rule under one join key.
type candidate struct {
	rule *rules.Compiled
	hits sequence.Hits
	join []byte
	hash uint32 // noteHash of rule and join
}

// feed gives an event to the sequence machines of its candidates. It has its document with it, or its evidence is in place.
func (w *Worker) feed(b *buffered, h *host) {
	w.feedingEvent = b
	for i := range b.cands {
		c := &b.cands[i]
		if w.rests(c.rule) {
			continue
		}
		if w.meter.sample(sampledCandidates) {
			began := w.meter.q.elapsed()
			w.advance(c, b, h)
			w.meter.took[c.rule.Number] += w.meter.q.elapsed() - began
			continue
		}
		w.advance(c, b, h)
	}
	w.feedingEvent = nil
}

func (w *Worker) advance(c *candidate, b *buffered, h *host) {
	if w.cfg.searches(c.rule) && w.cfg.SampleScope != nil && !w.cfg.SampleScope(b.ref) {
		return
	}
	m := w.machines[c.rule.Number]
	if w.partials.byRule[c.rule.Number].live == 0 && !m.Begins(c.hits) {
		return
	}
	hash := w.partials.hash(c.rule, c.join)
	p := w.partials.find(hash, c.rule, c.join)
	if p == nil && !m.Begins(c.hits) {
		return
	}
	st := w.open(p)
	if !b.owned && (c.rule.Sample() || p != nil && p.unpacked) { // the state may outlive its event's neighbours by far
		b.ref.ID, b.owned = strings.Clone(b.ref.ID), true
	}
	w.before = appendRefs(w.before[:0], st)
	w.matches = m.Advance(st, c.hits, b.ref, w.matches[:0])
	isNew := p == nil
	if isNew {
		if st.Empty() && len(w.matches) == 0 {
			return
		}
		w.begun++
		p = w.insert(c.rule, alias(c.join), hash, h, w.begun)
	}
	held := st.Len()
	w.settle(p, m, st)
	w.enforceCaps(p, isNew, held)
}

// open returns the state of a partial, an empty one for nil. It is valid until the next call, and the partial has it again
// after settle or keep.
func (w *Worker) open(p *partial) *MachineState {
	w.opened = MachineState{}
	switch {
	case p == nil:
		w.opened.sequence = w.scratch.Empty()
	case p.unpacked:
		return w.partials.unpacked[p.id]
	default:
		_, _, packed := p.parts()
		var err error
		if w.opened.sequence, err = w.scratch.Unpack(packed, w.topic); err != nil {
			panic("BUG: a partial of rule " + w.partials.ruleOf(p).Rule.ID + ": " + err.Error())
		}
	}
	return &w.opened
}

// packedRefs is the number of events up to which a state is packed: one with more of them would be packed and unpacked with
// each event at a cost that grows with what it holds.
const packedRefs = 32

// keep gives a partial its state, which is not empty and holds so many events.
func (w *Worker) keep(p *partial, st *MachineState, refs int) {
	join, begun, _ := p.parts()
	if w.partials.ruleOf(p).Sample() || refs > packedRefs {
		if !p.unpacked {
			own := st.clone()
			w.partials.unpacked[p.id], p.unpacked = &own, true
			p.body = string(appendBody(w.bodyBuf[:0], join, begun))
		}
		return
	}
	if p.unpacked {
		delete(w.partials.unpacked, p.id)
		p.unpacked = false
	}
	if w.topic == "" {
		w.topic = st.topic()
	}
	w.bodyBuf = st.sequence.Pack(appendBody(w.bodyBuf[:0], join, begun), w.topic)
	p.body = string(w.bodyBuf)
}

// settle brings everything that depends on a partial's state in line with it: evidence, alerts, timers, the
// commit, and the partial's own life. w.before holds the refs of the old state, w.matches what completed.
func (w *Worker) settle(p *partial, m Machine, st *MachineState) {
	w.after = appendRefs(w.after[:0], st)
	for _, r := range w.after {
		w.retain(r)
	}
	for _, match := range w.matches {
		w.alert(w.partials.ruleOf(p), bytesOf(p.join()), p.host, match)
	}
	for _, r := range w.before {
		w.release(r)
	}
	if st.Empty() {
		w.drop(p)
		return
	}
	w.keep(p, st, len(w.after))
	w.markPartial(p)
	w.setTimer(p, m, st)
}

func appendRefs(dst []sequence.Ref, st *MachineState) []sequence.Ref {
	for r := range st.Refs {
		dst = append(dst, r)
	}
	return dst
}

// enforceCaps evicts what a new or grown partial leaves no room for: the oldest of the rule, or of the partition, or
// the partial itself where its own sequences, held, are too many.
func (w *Worker) enforceCaps(p *partial, isNew bool, held int) {
	limits, t := &w.cfg.Limits, w.partials
	switch {
	case p.dead():
	case isNew && w.cfg.Quarantine.tooMany(t.ruleOf(p), w.number, t.byRule[p.rule].live):
		w.followQuarantine()
	case held > limits.PerKey:
		w.evict(p, "limits.per_key")
	case isNew && t.byRule[p.rule].live > limits.PartialsPerRule:
		w.evict(t.oldest(&t.byRule[p.rule]), "limits.partials_per_rule")
	case isNew && t.len() > limits.Partials:
		w.evict(t.oldest(&t.all), "limits.partials")
	}
}

// insert makes a partial without a state.
func (w *Worker) insert(c *rules.Compiled, join string, hash uint32, h *host, begun int64) *partial {
	p := w.partials.add(hash, c, h)
	w.bodyBuf = appendBody(w.bodyBuf[:0], join, begun)
	p.body = string(w.bodyBuf)
	w.drives(p, 1)
	w.countPartial(p)
	return p
}

// evict drops a partial that a cap, a setting, has no room for.
func (w *Worker) evict(p *partial, limit string) {
	rule := w.partials.ruleOf(p)
	w.counts.evicted[rule.Number]++
	if !w.evictionLogged[rule.Number] {
		w.evictionLogged[rule.Number] = true
		w.log.Warn("partials evicted: a cap is reached and sequences may be missed",
			slog.String("rule_id", rule.Rule.ID), slog.String("cap", limit))
	}
	w.discard(p)
}

// discard drops a partial whatever its state.
func (w *Worker) discard(p *partial) {
	st := w.open(p)
	for r := range st.Refs {
		w.release(r)
	}
	w.drop(p)
}

// drop takes out a partial whose state is empty, or doesn't matter any more.
func (w *Worker) drop(p *partial) {
	if p.stored {
		w.overlay.Delete(w.partials.key(p))
	}
	w.partials.setTimer(p, math.MaxInt64)
	w.drives(p, -1)
	w.uncountPartial(p)
	w.partials.remove(p)
}

// drives counts a partial among those that live by its host's watermark. One that waits for the end of the input doesn't: the
// watermark of a host that nothing else waits for is the same with and without it.
func (w *Worker) drives(p *partial, n int32) {
	if w.cfg.searches(w.partials.ruleOf(p)) {
		return
	}
	p.host.partials += n
	w.recount(p.host)
	w.touch(p.host)
}

// markPartial notes that the partial's record in the store has to change with the next commit.
func (w *Worker) markPartial(p *partial) {
	p.dirty = true
	if !p.listed {
		p.listed = true
		w.dirtyPartials = append(w.dirtyPartials, p.id)
	}
}

// setTimer lets the host's watermark wake the partial when its state has something to decide.
//
// A partial that a late event began or advanced may be past its deadline already. Where the rule has absences to
// decide, they are decided now. Otherwise the deadline only tidies up, and waits for another maxspan: the late
// event's successors are likely to be late too.
func (w *Worker) setTimer(p *partial, m Machine, st *MachineState) {
	at, ok := m.Deadline(st)
	if !ok {
		w.partials.setTimer(p, math.MaxInt64)
		return
	}
	if w.feedingLate && at <= p.host.mark && !w.absences[p.rule] {
		at = p.host.mark + max(w.partials.ruleOf(p).MaxSpan, w.lateness)
	}
	w.wake(p, at)
}

// wake sets the partial's timer.
func (w *Worker) wake(p *partial, at int64) {
	if at == p.at {
		return
	}
	w.partials.setTimer(p, at)
	w.schedule(p.host)
}

// tick wakes the partial of the host's first deadline, which the watermark has reached.
func (w *Worker) tick(h *host) {
	p := w.partials.at(h.timers)
	w.partials.setTimer(p, math.MaxInt64)
	m := w.machines[p.rule]
	st := w.open(p)
	w.before = appendRefs(w.before[:0], st)
	w.matches = m.Tick(st, h.mark, w.matches[:0])
	w.settle(p, m, st)
}
