package minheap

// Item is what a Placed heap holds. Place points to where the item keeps its place in the heap: 0 while it is in none. An
// item is in one such heap at a time.
type Item[T any] interface {
	Before(T) bool
	Place() *int32
}

// Placed is a heap that each item is in once at most, and from which any item can be taken. The zero value is empty. It is not
// safe for concurrent use.
type Placed[T Item[T]] struct{ items []T }

// Len returns the number of items.
func (h *Placed[T]) Len() int { return len(h.items) }

// Top returns the smallest item of a heap that isn't empty.
func (h *Placed[T]) Top() T { return h.items[0] }

// Set puts an item in, or where it belongs after it has changed.
func (h *Placed[T]) Set(item T) {
	if *item.Place() == 0 {
		h.items = append(h.items, item)
		*item.Place() = int32(len(h.items))
	}
	h.fix(int(*item.Place()) - 1)
}

// Pop takes the smallest item out of a heap that isn't empty.
func (h *Placed[T]) Pop() T {
	top := h.items[0]
	h.Remove(top)
	return top
}

// Remove takes an item out, if it is in.
func (h *Placed[T]) Remove(item T) {
	if *item.Place() == 0 {
		return
	}
	i, last := int(*item.Place())-1, len(h.items)-1
	h.swap(i, last)
	var zero T
	h.items[last] = zero
	h.items = h.items[:last]
	*item.Place() = 0
	if i < last {
		h.fix(i)
	}
}

func (h *Placed[T]) swap(i, j int) {
	h.items[i], h.items[j] = h.items[j], h.items[i]
	*h.items[i].Place(), *h.items[j].Place() = int32(i+1), int32(j+1)
}

// fix moves the item at i up or down to where it belongs.
func (h *Placed[T]) fix(i int) {
	for i > 0 && h.items[i].Before(h.items[(i-1)/2]) {
		h.swap(i, (i-1)/2)
		i = (i - 1) / 2
	}
	for {
		smallest := i
		for _, child := range [...]int{2*i + 1, 2*i + 2} {
			if child < len(h.items) && h.items[child].Before(h.items[smallest]) {
				smallest = child
			}
		}
		if smallest == i {
			return
		}
		h.swap(i, smallest)
		i = smallest
	}
}
