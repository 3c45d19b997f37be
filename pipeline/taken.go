package pipeline

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"maps"
	"math"
	"slices"

	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/state"
)

// Without transactions a source that is killed, or whose batch can't be written, sends events to the re-key topic again: those of the
// batch that didn't count. A target takes each candidate of an event once, whichever copy comes first: what is sent is a function of
// the input alone. See docs/adr/0016.

// takenLog is what a target has taken of one log of the input.
type takenLog struct {
	// sent are places before which nothing new comes: a source has said that all of it was sent, in batches that counted. There is more than
	// one, with greater epochs at lesser offsets, until a log that was cut has come to where it was.
	sent []logPlace
	// got are the candidates that were taken from there on, in order.
	got     []takenCandidate
	changed bool // something of it isn't in the store
}

// logPlace is a place in a log. An offset alone isn't one, where a leader was elected that lacked the last records: it gives their offsets
// anew, under an epoch greater than all before.
type logPlace struct {
	epoch  int32 // of the leader that wrote what is there; -1 where that isn't known
	offset int64
}

// noLater reports whether what lies at p isn't by a leader after that of q. Where one isn't known the offset alone counts.
func (p logPlace) noLater(q logPlace) bool { return p.epoch <= q.epoch || q.epoch < 0 }

// before reports whether what lies at p was written before the place q. What a later leader wrote wasn't, at any offset.
func (p logPlace) before(q logPlace) bool { return p.offset < q.offset && p.noLater(q) }

// within reports whether all that was written before p was also written before q.
func (p logPlace) within(q logPlace) bool { return p.offset <= q.offset && p.noLater(q) }

func (p logPlace) compare(q logPlace) int {
	return cmp.Or(cmp.Compare(p.epoch, q.epoch), cmp.Compare(p.offset, q.offset))
}

// takenCandidate is a candidate of the event at a place, as a hash of rule, stages and join key. Rules are part of it: what a
// batch sends again under another rule set is new for the rules that changed.
type takenCandidate struct {
	logPlace

	hash uint64
}

func (t takenCandidate) compare(u takenCandidate) int {
	return cmp.Or(t.logPlace.compare(u.logPlace), cmp.Compare(t.hash, u.hash))
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

// Sent returns what a source reports of an input topic of its partition that was worked on up to an offset, of which the last record before it
// has the epoch: false where its events aren't sent again.
func (w *Worker) Sent(topic string, next int64, epoch int32) (s rekey.Sent, ok bool) {
	log := w.cfg.Rekey.log(topic, w.number)
	return rekey.Sent{Log: log, Next: next, LeaderEpoch: epoch}, log != 0 && w.cfg.Rekey.Repeats && w.sharing
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
	at := logPlace{sent.LeaderEpoch, sent.Ref.Offset}
	if sent.Repeats && slices.ContainsFunc(t.sent, at.before) {
		sent.Candidates = sent.Candidates[:0]
	}
	sent.Candidates = slices.DeleteFunc(sent.Candidates, func(c rekey.Candidate) bool {
		return !t.take(takenCandidate{at, candidateHash(&c)}, sent.Repeats)
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
	if found || t.tookUnknown(c) {
		return false
	}
	if repeats {
		t.got = slices.Insert(t.got, at, c)
		t.changed = true
	}
	return true
}

// tookUnknown reports whether a candidate was taken from a copy of which it isn't known whether the same leader wrote it: then it is taken
// for the same. That is so for what members of an earlier version sent.
func (t *takenLog) tookUnknown(c takenCandidate) bool {
	if c.epoch < 0 {
		known := func(g takenCandidate) bool { return g.epoch >= 0 && g.offset == c.offset && g.hash == c.hash }
		return len(t.got) > 0 && t.got[len(t.got)-1].epoch >= 0 && slices.ContainsFunc(t.got, known)
	}
	c.epoch = -1 // they come first
	_, found := slices.BinarySearchFunc(t.got, c, takenCandidate.compare)
	return found
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
	next := logPlace{max(p.LeaderEpoch, -1), p.Next}
	if slices.ContainsFunc(t.sent, next.within) {
		return
	}
	t.sent = append(slices.DeleteFunc(t.sent, func(q logPlace) bool { return q.within(next) }), next)
	t.changed = true
	t.got = slices.DeleteFunc(t.got, func(c takenCandidate) bool { return c.before(next) })
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

// withEpochs begins a value with the epochs of leaders: one from before there were any begins with an offset.
const withEpochs = -1

func (t *takenLog) value() []byte {
	dst := binary.AppendVarint(state.AppendVersion(make([]byte, 0, 24+12*len(t.got))), withEpochs)
	dst = binary.AppendUvarint(dst, uint64(len(t.sent)))
	var last logPlace
	for _, p := range t.sent {
		dst, last = p.append(dst, last), p
	}
	dst = binary.AppendUvarint(dst, uint64(len(t.got)))
	for _, c := range t.got {
		dst, last = c.append(dst, last), c.logPlace
		dst = binary.BigEndian.AppendUint64(dst, c.hash)
	}
	return dst
}

// append appends a place that follows another.
func (p logPlace) append(dst []byte, last logPlace) []byte {
	return binary.AppendVarint(binary.AppendVarint(dst, int64(p.epoch)-int64(last.epoch)), p.offset-last.offset)
}

func decodeTaken(value []byte) (*takenLog, error) {
	r := readValue(value)
	t := &takenLog{}
	var last logPlace
	epochs := true
	if first := r.varint(); first != withEpochs {
		last, epochs = logPlace{-1, first}, false
		t.sent = append(t.sent, last)
	} else {
		for n := r.count(2); n > 0 && r.err == nil; n-- {
			last = r.logPlace(last)
			t.sent = append(t.sent, last)
		}
	}
	for n := r.count(9); n > 0 && r.err == nil; n-- {
		if epochs {
			last = r.logPlace(last)
		} else {
			last.offset += r.varint()
		}
		t.got = append(t.got, takenCandidate{last, r.hash()})
	}
	if r.err == nil && (len(r.rest) > 0 || !slices.IsSortedFunc(t.got, takenCandidate.compare)) {
		r.fail()
	}
	return t, r.err
}

// logPlace reads a place that follows another.
func (r *valueReader) logPlace(last logPlace) logPlace {
	epoch := int64(last.epoch) + r.varint()
	if epoch < -1 || epoch > math.MaxInt32 {
		r.fail()
		return last
	}
	return logPlace{int32(epoch), last.offset + r.varint()}
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
