package kafka

import (
	"testing"
	"time"

	"github.com/weir-eql/weir/state"
)

// TestCheckpointOfACopyThatIsBehind: a copy that reads behind the end for longer than tombstones are kept is not trusted,
// though its checkpoint was written a moment ago; one that was up to the end is.
func TestCheckpointOfACopyThatIsBehind(t *testing.T) {
	store, err := state.Open(state.Options{Dir: t.TempDir(), MemTableSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = store.Close() }()
	now := time.UnixMilli(1_000_000_000_000)
	s := &Service{cfg: Config{ChangelogTopic: "changelog"}, deps: Deps{Store: store, Now: func() time.Time { return now }}}
	ends := func(at int64) listing {
		return listing{offsets: map[topicPartition]int64{{"changelog", 0}: at}}
	}
	r := &restoring{part: store.Partition(0), next: 10, end: 100, journal: newJournal(0), began: now, asOf: now}
	k := &standby{service: s, parts: map[int32]*restoring{0: r}, stamped: map[int32]time.Time{}}
	trusted := func(when string, want bool) {
		t.Helper()
		if err := r.apply(s); err != nil {
			t.Fatal(err)
		}
		from, _, reason := s.trusted(r.part, 1000)
		if (reason == "") != want || want && from != r.next {
			t.Errorf("%s: from %d, reason %q; trusted should be %v", when, from, reason, want)
		}
	}

	trusted("begun now", true)
	now = now.Add(deleteRetention)
	k.look(ends(100))
	trusted("a day later, still behind", false)
	r.next = 100
	k.look(ends(100))
	trusted("at the end", true)
	now = now.Add(deleteRetention)
	r.next = 150
	k.look(ends(200))
	trusted("a day behind again", false)
}
