package brokertest_test

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/internal/brokertest"
)

func TestPrefix(t *testing.T) {
	allowed := regexp.MustCompile(`^[a-zA-Z0-9-]{1,60}$`)
	var seen []string
	for _, name := range []string{"a", "a/b c", "…", strings.Repeat("long ", 40), "a"} {
		t.Run(name, func(t *testing.T) {
			got := brokertest.Prefix(t)
			if !allowed.MatchString(got) {
				t.Errorf("Prefix of %q = %q, want a match of %s", t.Name(), got, allowed)
			}
			if slices.Contains(seen, got) {
				t.Errorf("Prefix of %q = %q, which was given before", t.Name(), got)
			}
			seen = append(seen, got)
		})
	}
}

// TestBroker shows that the broker has what the pipeline builds on: transactions that readers of committed records
// see whole or not at all, large records where a topic allows them, and no topics by accident.
func TestBroker(t *testing.T) {
	addr, prefix := brokertest.Address(t), brokertest.Prefix(t)
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.TransactionalID(prefix), kgo.DefaultProduceTopic(prefix),
		kgo.ProducerBatchMaxBytes(10_000_000), kgo.ProducerLinger(0), kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	largest := "10000000"
	resp, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 1, map[string]*string{"max.message.bytes": &largest}, prefix)
	if err := errors.Join(err, resp.Err); err != nil {
		t.Fatal(err)
	}
	large := strings.Repeat("x", 5<<20)
	for _, tx := range []struct {
		values []string
		end    kgo.TransactionEndTry
	}{
		{[]string{"aborted"}, kgo.TryAbort},
		{[]string{"small", large}, kgo.TryCommit},
	} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		for _, v := range tx.values {
			if err := cl.ProduceSync(t.Context(), kgo.StringRecord(v)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := cl.EndTransaction(t.Context(), tx.end); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"small", large}, read(t, addr, prefix, 2)); diff != "" {
		t.Errorf("committed records (-want +got):\n%s", diff)
	}

	if err := cl.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	missing := &kgo.Record{Topic: prefix + "-missing", Value: []byte("v")}
	if err := cl.ProduceSync(t.Context(), missing).FirstErr(); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("produce to a topic that nobody created: got %v, want %v", err, kerr.UnknownTopicOrPartition)
	}
	if err := cl.EndTransaction(t.Context(), kgo.TryAbort); err != nil {
		t.Error(err)
	}
}

// read returns the first n committed records of a topic.
func read(t *testing.T, addr, topic string, n int) []string {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumeTopics(topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var values []string
	for len(values) < n {
		fetches := cl.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) { values = append(values, string(r.Value)) })
	}
	return values
}
