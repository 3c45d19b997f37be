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
	p := Pace{Headroom: 128 << 20, Total: 320 << 20, Floor: 32 << 20, Least: 10}
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, most},
		{1 << 20, most},
		{16 << 20, 800},
		{128 << 20, 100},
		{192 << 20, 66},
		{256 << 20, 25},
		{288 << 20, 11},
		{1 << 30, 9},
		{1 << 50, 9},
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

func TestLimit(t *testing.T) {
	for _, c := range []struct {
		limit, live uint64
		want        int64
	}{{0, 1 << 20, math.MaxInt64}, {500, 0, 500}, {500, 449, 500}, {500, 450, math.MaxInt64}, {500, 1 << 40, math.MaxInt64}} {
		if got := (Pace{Limit: c.limit}).limit(c.live); got != c.want {
			t.Errorf("limit %d with %d live is %d, want %d", c.limit, c.live, got, c.want)
		}
	}
}

func TestKeepFollowsTheHeap(t *testing.T) {
	t.Setenv("GOGC", "")
	t.Setenv("GOMEMLIMIT", "")
	before := gcPercent()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		Keep(ctx, Pace{Headroom: 64 << 20, Floor: 64 << 20, Least: 15, Limit: 1 << 30})
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
	if got := debug.SetMemoryLimit(-1); got != 1<<30 {
		t.Errorf("the memory limit is %d meanwhile", got)
	}
	cancel()
	<-done
	if got := gcPercent(); got != before {
		t.Errorf("GOGC is %d afterwards, was %d", got, before)
	}
	if got := debug.SetMemoryLimit(-1); got != math.MaxInt64 {
		t.Errorf("the memory limit is %d afterwards", got)
	}
}

func TestKeepLeavesTheEnvironmentsWord(t *testing.T) {
	for _, name := range []string{"GOGC", "GOMEMLIMIT"} {
		t.Setenv("GOGC", "")
		t.Setenv("GOMEMLIMIT", "")
		t.Setenv(name, "150")
		before := gcPercent()
		Keep(t.Context(), Pace{Headroom: 1}) // returns at once
		if got := gcPercent(); got != before {
			t.Errorf("with %s: GOGC is %d, was %d", name, got, before)
		}
	}
}
