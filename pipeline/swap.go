package pipeline

import (
	"cmp"
	"log/slog"
	"slices"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/rules"
)

// Swap makes the worker go on with another rule set, that of cfg, which is of Config.WithSet. It is called between two
// batches, when nothing is uncommitted. What belongs to rules whose query is the same stays in memory as it is; the rest is
// dropped with the next commit. The alerts are those of a worker that is made anew with cfg and reads the store; no state is read
// for that, but what was kept for rules that weren't loaded. An error means that the set can't run, and changes nothing, or that the store failed.
func (w *Worker) Swap(cfg *Config) error {
	machines, err := newMachines(cfg)
	if err != nil {
		return err
	}
	w.setRules(cfg, machines)
	w.resting, w.quarantined, w.restsVersion = nil, 0, 0
	cfg.Quarantine.Keep(cfg.Set)
	w.counts.forRules(len(machines))
	w.spareCounts = nil
	next := w.byHash
	dropped := 0
	w.partials.setRules(cfg.Set.Rules(), next, func(p *partial) {
		dropped++
		w.discard(p)
	})
	for h := range w.hosts.all() {
		w.swapBuffer(h, next)
	}
	w.swapNotes(next)
	w.countLive()
	w.swapShared(next)
	if c := w.feeding.rule; c != nil {
		w.feeding.rule = next[ruleHash(c)]
	}
	w.noteDiscarded(dropped)
	return w.claim()
}

// setRules prepares the worker for the rules of a configuration.
func (w *Worker) setRules(cfg *Config, machines []Machine) {
	before, eagerBefore := w.byHash, w.eager
	w.cfg, w.machines, w.preparer, w.meter = cfg, machines, NewPreparer(cfg), newMeter(cfg)
	w.byHash, w.sharing = rulesByHash(cfg.Set), cfg.Shares()
	w.absences = w.absences[:0]
	for _, c := range cfg.Set.Rules() {
		w.absences = append(w.absences, slices.ContainsFunc(c.Query.Stages, func(st *eql.Stage) bool { return st.Missing }))
	}
	w.evictionLogged = make([]bool, len(machines))
	w.eager = make([]eager, len(machines))
	for hash, c := range w.byHash {
		if old := before[hash]; old != nil { // it goes on, and so does what kept its events whole
			w.eager[c.Number] = eagerBefore[old.Number]
		}
	}
	cfg.Metrics.begin(w.number, cfg.Set)
}

// rulesByHash returns the rules that have partials.
func rulesByHash(set *rules.Set) map[uint64]*rules.Compiled {
	byHash := map[uint64]*rules.Compiled{}
	for _, c := range set.Rules() {
		if c.Joins() {
			byHash[ruleHash(c)] = c
		}
	}
	return byHash
}

// swapBuffer gives the waiting events of a host to the rules of the new set.
func (w *Worker) swapBuffer(h *host, next map[uint64]*rules.Compiled) {
	waiting := h.buffer.Len()
	if waiting == 0 {
		return
	}
	h.buffer.Retain(func(q inQueue) bool {
		b := q.event
		wanted := len(b.cands)
		left := swapCandidates(b, next)
		b.kind = nil
		if len(b.cands) != wanted && b.page != nil { // a rule that comes back must not find the event waiting for it
			w.pages.touch(b.page)
		}
		if left {
			return true
		}
		w.counts.buffersDiscarded++
		w.leave(b)
		return false
	})
	if n := waiting - h.buffer.Len(); n > 0 {
		w.buffered -= n
		w.spareQueue(h)
		w.recount(h)
		w.touch(h)
	}
}

// swapCandidates gives what an event may do to the rules of the new set, and reports whether anything is left.
func swapCandidates(b *buffered, next map[uint64]*rules.Compiled) bool {
	b.cands = slices.DeleteFunc(slices.Clone(b.cands), func(c candidate) bool { return next[ruleHash(c.rule)] == nil })
	for i := range b.cands {
		b.cands[i].rule = next[ruleHash(b.cands[i].rule)]
	}
	slices.SortStableFunc(b.cands, func(x, y candidate) int { return cmp.Compare(x.rule.Number, y.rule.Number) })
	return len(b.cands) > 0
}

// noteDiscarded counts partials that were dropped with their rules.
func (w *Worker) noteDiscarded(partials int) {
	if partials > 0 {
		w.counts.partialsDiscarded += uint64(partials)
		w.log.Warn("partials dropped: their rule isn't loaded any more, or its query changed; what had begun will not be completed",
			slog.Int("partials", partials))
	}
}
