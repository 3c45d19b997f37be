package pipeline

import (
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// Rules that join events of any host have one order for each field that they take the time from: see docs/adr/0020.

// fieldHit is what an event may do in rules that order events by one field.
type fieldHit struct {
	field string
	time  int64 // by the field, in milliseconds; noTime for @timestamp
	sub   int32
	cands []candidate
}

// orderField returns the field that orders the events of a rule that shares, empty for @timestamp.
func (c *Config) orderField(r *rules.Compiled) string {
	if r.TimestampSlot == c.Set.Meta().Timestamp {
		return ""
	}
	return r.Rule.TimestampField
}

// sharedFields returns the fields that order events in shared orders, @timestamp first.
func (c *Config) sharedFields() []string {
	fields := []string{""}
	for _, r := range c.Set.Rules() {
		if c.shares(r) {
			fields = append(fields, c.orderField(r))
		}
	}
	slices.Sort(fields)
	return slices.Compact(fields)
}

// share adds what the event may do in the rules that join events of any host. Rules whose field the event doesn't have are counted by wait.
func (p *Preparer) share(b *Batch, h *hit, s []rules.SequenceHit, out *prepared) {
	for i, hit := range s {
		if !p.cfg.shares(hit.Rule) {
			continue
		}
		same := func(o rules.SequenceHit) bool {
			return p.cfg.shares(o.Rule) && o.Rule.TimestampSlot == hit.Rule.TimestampSlot
		}
		if slices.ContainsFunc(s[:i], same) {
			continue // it was taken with those
		}
		by := fieldHit{field: p.cfg.orderField(hit.Rule), time: noTime}
		if by.field != "" {
			var ok bool
			if by.time, by.sub, ok = event.TimeOf(p.ev.First(hit.Rule.TimestampSlot)); !ok {
				continue
			}
		}
		first := len(b.cands)
		for _, o := range s[i:] {
			if same(o) {
				p.appendCandidates(b, o, out)
			}
		}
		if by.cands = b.candidates(first); by.cands != nil {
			h.shared = append(h.shared, by)
		}
	}
}

// order returns the order by a field, nil where no rule has it.
func (s *sharedOrders) order(field string) *sharedOrder {
	for _, o := range s.orders {
		if o.field == field {
			return o
		}
	}
	return nil
}

// orderOf returns the order of a rule that shares.
func (s *sharedOrders) orderOf(cfg *Config, r *rules.Compiled) *sharedOrder {
	return s.order(cfg.orderField(r))
}

// finishShared feeds what waits: the input has ended.
func (w *Worker) finishShared() {
	for _, o := range w.shared.orders {
		for o.waiting.Len() > 0 {
			w.feedShared(o.waiting.Pop())
		}
	}
}

// swapOrders brings the orders in line with the rule set, when nothing of the rules that are gone waits any more.
func (w *Worker) swapOrders() {
	var orders []*sharedOrder
	for _, field := range w.cfg.sharedFields() {
		o := w.shared.order(field)
		if o == nil {
			o = newSharedOrder(field)
		}
		orders = append(orders, o)
	}
	if w.cfg.Set.Incomplete() { // the rules of others may be missing
		orders = mergeOrders(orders, w.shared.orders)
	}
	for _, o := range w.shared.orders {
		if o.stored && !slices.Contains(orders, o) {
			w.overlay.Delete(o.key())
		}
	}
	w.shared.orders = orders
}

func (o *sharedOrder) key() []byte { return state.OrderKey(o.field).Append(nil) }

// mergeOrders returns orders by field, with those of more that are of other fields.
func mergeOrders(orders, more []*sharedOrder) []*sharedOrder {
	for _, o := range more {
		if !slices.ContainsFunc(orders, func(have *sharedOrder) bool { return have.field == o.field }) {
			orders = append(orders, o)
		}
	}
	slices.SortFunc(orders, func(a, b *sharedOrder) int { return strings.Compare(a.field, b.field) })
	return orders
}

// changeOrders notes what the batch changes of the orders in the store.
func (w *Worker) changeOrders() {
	s := &w.shared
	if s.changed || s.orders[0].changed {
		w.overlay.Put(state.AppendSourcesKey(nil), s.value())
	}
	for _, o := range s.orders[1:] {
		if o.changed {
			w.overlay.Put(o.key(), o.value())
		}
	}
}

func (s *sharedOrders) ordersCommitted() {
	s.changed = false
	for _, o := range s.orders {
		o.stored, o.changed = o.stored || o.changed, false
	}
}

// loadOrders reads what is known of the sources and of the partition as one. An order that no rule has any more goes, unless a rule file is broken.
func (w *Worker) loadOrders() error {
	return w.part.Scan([]byte{byte(state.FamilySources)}, func(key, value []byte) error {
		field, err := state.ParseOrderKey(key)
		if err != nil {
			return err
		}
		if field == "" {
			return w.shared.decode(value)
		}
		o := w.shared.order(string(field))
		if o == nil && w.cfg.Set.Incomplete() { // its rule may be missing
			o = newSharedOrder(string(field))
			w.shared.orders = mergeOrders(w.shared.orders, []*sharedOrder{o})
		}
		if o == nil {
			w.overlay.Delete(key)
			return nil
		}
		o.stored = true
		if err := o.decode(value); err != nil {
			return fmt.Errorf("order by %s: %w", field, err)
		}
		return nil
	})
}

// value is what is known of the sources and of the partition as one, in the order by @timestamp, as it is stored.
func (s *sharedOrders) value() []byte {
	o := s.orders[0]
	dst := state.AppendVersion(nil)
	for _, v := range []int64{o.delay, s.clock, o.least} {
		dst = binary.AppendVarint(dst, v)
	}
	for _, n := range slices.Sorted(maps.Keys(s.sources)) {
		dst = binary.AppendVarint(dst, int64(n))
		dst = binary.AppendVarint(dst, s.sources[n])
		dst = appendSteps(dst, o.steps[n])
	}
	return dst
}

func (s *sharedOrders) decode(value []byte) error {
	o, r := s.orders[0], readValue(value)
	o.delay, s.clock, o.least = r.varint(), r.varint(), r.varint()
	for len(r.rest) > 0 {
		n := int32(r.varint())
		s.sources[n] = r.varint()
		r.steps(o, n)
	}
	return r.err
}

// value is what is known in an order by another field, as it is stored.
func (o *sharedOrder) value() []byte {
	dst := binary.AppendVarint(binary.AppendVarint(state.AppendVersion(nil), o.delay), o.least)
	for _, n := range slices.Sorted(maps.Keys(o.steps)) {
		dst = appendSteps(binary.AppendVarint(dst, int64(n)), o.steps[n])
	}
	return dst
}

func (o *sharedOrder) decode(value []byte) error {
	r := readValue(value)
	o.delay, o.least = r.varint(), r.varint()
	for len(r.rest) > 0 {
		r.steps(o, int32(r.varint()))
	}
	return r.err
}

func appendSteps(dst []byte, steps []delayStep) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(steps)))
	for _, step := range steps {
		dst = binary.AppendVarint(binary.AppendVarint(dst, step.clock), step.delay)
	}
	return dst
}

// steps reads what appendSteps wrote of a source.
func (r *valueReader) steps(o *sharedOrder, source int32) {
	var steps []delayStep
	for n := r.count(2); n > 0 && r.err == nil; n-- {
		steps = append(steps, delayStep{r.varint(), r.varint()})
	}
	if len(steps) > 0 {
		o.steps[source] = steps
	}
}
