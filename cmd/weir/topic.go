package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/rules"
)

// topicFlags choose a range of topics to replay.
type topicFlags struct {
	brokers  []string
	topics   []string
	from, to string
	config   string
}

func (f *topicFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&f.brokers, "brokers", nil, "Kafka brokers to begin with, host:port")
	cmd.Flags().StringArrayVar(&f.topics, "topic", nil, "topic to replay; repeat it for more, keyed alike")
	cmd.Flags().StringVar(&f.from, "from", "", "where to begin: a time, -24h, or an offset (default: the start of the topic)")
	cmd.Flags().StringVar(&f.to, "to", "", "where to end, exclusive: a time, -1h, or an offset (default: the end as it is now)")
	cmd.Flags().StringVarP(&f.config, "config", "c", "", "with --topic: take brokers, TLS, SASL, data streams, order and limits from the configuration of weir run")
}

// given reports whether the range of a topic is meant.
func (f *topicFlags) given() bool { return len(f.topics) > 0 }

// check refuses flags that have no effect.
func (f *topicFlags) check(events []string) error {
	switch {
	case f.given() && len(events) > 0:
		return errors.New("event files (--events) and --topic exclude each other")
	case !f.given() && (f.config != "" || f.from != "" || f.to != "" || len(f.brokers) > 0):
		return errors.New("--brokers, --config, --from and --to need --topic")
	}
	return nil
}

// load reads the configuration that the replay of a topic shares with weir run; files have the defaults.
func (f *topicFlags) load() (*config.Config, error) {
	if !f.given() {
		return config.Default(), nil
	}
	src := config.Source{File: f.config, Environ: os.Environ()}
	if len(f.brokers) > 0 {
		src.Overrides = append(src.Overrides, config.Override{Flag: "--brokers", Path: "brokers", Value: strings.Join(f.brokers, ",")})
	}
	c, err := config.LoadConnection(src)
	if err != nil && len(f.brokers) == 0 && strings.Contains(err.Error(), "brokers: is missing") {
		return nil, errors.New("--topic needs --brokers HOST:PORT, or --config with the brokers of weir run")
	}
	return c, err
}

func (a *app) openTopic(ctx context.Context, f topicFlags, c *config.Config, set *rules.Set) (backtestSource, error) {
	cfg, err := kafkaConfig(c)
	if err != nil {
		return backtestSource{}, err
	}
	o := kafka.RangeOptions{
		Topics: f.topics,
		WarmUp: time.Duration(set.LongestSpan())*time.Millisecond + c.Order.Lateness,
	}
	now := a.now()
	if o.From, err = position(f.from, now); err != nil {
		return backtestSource{}, fmt.Errorf("--from: %w", err)
	}
	if o.To, err = position(f.to, now); err != nil {
		return backtestSource{}, fmt.Errorf("--to: %w", err)
	}
	log := slog.New(slog.NewTextHandler(a.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r, err := kafka.OpenRange(ctx, cfg, o, log)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		if len(f.topics) > 1 {
			return backtestSource{}, fmt.Errorf("one of the topics %s does not exist", strings.Join(f.topics, ", "))
		}
		return backtestSource{}, fmt.Errorf("topic %s does not exist", f.topics[0])
	}
	if err != nil {
		return backtestSource{}, fmt.Errorf("open %s: %w", strings.Join(f.topics, ", "), err)
	}
	bar := term.NewProgress(a.stderr, a.err, "replaying", 0)
	return backtestSource{Source: watch(ctx, r, bar), reported: r.Reported}, nil
}

// position reads a place in a topic: empty, an offset, a time, or a time back from now.
func position(text string, now time.Time) (kafka.Position, error) {
	if text == "" {
		return kafka.Position{}, nil
	}
	if n, err := strconv.ParseInt(text, 10, 64); err == nil && n >= 0 {
		return kafka.Position{Offset: n, ByOffset: true}, nil
	}
	if text == "now" {
		return kafka.Position{Time: now}, nil
	}
	if back, ok := strings.CutPrefix(text, "-"); ok {
		if days, whole := strings.CutSuffix(back, "d"); whole {
			if n, err := strconv.Atoi(days); err == nil && n >= 0 {
				return kafka.Position{Time: now.AddDate(0, 0, -n)}, nil
			}
		}
		if d, err := time.ParseDuration(back); err == nil && d >= 0 {
			return kafka.Position{Time: now.Add(-d)}, nil
		}
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04", time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return kafka.Position{Time: t}, nil
		}
	}
	return kafka.Position{}, fmt.Errorf("%q is no time (2026-01-31T08:00:00Z), no time back from now (-24h), and no offset", text)
}

// kafkaConfig turns the configuration into that of the client.
func kafkaConfig(c *config.Config) (kafka.Config, error) {
	tlsConfig, err := c.TLS.Config()
	if err != nil {
		return kafka.Config{}, err
	}
	mechanism, err := saslMechanism(c.SASL)
	if err != nil {
		return kafka.Config{}, err
	}
	// The topics and batches must take the largest alert and, on the changelog, the largest event that waits.
	largest := max(c.Alerts.MaxBytes+128<<10, c.Limits.EventBytes+64<<10)
	static := cmp.Or(c.GroupInstance, c.Instance)
	if static == config.DynamicMember {
		static = ""
	}
	return kafka.Config{
		Brokers: c.Brokers, TLS: tlsConfig, SASL: mechanism,
		Topics: c.Topics.Input, Group: c.Group, Instance: c.Instance, GroupInstance: static, Leave: c.LeaveGroup, Standbys: c.State.Standby,
		AlertTopic: c.Topics.Alerts, DeadLetterTopic: c.Topics.DeadLetters, ChangelogTopic: c.Topics.Changelog, RekeyTopic: c.Topics.Rekey,
		AtLeastOnce:  c.Delivery == config.AtLeastOnce,
		CreateTopics: c.Topics.Create, ReplicationFactor: int16(c.Topics.ReplicationFactor),
		CommitInterval: c.Commit.Interval, SessionTimeout: c.SessionTimeout, TransactionTimeout: c.TransactionTimeout, StopTimeout: c.StopTimeout, TopicWait: c.Order.TopicWait,
		FetchMaxBytes: int32(c.Fetch.MaxBytes), FetchMaxPartitionBytes: int32(c.Fetch.MaxPartitionBytes),
		BatchRecords:       c.Fetch.BatchRecords,
		ProducerBatchBytes: int32(max(1<<20, largest)), MaxMessageBytes: max(2<<20, largest),
	}, nil
}

func saslMechanism(s config.SASL) (sasl.Mechanism, error) {
	if s.Mechanism == "" {
		return nil, nil //nolint:nilnil // no mechanism is a valid choice
	}
	password, err := s.Secret()
	if err != nil {
		return nil, fmt.Errorf("sasl: %w", err)
	}
	switch s.Mechanism {
	case "scram-sha-256":
		return scram.Auth{User: s.Username, Pass: password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: s.Username, Pass: password}.AsSha512Mechanism(), nil
	default:
		return plain.Auth{User: s.Username, Pass: password}.AsMechanism(), nil
	}
}
