package pipeline

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// Which rules rest on a partition is part of its state, so that a restart or a move of the partition gives no rule that takes too much
// another try: see docs/adr/0011.

// storedRest is a rule in quarantine on a partition, as it is stored.
type storedRest struct {
	rule   [8]byte // its state hash
	reason string
	budget uint64 // what it exceeded: partials, or millionths of the processing time
	until  int64  // milliseconds since the epoch
	detail string
}

// maxRestDetail bounds what is stored of a quarantine's reason.
const maxRestDetail = 200

// maxRests bounds the rules in quarantine that are stored for a partition: the rest is tried again after a restart.
const maxRests = 3000

// budget returns what a rule may take, 0 for no end.
func (o *QuarantineOptions) budget(reason string) uint64 {
	switch reason {
	case QuarantineCPU:
		return uint64(o.CPU * 1e6)
	case QuarantinePartials:
		return uint64(o.Partials)
	default:
		return 0
	}
}

// value returns what is to be stored of the rules of a set that rest on a partition; nil for none.
func (q *Quarantine) value(set *rules.Set, partition int32) []byte {
	if q == nil {
		return nil
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.resting) == 0 {
		return nil
	}
	var dst []byte
	n := 0
	for _, c := range set.Rules() {
		r := q.resting[quarantineKey{c.StateHash, everywhere}]
		if r == nil {
			r = q.resting[quarantineKey{c.StateHash, partition}]
		}
		if r == nil || n == maxRests {
			continue
		}
		if n++; n == 1 {
			dst = state.AppendVersion(nil)
		}
		dst = appendName(append(dst, c.StateHash[:]...), r.reason)
		dst = binary.AppendUvarint(dst, r.budget)
		dst = binary.AppendVarint(dst, r.until.UnixMilli())
		dst = appendName(dst, strings.ToValidUTF8(r.detail[:min(len(r.detail), maxRestDetail)], ""))
	}
	return dst
}

func decodeRests(value []byte) (rests []storedRest, err error) {
	r := readValue(value)
	for r.err == nil && len(r.rest) > 0 {
		var s storedRest
		binary.BigEndian.PutUint64(s.rule[:], r.hash())
		s.reason, s.budget, s.until, s.detail = r.name(), r.unsigned(), r.varint(), r.name()
		rests = append(rests, s)
	}
	return rests, r.err
}

// restore takes over the rules that rest on a partition according to its state. Those of other rules, whose time is over, or whose
// budget was raised or taken away meanwhile, are left out.
func (q *Quarantine) restore(set *rules.Set, partition int32, stored []storedRest) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	now := q.o.Now()
	for _, s := range stored {
		at := slices.IndexFunc(set.Rules(), func(c *rules.Compiled) bool { return c.StateHash == s.rule })
		until := time.UnixMilli(s.until)
		if latest := now.Add(q.o.Hold); until.After(latest) { // by another member's clock, or limits.quarantine is less now
			until = latest
		}
		budget := q.o.budget(s.reason)
		if at < 0 || !now.Before(until) || budget == 0 || budget > s.budget {
			continue
		}
		key := quarantineKey{s.rule, partition}
		if q.resting[key] != nil || q.resting[quarantineKey{s.rule, everywhere}] != nil {
			continue
		}
		c := set.Rules()[at]
		r := &rest{id: c.Rule.ID, name: c.Rule.Name, reason: s.reason, detail: s.detail, budget: s.budget, until: until}
		q.resting[key] = r
		q.changed.Add(1)
		q.metrics.now.WithLabelValues(r.id, r.reason).Inc()
		q.o.Logger.Warn("rule still in quarantine, since before a restart or a move of the partition",
			slog.String("rule_id", r.id), slog.String("rule_name", r.name), slog.String("where", whereOf(partition)),
			slog.String("reason", r.detail), slog.Time("until", r.until), slog.String("remedy", remedy))
	}
}

// Forget forgets what rests on a partition that this process no longer owns: who takes it over finds it in the state.
func (q *Quarantine) Forget(partition int32) {
	if q == nil {
		return
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	for key, r := range q.resting {
		if key.partition == partition {
			q.drop(key, r)
		}
	}
}

// loadRests reads which rules rest.
func (w *Worker) loadRests() error {
	raw, ok, err := w.part.Get(state.AppendQuarantineKey(nil))
	if err != nil || !ok {
		return err
	}
	stored, err := decodeRests(raw)
	if err != nil {
		return fmt.Errorf("rules in quarantine: %w", err)
	}
	w.restsStored = bytes.Clone(raw)
	w.cfg.Quarantine.restore(w.cfg.Set, w.number, stored)
	return nil
}

// changeRests notes in the batch which rules rest, where that isn't what the store has.
func (w *Worker) changeRests() {
	w.followQuarantine()
	if w.restsVersion != w.quarantined || w.restsVersion == 0 {
		w.restsVersion = w.quarantined
		w.restsNow = w.cfg.Quarantine.value(w.cfg.Set, w.number)
	}
	switch {
	case bytes.Equal(w.restsNow, w.restsStored):
	case w.restsNow == nil:
		w.overlay.Delete(state.AppendQuarantineKey(nil))
	default:
		w.overlay.Put(state.AppendQuarantineKey(nil), w.restsNow)
	}
}
