package rules

import (
	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/textindex"
)

// chooseKey returns the group of conditions that the fewest events are expected to satisfy, nil where no group can be
// looked up. What the gate decides costs nothing, so any other group is better.
func (s *Set) chooseKey(groups [][]eql.Need) indexKey {
	var best, behind indexKey
	bestShare, behindShare := 1.0, 1.0
	for _, group := range groups {
		if !s.indexable(group) {
			continue
		}
		share := eql.GroupShare(s.schema, group)
		switch {
		case gated(s.gates, group):
			if share < behindShare {
				behind, behindShare = group, share
			}
		case share < bestShare:
			best, bestShare = group, share
		}
	}
	if best == nil {
		return behind
	}
	return best
}

// indexable reports whether the index can look a group of needs up.
func (s *Set) indexable(group []eql.Need) bool {
	for _, need := range group {
		if need.Op == eql.NeedPresent {
			continue
		}
		switch s.schema.Field(need.Slot).Type {
		case event.Double, event.Date, event.Version: // their text costs more to make than the lookup saves
			return false
		default:
		}
		if need.Op == eql.NeedContains && (s.opts.NoParts || len(need.Text) < textindex.MinPart) {
			return false
		}
	}
	return len(group) > 0
}
