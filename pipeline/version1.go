package pipeline

import (
	"github.com/weir-eql/weir/state"
)

// Codec version 1 kept each waiting event and each host under a key of its own, and the document of each event that waited.
// What a changelog still has of that is read once, put into pages with the next commit, and deleted.

// loadHostsVersion1 reads the hosts.
func (w *Worker) loadHostsVersion1() error {
	return w.part.Scan([]byte{byte(state.FamilyHost)}, func(key, value []byte) error {
		r := readValue(value)
		h := newHost(r.name())
		h.newest, h.clockAt, h.mark = r.varint(), r.varint(), r.varint()
		w.hosts.put(h)
		w.overlay.Delete(key)
		return r.err
	})
}

// loadWaitingVersion1 reads the waiting events.
func (w *Worker) loadWaitingVersion1() error {
	var all []waiting
	err := w.part.Scan([]byte{byte(state.FamilyBuffered)}, func(key, value []byte) error {
		k, err := state.ParseBufferedKey(key)
		if err != nil {
			return err
		}
		b := new(buffered)
		b.ref.Partition, b.ref.Offset = k.Partition, k.Offset
		r := readValue(value)
		_, b.ref.Topic, b.field = r.name(), r.name(), r.name()
		b.ref.Time, b.ref.SubMillis = r.varint(), int32(r.varint())
		e := waiting{event: b}
		for r.err == nil && len(r.rest) > 0 {
			e.rules = append(e.rules, r.hash())
		}
		all = append(all, e)
		w.overlay.Delete(key)
		return r.err
	})
	if err != nil {
		return err
	}
	for _, e := range all {
		if err := w.restoreStored(e); err != nil {
			return err
		}
	}
	return nil
}
