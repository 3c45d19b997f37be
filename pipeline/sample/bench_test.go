package sample_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/weir-eql/weir/pipeline/sample"
	"github.com/weir-eql/weir/pipeline/sequence"
)

// BenchmarkAdvance measures events of a sample: such as find no other, sets that match, and the worst case of events that
// satisfy stages that overlap, so that a matching has to be looked for.
func BenchmarkAdvance(b *testing.B) {
	tests := []struct {
		name   string
		stages int
		hits   []sequence.Hits
	}{
		{"waiting, 2 stages", 2, []sequence.Hits{1}},
		{"waiting, 5 stages", 5, []sequence.Hits{1, 2, 4, 8}},
		{"match, 2 stages", 2, []sequence.Hits{1, 2}},
		{"match, 5 stages", 5, []sequence.Hits{1, 2, 4, 8, 16}},
		{"overlap, 5 stages", 5, []sequence.Hits{15}},
		{"one too few, 5 stages", 5, []sequence.Hits{7, 7, 7}},
		{"one too few, 63 stages", 63, []sequence.Hits{1<<61 - 1}},
	}
	for _, tt := range tests {
		b.Run(tt.name, func(b *testing.B) {
			m := machine(b, sample.Spec{Stages: tt.stages, Lookback: 1 << 40})
			var st sample.State
			var matches []sequence.Match
			ref := sequence.Ref{Ordinal: sequence.Ordinal{Topic: "events"}}
			if strings.HasPrefix(tt.name, "one too few") { // one event for the last two stages
				ref.Time = 1 << 30
				m.Advance(&st, 3<<(tt.stages-2), ref, nil)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				ref.Offset++
				ref.Time = ref.Offset
				matches = m.Advance(&st, tt.hits[i%len(tt.hits)], ref, matches[:0])
			}
		})
	}
}

// BenchmarkMemory reports the bytes of a live state, the strings of event ids (36 bytes each) included, the topic's not.
func BenchmarkMemory(b *testing.B) {
	tests := []struct{ stages, events int }{{2, 1}, {2, 2}, {5, 4}, {5, 20}}
	for _, tt := range tests {
		b.Run(fmt.Sprintf("%d stages, %d events", tt.stages, tt.events), func(b *testing.B) {
			const keys = 10_000
			m := machine(b, sample.Spec{Stages: tt.stages, Lookback: 1 << 40})
			var held, size float64
			for b.Loop() {
				states := make([]*sample.State, keys)
				before := heap()
				for k := range states {
					states[k] = new(sample.State)
					ref := sequence.Ref{Ordinal: sequence.Ordinal{Topic: "events"}}
					for i := range tt.events {
						ref.Offset, ref.Time = int64(i), int64(i)
						ref.ID = fmt.Sprintf("%036d", k*100+i)
						m.Advance(states[k], 1<<(i%(tt.stages-1)), ref, nil)
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
