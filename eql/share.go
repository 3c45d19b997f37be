package eql

import (
	"strings"

	"github.com/weir-eql/weir/event"
)

// The estimates here say what share of events satisfies a condition. They were made from the reference events, and only
// their order matters: an order of magnitude is enough, since names and paths tell events apart, categories and types hardly do.

// Presence estimates the share of events that have a field at all.
func Presence(path string) float64 {
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

// Share estimates the share of events that satisfy the need; f is the field of its slot.
func (n Need) Share(f event.Field) float64 {
	switch {
	case n.Op == NeedPresent:
		return Presence(f.Path)
	case n.Text == "" && n.Op != NeedEqual:
		return 1
	case f.Type == event.Boolean:
		return 0.4
	}
	share := valueShare(f.Path)
	if n.Op == NeedEqual {
		return share
	}
	switch size := len(n.Text); {
	case n.Text == ".exe", n.Text == `c:\`, n.Text == `:\`, size == 1:
		return max(share, 0.4)
	case size <= 4:
		return max(share, 0.06)
	case size <= 8:
		return max(share, 0.02)
	default:
		return max(share, 0.01)
	}
}

// GroupShare estimates the share of events that satisfy one of the needs: on one field as if they were independent, so that each of
// many needs adds less than the one before and a long list of names is still rarer than any name at all. However many there are, no
// more events can satisfy them than have the field.
func GroupShare(schema *event.Schema, group []Need) float64 {
	if len(group) == 0 {
		return 1
	}
	bySlot := map[event.Slot]float64{}
	for _, n := range group {
		bySlot[n.Slot] += (1 - bySlot[n.Slot]) * n.Share(schema.Field(n.Slot))
	}
	total := 0.0
	for slot, share := range bySlot {
		total += min(share, Presence(schema.Field(slot).Path))
	}
	return min(total, 1)
}

// valueShare estimates the share of events that have one given value in a field.
func valueShare(path string) float64 {
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

// chance estimates the share of events that satisfy n.
func (e *Env) chance(n node) float64 {
	switch n := n.(type) {
	case constNode:
		return float64(b2i(bool(n)))
	case *shared:
		return e.chance(n.inner)
	case existsNode:
		return Presence(e.schema.Field(n.slot).Path)
	case notNode:
		return 1 - e.chance(n.child)
	case *leaf:
		f := e.schema.Field(n.slot)
		return min(Presence(f.Path), e.testChance(n, f))
	case andNode:
		all := 1.0
		for _, child := range n {
			all *= e.chance(child)
		}
		return all
	case orNode:
		one := 0.0
		for _, child := range n {
			one += e.chance(child)
		}
		return min(one, 1)
	default:
		return 0.3
	}
}

// testChance estimates the share of a field's values that pass a leaf's test.
func (e *Env) testChance(n *leaf, f event.Field) float64 {
	if t, ok := n.t.(needer); ok {
		if group := t.needs(n.slot); len(group) > 0 {
			return GroupShare(e.schema, group)
		}
	}
	switch n.t.(type) {
	case textAny, noneOf:
		return 1
	case textRegex:
		return valueShare(f.Path)
	case numberOrder, boolOrder, cidrTest:
		return 0.4
	default:
		return 0.2
	}
}
