package pipeline_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
)

// TestOffsetsGivenAnew: now and then a leader is elected that lacks the last records of a partition, all of which were worked on, and gives their
// offsets to the next ones. Rules that join events of any host take these, and each once, also where batches don't count and are written
// again, some much later.
func TestOffsetsGivenAnew(t *testing.T) {
	set := compile(t, rules.SetOptions{})
	seeds := uint64(30)
	if testing.Short() {
		seeds = 8
	}
	alerts, anew := 0, 0
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, 46))
		partitions := 1 + rnd.IntN(4)
		records := numbered(stream(rnd, 400, 0))
		cfg := config(set)
		cfg.Rekey.All = true // so that sources keep nothing themselves
		cfg.Rekey.Logs, cfg.Rekey.Repeats = map[string]uint64{"events": 77}, true
		inputs := scatter(records, partitions, func(int, pipeline.Record) int { return rnd.IntN(partitions) })
		all := config(set)
		all.Rekey.All = true
		want := alone(t, all, records)
		s := newSpread(t, cfg, partitions, rnd)
		s.again = true
		for n, p := range s.parts {
			p.input = inputs[n]
			anew += electLeaders(rnd, p.input)
		}
		got := s.run()
		for _, m := range []map[string]string{want, got} { // by this field's times events are late, which depends on the partitions
			maps.DeleteFunc(m, func(_, body string) bool { return strings.Contains(body, `"id":"created"`) })
		}
		ids := func(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
		if w, g := ids(want), ids(got); !slices.Equal(w, g) {
			t.Errorf("seed %d, %d partitions: %d alerts, want %d, or they are others", seed, partitions, len(g), len(w))
		}
		alerts += len(want)
	}
	if alerts < 100 || anew < 100 {
		t.Errorf("only %d alerts, and %d offsets given anew: the streams prove too little", alerts, anew)
	}
}

// numbered gives all events an id, and an order where their times are the same.
func numbered(records []pipeline.Record) []pipeline.Record {
	id := regexp.MustCompile(`"event":\{("id":"e\d+",)?`)
	for i := range records {
		records[i].Value = id.ReplaceAll(records[i].Value, fmt.Appendf(nil, `"event":{"id":"e%d","sequence":%d,`, i, i))
	}
	return records
}

// electLeaders has leaders of a partition change, and lack records now and then. It returns how many offsets are given anew.
func electLeaders(rnd *rand.Rand, log []pipeline.Record) (anew int) {
	epoch, next := rnd.Int32N(5), int64(0)
	for i := range log {
		if rnd.IntN(20) == 0 {
			epoch += 1 + rnd.Int32N(3)
			lost := rnd.Int64N(min(next, 25) + 1)
			next -= lost
			anew += int(lost)
		}
		log[i].Offset, log[i].LeaderEpoch = next, epoch
		next++
	}
	return anew
}
