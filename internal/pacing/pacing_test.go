package pacing

import (
	"context"
	"math"
	"runtime"
	"runtime/debug"
	"testing"
	"time"
)

func TestPercent(t *testing.T) {
	p := Pace{Headroom: 64 << 20, Least: 15, Most: 400}
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 400}, {1 << 20, 400}, {16 << 20, 400}, {32 << 20, 200}, {64 << 20, 100}, {256 << 20, 25}, {1 << 30, 15}, {math.MaxUint64, 15},
	} {
		if got := p.percent(c.live); got != c.want {
			t.Errorf("percent(%d) = %d, want %d", c.live, got, c.want)
		}
	}
}

// gcPercent returns what is set.
func gcPercent() int {
	set := debug.SetGCPercent(100)
	debug.SetGCPercent(set)
	return set
}

func TestKeepFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	before := gcPercent()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Keep(ctx, Pace{Headroom: 64 << 20, Least: 15, Most: 400})
	}()
	large := make([]byte, 256<<20)
	for deadline := time.Now().Add(20 * time.Second); ; {
		runtime.GC()
		if set := gcPercent(); set <= 26 && set >= 15 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("GOGC is %d with 256 MiB live", gcPercent())
		}
		time.Sleep(interval / 2)
	}
	runtime.KeepAlive(large)
	cancel()
	<-done
	if got := gcPercent(); got != before {
		t.Errorf("GOGC is %d afterwards, was %d", got, before)
	}
}

func TestKeepLeavesTheEnvironmentsWord(t *testing.T) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Setenv("GOGC", "")
		t.Setenv("GOMEMLIMIT", "")
		t.Setenv(name, "150")
		before := gcPercent()
		Keep(t.Context(), Pace{Headroom: 1, Least: 1, Most: 2}) // returns at once
		if got := gcPercent(); got != before {
			t.Errorf("with %s: GOGC is %d, was %d", name, got, before)
		}
	}
}
