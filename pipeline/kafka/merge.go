package kafka

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
)

// Partition n of all input topics is one log for its worker: their records in the order of record time, of equal ones by
// the topic's name, where those of one topic keep their order. What comes next is decided by the first record of each topic
// alone, so the order doesn't depend on batches, nor on where reading began. See docs/adr/0015.

// lane is what was fetched of one topic's partition and not handed on yet.
type lane struct {
	topic   string
	records []laneRecord // in the order of the log
	first   int          // the records before it were handed on
	bytes   int
	// waits says that records of other topics wait for this one's next while it is empty.
	waits bool
}

// laneRecord is a record of a lane, and what it came from, whose memory it shares.
type laneRecord struct {
	pipeline.Record

	from *kgo.Record
}

// recordBytes is about what a record takes besides its key and value.
const recordBytes = 256

func (h *laneRecord) size() int { return recordBytes + len(h.Key) + len(h.Value) }

func (l *lane) add(r *kgo.Record) {
	h := laneRecord{toRecord(r), r}
	l.records = append(l.records, h)
	l.bytes += h.size()
}

func (l *lane) len() int { return len(l.records) - l.first }

// pop takes the first record.
func (l *lane) pop() laneRecord {
	h := l.records[l.first]
	l.records[l.first] = laneRecord{}
	l.first++
	l.bytes -= h.size()
	return h
}

// shrink makes the room of what was handed on free for what comes.
func (l *lane) shrink() {
	if l.first > len(l.records)/2 {
		n := copy(l.records, l.records[l.first:])
		clear(l.records[n:])
		l.records, l.first = l.records[:n], 0
	}
}

func (l *lane) clear() {
	clear(l.records)
	l.records, l.first, l.bytes = l.records[:0], 0, 0
}

// release hands on what may be: it ends where a lane is empty for whose next record the others wait. The lanes are in
// the order of their topics.
func release(lanes []*lane, handOn func(laneRecord)) {
	for next := nextLane(lanes); next != nil; next = nextLane(lanes) {
		handOn(next.pop())
	}
	for _, l := range lanes {
		l.shrink()
	}
}

// nextLane returns the lane whose first record comes next, nil where that isn't known.
func nextLane(lanes []*lane) (next *lane) {
	for _, l := range lanes {
		switch {
		case l.len() > 0:
			if next == nil || l.records[l.first].Time < next.records[next.first].Time {
				next = l
			}
		case l.waits:
			return nil
		}
	}
	return next
}
