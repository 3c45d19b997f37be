package kafka_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/state"
)

// TestBadRecords: a record that is no event becomes a dead letter, and the next one is worked on.
func TestBadRecords(t *testing.T) {
	c := fakeCluster(t, 1)
	c.start(t, c.config(), t.TempDir())
	good := doc("h1", "ok", "process", "nc", 1, 0)
	bad := []struct{ reason, value string }{
		{pipeline.ReasonNotObject, "this is not JSON"},
		{pipeline.ReasonNotObject, `[1,2]`},
		{pipeline.ReasonMalformed, good[:len(good)/2]},
		{pipeline.ReasonTooLarge, `{"@timestamp":1790000000000,"x":"` + strings.Repeat("x", 5<<20) + `"}`},
		{pipeline.ReasonTooDeep, `{"@timestamp":1790000000000,"x":` + strings.Repeat(`{"x":`, 10_000) + "1" + strings.Repeat("}", 10_001)},
		{pipeline.ReasonNoTimestamp, `{"event":{"category":"process"},"process":{"name":"nc"}}`},
		{pipeline.ReasonMalformed, ""},
	}
	var wantAlerts []string
	for i, b := range bad {
		c.produce(t, "h1", b.value, doc("h1", "ok"+strconv.Itoa(i), "process", "nc", 1, int64(i)))
		wantAlerts = append(wantAlerts, "single h1")
	}
	if diff := cmp.Diff(wantAlerts, c.awaitAlerts(t, len(bad))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	letters := c.committed(t, c.prefix+"-dead")
	if len(letters) != len(bad) {
		t.Fatalf("%d dead letters, want %d", len(letters), len(bad))
	}
	for i, b := range bad {
		sum := sha256.Sum256([]byte(b.value))
		want := map[string]string{
			"weir.reason": b.reason, "weir.topic": c.input, "weir.partition": "0", "weir.offset": strconv.Itoa(2 * i),
			"weir.length": strconv.Itoa(len(b.value)), "weir.sha256": hex.EncodeToString(sum[:]),
		}
		got := map[string]string{}
		for _, h := range letters[i].Headers {
			got[h.Key] = string(h.Value)
		}
		if got["weir.detail"] == "" {
			t.Errorf("dead letter %d has no detail", i)
		}
		delete(got, "weir.detail")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("dead letter %d, headers (-want +got):\n%s", i, diff)
		}
		if kept := b.value[:min(len(b.value), 64<<10)]; string(letters[i].Value) != kept {
			t.Errorf("dead letter %d has %d bytes that aren't the record's first %d", i, len(letters[i].Value), len(kept))
		}
	}
}

// TestHugeIdentities: what names an event, its host or its key can be as large as the event. It must not make records
// that no topic takes: they would stop the partition for ever.
func TestHugeIdentities(t *testing.T) {
	c := fakeCluster(t, 1)
	c.start(t, c.config(), t.TempDir())
	huge := strings.Repeat("x", 700_000)
	c.produce(t, "h1",
		doc(huge, "1", "process", "curl", 7, 0),
		doc(huge, "2", "process", "nc", 7, 10),
		doc(huge, "3", "network", "curl", 7, 20),
		doc("h1", huge+"1", "process", "curl", 7, 30),
		doc("h1", huge+"2", "process", "slow", 7, 40),
		doc("h1", huge+"3", "network", "curl", 7, 50),
		doc("h1", "last", "process", "nc", 1, 60),
	)
	c.awaitRead(t, c.input)
	// A sequence whose join key is too large to keep is left out, and counted.
	want := []string{"chain h1", "single h1", "single " + state.Fold(huge), "slow h1"}
	if diff := cmp.Diff(want, c.awaitAlerts(t, len(want))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestTopicProblems: what an operator has to mend is an error that says how.
func TestTopicProblems(t *testing.T) {
	tests := map[string]struct {
		prepare func(t *testing.T, c *cluster, cfg *kafka.Config)
		want    []string
	}{
		"input is missing": {
			func(_ *testing.T, _ *cluster, cfg *kafka.Config) { cfg.Topics = []string{"nowhere"} },
			[]string{"input topic nowhere does not exist"},
		},
		"topics are not to be created": {
			func(_ *testing.T, _ *cluster, cfg *kafka.Config) { cfg.CreateTopics = false },
			[]string{"t-alerts does not exist", "kafka-topics.sh --bootstrap-server", "--create --topic t-alerts --partitions 2", "--config max.message.bytes=2097152"},
		},
		"changelog has other partitions": {
			func(t *testing.T, c *cluster, cfg *kafka.Config) {
				t.Helper()
				c.createTopic(t, cfg.ChangelogTopic, 3)
			},
			[]string{"changelog t-changelog has 3 partitions but the input has 2", "delete t-changelog"},
		},
		"changelog isn't compacted": {
			func(t *testing.T, c *cluster, cfg *kafka.Config) {
				t.Helper()
				c.createTopic(t, cfg.ChangelogTopic, 2)
			},
			[]string{
				"t-changelog has cleanup.policy=delete", "live state would be deleted by its age",
				"kafka-configs.sh --bootstrap-server", "--entity-name t-changelog --add-config cleanup.policy=compact",
			},
		},
		"inputs differ": {
			func(t *testing.T, c *cluster, cfg *kafka.Config) {
				t.Helper()
				c.createTopic(t, "wide", 5)
				cfg.Topics = append(cfg.Topics, "wide")
			},
			[]string{"wide has 5 partitions and t-events has 2"},
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := fakeCluster(t, 2)
			cfg := c.config()
			tt.prepare(t, c, &cfg)
			err := runBriefly(t, cfg)
			if !errors.Is(err, kafka.ErrTopics) {
				t.Fatalf("error %v, want ErrTopics", err)
			}
			for _, part := range tt.want {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("error %q doesn't say %q", err, part)
				}
			}
		})
	}
}

// runBriefly runs a service that can't work and returns its error.
func runBriefly(t *testing.T, cfg kafka.Config) error {
	t.Helper()
	p := pipelineConfig(t)
	s := kafka.New(cfg, kafka.Deps{
		Pipeline: p, Store: state.OpenMemory(), Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)), Now: time.Now,
	})
	done := make(chan error, 1)
	go func() { done <- s.Run(t.Context()) }()
	select {
	case err := <-done:
		return err
	case <-time.After(20 * time.Second):
		return errors.New("no error within 20 s")
	}
}
