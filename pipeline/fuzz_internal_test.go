package pipeline

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
)

// FuzzValues sees that no bytes make a decoder of state values panic, and that what is decoded is encoded to a value which
// decodes to the same.
func FuzzValues(f *testing.F) {
	h := host{name: "h", newest: 5, clockAt: -6, mark: 7}
	marks := newPages()
	marks.placeHost(marks.hostPage(0), &h)
	f.Add(slices.Clone(marks.hostPageValue(marks.hosts[0])))
	seed := Worker{pages: newPages()}
	kind := &eventKind{topic: "t", partition: 1, field: "f", rules: []uint64{1, 2}}
	for i := range int64(3) {
		b := &buffered{kind: kind, field: "f", ref: sequence.Ref{Ordinal: sequence.Ordinal{Topic: "t", Time: 9 - i, Offset: 5 * i}}}
		if i == 1 {
			b.evidence = &evidence{stored: true}
		}
		seed.pages.add(b)
	}
	f.Add(slices.Clone(seed.eventPageValue(seed.pages.events[0])))
	set, err := rules.NewSet([]*rules.Rule{
		{ID: "a", Name: "a", Query: "sequence by host.id with maxspan=1m [any where true] [any where true]"},
		{ID: "b", Name: "b", Query: "sample by host.id [any where true] [any where true]"},
	}, rules.SetOptions{})
	if err != nil {
		f.Fatal(err)
	}
	for _, rule := range set.Rules() {
		f.Add((&storedPartial{rule: rule, host: "h", join: "j", begun: 1, at: 2}).value())
	}
	w := noteWorker(set)
	for i := range int64(3) {
		w.notes.kindOf("t", 1, []candidate{{rule: set.Rules()[0]}})
		b := w.notes.block(1)
		b.add(note{at: 9 - i, offset: 5 * i, host: w.notes.number(w.hosts.get("h")), kind: 1, hashes: uint16(i)}, 7)
		b.addHash(uint32(i))
	}
	notes, _ := w.notes.value(w.notes.blocks[0], nil)
	f.Add(notes)
	f.Add((&recordClock{now: 1, jump: 2, jumpHost: "h", jumpCount: 3, young: 4}).value())
	f.Fuzz(func(t *testing.T, value []byte) {
		var c, clock recordClock
		if c.decode(value) == nil {
			if err := clock.decode(c.value()); err != nil || !cmp.Equal(c.value(), clock.value()) {
				t.Errorf("record clock %+v became %+v: %v", c, clock, err)
			}
		}
		fuzzPages(t, value)
		fuzzNotes(t, set, value)
		for _, rule := range set.Rules() {
			p, other := storedPartial{rule: rule}, storedPartial{rule: rule}
			if p.decode(value) != nil {
				continue
			}
			if err := other.decode(p.value()); err != nil || !cmp.Equal(p.value(), other.value()) {
				t.Errorf("partial of %q became one of %q: %v", p.host, other.host, err)
			}
		}
	})
}

func fuzzPages(t *testing.T, value []byte) {
	t.Helper()
	r := readValue(value)
	marks := newPages()
	for r.err == nil && len(r.rest) > 0 {
		marks.placeHost(marks.hostPage(0), r.host())
	}
	if r.err == nil && len(marks.hosts) > 0 {
		first := slices.Clone(marks.hostPageValue(marks.hosts[0]))
		again := newPages()
		for r := readValue(first); len(r.rest) > 0 && r.err == nil; {
			again.placeHost(again.hostPage(0), r.host())
		}
		if got := again.hostPageValue(again.hostPage(0)); !cmp.Equal(got, first) {
			t.Errorf("page of hosts %x became %x", first, got)
		}
	}
	events := Worker{pages: newPages()}
	page := events.pages.eventPage(0)
	here, err := events.loadPage(page, value, nil)
	if err != nil {
		return
	}
	for _, e := range here {
		e.event.evidence = &evidence{stored: true}
	}
	first := slices.Clone(events.eventPageValue(page))
	again := Worker{pages: newPages()}
	page = again.pages.eventPage(0)
	here, err = again.loadPage(page, first, nil)
	for _, e := range here {
		e.event.evidence = &evidence{stored: true}
	}
	if got := again.eventPageValue(page); err != nil || !cmp.Equal(got, first) {
		t.Errorf("page of events %x became %x: %v", first, got, err)
	}
}

// noteWorker is a worker of one host, as far as notes go.
func noteWorker(set *rules.Set) *Worker {
	w := &Worker{cfg: &Config{Set: set}, byHash: rulesByHash(set), notes: newNotes(), hosts: newHostTable()}
	w.hosts.put(newHost("h"))
	return w
}

func fuzzNotes(t *testing.T, set *rules.Set, value []byte) {
	t.Helper()
	load := func(value []byte) (w *Worker, b *noteBlock, err error) {
		w = noteWorker(set)
		b = w.notes.emptyBlock()
		err = w.loadBlock(b, value, map[uint64]*host{hostHash("h"): w.hosts.get("h")})
		return w, b, err
	}
	w, b, err := load(value)
	if err != nil {
		return
	}
	first, waits := w.notes.value(b, nil)
	if !waits {
		return
	}
	again, other, err := load(first)
	if err != nil || other.dirty {
		t.Fatalf("notes %x can't be read again: %v", first, err)
	}
	if got, _ := again.notes.value(other, nil); !cmp.Equal(got, first) {
		t.Errorf("notes %x became %x", first, got)
	}
}
