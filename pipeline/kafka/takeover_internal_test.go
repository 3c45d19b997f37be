package kafka

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"testing"
)

// TestDropDuringRestore gives the partitions of a restore up one by one, when it has just failed: the error isn't lost, what has
// arrived of them is, and with the last one the restore has ended.
func TestDropDuringRestore(t *testing.T) {
	s := New(Config{Topics: []string{"events"}}, Deps{Pipeline: hotRules(t), Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	l := newLoader(s, cancel, []int32{0, 1})
	s.loading = map[int32]*loader{0: l, 1: l}
	go func() {
		<-ctx.Done()
		close(l.done)
	}()
	failed := errors.New("it failed")
	l.arrive(arrival{err: failed})
	l.arrive(arrival{member: &member{number: 0}})
	l.arrive(arrival{member: &member{number: 1}})
	s.drop(0)
	if err := ctx.Err(); err != nil || !l.released(0) || l.released(1) {
		t.Errorf("partition 1 is not being restored any more: %v", err)
	}
	s.drop(1)
	select {
	case <-l.done:
	default:
		t.Error("the restore goes on when nobody wants any of it")
	}
	if got := s.arrived; !slices.EqualFunc(got, []error{failed}, func(a arrival, err error) bool { return errors.Is(a.err, err) }) {
		t.Errorf("arrived: %v, want the error alone", got)
	}
}
