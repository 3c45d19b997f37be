package state_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"

	"github.com/weir-eql/weir/state"
	"github.com/weir-eql/weir/state/statetest"
)

// soakCycles is read from the environment: how many cycles of the soak to run, each of a second or so.
const soakCycles = "WEIR_STATE_SOAK"

// Keys that are written once, deleted later and never seen again, as partials are, must leave nothing behind. What
// is live at the end of each cycle is the same, so that the size after Maintain must be too.
func TestSoak(t *testing.T) {
	cycles := 4
	if text := os.Getenv(soakCycles); text != "" {
		var err error
		if cycles, err = strconv.Atoi(text); err != nil {
			t.Fatal(err)
		}
	}
	layouts := map[string]state.Options{
		"inline":    {MemTableSize: 4 << 20, ValueThreshold: 64 << 10},
		"value log": {MemTableSize: 4 << 20, ValueThreshold: 1 << 10, ValueLogFileSize: 32 << 20},
	}
	for name, o := range layouts {
		t.Run(name, func(t *testing.T) {
			o.Dir = t.TempDir()
			s := closing(t, open(t, o))
			l := life{p: s.Partition(0), rnd: rand.New(rand.NewPCG(1, 2)), live: 2000}
			const bound = 80 << 20 // 6 MB are live; then there are memory tables and one file of the value log
			for cycle := range cycles {
				for range 40 {
					l.batch(t, 500)
				}
				lsm0, vlog0 := s.Sizes()
				if err := s.Maintain(t.Context()); err != nil {
					t.Fatal(err)
				}
				lsm, vlog := s.Sizes()
				t.Logf("cycle %d: lsm %d -> %d KiB, value log %d -> %d KiB", cycle, lsm0>>10, lsm>>10, vlog0>>10, vlog>>10)
				if lsm+vlog > bound {
					t.Errorf("cycle %d: %d bytes after Maintain, want at most %d", cycle, lsm+vlog, bound)
				}
			}
			if got := len(statetest.Dump(t, l.p)); got != 2*l.live {
				t.Errorf("%d keys are left, want %d", got, 2*l.live)
			}
		})
	}
}

// life writes partials of 300 bytes, each with the evidence of an event of 2 to 3 KB, and deletes them in the order
// in which they came when there are more than live of them.
type life struct {
	p    *state.Partition
	rnd  *rand.Rand
	o    state.Overlay
	next int64
	live int
	dead int64
}

func (l *life) batch(tb testing.TB, n int) {
	tb.Helper()
	l.o.Reset()
	noise := make([]byte, 3<<10)
	for i := range noise { // does not compress
		noise[i] = byte(l.rnd.Uint32())
	}
	for range n {
		at := l.rnd.IntN(1 << 10)
		l.o.Create(partial(l.next), noise[at:at+300])
		l.o.Create(evidence(l.next), noise[:2<<10+at])
		l.next++
	}
	for ; l.next-l.dead > int64(l.live); l.dead++ {
		l.o.Delete(partial(l.dead))
		l.o.Delete(evidence(l.dead))
	}
	if err := l.p.Apply(&l.o, state.Checkpoint{Changelog: l.next}); err != nil {
		tb.Fatal(err)
	}
}

func partial(n int64) []byte {
	// Join keys are spread over the key space, unlike the offsets of evidence.
	return appendPartial(nil, n)
}

func appendPartial(dst []byte, n int64) []byte {
	return state.PartialKey{Rule: uint64(n % 7), Join: strconv.FormatUint(uint64(n)*0x9e3779b97f4a7c15, 16)}.Append(dst)
}

func evidence(n int64) []byte {
	return state.EvidenceKey{Topic: "events", Offset: n}.Append(nil)
}

func BenchmarkApply(b *testing.B) {
	for name, s := range benchStores(b) {
		b.Run(name, func(b *testing.B) {
			p := s.Partition(0)
			value := bytes.Repeat([]byte("v"), 200)
			var o state.Overlay
			b.ReportAllocs()
			for i := 0; i < b.N; { // b.N counts changes, in batches of 1,000
				o.Reset()
				for n := 0; n < 1000 && i < b.N; n, i = n+1, i+1 {
					o.Put(partial(int64(i%200_000)), value)
				}
				if err := p.Apply(&o, state.Checkpoint{Changelog: int64(i)}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkGet(b *testing.B) {
	const keys = 200_000
	for name, s := range benchStores(b) {
		p := s.Partition(0)
		var o state.Overlay
		for i := range int64(keys) {
			o.Put(partial(i), bytes.Repeat([]byte("v"), 200))
		}
		if err := p.Apply(&o, state.Checkpoint{}); err != nil {
			b.Fatal(err)
		}
		for _, kind := range []struct {
			name  string
			first int64
		}{{"hit", 0}, {"miss", keys}} {
			b.Run(name+"/"+kind.name, func(b *testing.B) {
				rnd := rand.New(rand.NewPCG(5, 5))
				b.ReportAllocs()
				key := make([]byte, 0, 64)
				for b.Loop() {
					n := kind.first + int64(rnd.IntN(keys))
					key = appendPartial(key[:0], n)
					if _, _, err := p.Get(key); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func benchStores(b *testing.B) map[string]*state.Store {
	b.Helper()
	return map[string]*state.Store{
		"memory": closing(b, state.OpenMemory()),
		"disk":   closing(b, open(b, state.Options{Dir: b.TempDir()})),
	}
}

func BenchmarkOverlay(b *testing.B) {
	value := bytes.Repeat([]byte("v"), 200)
	keys := make([][]byte, 1000)
	for i := range keys {
		keys[i] = partial(int64(i))
	}
	var o state.Overlay
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if i%1000 == 0 {
			o.Reset()
		}
		o.Create(keys[i%1000], value)
	}
}

// BenchmarkEvidence measures the life of partials with their evidence, kept beside the keys or in a value log.
func BenchmarkEvidence(b *testing.B) {
	for _, threshold := range []int64{1 << 10, 4 << 10, 1 << 20} {
		b.Run(fmt.Sprintf("threshold=%d", threshold), func(b *testing.B) {
			s := closing(b, open(b, state.Options{Dir: b.TempDir(), ValueThreshold: threshold}))
			l := life{p: s.Partition(0), rnd: rand.New(rand.NewPCG(1, 2)), live: 10_000}
			b.ReportAllocs()
			for i := 0; i < b.N; i += 500 {
				l.batch(b, min(500, b.N-i))
				if i%50_000 == 49_500 {
					if err := s.Maintain(b.Context()); err != nil {
						b.Fatal(err)
					}
				}
			}
			lsm, vlog := s.Sizes()
			b.ReportMetric(float64(lsm+vlog)/(1<<20), "MiB")
		})
	}
}
