package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The reasons for which what was computed can't be written.
const (
	ReasonMissing       = "missing"        // the topic does not exist
	ReasonNotAuthorized = "not_authorized" // Kafka's access rules don't allow it
	ReasonTooLarge      = "too_large"      // the record is larger than the topic takes
	ReasonRefused       = "refused"        // the broker refuses it by a policy or its configuration
)

// SinkError says that what was computed can't be written until an operator does something. Nothing is lost by it: the
// transaction is aborted, input offsets stay, and the same is computed and tried again.
type SinkError struct {
	Sink   string // alerts, dead_letters, changelog, rekey or group
	Topic  string // empty where it concerns none
	Reason string // one of the Reason constants
	Remedy string
	Err    error // what the broker said
}

// Error returns what can't be written where, why, and what to do.
func (e *SinkError) Error() string {
	what := e.Sink
	if e.Topic != "" {
		what += " topic " + e.Topic
	}
	return fmt.Sprintf("%s can't be written to: %v: %s", what, e.Err, e.Remedy)
}

// Unwrap returns the broker's error.
func (e *SinkError) Unwrap() error { return e.Err }

// sinkOf returns what a topic is to the service.
func (c *Config) sinkOf(topic string) string {
	switch topic {
	case c.AlertTopic:
		return "alerts"
	case c.DeadLetterTopic:
		return "dead_letters"
	case c.ChangelogTopic:
		return "changelog"
	case c.RekeyTopic:
		return "rekey"
	default:
		return "group"
	}
}

// sinkError makes a SinkError of an error that only an operator can mend, and returns any other as it is. topic and size
// are those of the record, empty and 0 where the error concerns none.
func (c *Config) sinkError(topic string, size int, err error) error {
	e := &SinkError{Sink: c.sinkOf(topic), Topic: topic, Err: err}
	acl := "kafka-acls.sh --bootstrap-server " + strings.Join(c.Brokers, ",") + " --add --allow-principal User:NAME "
	switch {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		e.Reason, e.Remedy = ReasonMissing, "it was deleted"
		for _, t := range c.ownedTopics(0) {
			if t.name == topic {
				e.Remedy += "; " + strings.ReplaceAll(t.command(c), " --partitions 0", " --partitions N") + ", N as before"
			}
		}
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		e.Reason, e.Remedy = ReasonNotAuthorized, "allow it: "+acl+"--operation Write --operation Describe --topic "+topic
	case errors.Is(err, kerr.TransactionalIDAuthorizationFailed):
		e.Reason, e.Remedy = ReasonNotAuthorized, "allow it: "+acl+"--operation Write --operation Describe --transactional-id "+
			c.Group+"- --resource-pattern-type prefixed"
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		e.Reason, e.Remedy = ReasonNotAuthorized, "allow it: "+acl+"--operation Read --group "+c.Group
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		e.Reason, e.Remedy = ReasonNotAuthorized, "allow it: "+acl+"--operation IdempotentWrite --cluster"
	case errors.Is(err, kerr.MessageTooLarge), errors.Is(err, kerr.RecordListTooLarge):
		e.Reason, e.Remedy = ReasonTooLarge, c.sizeRemedy(topic, size)
	case errors.Is(err, kerr.PolicyViolation), errors.Is(err, kerr.InvalidRecord), errors.Is(err, kerr.InvalidTopicException),
		errors.Is(err, kerr.UnsupportedForMessageFormat), errors.Is(err, kerr.InvalidTimestamp), errors.Is(err, kerr.UnsupportedCompressionType):
		e.Reason, e.Remedy = ReasonRefused, "look at the topic's settings and the broker's log"
	default:
		return err
	}
	return e
}

// sizeRemedy says what to do about a record that is too large.
func (c *Config) sizeRemedy(topic string, size int) string {
	const step = 1 << 20
	setting := "alerts.max_bytes (an alert's evidence is cut to it)"
	switch topic {
	case c.DeadLetterTopic, c.ChangelogTopic, c.RekeyTopic:
		setting = "limits.event_bytes (larger events go to the dead letters; it does not concern those that wait already)"
	}
	return fmt.Sprintf("a record of %d bytes is more than the topic takes: kafka-configs.sh --bootstrap-server %s --alter --entity-type topics "+
		"--entity-name %s --add-config max.message.bytes=%d, or lower %s and start again",
		size, strings.Join(c.Brokers, ","), topic, max(c.MaxMessageBytes, (size/step+2)*step), setting)
}

// held is what the service knows of output that it can't write.
type held struct {
	cause   *SinkError
	last    time.Time     // when it was refused last
	backoff time.Duration // before the next attempt
}

// heldFor is how long after the last refusal commits without a record for the topic are taken for a sign that it is over.
const heldFor = 3 * lastBackoff

// noteHeld takes down that output can't be written, and returns how long to wait before the next attempt.
func (s *Service) noteHeld(cause *SinkError) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil {
		s.held = &held{backoff: firstBackoff}
	} else {
		s.held.backoff = min(2*s.held.backoff, lastBackoff)
	}
	s.held.cause, s.held.last = cause, s.deps.Now()
	s.deps.Metrics.sinkFailed(cause)
	s.log.Error("output is held back: nothing is lost, and it is tried again", slog.Any("error", cause),
		slog.String("reason", cause.Reason), slog.Duration("pause", s.held.backoff))
	return s.held.backoff
}

// hold waits with output that the broker refuses, keeping the partitions, and then lets it be computed and tried again.
// Nothing is uncommitted when it is called. An error means that a new client is needed.
func (s *Service) hold(ctx context.Context, cause *SinkError) error {
	pause := s.noteHeld(cause)
	if (cause.Sink == "changelog" || cause.Sink == "rekey") && cause.Reason == ReasonMissing {
		return cause // the state, or positions, belonged to the topic that is gone: all begins anew
	}
	for until := s.deps.Now().Add(pause); s.deps.Now().Before(until) && ctx.Err() == nil && !s.pendingChange(); {
		select {
		case <-ctx.Done():
		case <-time.After(min(pause, 50*time.Millisecond)):
		}
	}
	if cause.Reason == ReasonMissing && ctx.Err() == nil {
		if _, err := ensureOwned(ctx, s.admin, &s.cfg, s.source.partitions); err != nil {
			s.log.Warn("a topic is missing and could not be created", slog.Any("error", err))
		}
		if cause.Topic != "" { // the client holds on to a topic's id: one that was made anew is another to it
			s.cl.PurgeTopicsFromProducing(cause.Topic)
		}
	}
	s.cl.ForceMetadataRefresh() // the client remembers for minutes what a topic's partitions were
	return nil
}

// releaseGroup ends a hold that concerned no topic, when the service has its partitions. mu is held.
func (s *Service) releaseGroup() {
	if s.held != nil && s.held.cause.Topic == "" {
		s.held = nil
		s.deps.Metrics.sinkReleased()
	}
}

// release ends a hold when records were written to the topic that it was for, or when it was long ago.
func (s *Service) release(p *producing) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.held == nil || !p.written[s.held.cause.Topic] && s.deps.Now().Sub(s.held.last) < heldFor {
		return
	}
	s.log.Info("output is written again", slog.String("sink", s.held.cause.Sink), slog.String("topic", s.held.cause.Topic))
	s.held = nil
	s.deps.Metrics.sinkReleased()
}

// tooLarge reports whether records were refused together that may be taken one by one: the broker looks at the size of a batch.
func (s *Service) tooLarge(cause *SinkError) bool {
	now := s.deps.Now()
	if cause.Reason != ReasonTooLarge || now.Before(s.oneByOne[cause.Topic]) {
		return false
	}
	s.oneByOne[cause.Topic] = now.Add(time.Minute)
	s.log.Warn("a batch of records is more than the topic takes: they are sent one by one for a minute",
		slog.String("topic", cause.Topic), slog.String("hint", "raise max.message.bytes of the topic"))
	return true
}
