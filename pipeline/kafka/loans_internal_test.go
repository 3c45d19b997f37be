package kafka

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// wireBatch is a batch as a broker sends it: n records from an offset on, whose values all begin with their offset.
func wireBatch(t *testing.T, first int64, n, size int, attributes int16) []byte {
	t.Helper()
	var records []byte
	for i := range n {
		r := kmsg.Record{OffsetDelta: int32(i), Key: []byte("k"), Value: valueOf(first+int64(i), size)}
		r.Length = int32(len(r.AppendTo(nil)) - 1) // of one byte: a length of 0
		records = r.AppendTo(records)
	}
	if attributes&7 != 0 {
		records = lz4Frame(t, records)
	}
	b := kmsg.RecordBatch{
		FirstOffset: first, Magic: 2, Attributes: attributes, LastOffsetDelta: int32(n - 1), ProducerID: 1, NumRecords: int32(n), Records: records,
	}
	b.Length = int32(len(b.AppendTo(nil)) - 12)
	return b.AppendTo(nil)
}

func valueOf(offset int64, size int) []byte {
	return fmt.Appendf(nil, "%d:%s", offset, strings.Repeat(string(rune('a'+offset%26)), size))
}

// fetchOf is what the client makes of a response with batches.
func fetchOf(b *buffers, offset int64, batches []byte) []*kgo.Record {
	p, _ := kgo.ProcessFetchPartition(
		kgo.ProcessFetchPartitionOpts{DisableCRCValidation: true, Offset: offset, Topic: "t", Pools: []kgo.Pool{b}},
		&kmsg.FetchResponseTopicPartition{RecordBatches: batches}, b, nil)
	return p.Records
}

// TestLoans: whatever sizes batches have, and in whatever portions their records are given back, no record that is still held changes, since no buffer
// is lent twice at a time; and buffers come back.
func TestLoans(t *testing.T) {
	type held struct {
		records []*kgo.Record
		size    int
	}
	for seed := range uint64(4) {
		rng := rand.New(rand.NewPCG(seed, 7))
		b, offset, seen := newBuffers(), int64(0), map[*byte]bool{}
		var queue []held
		for range 80 {
			n, size := 1+rng.IntN(120), rng.IntN(2)*rng.IntN(600)
			attributes := int16(3) // lz4
			if rng.IntN(4) == 0 {
				attributes = 0
			}
			skip := int64(rng.IntN(3) * rng.IntN(n+5)) // of some batches nothing is kept
			records := fetchOf(b, offset+skip, wireBatch(t, offset, n, size, attributes))
			if want := max(0, int64(n)-skip); int64(len(records)) != want {
				t.Fatalf("%d records, want %d", len(records), want)
			}
			offset += int64(n)
			queue = append(queue, held{records, size})
			for len(queue) > rng.IntN(8) {
				h := &queue[rng.IntN(len(queue))]
				for _, r := range h.records {
					if want := string(valueOf(r.Offset, h.size)); string(r.Value) != want {
						t.Fatalf("record %d is %.40q, want %.40q", r.Offset, r.Value, want)
					}
				}
				part := rng.IntN(len(h.records) + 1)
				b.recycle(h.records[:part])
				h.records = h.records[part:]
				queue = slices.DeleteFunc(queue, func(h held) bool { return len(h.records) == 0 })
			}
		}
		for _, l := range b.loans.lent {
			if p := l.memory.Value(); p != nil && seen[p] {
				t.Fatal("a buffer is lent twice")
			} else {
				seen[p] = true
			}
		}
		for _, h := range queue {
			b.recycle(h.records)
		}
	}
}

// TestLoansComeBack: the next batch is decompressed into the memory of the one before, once all its records were given back, and no sooner. What never
// comes back isn't kept.
func TestLoansComeBack(t *testing.T) {
	b := newBuffers()
	for range 20 { // it learns what size a batch takes
		b.recycle(fetchOf(b, 0, wireBatch(t, 0, 300, 1000, 3)))
	}
	if n := len(b.loans.lent); n != 0 {
		t.Fatalf("%d buffers are lent", n)
	}
	records := fetchOf(b, 0, wireBatch(t, 0, 300, 1000, 3))
	b.recycle(records[:299])
	if n := len(b.loans.lent); n != 1 {
		t.Fatalf("%d buffers are lent, want the one of which a record is held", n)
	}
	b.recycle(records[299:])
	if n := len(b.loans.lent); n != 0 {
		t.Fatalf("%d buffers are lent", n)
	}
	for range 100 { // below the offset that was asked for, or given to somebody who gives nothing back
		fetchOf(b, 5, wireBatch(t, 0, 3, 1000, 3))
		fetchOf(b, 0, wireBatch(t, 0, 3, 1000, 3))
	}
	runtime.GC()
	runtime.GC()
	live := 0
	for _, l := range b.loans.lent {
		if l.memory.Value() != nil {
			live++
		}
	}
	if live > 10 {
		t.Errorf("%d buffers are kept that nothing points into", live)
	}
}

// TestLoansAreBounded: more buffers than are kept account of are held and then dropped, and account is kept again.
func TestLoansAreBounded(t *testing.T) {
	b, batch := newBuffers(), wireBatch(t, 0, 2, 10, 3)
	var held [][]*kgo.Record
	for range 2 * maxLoans {
		held = append(held, fetchOf(b, 0, batch))
	}
	if n := len(b.loans.lent); n != maxLoans {
		t.Errorf("account is kept of %d buffers, want %d", n, maxLoans)
	}
	for _, records := range held {
		b.recycle(records)
	}
	if n := len(b.loans.lent); n != 0 {
		t.Errorf("%d buffers are lent", n)
	}
	for range maxLoans {
		fetchOf(b, 0, batch)
	}
	runtime.GC()
	runtime.GC()
	for range maxLoans + 2 {
		b.recycle(fetchOf(b, 0, batch))
	}
	if n := len(b.loans.lent); n > maxLoans/2 {
		t.Errorf("account is kept of %d buffers that are gone", n)
	}
}
