package kafka

import "hash/maphash"

// maxSeenHosts bounds the table of hosts; when it is full it starts afresh, and a conflict is reported again.
const maxSeenHosts = 1_000_000

// hostTable remembers on which partition a host was seen, by the hash of its name.
type hostTable struct {
	seed  maphash.Seed
	seen  map[uint64]int32
	noted map[uint64]bool // conflicts that were reported
}

func newHostTable() *hostTable {
	return &hostTable{seed: maphash.MakeSeed(), seen: map[uint64]int32{}, noted: map[uint64]bool{}}
}

// note says that a host was seen on a partition. It returns false, once per host, with the other partition, when
// the host was seen elsewhere before.
func (t *hostTable) note(host string, partition int32) (other int32, ok bool) {
	if host == "" { // the pseudo-host of events that name none is each partition's own
		return 0, true
	}
	h := maphash.String(t.seed, host)
	other, known := t.seen[h]
	if !known {
		if len(t.seen) >= maxSeenHosts {
			clear(t.seen)
			clear(t.noted)
		}
		t.seen[h] = partition
		return 0, true
	}
	if other == partition || t.noted[h] {
		return other, true
	}
	t.noted[h] = true
	return other, false
}
