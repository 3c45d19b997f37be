package minheap

import "iter"

// Queue keeps its smallest item on top, as a Heap does, for items that mostly come in order: such a one is appended to a run,
// and taken from its front, at no more than one comparison. Those that come before the last of the run go to a heap. Items that are
// equal come out in no particular order. It is not safe for concurrent use.
type Queue[T any] struct {
	run  []T // in order, from head on
	head int
	late Heap[T]
}

// NewQueue returns an empty queue.
func NewQueue[T any](less func(a, b T) bool) Queue[T] { return Queue[T]{late: New(less)} }

// Len returns the number of items, 0 for nil.
func (q *Queue[T]) Len() int {
	if q == nil {
		return 0
	}
	return len(q.run) - q.head + len(q.late.items)
}

// Cap returns for how many items the queue has memory.
func (q *Queue[T]) Cap() int { return cap(q.run) + cap(q.late.items) }

// Top returns the smallest item of a queue that isn't empty.
func (q *Queue[T]) Top() T {
	if q.heapFirst() {
		return q.late.items[0]
	}
	return q.run[q.head]
}

// heapFirst reports whether the smallest item of a queue that isn't empty is in the heap.
func (q *Queue[T]) heapFirst() bool {
	if len(q.late.items) == 0 {
		return false
	}
	return q.head == len(q.run) || q.late.less(q.late.items[0], q.run[q.head])
}

// Push adds an item.
func (q *Queue[T]) Push(item T) {
	if q.head < len(q.run) && q.late.less(item, q.run[len(q.run)-1]) {
		q.late.Push(item)
		return
	}
	if len(q.run) == cap(q.run) && q.head > len(q.run)/2 { // more than half of it was taken: no need for more memory
		q.shift()
	}
	q.run = append(q.run, item)
}

// shift moves the run to the beginning of its memory.
func (q *Queue[T]) shift() {
	left := copy(q.run, q.run[q.head:])
	clear(q.run[left:])
	q.run, q.head = q.run[:left], 0
}

// Pop takes the smallest item out of a queue that isn't empty.
func (q *Queue[T]) Pop() T {
	if q.heapFirst() {
		return q.late.Pop()
	}
	var zero T
	top := q.run[q.head]
	q.run[q.head] = zero
	if q.head++; q.head == len(q.run) {
		q.run, q.head = q.run[:0], 0
	}
	return top
}

// All yields all items in no particular order, none for nil.
func (q *Queue[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		if q == nil {
			return
		}
		for _, items := range [...][]T{q.run[q.head:], q.late.items} {
			for _, item := range items {
				if !yield(item) {
					return
				}
			}
		}
	}
}

// Retain drops the items for which keep is false.
func (q *Queue[T]) Retain(keep func(T) bool) {
	kept := q.run[:0]
	for _, item := range q.run[q.head:] {
		if keep(item) {
			kept = append(kept, item)
		}
	}
	clear(q.run[len(kept):])
	q.run, q.head = kept, 0
	q.late.Retain(keep)
}
