package event

import (
	"syscall"
	"testing"
)

// TestMarksAtEdge marks documents whose memory ends where none may be read.
func TestMarksAtEdge(t *testing.T) {
	page := syscall.Getpagesize()
	mem, err := syscall.Mmap(-1, 0, 2*page, syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		t.Skip("no memory with an edge: ", err)
	}
	defer func() {
		if err := syscall.Munmap(mem); err != nil {
			t.Error(err)
		}
	}()
	if err := syscall.Mprotect(mem[page:], syscall.PROT_NONE); err != nil {
		t.Skip("no memory with an edge: ", err)
	}
	for name, mark := range markWays(t) {
		for size := range 200 {
			doc := mem[page-size : page : page]
			for i := range doc {
				doc[i] = '"'
			}
			m := marks{stops: make([]byte, size/64*8+16)}
			mark(m.stops, doc)
			for i := range size {
				if m.stop(i) != i {
					t.Fatalf("%s, %d bytes: the stop at %d is missing", name, size, i)
				}
			}
		}
	}
}
