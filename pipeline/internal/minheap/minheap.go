// Package minheap is a binary heap with types: container/heap without the interface and its conversions.
package minheap

// Heap keeps its smallest item on top. Items that are equal come out in no particular order. It is not safe for
// concurrent use.
type Heap[T any] struct {
	items []T
	less  func(a, b T) bool
}

// New returns an empty heap.
func New[T any](less func(a, b T) bool) Heap[T] { return Heap[T]{less: less} }

// Len returns the number of items.
func (h *Heap[T]) Len() int { return len(h.items) }

// Top returns the smallest item of a heap that isn't empty.
func (h *Heap[T]) Top() T { return h.items[0] }

// Items returns all items in no particular order. The slice is the heap's own.
func (h *Heap[T]) Items() []T { return h.items }

// Push adds an item.
func (h *Heap[T]) Push(item T) {
	h.items = append(h.items, item)
	for i := len(h.items) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h.less(h.items[i], h.items[parent]) {
			return
		}
		h.items[i], h.items[parent] = h.items[parent], h.items[i]
		i = parent
	}
}

// Pop takes the smallest item out of a heap that isn't empty.
func (h *Heap[T]) Pop() T {
	top := h.items[0]
	last := len(h.items) - 1
	h.items[0] = h.items[last]
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
	h.Fix()
	return top
}

// Retain drops the items for which keep is false.
func (h *Heap[T]) Retain(keep func(T) bool) {
	kept := h.items[:0]
	for _, item := range h.items {
		if keep(item) {
			kept = append(kept, item)
		}
	}
	clear(h.items[len(kept):])
	h.items = kept
	for i := len(h.items)/2 - 1; i >= 0; i-- {
		h.sink(i)
	}
}

// Fix restores the order after the item on top has changed.
func (h *Heap[T]) Fix() { h.sink(0) }

// sink moves the item at i down to where it belongs.
func (h *Heap[T]) sink(i int) {
	for {
		smallest := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < len(h.items) && h.less(h.items[child], h.items[smallest]) {
				smallest = child
			}
		}
		if smallest == i {
			return
		}
		h.items[i], h.items[smallest] = h.items[smallest], h.items[i]
		i = smallest
	}
}
