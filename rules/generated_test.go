package rules_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/bench"
	"github.com/weir-eql/weir/rules"
)

// generatedLines returns events of weir bench.
func generatedLines(n int) [][]byte {
	g := bench.NewGenerator(bench.Options{Seed: 1, Size: 2068, Hosts: 200, AlertShare: 0.001, StageShare: 0.02})
	lines := make([][]byte, n)
	at := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	for i := range lines {
		at = at.Add(time.Millisecond)
		lines[i] = bytes.Clone(g.Next(at).Doc)
	}
	return lines
}

// BenchmarkMatchDecoded measures Match where it stands in the service: just behind the decoder, with events that no cache has, so
// that the data of the rules and of the decoder throw each other out. What the decoder takes alone is to be subtracted.
func BenchmarkMatchDecoded(b *testing.B) {
	lines := generatedLines(20000)
	sets := map[string][]*rules.Rule{"public": corpus(b).Rules}
	for name, n := range map[string]int{"30": 30, "1000": 1000} {
		dir := b.TempDir()
		if _, err := bench.WriteSynthetic(dir, n, 1); err != nil {
			b.Fatal(err)
		}
		c, err := rules.Load([]string{dir}, rules.LoadOptions{})
		if err != nil {
			b.Fatal(err)
		}
		sets[name] = c.Rules
	}
	for _, name := range []string{"public", "30", "1000"} {
		s := newSet(b, sets[name], rules.SetOptions{})
		for _, what := range []string{"decode", "decode and match"} {
			b.Run(name+"/"+what, func(b *testing.B) {
				dec, ev, m := event.NewDecoder(s.Schema()), event.New(s.Schema()), s.NewMatcher()
				n := 0
				b.ReportAllocs()
				for b.Loop() {
					if err := dec.Decode(lines[n], ev); err != nil {
						b.Fatal(err)
					}
					if what != "decode" {
						m.Match(ev, "")
					}
					if n++; n == len(lines) {
						n = 0
					}
				}
				b.ReportMetric(perEvent(m.Stats().Evaluations, b.N), "evaluations/event")
			})
		}
	}
}
