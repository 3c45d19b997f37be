package statetest

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/state"
)

// testModel runs random batches against a plain map. Create is used where the map says that it may be.
func testModel(t *testing.T, s *state.Store) {
	t.Helper()
	const seed, batches, changes, keys = 11, 60, 120, 300
	rnd := rand.New(rand.NewPCG(seed, 0))
	p := s.Partition(0)
	committed := map[string]string{}
	var o state.Overlay
	for b := range batches {
		o.Reset()
		want := maps.Clone(committed)
		for range changes {
			key := fmt.Sprintf("k%03d", rnd.IntN(keys))
			if rnd.IntN(3) == 0 {
				o.Delete([]byte(key))
				delete(want, key)
				continue
			}
			value := fmt.Sprintf("%0*d", rnd.IntN(400), b)
			if _, ok := committed[key]; ok {
				o.Put([]byte(key), []byte(value))
			} else {
				o.Create([]byte(key), []byte(value))
			}
			want[key] = value
		}
		if diff := cmp.Diff(want, merged(committed, &o)); diff != "" {
			t.Fatalf("seed %d, batch %d: overlay (-want +got):\n%s", seed, b, diff)
		}
		if b%4 == 3 { // an aborted batch leaves nothing
			continue
		}
		mustApply(t, p, &o, state.Checkpoint{Changelog: int64(b)})
		committed = want
		if diff := cmp.Diff(committed, Dump(t, p)); diff != "" {
			t.Fatalf("seed %d, batch %d: store (-want +got):\n%s", seed, b, diff)
		}
	}
}

// merged returns what a reader of the overlay over the committed entries sees.
func merged(committed map[string]string, o *state.Overlay) map[string]string {
	got := maps.Clone(committed)
	for key, value := range o.All() {
		if value == nil {
			delete(got, string(key))
		} else {
			got[string(key)] = string(value)
		}
	}
	return got
}
