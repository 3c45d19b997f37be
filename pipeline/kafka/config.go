// Package kafka connects the pipeline with Kafka: a consumer group over the input topics, one worker per
// partition, and one transaction per commit that holds alerts, dead letters, the changelog of the state and
// the input's offsets. It is the only package that imports the Kafka client.
package kafka

import (
	"cmp"
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/state"
)

// Config is what a Service needs to know of Kafka. Durations and sizes that are zero take their defaults.
type Config struct {
	Brokers  []string
	TLS      *tls.Config    // nil: plain text
	SASL     sasl.Mechanism // nil: none
	ClientID string         // default "weir"
	// Dial connects to brokers in place of TCP, with or without TLS; nil for that.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)

	Topics []string // input; all with the same number of partitions, keyed by host.id
	Group  string
	// Instance names this member. It must be unique in the group and stable over restarts: the transactional id is
	// made of it, and a member that comes back under it ends what its predecessor left open.
	Instance string
	// GroupInstance is the name under which the member is static: for a session's length the group keeps its partitions for it when it
	// stops or is killed, and gives them back at once. Empty: a member that stops or starts is a rebalance.
	GroupInstance string
	// Leave has a static member leave the group when Run ends by its context, so that others take over at once.
	Leave bool

	// Standbys is how many other members keep a copy of each partition's state on disk. The group's leader decides by its own setting.
	Standbys int
	// StandbyGrace is how long a copy stays that nobody asks for; default 5 min.
	StandbyGrace time.Duration

	AlertTopic      string
	DeadLetterTopic string
	ChangelogTopic  string
	// RekeyTopic takes the events of rules that join events of any host to the partitions where they meet. Empty: each
	// partition matches what it sees of them.
	RekeyTopic string
	// CreateTopics lets the service create the topics that Weir owns; otherwise a missing one is an error.
	CreateTopics      bool
	ReplicationFactor int16 // of topics that are created; -1, the default, is the broker's own

	// AtLeastOnce does without transactions: for clusters that have none. All members of a group have to agree.
	AtLeastOnce bool

	CommitInterval     time.Duration // default 100 ms
	SessionTimeout     time.Duration // default 10 s
	TransactionTimeout time.Duration // default 10 s
	// StopTimeout is how long commits may take after Run was asked to end, before they are given up; default 15 s.
	StopTimeout time.Duration
	// IdleAfter is how long a partition has to be silent and caught up before the wall clock moves its
	// watermarks; default 500 ms.
	IdleAfter time.Duration
	// TopicWait is how long records of one input topic wait for another one that has unread records and brings none;
	// default 1 min.
	TopicWait time.Duration

	FetchMaxBytes          int32 // per broker and fetch; default 32 MiB
	FetchMaxPartitionBytes int32 // default 1 MiB
	BatchRecords           int   // most records that are polled at once; default 20,000
	ProducerBatchBytes     int32 // largest batch that is produced; default 1 MiB
	// MaxMessageBytes is the topic setting max.message.bytes of the topics that are created; default 2 MiB.
	MaxMessageBytes int
}

// EnsureDefaults fills in what is zero.
func (c *Config) EnsureDefaults() {
	c.ClientID = cmp.Or(c.ClientID, "weir")
	c.ReplicationFactor = cmp.Or(c.ReplicationFactor, -1)
	c.CommitInterval = cmp.Or(c.CommitInterval, 100*time.Millisecond)
	c.SessionTimeout = cmp.Or(c.SessionTimeout, 10*time.Second)
	c.TransactionTimeout = cmp.Or(c.TransactionTimeout, 10*time.Second)
	c.StopTimeout = cmp.Or(c.StopTimeout, 15*time.Second)
	c.StandbyGrace = cmp.Or(c.StandbyGrace, 5*time.Minute)
	c.IdleAfter = cmp.Or(c.IdleAfter, 500*time.Millisecond)
	c.TopicWait = cmp.Or(c.TopicWait, time.Minute)
	c.FetchMaxBytes = cmp.Or(c.FetchMaxBytes, 32<<20)
	c.FetchMaxPartitionBytes = cmp.Or(c.FetchMaxPartitionBytes, 1<<20)
	c.BatchRecords = cmp.Or(c.BatchRecords, 20_000)
	c.ProducerBatchBytes = cmp.Or(c.ProducerBatchBytes, 1<<20)
	c.MaxMessageBytes = cmp.Or(c.MaxMessageBytes, 2<<20)
}

// transactionalID is the same for every run of a member.
func (c *Config) transactionalID() string { return c.Group + "-" + c.Instance }

// instanceID is the name under which the member is static, nil where it isn't.
func (c *Config) instanceID() *string {
	if c.GroupInstance == "" {
		return nil
	}
	return &c.GroupInstance
}

// clientOptions are what every client of the service has in common. What it fetches is in memory.
func (c *Config) clientOptions(log *slog.Logger, memory *buffers) []kgo.Opt {
	opts := []kgo.Opt{
		kgo.SeedBrokers(c.Brokers...),
		kgo.ClientID(c.ClientID),
		kgo.WithLogger(clientLogger{log}),
		kgo.RetryTimeout(30 * time.Second),
		kgo.WithPools(memory), kgo.WithDecompressor(memory),
		kgo.Dialer(memory.answers.Dialer(c.dial)),
	}
	if c.SASL != nil {
		opts = append(opts, kgo.SASL(c.SASL))
	}
	return opts
}

// dialTimeout is that of the client by default.
const dialTimeout = 10 * time.Second

// dial opens a connection to a broker, as the client would.
func (c *Config) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if c.Dial != nil {
		return c.Dial(ctx, network, address)
	}
	dialer := &net.Dialer{Timeout: dialTimeout}
	if c.TLS == nil {
		return dialer.DialContext(ctx, network, address)
	}
	// The name that the broker's certificate must have is that of the address where the configuration has none.
	return (&tls.Dialer{NetDialer: dialer, Config: c.TLS}).DialContext(ctx, network, address)
}

// groupOptions are those of the client that consumes and produces.
func (c *Config) groupOptions() []kgo.Opt {
	var static []kgo.Opt
	if id := c.instanceID(); id != nil {
		static = append(static, kgo.InstanceID(*id))
	}
	if !c.AtLeastOnce {
		static = append(static, kgo.TransactionalID(c.transactionalID()), kgo.TransactionTimeout(c.TransactionTimeout))
	}
	return append(static,
		kgo.ConsumerGroup(c.Group),
		kgo.ConsumeTopics(c.consumed()...),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		// Markers at the end of a topic that is written in transactions count as read, else it never is.
		kgo.KeepControlRecords(),
		kgo.DisableAutoCommit(),
		kgo.SessionTimeout(c.SessionTimeout),
		// What the group has to say comes with heartbeats: a takeover waits for one.
		kgo.HeartbeatInterval(min(time.Second, c.SessionTimeout/3)),
		// A partition is given up when the commit that is under way has ended, and one of what was made behind it: see docs/adr/0018.
		kgo.RebalanceTimeout(max(30*time.Second, 2*c.SessionTimeout, 4*c.TransactionTimeout+10*time.Second)),
		kgo.FetchMaxBytes(c.FetchMaxBytes),
		kgo.FetchMaxPartitionBytes(c.FetchMaxPartitionBytes),
		kgo.FetchMaxWait(min(c.CommitInterval, 500*time.Millisecond)),
		kgo.ProducerBatchMaxBytes(c.ProducerBatchBytes),
		kgo.ProducerLinger(0),
		// A topic that is gone has to be known as such within the transaction's time.
		kgo.MetadataMinAge(time.Second),
		kgo.UnknownTopicRetries(2),
		kgo.WithCompressor(newCompressor()),
		kgo.RecordPartitioner(c.partitioner()),
	)
}

// partitioner sends records of the changelog and the re-key topic to the partition that they say, all others by their key.
func (c *Config) partitioner() kgo.Partitioner {
	manual := kgo.ManualPartitioner()
	keyed := kgo.StickyKeyPartitioner(nil)
	return topicPartitioner(func(topic string) kgo.TopicPartitioner {
		if topic == c.ChangelogTopic || topic == c.RekeyTopic {
			return manual.ForTopic(topic)
		}
		return keyed.ForTopic(topic)
	})
}

type topicPartitioner func(topic string) kgo.TopicPartitioner

// ForTopic returns the partitioner of a topic.
func (f topicPartitioner) ForTopic(topic string) kgo.TopicPartitioner { return f(topic) }

// clientLogger passes the client's warnings and errors on; the rest is for debugging.
type clientLogger struct{ log *slog.Logger }

// Level tells the client which lines are wanted.
func (l clientLogger) Level() kgo.LogLevel {
	if l.log.Enabled(nil, slog.LevelDebug) { //nolint:staticcheck // the handler doesn't need a context
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

// Log passes one line on.
func (l clientLogger) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	attrs := []slog.Attr{slog.String("client", msg)}
	for i := 0; i+1 < len(keyvals); i += 2 {
		if key, ok := keyvals[i].(string); ok {
			attrs = append(attrs, slog.Any(key, keyvals[i+1]))
		}
	}
	at := slog.LevelDebug
	switch level {
	case kgo.LogLevelError:
		at = slog.LevelError
	case kgo.LogLevelWarn:
		at = slog.LevelWarn
	default:
	}
	l.log.LogAttrs(nil, at, "kafka client", attrs...) //nolint:staticcheck // the handler doesn't need a context
}

// Deps are what a Service works with.
type Deps struct {
	Pipeline *pipeline.Config
	Store    *state.Store
	Metrics  *Metrics // nil counts nothing
	Logger   *slog.Logger
	// Now is the wall clock, for checkpoints, silent partitions, what is measured and how often something is logged.
	Now func() time.Time
	// OnAlert is called with each alert after its transaction was committed; nil ignores them.
	OnAlert func(pipeline.Alert)
	// At is called at the named points of a commit, PointStored and PointRestored from several goroutines at once; nil does nothing. Tests of
	// crashes end the process there.
	At func(Point)
	// Tamper is given what a commit is about to write, and returns what is written instead; nil changes nothing. Tests of
	// faults plant errors with it, to see that they are found, and learn whether there is an alert in the commit.
	Tamper func([]*kgo.Record) []*kgo.Record
}

// Point is a moment of a commit at which a crash has consequences of its own.
type Point string

// The points, in the order in which they come.
const (
	PointBegun    Point = "begun"    // the transaction is open and holds nothing
	PointProduced Point = "produced" // its records are handed to the client: some of them may be written
	PointFlushed  Point = "flushed"  // all records are written, the transaction is open
	// PointCheckpointed is that of at-least-once delivery only: the checkpoint records are written, the group's offsets are not.
	PointCheckpointed Point = "checkpointed"
	PointEnded        Point = "ended"    // it is committed, the local store holds nothing of it
	PointStored       Point = "stored"   // the local store has it of one more partition, others may lack it
	PointRestored     Point = "restored" // outside of commits: a part of the changelog went to the local store
)

// at passes a point.
func (d *Deps) at(p Point) {
	if d.At != nil {
		d.At(p)
	}
}
