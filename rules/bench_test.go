package rules_test

import (
	"syscall"
	"testing"
	"time"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
)

// BenchmarkMatch measures Match alone, with all reference rules over the sample events, decoded beforehand. The
// share of the decoder is measured by the event package.
func BenchmarkMatch(b *testing.B) {
	c := corpus(b)
	for _, source := range []struct {
		name  string
		lines [][]byte
	}{{"samples", sampleLines(b)}, {"attack", attackLines(b, 2000)}} {
		for _, o := range []struct {
			name string
			opts rules.SetOptions
		}{
			{"indexed", rules.SetOptions{}},
			{"indexed, any index", rules.SetOptions{AnyIndex: true}},
			{"one by one", rules.SetOptions{NoIndex: true}},
			{"one by one, any index", rules.SetOptions{NoIndex: true, AnyIndex: true}},
		} {
			b.Run(source.name+"/"+o.name, func(b *testing.B) {
				s := newSet(b, c.Rules, o.opts)
				events := decodeAll(b, s, source.lines)
				m := s.NewMatcher()
				hits, n := 0, 0
				b.ReportAllocs()
				b.ResetTimer()
				for range b.N {
					h := m.Match(events[n], "")
					hits += len(h.Single) + len(h.Sequences)
					if n++; n == len(events) {
						n = 0
					}
				}
				b.ReportMetric(perEvent(m.Stats().Evaluations, b.N), "evaluations/event")
				b.ReportMetric(float64(hits)/float64(b.N), "hits/event")
			})
		}
	}
}

// BenchmarkLoad measures the load and check of all reference rules, and their compilation into a set; start is both, as when
// weir run starts, with the CPU time that it takes on all cores.
func BenchmarkLoad(b *testing.B) {
	b.Run("start", func(b *testing.B) {
		before := cpuTime(b)
		for range b.N {
			newSet(b, corpus(b).Rules, rules.SetOptions{})
		}
		b.ReportMetric(float64((cpuTime(b)-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	})
	b.Run("load", func(b *testing.B) {
		for range b.N {
			corpus(b)
		}
	})
	c := corpus(b)
	b.Run("set", func(b *testing.B) {
		for range b.N {
			newSet(b, c.Rules, rules.SetOptions{})
		}
	})
}

// cpuTime returns the CPU time that the process has taken, in user and system mode.
func cpuTime(tb testing.TB) time.Duration {
	tb.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Skipf("the CPU time can't be had: %v", err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func decodeAll(tb testing.TB, s *rules.Set, lines [][]byte) []*event.Event {
	tb.Helper()
	dec := event.NewDecoder(s.Schema())
	events := make([]*event.Event, len(lines))
	for i, line := range lines {
		events[i] = event.New(s.Schema())
		if err := dec.Decode(line, events[i]); err != nil {
			tb.Fatal(err)
		}
	}
	return events
}

// TestIndexPays guards what gate and index are for, within one run: on the samples they leave matching at most a quarter
// of what it takes without them. It is a twentieth where nothing else runs.
func TestIndexPays(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes time")
	}
	c := corpus(t)
	lines := sampleLines(t)
	measure := func(o rules.SetOptions) float64 {
		s := newSet(t, c.Rules, o)
		events := decodeAll(t, s, lines)
		m := s.NewMatcher()
		best := 0.0
		for range 5 { // the least of some runs: others share the machine
			r := testing.Benchmark(func(b *testing.B) {
				b.Helper()
				for i := range b.N {
					m.Match(events[i%len(events)], "")
				}
			})
			if n := float64(r.NsPerOp()); best == 0 || n < best {
				best = n
			}
		}
		return best
	}
	with, without := measure(rules.SetOptions{}), measure(rules.SetOptions{NoIndex: true})
	if with > without/4 {
		t.Errorf("%.0f ns per event with the index, %.0f without", with, without)
	}
	t.Logf("%.0f ns per event with the index, %.0f without", with, without)
}
