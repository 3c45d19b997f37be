package replay

import "testing"

// TestMarksAreBounded pins that marks of what lies long back are thinned out and stay in order, and that the newest are all there.
func TestMarksAreBounded(t *testing.T) {
	var l lineStream
	n := 3*maxMarks + 5
	for i := range n {
		l.mark(mark{line: int64(i), at: 10 * int64(i)})
	}
	if len(l.marks) > maxMarks || l.marks[0].line != 0 {
		t.Fatalf("%d marks, the first of line %d", len(l.marks), l.marks[0].line)
	}
	for i, m := range l.marks[1:] {
		if m.line <= l.marks[i].line || m.at != 10*m.line {
			t.Fatalf("mark %+v behind %+v", m, l.marks[i])
		}
	}
	for i := range maxMarks / 4 {
		if got := l.marks[len(l.marks)-1-i].line; got != int64(n-1-i) {
			t.Fatalf("mark %d from the end is of line %d", i, got)
		}
	}
}
