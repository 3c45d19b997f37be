package pipeline

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/weir-eql/weir/pipeline/internal/minheap"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// publishedIDs are the ids of the alerts that a partition published within the window, with the record clock at which it
// did. What is remembered is a function of the log alone: ids are forgotten by the record clock, record by record.
type publishedIDs struct {
	at     map[state.AlertKey]int64
	oldest minheap.Heap[publishedID]
	shared bool // of a shared order, by its clock
}

// publishedID is an id in the order in which ids are forgotten. It is stale when the id was published again since.
type publishedID struct {
	at int64
	id state.AlertKey
}

// before puts the oldest first, equal ones in the order of their bytes, so that it doesn't depend on history that isn't kept.
func (p publishedID) before(q publishedID) bool {
	if p.at != q.at {
		return p.at < q.at
	}
	return bytes.Compare(p.id[:], q.id[:]) < 0
}

func newPublishedIDs(shared bool) publishedIDs {
	return publishedIDs{at: map[state.AlertKey]int64{}, oldest: minheap.New(publishedID.before), shared: shared}
}

func (p *publishedIDs) key(id state.AlertKey) []byte {
	if p.shared {
		return state.SharedAlertKey(id).Append(nil)
	}
	return id.Append(nil)
}

func (p *publishedIDs) parse(key []byte) (state.AlertKey, error) {
	if p.shared {
		id, err := state.ParseSharedAlertKey(key)
		return state.AlertKey(id), err
	}
	return state.ParseAlertKey(key)
}

func (p *publishedIDs) add(id state.AlertKey, at int64) {
	p.at[id] = at
	p.oldest.Push(publishedID{at: at, id: id})
}

// publishedBefore reports whether an alert of this id was published within the window, and counts it then; else it notes
// that it is published now.
func (w *Worker) publishedBefore(c *rules.Compiled, alertID string) (bool, error) {
	window := w.cfg.Dedupe.Window.Milliseconds()
	if window <= 0 {
		return false, nil
	}
	id, err := alertKey(alertID)
	if err != nil {
		return false, err
	}
	ids, now := &w.published, w.clock.now
	if w.cfg.Rekey.Partitions > 0 && w.cfg.shares(c) {
		ids, now = &w.shared.published, w.shared.clock
	}
	at, known := ids.at[id]
	if known && now-at <= window {
		w.counts.deduplicated[c.Number]++
		return true, nil
	}
	ids.add(id, now)
	w.overlay.Put(ids.key(id), publishedValue(now))
	for len(ids.at) > w.cfg.Dedupe.IDs {
		w.forgetOldestID(ids)
		w.counts.idsForgotten++
	}
	return false, nil
}

// forgetIDs drops the ids that the clock has left behind. It is called with each record, not with each commit: where
// commits fall must not move anything.
func (w *Worker) forgetIDs(ids *publishedIDs, clock int64) {
	window := w.cfg.Dedupe.Window.Milliseconds()
	for ids.oldest.Len() > 0 && clock-ids.oldest.Top().at > window {
		w.forgetOldestID(ids)
	}
}

func (w *Worker) forgetOldestID(ids *publishedIDs) {
	p := ids.oldest.Pop()
	if at, ok := ids.at[p.id]; !ok || at != p.at {
		return // published again since
	}
	delete(ids.at, p.id)
	w.overlay.Delete(ids.key(p.id))
}

// loadIDs reads the ids that were published. Without a window they go.
func (w *Worker) loadIDs() error {
	if err := w.loadIDsOf(&w.published, state.FamilyAlert); err != nil {
		return err
	}
	return w.loadIDsOf(&w.shared.published, state.FamilySharedAlert)
}

func (w *Worker) loadIDsOf(ids *publishedIDs, family state.Family) error {
	return w.part.Scan([]byte{byte(family)}, func(key, value []byte) error {
		id, err := ids.parse(key)
		if err != nil {
			return err
		}
		if w.cfg.Dedupe.Window <= 0 {
			w.overlay.Delete(key)
			return nil
		}
		r := readValue(value)
		at := r.varint()
		if r.err == nil {
			ids.add(id, at)
		}
		return r.err
	})
}

// alertKey returns the key of an alert's id, which is hex: 128 of its 256 bits are enough to tell alerts apart.
func alertKey(alertID string) (key state.AlertKey, err error) {
	if len(alertID) < hex.EncodedLen(len(key)) {
		return key, fmt.Errorf("alert id %q is too short", alertID)
	}
	if _, err := hex.Decode(key[:], []byte(alertID[:hex.EncodedLen(len(key))])); err != nil {
		return key, fmt.Errorf("alert id %q: %w", alertID, err)
	}
	return key, nil
}

func publishedValue(at int64) []byte {
	return binary.AppendVarint(state.AppendVersion(nil), at)
}
