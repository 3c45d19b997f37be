// Package pipeline runs a rule set over the records of a partition: decode, match, put sequence candidates in
// the order of event time, feed the sequence machines, build alerts, and hand out what a commit must hold.
// One Worker owns one partition and its state; `weir run`, `weir demo` and `weir backtest` differ only in
// where records come from and where output goes. The package knows neither Kafka nor Badger.
package pipeline

import (
	"log/slog"
	"slices"
	"time"

	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
)

// ClockSource says where the record clock of a partition gets its time from.
type ClockSource uint8

// The sources of a record's time.
const (
	// ClockEvent is for records without a broker timestamp, such as the lines of a file: event.ingested, else
	// the newest event time so far.
	ClockEvent ClockSource = iota
	// ClockLogAppend is a timestamp that the broker set when it appended the record.
	ClockLogAppend
	// ClockCreate is a timestamp that the producer set: believed only as far as others confirm it.
	ClockCreate
)

// Record is one record of the input. Key and Value may alias a fetch buffer: the worker copies what it keeps.
type Record struct {
	Topic     string
	Partition int32
	Offset    int64
	Key       []byte // as the producer set it, for dead letters only; nil without one
	Value     []byte
	Time      int64 // milliseconds since the epoch; unused with ClockEvent
	Clock     ClockSource
	// LeaderEpoch is that of the leader that wrote the record to its log, negative where the log doesn't say it: see rekey.Event.
	LeaderEpoch int32
}

// Config is what all workers of a process share. It is read-only once the first worker is made.
type Config struct {
	Set    *rules.Set
	Alerts alert.Builder
	// Streams gives the data stream of a topic's events that don't say theirs, as type-dataset-namespace.
	Streams map[string]string
	Order   Order
	Limits  Limits
	Dedupe  Dedupe
	Rekey   Rekey
	// NoEvidence keeps no documents of the events of sequences, for alerts that are only counted: the Builder gets them
	// without their Source, and with their Host where the rule joins events of several hosts.
	NoEvidence bool
	// Samples says what the samples of rules are.
	Samples SampleMode
	// SampleScope tells, with SamplesBatch, the events that the search is over from others; nil takes all.
	SampleScope func(sequence.Ref) bool
	// Input lets the worker keep hardly anything of waiting events that can't change anything by themselves: what it doesn't have in memory it
	// reads again. Nil keeps all of them whole.
	Input Input
	// Quarantine keeps rules that exceed their budgets; nil is for replays, which have none.
	Quarantine *Quarantine
	Metrics    *Metrics     // nil counts nothing
	Logger     *slog.Logger // nil discards
	// Now is the wall clock, used for weir.detected_at and weir.latency_ms only. Nil gives alerts the time
	// of their completing event, for output that must not differ between runs.
	Now func() time.Time

	alertRules []*alert.Rule // by rule number
}

// Order configures the reorder buffer. Durations are event time.
type Order struct {
	// Lateness is how long a candidate waits for earlier events of its host; default 2 s.
	Lateness time.Duration
	// FutureTolerance is how far an event's time may be ahead of the record clock before it is clamped; default 5 min.
	FutureTolerance time.Duration
}

// Dedupe says which alerts are left out because they were published before.
type Dedupe struct {
	// Window is how long an alert's id is remembered, by the partition's record clock; 0, the default, remembers none.
	Window time.Duration
	// IDs is how many ids of a partition are remembered at most; the oldest goes first. Default 100,000.
	IDs int
}

// Limits bound what one partition keeps. Whatever they cut is counted.
type Limits struct {
	EventBytes      int // larger records go to the dead letters; default 983,040
	PartialsPerRule int // default 100,000
	Partials        int // of all rules; default 1,000,000
	PerKey          int // sequences of one rule under one join key, such as those that wait for an absence; default 1,000
	MatchesPerEvent int // of one rule, completed by one event under different join keys; default 100
	Buffered        int // events in the reorder buffer, beside four times as many notes; the oldest are released early; default 100,000
	BufferedBytes   int // of documents in memory, of events that wait; those of further ones go to the store; default 64 MiB
	Hosts           int // hosts remembered without anything pending; default 100,000
	DeadLetterBytes int // of a record's value, kept in its dead letter; a longer key is left out; default 64 KiB
}

// EnsureDefaults fills in what is zero and prepares what all workers share. Call it once, before NewWorker.
func (c *Config) EnsureDefaults() {
	c.Order.Lateness = orDefault(c.Order.Lateness, 2*time.Second)
	c.Order.FutureTolerance = orDefault(c.Order.FutureTolerance, 5*time.Minute)
	c.Dedupe.IDs = orDefault(c.Dedupe.IDs, 100_000)
	l := &c.Limits
	l.EventBytes = orDefault(l.EventBytes, 983_040)
	l.PartialsPerRule = orDefault(l.PartialsPerRule, 100_000)
	l.Partials = orDefault(l.Partials, 1_000_000)
	l.PerKey = orDefault(l.PerKey, 1_000)
	l.MatchesPerEvent = orDefault(l.MatchesPerEvent, 100)
	l.Buffered = orDefault(l.Buffered, 100_000)
	l.BufferedBytes = orDefault(l.BufferedBytes, 64<<20)
	l.Hosts = orDefault(l.Hosts, 100_000)
	l.DeadLetterBytes = orDefault(l.DeadLetterBytes, 64<<10)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.alertRules == nil {
		c.alertRules = alertRules(c.Set)
	}
}

// Shares reports whether a rule of the set joins events of any host, so that they have to be re-keyed where there are several
// partitions.
func (c *Config) Shares() bool { return slices.ContainsFunc(c.Set.Rules(), c.shares) }

// WithSet returns the configuration with another rule set, for workers that take the place of those that c made. An
// error means that the set can't run; c isn't changed.
func (c *Config) WithSet(set *rules.Set) (*Config, error) {
	next := *c
	next.Set, next.alertRules = set, alertRules(set)
	if _, err := newMachines(&next); err != nil {
		return nil, err
	}
	return &next, nil
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// Output is what a worker made of the records since the last commit. It is valid until the next call of
// Seal, Committed or Reload.
type Output struct {
	Alerts      []Alert
	DeadLetters []DeadLetter
	Rekeyed     []Rekeyed
}

// Alert is a built document and the match that it stands for.
type Alert struct {
	alert.Document
	Rule      *rules.Compiled
	Completed sequence.Ref // the event that completed the match
	Match     []sequence.MatchEvent
	JoinKey   []byte
	Hosts     []string // of its events, where they may be of several; nil where all are of the host of Key
}

// DeadLetter is a record that could not be decoded, with the reason in words.
type DeadLetter struct {
	Topic     string
	Partition int32
	Offset    int64
	Reason    string // one of the Reason constants
	Detail    string // what exactly was wrong, with the position in the record
	Key       []byte // of the record; nil without one, or where it is longer than Limits.DeadLetterBytes
	Value     []byte // the first Limits.DeadLetterBytes of the record
	Length    int    // of the whole record
	SHA256    string // of the whole record, hex
}

// The reasons of dead letters, as their header and the metric's label have them.
const (
	ReasonMalformed   = "malformed"
	ReasonNotObject   = "not_object"
	ReasonTooDeep     = "too_deep"
	ReasonTooLarge    = "too_large"
	ReasonNoTimestamp = "no_timestamp"
)
