package pipeline

import (
	"math/rand/v2"
	"testing"
)

// TestLiveCounts: what is live is always said to be, however often counts became full, and what is crowded has room once it is counted
// anew.
func TestLiveCounts(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	live := map[uint32]int{}
	l := newLiveCounts(1, 0)
	anew := 0
	for range 400_000 {
		hash := rng.Uint32() % 64 * 1_000_003
		if rng.IntN(3) > 0 {
			l.add(0, hash)
			live[hash]++
		} else if live[hash] > 0 {
			l.remove(0, hash)
			live[hash]--
		}
		if live[hash] > 0 && !l.any(0, hash) {
			t.Fatalf("nothing is said to be live of %d, %d are", hash, live[hash])
		}
		if l.crowded() {
			anew++
			n := newLiveCounts(1, l.len)
			for h, k := range live {
				for range k {
					n.add(0, h)
				}
			}
			n.grown = n.full
			if l = n; l.crowded() {
				t.Fatal("counts made anew are crowded")
			}
		}
	}
	if anew == 0 || anew > 20 {
		t.Errorf("the counts were made anew %d times", anew)
	}
}

// TestFullCounts: counts that are full, of what is long gone, are noticed and made anew.
func TestFullCounts(t *testing.T) {
	l := newLiveCounts(1, 0)
	for hash := range uint32(leastLive / 8) {
		for range 2 * fullCount {
			l.add(0, hash)
		}
		for range 2 * fullCount {
			l.remove(0, hash)
		}
	}
	if l.len != 0 || !l.crowded() {
		t.Errorf("%d live, crowded: %v; want 0 and true", l.len, l.crowded())
	}
}
