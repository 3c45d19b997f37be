package kafka_test

import (
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// puppet is a static member of a group whose requests are sent by hand.
type puppet struct {
	cl           *kgo.Client
	group, name  string
	topic        string
	id, protocol string
	generation   int32
}

// join joins the group with what it owns, and returns the members that it has to share partitions out to, as the leader.
func (p *puppet) join(t *testing.T, owned ...int32) []kmsg.JoinGroupResponseMember {
	t.Helper()
	meta := kmsg.NewConsumerMemberMetadata()
	meta.Version, meta.Topics, meta.Generation = 3, []string{p.topic}, p.generation
	if len(owned) > 0 {
		o := kmsg.NewConsumerMemberMetadataOwnedPartition()
		o.Topic, o.Partitions = p.topic, owned
		meta.OwnedPartitions = append(meta.OwnedPartitions, o)
	}
	req := kmsg.NewPtrJoinGroupRequest()
	req.Group, req.InstanceID, req.MemberID, req.ProtocolType = p.group, &p.name, p.id, "consumer"
	req.SessionTimeoutMillis, req.RebalanceTimeoutMillis = 30_000, 30_000
	for _, name := range []string{"weir-cooperative", "range"} {
		protocol := kmsg.NewJoinGroupRequestProtocol()
		protocol.Name, protocol.Metadata = name, meta.AppendTo(nil)
		req.Protocols = append(req.Protocols, protocol)
	}
	resp, err := req.RequestWith(t.Context(), p.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		t.Fatalf("join: %v", err)
	}
	p.id, p.generation, p.protocol = resp.MemberID, resp.Generation, *resp.Protocol
	return resp.Members
}

// share shares partitions out: keep to itself, nothing to the others.
func (p *puppet) share(t *testing.T, members []kmsg.JoinGroupResponseMember, keep ...int32) {
	t.Helper()
	protocolType := "consumer"
	req := kmsg.NewPtrSyncGroupRequest()
	req.Group, req.InstanceID, req.MemberID, req.Generation = p.group, &p.name, p.id, p.generation
	req.ProtocolType, req.Protocol = &protocolType, &p.protocol
	for _, m := range members {
		var a kmsg.ConsumerMemberAssignment
		if m.MemberID == p.id {
			topic := kmsg.NewConsumerMemberAssignmentTopic()
			topic.Topic, topic.Partitions = p.topic, keep
			a.Topics = append(a.Topics, topic)
		}
		s := kmsg.NewSyncGroupRequestGroupAssignment()
		s.MemberID, s.MemberAssignment = m.MemberID, a.AppendTo(nil)
		req.GroupAssignment = append(req.GroupAssignment, s)
	}
	resp, err := req.RequestWith(t.Context(), p.cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		t.Fatalf("sync: %v", err)
	}
}

// TestBrokerNobodysPartitions has a member killed when the group has just decided that it gives half of its partitions to one that joined:
// it comes back with the other half, which a real broker takes for no rebalance.
func TestBrokerNobodysPartitions(t *testing.T) {
	c, cfg := realCluster(t, 4)
	cfg.SessionTimeout = 30 * time.Second // no test waits for it
	begin := func(name string) *measured {
		mine := cfg
		mine.Instance, mine.GroupInstance = name, name
		reg := prometheus.NewRegistry()
		return &measured{member: c.startWith(t, mine, t.TempDir(), kafka.NewMetrics(reg)), text: metricsText(t, reg)}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(cfg.Brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	killed := &puppet{cl: cl, group: cfg.Group, name: "a", topic: c.input, generation: -1}
	killed.share(t, killed.join(t), 0, 1, 2, 3)
	b := begin("b")
	until(t, "another joins", func() bool {
		groups, err := c.admin.DescribeGroups(t.Context(), cfg.Group)
		return err == nil && groups[cfg.Group].State == "PreparingRebalance"
	})
	members := killed.join(t, 0, 1, 2, 3)
	if len(members) != 2 {
		t.Fatalf("the leader is told of %d members, want 2", len(members))
	}
	killed.share(t, members, 2, 3)
	a := begin("a")
	until(t, "partitions are shared out evenly", func() bool {
		return a.metric(t, "weir_assigned_partitions", "") == 2 && b.metric(t, "weir_assigned_partitions", "") == 2
	})
	for _, h := range hostNames(8) {
		c.produce(t, h, story(h)...)
	}
	c.awaitRead(t, c.input)
}
