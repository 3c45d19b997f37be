package kafka

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline/kafka/balance"
)

// protocolName is what the group's members know the balancer by. Range is offered beside it, so that members of versions
// that know only that can be in the group too: while one is, all share out by range.
const protocolName = "weir-cooperative"

// userDataVersion begins what members tell beside the standard fields. Data of another version is left unread.
const userDataVersion = 1

// groupBalancer is balance.Plan for the client. Its functions are called on the client's goroutine.
type groupBalancer struct {
	standbys    int
	warm        func() map[int32]int64 // what this member has on disk
	name        string                 // of this member, which it tells with its delivery
	atLeastOnce bool
	differ      func(deliveries)               // told with each assignment who delivers otherwise than others
	assigned    func(standby []int32, ok bool) // told of each assignment; ok is false where the data is of an unknown version
}

// ProtocolName returns the name that members agree on.
func (b *groupBalancer) ProtocolName() string { return protocolName }

// IsCooperative says that members keep working on what stays theirs during a rebalance.
func (b *groupBalancer) IsCooperative() bool { return true }

// JoinGroupMetadata tells the leader what this member reads, works on and has on disk.
func (b *groupBalancer) JoinGroupMetadata(topics []string, current map[string][]int32, generation int32) []byte {
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version = 3
	meta.Topics = topics
	meta.Generation = generation
	for _, topic := range slices.Sorted(maps.Keys(current)) {
		owned := kmsg.NewConsumerMemberMetadataOwnedPartition()
		owned.Topic, owned.Partitions = topic, current[topic]
		meta.OwnedPartitions = append(meta.OwnedPartitions, owned)
	}
	meta.UserData = appendDelivery(appendWarm(nil, b.warm()), b.atLeastOnce, b.name)
	return meta.AppendTo(nil)
}

// ParseSyncAssignment takes this member's share of the leader's plan.
func (b *groupBalancer) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	var a kmsg.ConsumerMemberAssignment
	if err := a.ReadFrom(assignment); err != nil {
		return nil, fmt.Errorf("assignment of the group's leader: %w", err)
	}
	standby, differ, err := parseStandby(a.UserData)
	b.assigned(standby, err == nil)
	b.differ(differ)
	owned := map[string][]int32{}
	for _, t := range a.Topics {
		owned[t.Topic] = t.Partitions
	}
	return owned, nil
}

// MemberBalancer reads what the members tell.
func (b *groupBalancer) MemberBalancer(members []kmsg.JoinGroupResponseMember) (kgo.GroupMemberBalancer, map[string]struct{}, error) {
	cb, err := kgo.NewConsumerBalancer(b, members)
	topics := cb.MemberTopics()
	return cb, topics, err
}

// Balance makes the plan. The client calls it on the group's leader.
func (b *groupBalancer) Balance(cb *kgo.ConsumerBalancer, partitions map[string]int32) kgo.IntoSyncAssignment {
	g := balance.Group{Partitions: partitions, Standbys: b.standbys}
	var ids []string
	var modes deliveries
	cb.EachMember(func(m *kmsg.JoinGroupResponseMember, meta *kmsg.ConsumerMemberMetadata) {
		key := m.MemberID
		if m.InstanceID != nil {
			key = *m.InstanceID
		}
		owned := map[string][]int32{}
		for _, o := range meta.OwnedPartitions {
			owned[o.Topic] = o.Partitions
		}
		warm, mode, name, _ := parseWarm(meta.UserData) // a version that isn't known tells nothing
		modes.add(mode, name)
		g.Members = append(g.Members, balance.Member{Key: key, Topics: meta.Topics, Owned: owned, Generation: meta.Generation, Warm: warm})
		ids = append(ids, m.MemberID)
	})
	p := make(plan, len(ids))
	for i, share := range balance.Plan(g) {
		p[i] = memberShare{id: ids[i], share: share, modes: &modes}
	}
	return p
}

// plan is what the leader sends to the coordinator.
type plan []memberShare

type memberShare struct {
	id    string
	share balance.Share
	modes *deliveries // of all members
}

// IntoSyncAssignment encodes the plan.
func (p plan) IntoSyncAssignment() []kmsg.SyncGroupRequestGroupAssignment {
	var out []kmsg.SyncGroupRequestGroupAssignment
	for _, m := range p {
		var a kmsg.ConsumerMemberAssignment
		for _, topic := range slices.Sorted(maps.Keys(m.share.Owned)) {
			t := kmsg.NewConsumerMemberAssignmentTopic()
			t.Topic, t.Partitions = topic, m.share.Owned[topic]
			a.Topics = append(a.Topics, t)
		}
		a.UserData = m.modes.append(appendStandby(nil, m.share.Standby))
		s := kmsg.NewSyncGroupRequestGroupAssignment()
		s.MemberID, s.MemberAssignment = m.id, a.AppendTo(nil)
		out = append(out, s)
	}
	return out
}

// rangeProtocol is the range balancer for groups that have members of versions without one of our own.
type rangeProtocol struct {
	kgo.GroupBalancer
	assigned func() // told of each assignment
}

// ParseSyncAssignment takes this member's share.
func (r *rangeProtocol) ParseSyncAssignment(assignment []byte) (map[string][]int32, error) {
	r.assigned()
	return r.GroupBalancer.ParseSyncAssignment(assignment)
}

var errUserData = errors.New("user data of the group can't be read")

func appendWarm(dst []byte, warm map[int32]int64) []byte {
	dst = append(dst, userDataVersion)
	dst = binary.AppendUvarint(dst, uint64(len(warm)))
	for _, n := range slices.Sorted(maps.Keys(warm)) {
		dst = binary.AppendUvarint(dst, uint64(uint32(n)))
		dst = binary.AppendUvarint(dst, uint64(warm[n]))
	}
	return dst
}

func parseWarm(b []byte) (warm map[int32]int64, mode uint64, name string, err error) {
	r, err := newUserData(b)
	warm = map[int32]int64{}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		number := r.uvarint()
		warm[int32(number)] = int64(r.uvarint())
	}
	if err != nil || r.bad {
		return nil, 0, "", errUserData
	}
	mode, name = r.readDelivery()
	return warm, mode, name, nil
}

func appendStandby(dst []byte, standby []int32) []byte {
	dst = append(dst, userDataVersion)
	dst = binary.AppendUvarint(dst, uint64(len(standby)))
	for _, n := range standby {
		dst = binary.AppendUvarint(dst, uint64(uint32(n)))
	}
	return dst
}

func parseStandby(b []byte) (standby []int32, differ deliveries, err error) {
	r, err := newUserData(b)
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		standby = append(standby, int32(r.uvarint()))
	}
	if err != nil || r.bad {
		return nil, deliveries{}, errUserData
	}
	return standby, r.readDeliveries(), nil
}

// userData takes user data apart; bad is set, and stays, where the bytes don't suffice.
type userData struct {
	rest []byte
	bad  bool
}

func newUserData(b []byte) (*userData, error) {
	if len(b) == 0 || b[0] != userDataVersion {
		return &userData{bad: true}, errUserData
	}
	return &userData{rest: b[1:]}, nil
}

func (r *userData) uvarint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.rest, r.bad = nil, true
		return 0
	}
	r.rest = r.rest[n:]
	return v
}
