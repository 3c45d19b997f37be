package bench_test

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-json"
	"github.com/google/pprof/profile"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/bench"
	"github.com/weir-eql/weir/rules"
)

func options() bench.Options {
	return bench.Options{Seed: 3, Size: 2068, Hosts: 50, AlertShare: 0.01, StageShare: 0.05}
}

func start() time.Time { return time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC) }

// TestGenerator checks that documents are what the options ask for, and that a seed makes the same ones again.
func TestGenerator(t *testing.T) {
	const n = 20_000
	a, b := bench.NewGenerator(options()), bench.NewGenerator(options())
	size, kinds := 0, map[bench.Kind]int{}
	for i := range n {
		at := start().Add(time.Duration(i) * time.Millisecond)
		e, again := a.Next(at), b.Next(at)
		if !bytes.Equal(e.Doc, again.Doc) || e.Kind != again.Kind {
			t.Fatalf("event %d differs from that of the same seed:\n%s\n%s", i, e.Doc, again.Doc)
		}
		size += len(e.Doc)
		kinds[e.Kind]++
		var doc struct {
			Event struct{ ID string }
			Host  struct{ ID string }
		}
		if err := json.Unmarshal(e.Doc, &doc); err != nil {
			t.Fatalf("event %d: %v\n%s", i, err, e.Doc)
		}
		if doc.Host.ID != e.Host || e.Kind != bench.Ordinary && doc.Event.ID != e.ID {
			t.Fatalf("event %d says host %q and id %q, the document %+v", i, e.Host, e.ID, doc)
		}
	}
	if mean := float64(size) / n; math.Abs(mean-2068) > 100 {
		t.Errorf("mean size %.0f, want 2068", mean)
	}
	alerts := float64(kinds[bench.Single]+kinds[bench.Second]) / n
	stages := float64(kinds[bench.Open]+kinds[bench.First]+kinds[bench.Second]) / n
	if math.Abs(alerts-0.01) > 0.002 || math.Abs(stages-0.05) > 0.006 {
		t.Errorf("%.4f of the events alert and %.4f hit a stage, want 0.01 and 0.05: %v", alerts, stages, kinds)
	}
}

// TestPlantedRules checks each generated event against the planted rules, and that made-up rules load and match none.
func TestPlantedRules(t *testing.T) {
	dir := t.TempDir()
	paths, err := bench.WritePlanted(dir)
	if err != nil {
		t.Fatal(err)
	}
	synthetic, err := bench.WriteSynthetic(dir, 300, 1)
	if err != nil {
		t.Fatal(err)
	}
	c, err := rules.Load(slices.Concat(paths, synthetic), rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range c.Files {
		for _, p := range f.Problems {
			t.Errorf("%s: %s", f.Path, p.Text())
		}
	}
	set, err := rules.NewSet(c.Rules, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	decoder, ev, matcher := event.NewDecoder(set.Schema()), event.New(set.Schema()), set.NewMatcher()
	g := bench.NewGenerator(options())
	for i := range 5000 {
		e := g.Next(start().Add(time.Duration(i) * time.Millisecond))
		if err := decoder.Decode(e.Doc, ev); err != nil {
			t.Fatal(err)
		}
		var got []string
		hits := matcher.Match(ev, "")
		for _, r := range hits.Single {
			got = append(got, r.Rule.ID)
		}
		for _, r := range hits.Sequences {
			if strings.HasPrefix(r.Rule.Rule.ID, "synthetic") {
				continue // a stage may be hit, as those of real rules are
			}
			got = append(got, r.Rule.Rule.ID)
		}
		want := map[bench.Kind][]string{
			bench.Single: {bench.SingleRule}, bench.Open: {bench.SequenceRule}, bench.First: {bench.SequenceRule}, bench.Second: {bench.SequenceRule},
		}[e.Kind]
		if !slices.Equal(got, want) {
			t.Fatalf("event %d of kind %d matches %v, want %v\n%s", i, e.Kind, got, want, e.Doc)
		}
	}
}

// TestSplit gives samples to the stage of the innermost function that says one.
func TestSplit(t *testing.T) {
	stack := func(value int64, leafFirst ...string) *profile.Sample {
		s := &profile.Sample{Value: []int64{1, value}}
		for _, name := range leafFirst {
			s.Location = append(s.Location, &profile.Location{Line: []profile.Line{{Function: &profile.Function{Name: name}}}})
		}
		return s
	}
	const module = "github.com/weir-eql/weir/"
	p := &profile.Profile{
		SampleType: []*profile.ValueType{{Type: "samples", Unit: "count"}, {Type: "cpu", Unit: "nanoseconds"}},
		Sample: []*profile.Sample{
			stack(10, "runtime.memmove", module+"event.(*Decoder).Decode", module+"pipeline.(*Preparer).prepare"),
			stack(20, module+"event.(*Event).First", module+"rules.(*Matcher).Match", module+"pipeline.(*Preparer).prepare"),
			stack(30, "runtime.scanobject", "runtime.gcAssistAlloc", module+"rules.(*Matcher).Match"),
			stack(25, "github.com/pierrec/lz4/v4.Uncompress", "github.com/twmb/franz-go/pkg/kgo.(*decompressor).Decompress",
				"github.com/twmb/franz-go/pkg/kgo.(*source).fetch"),
			stack(5, "github.com/pierrec/lz4/v4.Uncompress", module+"pipeline/kafka.(*buffers).Decompress",
				"github.com/twmb/franz-go/pkg/kgo.(*source).fetch"),
			stack(10, "github.com/pierrec/lz4/v4.Compress", "github.com/twmb/franz-go/pkg/kgo.(*compressor).Compress"),
		},
	}
	id := uint64(0)
	for _, s := range p.Sample {
		for _, l := range s.Location {
			id++
			l.ID, l.Line[0].Function.ID = id, id
			p.Location, p.Function = append(p.Location, l), append(p.Function, l.Line[0].Function)
		}
	}
	var buf bytes.Buffer
	if err := p.Write(&buf); err != nil {
		t.Fatal(err)
	}
	split, err := bench.Split(&buf)
	if err != nil {
		t.Fatal(err)
	}
	for stage, want := range map[string]float64{"decode": 0.1, "match": 0.2, "gc": 0.3, "decompress": 0.3, "commit": 0.1} {
		if math.Abs(split[stage]-want) > 1e-9 {
			t.Errorf("%s has %.2f of the time, want %.2f: %v", stage, split[stage], want, split)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var times []time.Duration
	for i := 100; i > 0; i-- {
		times = append(times, time.Duration(i)*time.Millisecond)
	}
	if got := bench.QuantilesOf(times); got != (bench.Quantiles{N: 100, P50: 51, P99: 100, Max: 100}) {
		t.Errorf("quantiles of 1 to 100 ms: %+v", got)
	}
	if got := bench.QuantilesOf(nil); got != (bench.Quantiles{}) {
		t.Errorf("quantiles of nothing: %+v", got)
	}
}

func TestDecoding(t *testing.T) {
	if got, want := bench.RateOf(1000, 4e6, 2, 3), (bench.DecodeRate{Seconds: 2, EventsPerS: 500, CPUMicros: 3000, MBPerS: 2}); got != want {
		t.Errorf("1,000 events in 2 s: %+v, want %+v", got, want)
	}
	var runs []bench.Decoded
	for i, cpu := range []float64{9, 2, 7, 3} {
		runs = append(runs, bench.Decoded{Run: i + 1, DecodeRate: bench.DecodeRate{CPUMicros: cpu}})
	}
	if got := bench.MedianDecoded(runs).CPUMicros; got != 3 {
		t.Errorf("the median by CPU is %v, want 3", got)
	}
	if got := bench.MedianDecoded(nil); got != (bench.DecodeRate{}) {
		t.Errorf("the median of nothing: %+v", got)
	}
}
