package pipeline

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"slices"
	"strings"

	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/pipeline/sample"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// While a rule file is broken nobody knows which partials and waiting events are its rule's: the file may not even say the rule's id. So
// those of rules that aren't loaded stay in the state, unclaimed, until a set that has their rule claims them, or a set that lacks no rule
// drops them. They are what the state had when it was loaded, so they only become fewer: see docs/adr/0019.

// unclaimed is what a worker keeps for rules that aren't loaded. Their values are in the store only.
type unclaimed struct {
	partials []unclaimedPartial
	events   map[string]heldEvent // by key in the store
	look     int64                // record clock at which what is over is looked for again
}

// unclaimedPartial is a partial of a rule that isn't loaded.
type unclaimedPartial struct {
	rule  uint64
	join  string // as the key has it
	host  *host  // whose watermark it lives by; that of @timestamp where it is one of all hosts
	begun int64
	until int64 // the watermark from which on it isn't kept: its maxspan is over; math.MaxInt64: it has none
}

func (u *unclaimedPartial) key() []byte {
	return append(state.PartialPrefix(nil, u.rule), u.join...)
}

// heldEvent is an event that waited for a rule that isn't loaded.
type heldEvent struct {
	host  *host // whose watermark it waited for
	until int64 // the record clock from which on it isn't kept
	cands []rekey.Candidate
}

// unclaimedSpan is how long a waiting event is kept for a rule that isn't loaded, in milliseconds of event time.
const unclaimedSpan = 24 * 3_600_000

// leastLook is the least time between two looks for what is over, in milliseconds of the record clock.
const leastLook = 10_000

func newUnclaimed() unclaimed { return unclaimed{events: map[string]heldEvent{}} }

// misses reports whether a rule that isn't loaded may be one whose file is broken.
func (w *Worker) misses(rule uint64) bool { return w.cfg.Set.Incomplete() && w.byHash[rule] == nil }

// decodeAnyState decodes the state of a rule that isn't known.
func decodeAnyState(b []byte) (st MachineState, err error) {
	if own, err := sample.DecodeState(b); err == nil {
		st.sample = &own
		return st, nil
	}
	st.sequence, err = sequence.DecodeState(b)
	return st, err
}

// keepPartial keeps a partial of a rule that isn't loaded, and the evidence that it refers to.
func (w *Worker) keepPartial(k state.PartialKey, value []byte) error {
	s, err := decodeUnclaimed(value)
	if err != nil {
		return fmt.Errorf("of a rule that isn't loaded: %w", err)
	}
	u := unclaimedPartial{rule: k.Rule, join: k.Join, host: w.shared.orders[0].host, begun: s.begun, until: s.at}
	if s.host != sharedHost {
		u.host = w.hostOf(s.host)
	}
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for r := range s.st.Refs {
		w.retainStored(r)
		first, last = min(first, r.Time), max(last, r.Time)
	}
	if s.at != math.MaxInt64 && last > first { // the deadline is that of the first of its sequences
		u.until += last - first
	}
	w.begun = max(w.begun, s.begun)
	w.unclaimed.partials = append(w.unclaimed.partials, u)
	w.driveUnclaimed(u.host, 1)
	return nil
}

func decodeUnclaimed(value []byte) (s storedPartial, err error) {
	r := readValue(value)
	s.host, s.join = r.name(), r.name()
	s.begun, s.at = r.varint(), r.varint()
	if r.err != nil {
		return s, r.err
	}
	s.st, err = decodeAnyState(r.rest)
	return s, err
}

// driveUnclaimed counts what is unclaimed among the partials that live by its host's watermark: else the store would forget that.
func (w *Worker) driveUnclaimed(h *host, n int32) {
	h.partials += n
	w.recount(h)
	w.touch(h)
}

// The kinds of events that wait for rules that aren't loaded.
const (
	waitsForHost   = 0 // for the watermark of its host
	waitsForShared = 1 // for that of all hosts
)

// unclaimedEvent is a waiting event as it is stored for rules that aren't loaded. Of one that waited for its host's watermark the candidates only
// name rules: what they hit is found again in the document.
type unclaimedEvent struct {
	kind    byte
	field   string
	carrier place // of one that waited for the watermark of all hosts
	sent    *rekey.Event
}

func (u *unclaimedEvent) key() []byte {
	k := state.UnclaimedKey{Kind: u.kind, Field: u.field, Topic: u.sent.Ref.Topic, Partition: u.sent.Ref.Partition, Offset: u.sent.Ref.Offset}
	if u.kind == waitsForShared {
		k.Topic, k.Partition, k.Offset = u.carrier.topic, u.carrier.partition, u.carrier.offset
	}
	return k.Append(nil)
}

func (u *unclaimedEvent) value() []byte {
	dst := appendName(append(state.AppendVersion(nil), u.kind), u.field)
	dst = appendName(dst, u.carrier.topic)
	dst = binary.AppendVarint(dst, int64(u.carrier.partition))
	dst = binary.AppendVarint(dst, u.carrier.offset)
	return u.sent.Append(dst)
}

func decodeUnclaimedEvent(value []byte) (u unclaimedEvent, err error) {
	r := readValue(value)
	if len(r.rest) == 0 {
		return u, errValue
	}
	u.kind, r.rest = r.rest[0], r.rest[1:]
	u.field = r.name()
	u.carrier = place{r.name(), int32(r.varint()), r.varint()}
	if r.err != nil || u.kind > waitsForShared {
		return u, errValue
	}
	rec, err := rekey.Decode(r.rest)
	if err == nil && rec.Event == nil {
		err = errValue
	}
	u.sent = rec.Event
	return u, err
}

// keepWaiting keeps a waiting event with its document for those of its rules that aren't loaded, and reports whether there are any.
func (w *Worker) keepWaiting(e waiting, h *host, raw []byte) bool {
	u := unclaimedEvent{kind: waitsForHost, field: e.event.field, sent: &rekey.Event{Ref: e.event.ref, Host: h.name, Source: raw}}
	for _, rule := range e.rules {
		if w.misses(rule) {
			u.sent.Candidates = append(u.sent.Candidates, rekey.Candidate{Rule: rule})
		}
	}
	return w.keepEvent(&u)
}

// keepShared is keepWaiting for an event that waits for the watermark of all hosts.
func (w *Worker) keepShared(sent *rekey.Event, carrier place) bool {
	own := *sent
	own.Candidates = slices.DeleteFunc(slices.Clone(sent.Candidates), func(c rekey.Candidate) bool { return !w.misses(c.Rule) })
	return w.keepEvent(&unclaimedEvent{kind: waitsForShared, carrier: carrier, sent: &own})
}

func (w *Worker) keepEvent(u *unclaimedEvent) bool {
	if len(u.sent.Candidates) == 0 {
		return false
	}
	key := u.key()
	held, ok := w.unclaimed.events[string(key)]
	if !ok && len(w.unclaimed.events) >= w.cfg.Limits.Buffered {
		w.counts.unclaimedExpired++
		return true
	}
	for _, c := range held.cands { // of rules whose files were broken before
		if !slices.ContainsFunc(u.sent.Candidates, func(o rekey.Candidate) bool { return o.Rule == c.Rule }) {
			u.sent.Candidates = append(u.sent.Candidates, c)
		}
	}
	w.noteUnclaimed(string(key), u)
	w.overlay.Put(key, u.value())
	return true
}

func (w *Worker) noteUnclaimed(key string, u *unclaimedEvent) {
	held, ok := w.unclaimed.events[key]
	if !ok {
		held.until, held.host = u.sent.Ref.Time+unclaimedSpan, w.shared.orders[0].host
		if u.kind == waitsForHost {
			held.host = w.hostOf(u.sent.Host)
		}
		w.driveUnclaimed(held.host, 1)
	}
	held.cands = slices.Clone(u.sent.Candidates)
	for i := range held.cands {
		held.cands[i].Join = slices.Clone(held.cands[i].Join)
	}
	w.unclaimed.events[key] = held
}

// forgetUnclaimed ends what noteUnclaimed began.
func (w *Worker) forgetUnclaimed(key string) {
	w.driveUnclaimed(w.unclaimed.events[key].host, -1)
	delete(w.unclaimed.events, key)
	w.overlay.Delete([]byte(key))
}

// loadUnclaimed reads the events that wait for rules that weren't loaded. More may follow from what waits.
func (w *Worker) loadUnclaimed() error {
	return w.part.Scan([]byte{byte(state.FamilyUnclaimed)}, func(key, value []byte) error {
		u, err := decodeUnclaimedEvent(value)
		if err == nil {
			w.noteUnclaimed(string(key), &u)
		}
		return err
	})
}

// claimLoaded gives the rules that are loaded what was kept for them, and cuts what is kept for others to the limits.
func (w *Worker) claimLoaded() error {
	if over := len(w.unclaimed.partials) - w.cfg.Limits.Partials; over > 0 {
		slices.SortFunc(w.unclaimed.partials, func(a, b unclaimedPartial) int { return cmp.Compare(a.begun, b.begun) })
		for i := range over {
			if err := w.forgoUnclaimed(&w.unclaimed.partials[i]); err != nil {
				return err
			}
		}
		w.unclaimed.partials = slices.Clone(w.unclaimed.partials[over:])
		w.counts.unclaimedExpired += uint64(over)
	}
	if err := w.claim(); err != nil {
		return err
	}
	if n := len(w.unclaimed.partials); n > 0 {
		w.log.Warn("partials of rules that aren't loaded are kept: a rule file is broken, and they may be its rule's", slog.Int("partials", n))
	}
	return nil
}

// claim gives the rules of the set what was kept for them, and drops the rest where the set lacks no rule.
func (w *Worker) claim() error {
	if len(w.unclaimed.partials)+len(w.unclaimed.events) == 0 {
		return nil
	}
	if err := w.expireUnclaimed(); err != nil { // what nothing was matched for until its end can't be decided
		return err
	}
	if err := w.claimPartials(); err != nil {
		return err
	}
	for _, key := range slices.Sorted(maps.Keys(w.unclaimed.events)) {
		if err := w.claimEvent(key); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) claimPartials() error {
	claimed, dropped := 0, 0
	var left []unclaimedPartial
	for i := range w.unclaimed.partials {
		u := &w.unclaimed.partials[i]
		rule := w.byHash[u.rule]
		switch {
		case rule != nil && u.host.shared == w.cfg.shares(rule): // else its events were ordered otherwise than they are now
			if err := w.claimPartial(u, rule); err != nil {
				return err
			}
			claimed++
		case rule == nil && w.cfg.Set.Incomplete():
			left = append(left, *u)
		default:
			if err := w.forgoUnclaimed(u); err != nil {
				return err
			}
			dropped++
		}
	}
	w.unclaimed.partials = left
	w.noteDiscarded(dropped)
	if claimed > 0 {
		w.partials.sortByAge()
		w.log.Info("partials go on: the file of their rule is mended; what came meanwhile was not matched", slog.Int("partials", claimed))
	}
	return nil
}

// claimPartial makes a partial live that was kept for a rule.
func (w *Worker) claimPartial(u *unclaimedPartial, rule *rules.Compiled) error {
	s := storedPartial{rule: rule}
	value, err := w.valueOfUnclaimed(u)
	if err != nil {
		return err
	}
	if err := s.decode(value); err != nil {
		return fmt.Errorf("rule %s: %w", rule.Rule.ID, err)
	}
	w.loadPartial(&s)
	for r := range s.st.Refs { // they are the live one's now
		w.release(r)
	}
	w.driveUnclaimed(u.host, -1)
	return nil
}

func (w *Worker) valueOfUnclaimed(u *unclaimedPartial) ([]byte, error) {
	value, ok, err := w.stored(u.key())
	if err == nil && !ok {
		err = fmt.Errorf("a partial of a rule that isn't loaded is gone: %w", state.ErrCorrupt)
	}
	return value, err
}

// forgoUnclaimed drops a partial that was kept.
func (w *Worker) forgoUnclaimed(u *unclaimedPartial) error {
	value, err := w.valueOfUnclaimed(u)
	if err != nil {
		return err
	}
	s, err := decodeUnclaimed(value)
	if err != nil {
		return err
	}
	for r := range s.st.Refs {
		w.release(r)
	}
	w.driveUnclaimed(u.host, -1)
	w.overlay.Delete(u.key())
	return nil
}

// claimEvent puts a waiting event back for those of its rules that are loaded.
func (w *Worker) claimEvent(key string) error {
	value, ok := w.overlay.Get([]byte(key))
	if ok != state.Present { // it wasn't put there since the last commit
		var found bool
		var err error
		if value, found, err = w.stored([]byte(key)); err == nil && !found {
			err = fmt.Errorf("an event of a rule that isn't loaded is gone: %w", state.ErrCorrupt)
		}
		if err != nil {
			return err
		}
	}
	u, err := decodeUnclaimedEvent(slices.Clone(value))
	if err != nil {
		return err
	}
	var mine, left []rekey.Candidate
	for _, c := range u.sent.Candidates {
		if w.byHash[c.Rule] != nil {
			mine = append(mine, c)
		} else if w.cfg.Set.Incomplete() {
			left = append(left, c)
		}
	}
	u.sent.Candidates = mine
	switch {
	case len(mine) == 0:
	case u.kind == waitsForShared:
		w.claimShared(&u)
	default:
		w.claimWaiting(&u)
	}
	switch {
	case len(left) == 0:
		if len(mine) == 0 {
			w.counts.buffersDiscarded++
		}
		w.forgetUnclaimed(key)
	case len(mine) > 0:
		u.sent.Candidates = left
		w.noteUnclaimed(key, &u)
		w.overlay.Put([]byte(key), u.value())
	}
	return nil
}

func (w *Worker) claimWaiting(u *unclaimedEvent) {
	b := w.newBuffered()
	b.field = u.field
	b.ref.Topic, b.ref.Partition = strings.Clone(u.sent.Ref.Topic), u.sent.Ref.Partition
	b.ref.Offset, b.ref.Time = u.sent.Ref.Offset, u.sent.Ref.Time
	e := waiting{event: b}
	for _, c := range u.sent.Candidates {
		e.rules = append(e.rules, c.Rule)
	}
	if !w.restore(e, u.sent.Source, false) {
		w.counts.lost++
		b.gone = true
	}
}

func (w *Worker) claimShared(u *unclaimedEvent) {
	e, _ := w.received(u.sent, u.carrier)
	if len(e.cands) == 0 {
		return
	}
	s := &w.shared
	for _, other := range e.order.waiting.Items() {
		if other.carrier != u.carrier {
			continue
		}
		// The rest of it waits still.
		for _, c := range e.cands {
			if !slices.ContainsFunc(other.cands, func(have candidate) bool { return have.rule == c.rule }) {
				other.cands = append(other.cands, c)
			}
		}
		slices.SortStableFunc(other.cands, func(a, b candidate) int { return a.rule.Number - b.rule.Number })
		if other.stored {
			whole := *other
			whole.doc = e.doc // it may be in the store only
			w.overlay.Put(other.key(), whole.value())
		}
		return
	}
	e.owned, e.queued = true, true
	e.order.waiting.Push(e)
	s.added = append(s.added, e)
	s.kept += len(e.doc)
	w.keptBytes += len(e.doc)
}

// markAt returns the watermark of a host at the record clock, without moving it.
func (w *Worker) markAt(h *host) int64 {
	switch {
	case h.shared:
		return w.sharedMarkAt()
	case h.mark == minMark: // nobody moves it
		return w.clock.now - w.lateness - 1
	default:
		return max(h.mark, h.newest+(w.clock.now-h.clockAt)-w.lateness-1)
	}
}

// sharedMarkAt returns the least watermark of all hosts. The order of a partial of a rule that isn't loaded isn't known, nor is its order's
// watermark moved by the partition's own clock.
func (w *Worker) sharedMarkAt() int64 {
	least := int64(math.MaxInt64)
	for _, o := range w.shared.orders {
		mark := o.host.mark
		if w.cfg.Rekey.Partitions == 0 && o.delay != noDelay {
			mark = w.clock.now - o.delay - w.lateness - 1
		}
		if mark != minMark {
			least = min(least, mark)
		}
	}
	if least == math.MaxInt64 {
		return minMark
	}
	return least
}

// dropUnclaimed drops now and then what was kept and is over.
func (w *Worker) dropUnclaimed() {
	u := &w.unclaimed
	if len(u.partials)+len(u.events) == 0 || w.clock.now < u.look {
		return
	}
	if err := w.expireUnclaimed(); err != nil {
		w.log.Warn("state of rules that aren't loaded can't be looked at", slog.Any("error", err))
	}
}

// expireUnclaimed drops what was kept and is over.
func (w *Worker) expireUnclaimed() error {
	u := &w.unclaimed
	var failed error
	least := int64(math.MaxInt64)
	over := 0
	u.partials = slices.DeleteFunc(u.partials, func(p unclaimedPartial) bool {
		mark := w.markAt(p.host)
		if mark < p.until {
			if p.until != math.MaxInt64 && mark > minMark {
				least = min(least, p.until-mark)
			}
			return false
		}
		if failed == nil {
			failed = w.forgoUnclaimed(&p)
		}
		over++
		return true
	})
	for key, e := range u.events {
		if w.clock.now-w.lateness > e.until {
			w.forgetUnclaimed(key)
			over++
		}
	}
	if least == math.MaxInt64 {
		least = 0
	}
	w.counts.unclaimedExpired += uint64(over)
	u.look = w.clock.now + max(least, leastLook)
	return failed
}
