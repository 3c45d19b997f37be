package pipeline

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// recentCandidates are lists of candidates that came more than once: events of one host that hit the same stages of rules
// joined by the host have the same candidates, and share them. What shares isn't changed.
type recentCandidates struct {
	seed  maphash.Seed
	lists []recentList // by hash
}

type recentList struct {
	hash  uint64 // of the list that came last
	cands []candidate
}

// recentLists is how many lists are remembered: some for each of a few hundred hosts that are busy at a time.
const recentLists = 1024

// keepCandidates returns a batch's candidates as they can be kept.
func (w *Worker) keepCandidates(cands []candidate) []candidate {
	r := &w.recent
	if r.lists == nil {
		r.seed, r.lists = maphash.MakeSeed(), make([]recentList, recentLists)
	}
	hash := maphash.Bytes(r.seed, cands[0].join) + uint64(cands[0].rule.Number+len(cands)<<16)*0x9E3779B97F4A7C15
	last := &r.lists[hash%recentLists]
	switch {
	case last.hash != hash:
		last.hash = hash // remembered if it comes again before another one
		return w.memory.copyCands(cands)
	case !sameCandidates(last.cands, cands):
		last.cands = slices.Clone(cands) // to live for long: not from the slab
		for i := range last.cands {
			last.cands[i].join = slices.Clone(last.cands[i].join)
		}
	}
	return last.cands
}

func sameCandidates(a, b []candidate) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].rule != b[i].rule || a[i].hits != b[i].hits || !bytes.Equal(a[i].join, b[i].join) {
			return false
		}
	}
	return true
}
