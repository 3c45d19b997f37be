package kafka

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
)

// TestMergeModel: however the records of several topics come in, and wherever reading begins again, what is handed on is a
// beginning of the one order: by the newest record time of the topic so far, then by topic.
func TestMergeModel(t *testing.T) {
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 1))
		logs := make([][]*kgo.Record, 2+rng.IntN(3))
		type keyed struct {
			at    int64
			topic int
			name  string
		}
		var model []keyed
		for n := range logs {
			at, newest := int64(0), int64(math.MinInt64)
			for i := range rng.IntN(60) {
				at += int64(rng.IntN(12)) - 3
				newest = max(newest, at)
				r := &kgo.Record{Topic: fmt.Sprint("t", n), Offset: int64(i), Timestamp: time.UnixMilli(at)}
				logs[n] = append(logs[n], r)
				model = append(model, keyed{newest, n, fmt.Sprint(r.Topic, "/", i)})
			}
		}
		slices.SortStableFunc(model, func(a, b keyed) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.topic, b.topic)) })
		var want []string
		for _, k := range model {
			want = append(want, k.name)
		}
		if diff := gocmp.Diff(want, mergedAtRandom(rng, logs)); diff != "" {
			t.Fatalf("seed %d (-model +merged):\n%s", seed, diff)
		}
	}
}

// mergedAtRandom merges logs that come in pieces, and now and then begins again behind what was handed on.
func mergedAtRandom(rng *rand.Rand, logs [][]*kgo.Record) (got []string) {
	lanes := make([]*lane, len(logs))
	fetched, handed := make([]int, len(logs)), make([]int, len(logs))
	for n := range lanes {
		lanes[n] = &lane{topic: fmt.Sprint("t", n)}
	}
	left := func() bool {
		return slices.ContainsFunc(lanes, func(l *lane) bool { return l.len() > 0 }) ||
			!slices.EqualFunc(fetched, logs, func(at int, log []*kgo.Record) bool { return at == len(log) })
	}
	for left() {
		if rng.IntN(10) == 0 {
			copy(fetched, handed)
			for _, l := range lanes {
				l.clear()
			}
		}
		n := rng.IntN(len(logs))
		for range rng.IntN(20) {
			if fetched[n] < len(logs[n]) {
				lanes[n].add(logs[n][fetched[n]])
				fetched[n]++
			}
		}
		for i, l := range lanes {
			l.waits = fetched[i] < len(logs[i])
		}
		release(lanes, func(h laneRecord) {
			handed[slices.IndexFunc(lanes, func(l *lane) bool { return l.topic == h.Topic })]++
			got = append(got, fmt.Sprint(h.Topic, "/", h.Offset))
		})
	}
	return got
}

// TestLaneCountsItsBytes: what was handed on isn't counted any more, and its memory is given back.
func TestLaneCountsItsBytes(t *testing.T) {
	l := &lane{topic: "a"}
	for range 3 {
		for i := range 100 {
			l.add(&kgo.Record{Offset: int64(i), Value: make([]byte, 10)})
		}
		if want := 100 * (recordBytes + 10); l.bytes != want {
			t.Errorf("%d bytes, want %d", l.bytes, want)
		}
		handed := 0
		release([]*lane{l}, func(laneRecord) { handed++ })
		if handed != 100 || l.len() != 0 || l.bytes != 0 || l.first != 0 {
			t.Errorf("%d records handed on, %d left of %d bytes, the first at %d", handed, l.len(), l.bytes, l.first)
		}
	}
}
