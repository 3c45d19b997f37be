package rules

import (
	"strings"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
)

// chooseKey returns the group of conditions that the fewest events are expected to satisfy, nil where no group can be
// looked up. What the gate decides costs nothing, so any other group is better.
func (s *Set) chooseKey(groups [][]eql.Need) indexKey {
	var best, behind indexKey
	bestShare, behindShare := 1.0, 1.0
	for _, group := range groups {
		share := groupShare(s.schema, group)
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

// groupShare estimates the share of events that satisfy one of the conditions, 1 where the group can't be looked up. However
// many conditions there are on a field, no more events can pass them than have the field.
func groupShare(schema *event.Schema, group []eql.Need) float64 {
	if len(group) == 0 {
		return 1
	}
	bySlot := map[event.Slot]float64{}
	for _, need := range group {
		share := needShare(schema.Field(need.Slot), need)
		if share >= 1 {
			return 1
		}
		bySlot[need.Slot] += share
	}
	total := 0.0
	for slot, share := range bySlot {
		total += min(share, presence(schema.Field(slot).Path))
	}
	return min(total, 1)
}

// presence estimates the share of events that have a field at all.
func presence(path string) float64 {
	set, rest, _ := strings.Cut(path, ".")
	switch set {
	case "event", "host", "agent", "data_stream", "ecs", "@timestamp":
		return 1
	case "process":
		part, _, _ := strings.Cut(rest, ".")
		switch part {
		case "Ext", "previous", "env_vars", "io", "thread", "session_leader", "group_leader", "entry_leader", "pe", "hash":
			return 0.15
		}
		return 0.7
	case "user":
		return 0.7
	case "file", "destination", "source", "network":
		return 0.25
	default:
		return 0.1
	}
}

// needShare estimates the share of events that satisfy a condition. Only the order of the estimates matters, and an
// order of magnitude is enough: names and paths tell events apart, categories and types hardly do.
func needShare(f event.Field, need eql.Need) float64 {
	switch {
	case need.Op == eql.NeedPresent:
		return presence(f.Path)
	case need.Op == eql.NeedContains, need.Text == "" && need.Op != eql.NeedEqual:
		return 1 // not in the index: it looks up values, their beginnings and their ends
	case f.Type == event.Double, f.Type == event.Date, f.Type == event.Version:
		return 1 // their text costs more to make than the lookup saves
	case f.Type == event.Boolean:
		return 0.4
	}
	share := fieldShare(f.Path)
	if need.Op == eql.NeedEqual {
		return share
	}
	switch n := len(need.Text); {
	case need.Text == ".exe", need.Text == `c:\`, need.Text == `:\`, n == 1:
		return max(share, 0.4)
	case n <= 4:
		return max(share, 0.06)
	case n <= 8:
		return max(share, 0.02)
	default:
		return max(share, 0.01)
	}
}

// fieldShare estimates the share of events that have one given value in a field.
func fieldShare(path string) float64 {
	switch path {
	case "event.kind", "data_stream.type", "data_stream.namespace", "agent.type", "ecs.version":
		return 0.9
	case "host.os.type", "host.os.family", "host.os.platform", "event.outcome":
		return 0.5
	case "event.category", "event.type":
		return 0.3
	case "network.direction", "network.transport", "network.type", "network.protocol", "process.Ext.token.integrity_level_name",
		"winlog.event_data.LogonType", "winlog.logon.type", "process.interactive":
		return 0.2
	case "data_stream.dataset", "event.dataset", "event.module", "event.provider", "user.id", "user.name", "user.domain", "file.extension":
		return 0.1
	case "event.action", "event.code", "winlog.event_id":
		return 0.05
	}
	switch {
	case strings.Contains(path, "code_signature."):
		return 0.2
	case strings.HasSuffix(path, ".args_count"), strings.HasSuffix(path, ".port"):
		return 0.05
	case strings.HasPrefix(path, "process.parent."), strings.HasPrefix(path, "process.args"):
		return 0.01
	default:
		return 0.005
	}
}
