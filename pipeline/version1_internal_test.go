package pipeline

import (
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// version1 turns the state of a partition into what version 1 of the codec would have written.
func version1(t *testing.T, part *state.Partition, docs map[int64][]byte) *state.Overlay {
	t.Helper()
	out := new(state.Overlay)
	old := func(payload []byte) []byte { return append([]byte{1}, payload...) }
	page := Worker{pages: newPages()}
	marks := map[string]*host{}
	err := part.Scan(nil, func(key, value []byte) error {
		family, _ := state.FamilyOf(key)
		switch family {
		case state.FamilyMarks:
			for r := readValue(value); r.err == nil && len(r.rest) > 0; {
				h := r.host()
				marks[h.name] = h
				v := appendName(nil, h.name)
				for _, n := range []int64{h.newest, h.clockAt, h.mark} {
					v = binary.AppendVarint(v, n)
				}
				out.Put(state.HostKey{Host: h.name}.Append(nil), old(v))
			}
		case state.FamilyWaiting:
			_, err := page.loadPage(page.pages.eventPage(0), value, nil)
			return err
		default:
			out.Put(slices.Clone(key), old(value[1:]))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range page.pages.eventPage(0).events {
		b := e.event
		v := appendName(appendName(appendName(nil, "h"), b.ref.Topic), b.field)
		v = binary.AppendVarint(binary.AppendVarint(v, b.ref.Time), 0)
		for _, hash := range b.kind.rules {
			v = binary.BigEndian.AppendUint64(v, hash)
		}
		out.Put(state.BufferedKey{Host: "h", Time: b.ref.Time, Topic: b.ref.Topic, Offset: b.ref.Offset}.Append(nil), old(v))
		out.Put(placeOf(b.ref).key(), old(docs[b.ref.Offset]))
	}
	return out
}

// TestVersion1: a worker goes on with the state that version 1 left, and leaves none of its keys.
func TestVersion1(t *testing.T) {
	set, err := rules.NewSet([]*rules.Rule{
		{ID: "a", Name: "a", Query: `sequence by host.id with maxspan=1m [any where tag == "A"] [any where tag == "B"] [any where tag == "C"]`},
	}, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := &Config{Set: set, Alerts: alert.NewECS(alert.Options{})}
	cfg.EnsureDefaults()
	docs := map[int64][]byte{}
	event := func(tag string, offset, at int64) Record {
		docs[offset] = fmt.Appendf(nil, `{"@timestamp":%d,"event":{"id":%q},"host":{"id":"h"},"tag":%q}`, at, fmt.Sprint("e", offset), tag)
		return Record{Topic: "t", Offset: offset, Time: at, Clock: ClockLogAppend, Value: docs[offset]}
	}
	start := func(part *state.Partition) *Worker {
		w, err := NewWorker(cfg, part, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		return w
	}
	run := func(w *Worker, records ...Record) {
		if err := w.Process(records); err != nil {
			t.Fatal(err)
		}
		w.Changes()
		alerts := len(w.Output().Alerts)
		if err := w.Committed(state.Checkpoint{}); err != nil {
			t.Fatal(err)
		}
		if want := len(records) / 3; alerts != want { // the last three events complete the sequence
			t.Errorf("%d alerts, want %d", alerts, want)
		}
	}
	before := state.OpenMemory().Partition(0)
	run(start(before), event("A", 0, 1000), event("B", 1, 9000)) // A is a partial, B waits
	after := state.OpenMemory().Partition(0)
	if err := after.Apply(version1(t, before, docs), state.Checkpoint{}); err != nil {
		t.Fatal(err)
	}
	w := start(after)
	if missing := w.Missing(); len(missing) > 0 {
		t.Fatalf("missing %v, although version 1 keeps every document", missing)
	}
	run(w) // what version 1 left goes with the first commit, whatever that holds
	for _, f := range []state.Family{state.FamilyBuffered, state.FamilyHost} {
		err := after.Scan([]byte{byte(f)}, func(key, _ []byte) error { return fmt.Errorf("key %q is left", key) })
		if err != nil {
			t.Error(err)
		}
	}
	run(start(after), event("C", 2, 10_000), event("X", 3, 20_000), event("X", 4, 20_000))
}
