package event_test

import (
	"testing"
	"time"

	"github.com/weir-eql/weir/event"
)

// leastTimes returns how long do takes for all documents: the sum over small batches of the least time that a batch took
// in some rounds, so that what else the machine does is left out. The functions take turns.
func leastTimes(docs [][]byte, rounds int, do ...func(doc []byte)) []time.Duration {
	const batch = 20
	least := make([][]time.Duration, len(do))
	for round := range rounds {
		for f := range do {
			for from := 0; from < len(docs); from += batch {
				start := time.Now()
				for _, doc := range docs[from:min(from+batch, len(docs))] {
					do[f](doc)
				}
				took := time.Since(start)
				if n := from / batch; round == 0 {
					least[f] = append(least[f], took)
				} else {
					least[f][n] = min(least[f][n], took)
				}
			}
		}
	}
	sums := make([]time.Duration, len(do))
	for f := range do {
		for _, took := range least[f] {
			sums[f] += took
		}
	}
	return sums
}

// TestDecodeRatio guards the cost of decoding: never its time, but how it compares with a loop that adds the bytes of
// the same documents up, in the same run. The bounds are about twice what was measured (docs/performance.md). With -v it
// prints the figures, of more rounds; WEIR_EVENTS=FILE adds those of the events in a file.
func TestDecodeRatio(t *testing.T) {
	rounds, most := 10, 100
	if testing.Verbose() {
		rounds, most = 100, 600
	}
	schemas := map[string]*event.Schema{}
	for _, fields := range []string{"0", "3", "25", "all"} {
		schemas[fields] = namedSchema(t, fields)
	}
	for _, tt := range []struct {
		source, fields string
		bound          float64
	}{
		{"generated", "0", 4},
		{"generated", "3", 4},
		{"generated", "25", 5},
		{"generated", "all", 6},
		{"samples", "25", 7},
		{"samples", "all", 8},
		{"attack", "25", 7},
		{"attack", "all", 8},
		{"file", "0", 4},
		{"file", "3", 4},
		{"file", "25", 5},
		{"file", "all", 6},
	} {
		t.Run(tt.source+"/"+tt.fields, func(t *testing.T) {
			docs, s := benchDocs(t, tt.source), schemas[tt.fields]
			if len(docs) == 0 || s == nil {
				t.Skip("../shared isn't here: it holds these events and rules")
			}
			docs = docs[:min(len(docs), most)]
			d, ev, sum := event.NewDecoder(s), event.New(s), 0
			adding := func(doc []byte) { sum += sumBytes(doc) }
			decoding := func(doc []byte) {
				if err := d.Decode(doc, ev); err != nil {
					t.Fatal(err)
				}
			}
			times := leastTimes(docs, rounds, adding, decoding)
			ratio := float64(times[1]) / float64(times[0])
			for tries := 0; ratio > tt.bound && tries < 10; tries++ { // the machine was busy throughout
				times = leastTimes(docs, 2*rounds, adding, decoding)
				ratio = min(ratio, float64(times[1])/float64(times[0]))
			}
			if sum == 0 {
				t.Fatal("nothing was read")
			}
			perDoc := func(d time.Duration) int { return int(d) / len(docs) }
			t.Logf("%d bytes: sum %d ns, decode %d ns, ratio %.2f", meanSize(docs), perDoc(times[0]), perDoc(times[1]), ratio)
			if ratio > tt.bound {
				t.Errorf("decoding takes %.2f times as long as adding the bytes up, want less than %v", ratio, tt.bound)
			}
		})
	}
}
