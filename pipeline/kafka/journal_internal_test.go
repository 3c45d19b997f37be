package kafka

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/state"
)

// fakeLog is a partition of a changelog that is compacted now and then.
type fakeLog struct {
	records []*kgo.Record
	next    int64
}

func (l *fakeLog) append(records []*kgo.Record) {
	for _, r := range records {
		c := *r
		c.Offset = l.next
		l.next++
		l.records = append(l.records, &c)
	}
}

// compact leaves the last record of each key below an offset, as the cleaner does with closed segments.
func (l *fakeLog) compact(below int64) {
	last := map[string]int64{}
	for _, r := range l.records {
		if r.Offset < below {
			last[string(r.Key)] = r.Offset
		}
	}
	l.records = slices.DeleteFunc(l.records, func(r *kgo.Record) bool { return r.Offset < below && last[string(r.Key)] != r.Offset })
}

// copyOf is a copy of the state on some member's disk.
type copyOf struct {
	part *state.Partition
	from int64 // changelog offset to read from
}

// restore brings a copy up to the end of a log.
func (c *copyOf) restore(t *testing.T, l *fakeLog) *restoring {
	t.Helper()
	r := &restoring{part: c.part, next: c.from, end: l.next, journal: newJournal(epochOf(c.part))}
	for _, rec := range l.records {
		if rec.Offset >= c.from {
			r.add(kgo.FetchTopicPartition{FetchPartition: kgo.FetchPartition{Records: []*kgo.Record{rec}}})
		}
	}
	r.next = l.next
	if err := r.journal.finish(&r.overlay); err != nil {
		t.Fatal(err)
	}
	c.apply(t, &r.overlay, r.journal.safe(r.next), r.journal.floor)
	return r
}

func (c *copyOf) apply(t *testing.T, o *state.Overlay, from int64, epoch uint64) {
	t.Helper()
	if err := c.part.Apply(o, state.Checkpoint{Changelog: from, Epoch: epoch}); err != nil {
		t.Fatal(err)
	}
	c.from = from
	o.Reset()
}

func (c *copyOf) content(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	if err := c.part.Scan(nil, func(key, value []byte) error { out[string(key)] = string(value); return nil }); err != nil {
		t.Fatal(err)
	}
	return out
}

// gather collects records of the changelog.
func gather(fn func(adder)) (records []*kgo.Record) {
	fn(func(key, value []byte, headers ...kgo.RecordHeader) {
		records = append(records, &kgo.Record{Key: key, Value: value, Headers: headers})
	})
	return records
}

// TestJournalModel has owners of a partition write batches and end at any record, with the log compacted at any time and new owners with
// and without local state, and compares what they restore with a model that knows whole batches only.
func TestJournalModel(t *testing.T) {
	store, err := state.Open(state.Options{Dir: t.TempDir(), MemTableSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	var number int32
	for seed := range uint64(150) {
		rnd := rand.New(rand.NewPCG(seed, 13))
		fresh := func() *copyOf { number++; return &copyOf{part: store.Partition(number)} }
		l, model, position := &fakeLog{}, map[string]string{}, int64(0)
		copies := []*copyOf{fresh(), fresh()}
		for range 12 { // owners
			i := rnd.IntN(len(copies))
			if rnd.IntN(3) == 0 {
				copies[i] = fresh()
			}
			own := copies[i]
			r := own.restore(t, l)
			if diff := cmp.Diff(model, own.content(t)); diff != "" {
				t.Fatalf("seed %d: state (-want +got):\n%s", seed, diff)
			}
			if last := r.journal.last; last != nil && last.record.Inputs["in"].Offset != position {
				t.Fatalf("seed %d: position %d, want %d", seed, last.record.Inputs["in"].Offset, position)
			}
			b, err := newBatches(r, uint16(rnd.Uint32()))
			if err != nil {
				t.Fatal(err)
			}
			for range rnd.IntN(6) { // batches
				if !step(t, rnd, l, b, own, model, &position) {
					break
				}
			}
		}
	}
}

// step writes a batch, or the beginning of it: then it returns false.
func step(t *testing.T, rnd *rand.Rand, l *fakeLog, b *batches, own *copyOf, model map[string]string, position *int64) bool {
	t.Helper()
	if rnd.IntN(2) == 0 {
		l.compact(rnd.Int64N(l.next + 1))
	}
	c := changes{}
	for range rnd.IntN(5) {
		key := fmt.Sprint("p", rnd.IntN(8))
		if c[key] = nil; rnd.IntN(3) > 0 {
			c[key] = make([]byte, rnd.IntN(2)*chunkBytes/2+1)
			c[key][0] = byte(rnd.IntN(250))
		}
	}
	first := l.next
	records := gather(func(add adder) { b.begin(c, add) })
	if rnd.IntN(4) == 0 {
		l.append(records[:rnd.IntN(len(records)+1)])
		if rnd.IntN(2) == 0 { // the same owner tries again, with another batch
			return step(t, rnd, l, b, own, model, position)
		}
		return false
	}
	ends := gather(func(add adder) {
		if err := b.end(map[string]inputMark{"in": {Offset: *position + 1}}, add); err != nil {
			t.Fatal(err)
		}
	})
	l.append(records)
	*position++
	for key, value := range c {
		if delete(model, key); value != nil {
			model[key] = string(value)
		}
	}
	n := len(ends)
	if rnd.IntN(6) == 0 {
		n = 1 + rnd.IntN(n)
	}
	l.append(ends[:n])
	if rnd.IntN(6) == 0 || n < len(ends) {
		return false // it counts, and the local state doesn't have it
	}
	b.ended()
	var o state.Overlay
	for key, value := range c {
		if value == nil {
			o.Delete([]byte(key))
		} else {
			o.Put([]byte(key), value)
		}
	}
	own.apply(t, &o, first, b.floor)
	return true
}

// TestJournalReplaced: what a replaced member writes late changes nothing, and its successor's successor puts right what it overwrote.
func TestJournalReplaced(t *testing.T) {
	store, err := state.Open(state.Options{Dir: t.TempDir(), MemTableSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	l := &fakeLog{}
	owner := func(n int32) (*batches, *copyOf) {
		c := &copyOf{part: store.Partition(n)}
		b, err := newBatches(c.restore(t, l), uint16(n))
		if err != nil {
			t.Fatal(err)
		}
		return b, c
	}
	write := func(b *batches, c changes) {
		l.append(gather(func(add adder) { b.begin(c, add) }))
		l.append(gather(func(add adder) { _ = b.end(nil, add) }))
		b.ended()
	}
	slow, _ := owner(1)
	write(slow, changes{"pa": []byte("1"), "pb": []byte("1")})
	next, _ := owner(2)
	write(next, changes{"pa": []byte("2"), "pb": nil})
	write(next, changes{"pc": []byte("2")})
	write(slow, changes{"pd": []byte("late")}) // with pa and pb of its first batch under their own keys
	third, c := owner(3)
	want := map[string]string{"pa": "2", "pc": "2"}
	if diff := cmp.Diff(want, c.content(t)); diff != "" {
		t.Errorf("state (-want +got):\n%s", diff)
	}
	write(third, changes{})
	l.compact(l.next)
	if _, c = owner(4); !maps.Equal(want, c.content(t)) {
		t.Errorf("state after compaction %v, want %v", c.content(t), want)
	}
	for _, r := range l.records {
		if epoch, _, _, ok := journalKey(r.Key); ok && r.Value != nil && epoch != third.id.epoch {
			t.Errorf("a journal of an earlier owner is left: %x", r.Key)
		}
	}
}

// TestJournalReplacedWithinABatch: what a replaced member writes late, between the records of its successor's batch, isn't
// taken for valid by a reader that begins with that batch: its copy of the state knows of the successor.
func TestJournalReplacedWithinABatch(t *testing.T) {
	store, err := state.Open(state.Options{Dir: t.TempDir(), MemTableSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	l := &fakeLog{}
	begin := func(b *batches, c changes) { l.append(gather(func(add adder) { b.begin(c, add) })) }
	end := func(b *batches) {
		l.append(gather(func(add adder) { _ = b.end(nil, add) }))
		b.ended()
	}
	owner := func(n int32) *batches {
		b, err := newBatches((&copyOf{part: store.Partition(n)}).restore(t, l), uint16(n))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	slow := owner(1)
	begin(slow, changes{"pa": []byte("1")})
	end(slow)
	next := owner(2)
	begin(next, changes{"pa": []byte("2")})
	end(next)
	begin(next, changes{"pc": []byte("2")})
	begin(slow, changes{"pd": []byte("late")}) // with pa under its own key
	end(next)
	copied := &copyOf{part: store.Partition(3)}
	want := map[string]string{"pa": "2", "pc": "2"}
	for n := range 3 { // each goes on where the one before ended: at the beginning of the last batch
		copied.restore(t, l)
		if diff := cmp.Diff(want, copied.content(t)); diff != "" {
			t.Errorf("copy %d (-want +got):\n%s", n, diff)
		}
	}
	// Whoever takes the copy over writes over what came late.
	b, err := newBatches(copied.restore(t, l), 4)
	if err != nil {
		t.Fatal(err)
	}
	if string(b.pending["pa"]) != "2" {
		t.Errorf("pa is to be written as %q, want 2", b.pending["pa"])
	}
}

// TestJournalDamaged: a last batch that lacks a chunk, or says nonsense, is an error, not a guess.
func TestJournalDamaged(t *testing.T) {
	b := &batches{id: batchID{epoch: 1}}
	records := gather(func(add adder) {
		b.begin(changes{"pa": []byte("1")}, add)
		_ = b.end(nil, add)
	})
	var o state.Overlay
	j := newJournal(0)
	j.take(records[1])
	if err := j.finish(&o); !errors.Is(err, errChunk) {
		t.Errorf("without its chunk: %v", err)
	}
	good := records[0].Value
	for n := range len(good) {
		if n > 0 && changes(map[string][]byte{}).unpack(good[:n]) == nil {
			t.Errorf("%d bytes of %d are taken for a chunk", n, len(good))
		}
	}
}
