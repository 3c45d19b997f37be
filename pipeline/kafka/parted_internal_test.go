package kafka

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestPartedLog: where the log parts from what was read, the input goes on there, whether a commit of what is gone was under way or not, until
// something of a later epoch is committed. It is taken in once, and not again from the client.
func TestPartedLog(t *testing.T) {
	const topic = "events"
	m := &member{
		starts: map[string]int64{topic: 10}, parted: map[string]kgo.EpochOffset{}, committed: map[string]kgo.EpochOffset{topic: {Epoch: 3, Offset: 90}},
		positions: map[string]int64{topic: 120}, epochs: map[string]int32{topic: 3},
	}
	want := func(when string, at kgo.EpochOffset) {
		t.Helper()
		if m.restart(topic) != at {
			t.Errorf("%s: it goes on at %v, want %v", when, m.restart(topic), at)
		}
	}
	commit := func(at kgo.EpochOffset) {
		m.committed, m.differs = map[string]kgo.EpochOffset{topic: at}, false
		m.committedParted()
	}
	loss := &kgo.ErrDataLoss{Topic: topic, ConsumedTo: 120, ConsumedToEpoch: 3, ResetTo: 80, ResetToEpoch: 3}
	if !m.lost(loss) {
		t.Error("the place is known, and a new client is asked for")
	}
	parts := kgo.EpochOffset{Epoch: 3, Offset: 80}
	want("at once", parts)
	if m.reached(topic) != parts || !m.differs {
		t.Errorf("%v is to be committed next, %v", m.reached(topic), m.differs)
	}
	commit(kgo.EpochOffset{Epoch: 3, Offset: 110}) // was under way
	want("after a commit of what is gone", parts)
	if !m.differs {
		t.Error("the group keeps the offset of what is gone")
	}
	if !m.lost(&kgo.ErrDataLoss{Topic: topic, ConsumedTo: 110, ConsumedToEpoch: 3, ResetTo: 5}) {
		t.Error("what is known is an error")
	}
	want("told again", parts)
	commit(kgo.EpochOffset{Epoch: 4, Offset: 85})
	want("after a commit of the new log", kgo.EpochOffset{Epoch: 4, Offset: 85})
	if len(m.parted) != 0 || m.differs {
		t.Errorf("kept: %v, %v", m.parted, m.differs)
	}
	m.positions, m.epochs = map[string]int64{topic: 95}, map[string]int32{topic: 5}
	m.lost(&kgo.ErrDataLoss{Topic: topic, ConsumedTo: 90, ConsumedToEpoch: 4, ResetTo: 82})
	if got := (kgo.EpochOffset{Epoch: 5, Offset: 95}); m.reached(topic) != got {
		t.Errorf("records of a later epoch were read, and their place is %v", m.reached(topic))
	}
	m.starts[topic] = 200
	want("where that was deleted", kgo.EpochOffset{Epoch: -1, Offset: 200})
}
