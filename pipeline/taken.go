package pipeline

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"

	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/state"
)

// Without transactions a source that is killed, or whose batch can't be written, sends events to the re-key topic again: those of the
// batch that didn't count. A target takes each candidate of an event once, whichever copy comes first: what is sent is a function of
// the input alone. See docs/adr/0016.

// takenLog is what a target has taken of one log of the input.
type takenLog struct {
	// next is an offset before which nothing new comes: a source has said that all of it was sent, in a batch that counted.
	next int64
	// got are the candidates that were taken from there on, in order.
	got     []takenCandidate
	changed bool // something of it isn't in the store
}

// takenCandidate is a candidate of the event with an offset, as a hash of rule, stages and join key. Rules are part of it: what a
// batch sends again under another rule set is new for the rules that changed.
type takenCandidate struct {
	offset int64
	hash   uint64
}

func (t takenCandidate) compare(u takenCandidate) int {
	return cmp.Or(cmp.Compare(t.offset, u.offset), cmp.Compare(t.hash, u.hash))
}

// maxTaken bounds what is remembered of a log: several times what a batch sends. Above it the oldest are forgotten, and counted:
// if they were sent again they would count as late.
const maxTaken = 50_000

// log returns the log that a record's offset is of, 0 where topics have no hash in Logs.
func (r *Rekey) log(topic string, partition int32) uint64 {
	hash, ok := r.Logs[topic]
	if !ok {
		return 0
	}
	return hash ^ uint64(partition+1)*0x9e3779b97f4a7c15
}

// Sent returns what a source reports of an input topic of its partition that was worked on up to an offset: false where its events
// aren't sent again.
func (w *Worker) Sent(topic string, next int64) (s rekey.Sent, ok bool) {
	log := w.cfg.Rekey.log(topic, w.number)
	return rekey.Sent{Log: log, Next: next}, log != 0 && w.cfg.Rekey.Repeats && w.sharing
}

// takeOnce leaves out the candidates of an event that were taken already, and reports whether any are left.
func (w *Worker) takeOnce(sent *rekey.Event) bool {
	t := w.shared.taken[sent.Log]
	if sent.Log == 0 || t == nil && !sent.Repeats {
		return true
	}
	if t == nil {
		t = &takenLog{}
		w.shared.taken[sent.Log] = t
	}
	before := len(sent.Candidates)
	if sent.Repeats && sent.Ref.Offset < t.next {
		sent.Candidates = sent.Candidates[:0]
	}
	sent.Candidates = slices.DeleteFunc(sent.Candidates, func(c rekey.Candidate) bool {
		return !t.take(takenCandidate{sent.Ref.Offset, candidateHash(&c)}, sent.Repeats)
	})
	w.counts.rekeyRepeated += uint64(before - len(sent.Candidates))
	if over := len(t.got) - maxTaken; over > 0 {
		w.counts.rekeyForgotten += uint64(over)
		t.got = slices.Delete(t.got, 0, over)
	}
	return len(sent.Candidates) > 0
}

// take reports whether a candidate is new. It is remembered where it may come again.
func (t *takenLog) take(c takenCandidate, repeats bool) bool {
	at, found := slices.BinarySearchFunc(t.got, c, takenCandidate.compare)
	if !found && repeats {
		t.got = slices.Insert(t.got, at, c)
		t.changed = true
	}
	return !found
}

func candidateHash(c *rekey.Candidate) uint64 {
	h := fnv.New64a()
	var b [16]byte
	binary.BigEndian.PutUint64(b[:], c.Rule)
	binary.BigEndian.PutUint64(b[8:], uint64(c.Hits))
	_, _ = h.Write(b[:]) // never fails
	_, _ = h.Write(c.Join)
	return h.Sum64()
}

// allSent takes in that a source has sent all of a log before an offset. What comes of that later is a copy.
func (s *sharedOrders) allSent(p rekey.Sent) {
	t := s.taken[p.Log]
	if t == nil {
		t = &takenLog{}
		s.taken[p.Log] = t
	}
	if p.Next <= t.next {
		return
	}
	t.next, t.changed = p.Next, true
	at, _ := slices.BinarySearchFunc(t.got, takenCandidate{offset: p.Next}, takenCandidate.compare)
	t.got = slices.Delete(t.got, 0, at)
}

// changeTaken notes what the batch changes of it in the store.
func (w *Worker) changeTaken() {
	for log, t := range w.shared.taken {
		if t.changed {
			w.overlay.Put(state.TakenKey(log).Append(nil), t.value())
		}
	}
}

func (s *sharedOrders) takenCommitted() {
	for t := range maps.Values(s.taken) {
		t.changed = false
	}
}

func (t *takenLog) value() []byte {
	dst := binary.AppendVarint(state.AppendVersion(make([]byte, 0, 24+10*len(t.got))), t.next)
	dst = binary.AppendUvarint(dst, uint64(len(t.got)))
	last := t.next
	for _, c := range t.got {
		dst = binary.AppendVarint(dst, c.offset-last)
		dst = binary.BigEndian.AppendUint64(dst, c.hash)
		last = c.offset
	}
	return dst
}

func decodeTaken(value []byte) (*takenLog, error) {
	r := readValue(value)
	t := &takenLog{next: r.varint()}
	last := t.next
	for n := r.count(9); n > 0 && r.err == nil; n-- {
		c := takenCandidate{last + r.varint(), r.hash()}
		t.got = append(t.got, c)
		last = c.offset
	}
	if r.err == nil && (len(r.rest) > 0 || !slices.IsSortedFunc(t.got, takenCandidate.compare)) {
		r.fail()
	}
	return t, r.err
}

func (w *Worker) loadTaken() error {
	return w.part.Scan([]byte{byte(state.FamilyTaken)}, func(key, value []byte) error {
		log, err := state.ParseTakenKey(key)
		if err != nil {
			return err
		}
		t, err := decodeTaken(value)
		if err != nil {
			return fmt.Errorf("log %x: %w", uint64(log), err)
		}
		w.shared.taken[uint64(log)] = t
		return nil
	})
}
