package kafka

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"
	"unsafe"
	"weak"

	"github.com/twmb/franz-go/pkg/kgo"
)

// loans is an account of the buffers that hold batches of which the client, or whoever it gave the records to, has not given all
// records back. The client doesn't say which records are in which buffer, and gives back the records only. Of a record that is about to be given back
// the buffer is found by the address of its value; the client gives the records of a batch back in the call that takes the last one.
//
// A batch of which no record ever comes back, since all are aborted or below the offset that was asked for, must not keep its memory. So the account points
// to it weakly. Safe for concurrent use.
type loans struct {
	mu    sync.Mutex
	lent  []loan // by address
	since int    // how many were lent since those that are gone were looked for

	now atomic.Pointer[giving] // what is being given back
}

// loan is a buffer that was lent.
type loan struct {
	from, end uintptr
	memory    weak.Pointer[byte] // its first byte
}

// giving is a record that is being given back, and the buffer that it is in.
type giving struct {
	record *kgo.Record
	buf    []byte
}

// maxLoans is how many buffers are kept account of. More of them are left to the garbage collector: they are small, and not worth
// moving a long account.
const maxLoans = 2048

func compareLoan(l loan, at uintptr) int { return cmp.Compare(l.from, at) }

// lend notes a buffer that something was decompressed into.
func (l *loans) lend(buf []byte) {
	if cap(buf) < minBytes {
		return
	}
	first := unsafe.SliceData(buf)
	from := uintptr(unsafe.Pointer(first))
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.since++; l.since > max(len(l.lent), 64) {
		l.lent = slices.DeleteFunc(l.lent, func(o loan) bool { return o.memory.Value() == nil })
		l.since = 0
	}
	// Where one of those that are gone lay, its memory may have been taken for this one.
	end := from + uintptr(cap(buf))
	i, _ := slices.BinarySearchFunc(l.lent, from, compareLoan)
	for i > 0 && l.lent[i-1].end > from {
		i--
	}
	j := i
	for j < len(l.lent) && l.lent[j].from < end {
		j++
	}
	if i == j && len(l.lent) >= maxLoans {
		return
	}
	l.lent = slices.Replace(l.lent, i, j, loan{from, end, weak.Make(first)})
}

// giving notes that a record, which is the first of its batch for now, is given back next; nil ends that. Records are given back by one goroutine.
func (l *loans) giving(r *kgo.Record) {
	var next *giving
	if r != nil {
		text := r.Value
		if len(text) == 0 {
			text = r.Key
		}
		if buf := l.find(text); buf != nil {
			next = &giving{r, buf}
		}
	}
	l.now.Store(next)
}

// find returns the buffer that text lies in, nil where there is none.
func (l *loans) find(text []byte) []byte {
	if len(text) == 0 {
		return nil
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(text)))
	l.mu.Lock()
	defer l.mu.Unlock()
	i, found := slices.BinarySearchFunc(l.lent, at, compareLoan)
	if !found {
		i--
	}
	if i < 0 || at >= l.lent[i].end {
		return nil
	}
	first := l.lent[i].memory.Value()
	if first == nil { // text lies in another one, which was not noted
		return nil
	}
	return unsafe.Slice(first, l.lent[i].end-l.lent[i].from)
}

// back returns the buffer that the records of a batch are in, and ends its loan; nil where it isn't known, or another batch is being given
// back.
func (l *loans) back(records []kgo.Record) []byte {
	now := l.now.Load()
	if now == nil {
		return nil
	}
	for i := range records {
		if &records[i] == now.record && l.now.CompareAndSwap(now, nil) { // the records may soon hold another batch
			return l.end(now.buf)
		}
	}
	return nil
}

// end ends the loan of a buffer and returns it, empty; nil where it isn't lent.
func (l *loans) end(buf []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	at, found := slices.BinarySearchFunc(l.lent, uintptr(unsafe.Pointer(unsafe.SliceData(buf))), compareLoan)
	if !found {
		return nil
	}
	l.lent = slices.Delete(l.lent, at, at+1)
	return buf[:0]
}
