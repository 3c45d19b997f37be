package sequence_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/weir-eql/weir/pipeline/sequence"
)

func benchMachine(b *testing.B, text string) (*sequence.Machine, shape) {
	b.Helper()
	s := parseShape(b, text, 60_000)
	m, err := sequence.New(s.spec)
	if err != nil {
		b.Fatal(err)
	}
	return m, s
}

// BenchmarkAdvance measures events of a two-stage sequence: first events that replace one another, pairs of a first
// and a last event that match, and events that find nothing.
func BenchmarkAdvance(b *testing.B) {
	tests := []struct {
		name, shape string
		letters     []string
	}{
		{"replace", "A B", []string{"A"}},
		{"match", "A B", []string{"A", "B"}},
		{"nothing", "A B", []string{"B"}},
		{"runs25", "A*25", []string{"A"}},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			m, s := benchMachine(b, tt.shape)
			hits := make([]sequence.Hits, len(tt.letters))
			for i, letters := range tt.letters {
				hits[i] = s.hits(letters)
			}
			var st sequence.State
			var matches []sequence.Match
			ref := sequence.Ref{Ordinal: sequence.Ordinal{Topic: "events"}, ID: "OTZmMjA3MzgtM2Y4"}
			ids := []string{"OTZmMjA3MzgtM2Y4", "OTZmMjA3MzgtM2Y5", "OTZmMjA3MzgtM2Z4"}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ref.Offset++
				ref.Time = ref.Offset
				if ref.ID = ids[i%3]; tt.name == "runs25" {
					ref.ID = ""
				}
				matches = m.Advance(&st, hits[i%len(hits)], ref, matches[:0])
			}
		})
	}
}

// BenchmarkMemory reports the bytes of a live state with its partials, the strings of event ids (36 bytes each)
// included, the topic's not.
func BenchmarkMemory(b *testing.B) {
	tests := []struct {
		name, shape string
		letters     []string
	}{
		{"two stages", "A B", []string{"A"}},
		{"three stages, two events", "A B C", []string{"A", "B"}},
		{"three stages, two partials", "A B C", []string{"A", "B", "A"}},
		{"leading memory and partial", "!L A B", []string{"L", "A"}},
		{"pending of one event", "A !M", []string{"A"}},
		{"runs25", "A*25", []string{"A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A", "A"}},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			const keys = 10_000
			m, s := benchMachine(b, tt.shape)
			var held, size float64
			for b.Loop() {
				states := make([]sequence.State, keys)
				before := heap()
				for k := range states {
					ref := sequence.Ref{Ordinal: sequence.Ordinal{Topic: "events"}}
					for i, letters := range tt.letters {
						ref.Offset, ref.Time = int64(i), int64(i)
						ref.ID = fmt.Sprintf("%036d", k*100+i)
						m.Advance(&states[k], s.hits(letters), ref, nil)
					}
				}
				held = float64(heap()-before) / keys
				size = float64(len(states[0].Append(nil)))
				runtime.KeepAlive(states)
			}
			b.ReportMetric(held, "heap-B/state")
			b.ReportMetric(size, "encoded-B/state")
		})
	}
}

func heap() int64 {
	runtime.GC()
	var ms runtime.MemStats
	runtime.ReadMemStats(&ms)
	return int64(ms.HeapAlloc)
}
