package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// source is the identity of the input: what local state must have come from to be of use.
type source struct {
	cluster    string
	topics     string // ids of the input topics and the changelog
	partitions int32
	ids        map[string]kadm.TopicID // of the input topics
	implicit   bool                    // the broker adds what a transaction writes to by itself (KIP-890)
}

// ErrTopics says that topics are missing or don't fit: the operator has to act.
var ErrTopics = errors.New("topics")

// errPartitions says that numbers of partitions don't fit each other or the state: no waiting helps.
var errPartitions = fmt.Errorf("%w: numbers of partitions", ErrTopics)

// A topic that was created a moment ago, or whose broker is just starting, may not be known yet.
const (
	topicAttempts = 15
	topicPause    = 200 * time.Millisecond
)

// knownTopics returns what the broker knows of topics. It waits a little for those that are missing.
func knownTopics(ctx context.Context, admin *kadm.Client, topics ...string) (kadm.Metadata, error) {
	for attempt := 1; ; attempt++ {
		meta, err := admin.Metadata(ctx, topics...)
		if err != nil {
			return kadm.Metadata{}, err
		}
		missing := slices.ContainsFunc(topics, func(name string) bool {
			t, ok := meta.Topics[name]
			return !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition) || t.Err == nil && len(t.Partitions) == 0
		})
		if !missing || attempt == topicAttempts {
			return meta, nil
		}
		select {
		case <-ctx.Done():
			return kadm.Metadata{}, ctx.Err()
		case <-time.After(topicPause):
		}
	}
}

// checkTopics looks at the input topics, creates the topics that Weir owns where it may, and returns the
// identity of the input.
func checkTopics(ctx context.Context, admin *kadm.Client, c *Config) (source, error) {
	meta, err := knownTopics(ctx, admin, c.Topics...)
	if err != nil {
		return source{}, fmt.Errorf("metadata of the input topics: %w", err)
	}
	src := source{cluster: meta.Cluster, ids: map[string]kadm.TopicID{}}
	var problems []error
	for _, name := range c.Topics {
		n, err := partitionsOf(meta.Topics, name)
		switch {
		case err != nil:
			problems = append(problems, err)
		case src.partitions == 0:
			src.partitions = n
		case n != src.partitions:
			problems = append(problems, fmt.Errorf(
				"%w: %s has %d partitions and %s has %d: all input topics need the same number, keyed alike by host.id",
				errPartitions, name, n, c.Topics[0], src.partitions))
		}
	}
	if len(problems) > 0 {
		return source{}, errors.Join(problems...)
	}
	changelogID, err := ensureOwned(ctx, admin, c, src.partitions)
	if err != nil {
		return source{}, err
	}
	var ids []string
	for _, name := range slices.Sorted(slices.Values(c.Topics)) {
		src.ids[name] = meta.Topics[name].ID
		ids = append(ids, meta.Topics[name].ID.String())
	}
	src.topics = strings.Join(append(ids, changelogID), ",")
	if c.RekeyTopic != "" {
		meta, err := knownTopics(ctx, admin, c.RekeyTopic)
		if err != nil {
			return source{}, fmt.Errorf("metadata of the re-key topic: %w", err)
		}
		src.ids[c.RekeyTopic] = meta.Topics[c.RekeyTopic].ID
	}
	src.implicit, err = implicitTransactions(ctx, admin)
	return src, err
}

// implicitTransactions reports whether the cluster's transactions are those of KIP-890: the broker adds partitions and groups to them
// by itself.
func implicitTransactions(ctx context.Context, admin *kadm.Client) (bool, error) {
	versions, err := admin.ApiVersions(ctx)
	if err != nil {
		return false, fmt.Errorf("features of the brokers: %w", err)
	}
	for _, v := range versions {
		if v.Err != nil {
			continue
		}
		for _, f := range v.Raw().FinalizedFeatures {
			if f.Name == "transaction.version" && f.MaxVersionLevel >= 2 {
				return true, nil
			}
		}
	}
	return false, nil
}

func partitionsOf(topics kadm.TopicDetails, name string) (int32, error) {
	t, ok := topics[name]
	switch {
	case !ok || errors.Is(t.Err, kerr.UnknownTopicOrPartition):
		return 0, fmt.Errorf("%w: input topic %s does not exist: create it, keyed by host.id", ErrTopics, name)
	case transient(t.Err):
		return 0, fmt.Errorf("input topic %s: %w", name, t.Err)
	case t.Err != nil:
		return 0, fmt.Errorf("%w: input topic %s: %w", ErrTopics, name, t.Err)
	case len(t.Partitions) == 0:
		return 0, fmt.Errorf("%w: input topic %s has no partitions yet", ErrTopics, name)
	}
	return int32(len(t.Partitions)), nil
}

// ownedTopic is a topic that Weir owns, with the settings that it needs.
type ownedTopic struct {
	name       string
	partitions int32
	exact      string // why the number of partitions has to be that of the input, and what to do else; empty: any will do
	settings   map[string]string
}

func (c *Config) ownedTopics(partitions int32) []ownedTopic {
	largest := strconv.Itoa(c.MaxMessageBytes)
	changelog := map[string]string{
		"cleanup.policy":    "compact",
		"max.message.bytes": largest,
		// Only closed segments are compacted: small ones, or it never happens.
		"segment.bytes":             "16777216",
		"segment.ms":                "600000",
		"min.cleanable.dirty.ratio": "0.2",
		"delete.retention.ms":       strconv.Itoa(int(deleteRetention.Milliseconds())),
	}
	if c.AtLeastOnce { // what a replaced member overwrote is repaired before the value from before is gone
		changelog["min.compaction.lag.ms"] = strconv.Itoa(int(compactionLag.Milliseconds()))
	}
	owned := []ownedTopic{
		{name: c.AlertTopic, partitions: partitions, settings: map[string]string{"max.message.bytes": largest}},
		{name: c.DeadLetterTopic, partitions: partitions, settings: map[string]string{"max.message.bytes": largest}},
		{name: c.ChangelogTopic, partitions: partitions, exact: "state belongs to partitions, so it can't be carried over; " +
			"stop all members, delete " + c.ChangelogTopic + " (live partials are lost), reset the group's offsets back by the longest maxspan, " +
			"start again", settings: changelog},
	}
	if c.RekeyTopic != "" {
		owned = append(owned, ownedTopic{name: c.RekeyTopic, partitions: partitions, exact: "a target partition has the number of its worker's; " +
			"stop all members, delete " + c.RekeyTopic + " (what was sent and isn't matched yet is lost), start again", settings: map[string]string{
			"cleanup.policy":    "delete",
			"max.message.bytes": largest,
			"retention.ms":      strconv.Itoa(int(rekeyRetention.Milliseconds())),
		}})
	}
	return owned
}

// ensureOwned creates the topics of Weir's own that are missing, and returns the id of the changelog.
func ensureOwned(ctx context.Context, admin *kadm.Client, c *Config, partitions int32) (changelogID string, err error) {
	for _, t := range c.ownedTopics(partitions) {
		if err := ensureTopic(ctx, admin, c, t); err != nil {
			return "", err
		}
	}
	meta, err := knownTopics(ctx, admin, c.ChangelogTopic)
	if err != nil {
		return "", fmt.Errorf("metadata of the changelog: %w", err)
	}
	if t := meta.Topics[c.ChangelogTopic]; t.Err != nil {
		return "", fmt.Errorf("metadata of the changelog: %w", t.Err)
	}
	return meta.Topics[c.ChangelogTopic].ID.String(), nil
}

func ensureTopic(ctx context.Context, admin *kadm.Client, c *Config, t ownedTopic) error {
	details, err := admin.ListTopics(ctx, t.name)
	if err != nil {
		return fmt.Errorf("metadata of %s: %w", t.name, err)
	}
	if d, ok := details[t.name]; ok && d.Err == nil {
		if n := int32(len(d.Partitions)); t.exact != "" && n != t.partitions {
			return fmt.Errorf("%w: %s %s has %d partitions but the input has %d: %s", errPartitions, c.sinkOf(t.name), t.name, n, t.partitions, t.exact)
		}
		return nil
	}
	if d, ok := details[t.name]; ok && d.Err != nil && !errors.Is(d.Err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("metadata of %s: %w", t.name, d.Err)
	}
	if !c.CreateTopics {
		return fmt.Errorf("%w: %s does not exist and topics.create is false: %s", ErrTopics, t.name, t.command(c))
	}
	settings := map[string]*string{}
	for k, v := range t.settings {
		settings[k] = &v
	}
	resp, err := admin.CreateTopic(ctx, t.partitions, c.ReplicationFactor, settings, t.name)
	switch err = cmp.Or(resp.Err, err); {
	case err == nil || errors.Is(err, kerr.TopicAlreadyExists):
		return nil
	case transient(err):
		return fmt.Errorf("%s could not be created: %w", t.name, err)
	default:
		return fmt.Errorf("%w: %s could not be created: %w: %s", ErrTopics, t.name, err, t.command(c))
	}
}

// transient reports whether trying again may help: the broker says so, it is starting, or it could not be asked.
func transient(err error) bool {
	if err == nil {
		return false
	}
	var said *kerr.Error
	return !errors.As(err, &said) || said.Retriable || errors.Is(err, kerr.InvalidReplicationFactor)
}

// command is what an operator types to create the topic.
func (t ownedTopic) command(c *Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "create it: kafka-topics.sh --bootstrap-server %s --create --topic %s --partitions %d",
		strings.Join(c.Brokers, ","), t.name, t.partitions)
	if c.ReplicationFactor > 0 {
		fmt.Fprintf(&b, " --replication-factor %d", c.ReplicationFactor)
	}
	keys := make([]string, 0, len(t.settings))
	for k := range t.settings {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	for _, k := range keys {
		fmt.Fprintf(&b, " --config %s=%s", k, t.settings[k])
	}
	return b.String()
}
