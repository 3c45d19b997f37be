package bench

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/google/pprof/profile"
)

// Stages are the parts into which the CPU time of an event is split, in the order in which it takes them.
func Stages() []string {
	return []string{"fetch", "decompress", "decode", "match", "prepare", "sequence", "alert", "commit", "gc", "other"}
}

// Split sums a CPU profile up by stage. The shares add up to 1.
func Split(r io.Reader) (map[string]float64, error) {
	p, err := profile.Parse(r)
	if err != nil {
		return nil, fmt.Errorf("cpu profile: %w", err)
	}
	value := slices.IndexFunc(p.SampleType, func(t *profile.ValueType) bool { return t.Type == "cpu" })
	if value < 0 {
		return nil, errors.New("cpu profile: it has no CPU time")
	}
	split, total := map[string]float64{}, 0.0
	for _, s := range p.Sample {
		v := float64(s.Value[value])
		split[stageOf(s)] += v
		total += v
	}
	for stage := range split {
		split[stage] /= max(total, 1)
	}
	return split, nil
}

// entry is a function under which everything belongs to a stage, as far as no other entry is nearer to the leaf.
type entry struct{ function, stage string }

func entries() []entry {
	return []entry{
		{"event.(*Decoder).Decode", "decode"},
		{"rules.(*Matcher).Match", "match"},
		{"pipeline.(*Preparer).", "prepare"},
		{"pipeline.(*Worker).Changes", "commit"},
		{"pipeline.(*Worker).Committed", "commit"},
		{"pipeline.(*Worker).ProcessBatch", "sequence"},
		{"weir/pipeline/alert.", "alert"},
		{"badger/v4", "commit"},
		{"kafka.(*Service).commit", "commit"},
		{"kgo.(*sink)", "commit"},
		{"kgo.(*decompressor)", "decompress"},
		{"kafka.(*buffers).Decompress", "decompress"},
		{"kgo.(*compressor)", "commit"},
		{"kafka.compressor.Compress", "commit"},
		{"kgo.(*streamCompressor)", "commit"},
		{"franz-go/pkg/kgo.", "fetch"},
		{"kafka.(*Service).poll", "fetch"},
	}
}

// stageOf returns the stage to which a sample belongs.
func stageOf(s *profile.Sample) string {
	found := ""
	for _, loc := range s.Location { // from the leaf to the root
		for _, line := range loc.Line {
			if line.Function == nil {
				continue
			}
			name := line.Function.Name
			if strings.HasPrefix(name, "runtime.gcBgMarkWorker") || strings.HasPrefix(name, "runtime.gcAssistAlloc") ||
				strings.HasPrefix(name, "runtime.bgsweep") || strings.HasPrefix(name, "runtime.bgscavenge") {
				return "gc"
			}
			if found != "" {
				continue
			}
			for _, e := range entries() {
				if strings.Contains(name, e.function) {
					found = e.stage
					break
				}
			}
		}
	}
	if found == "" {
		return "other"
	}
	return found
}
