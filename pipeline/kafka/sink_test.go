package kafka_test

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// refusing makes a broker refuse requests of a kind while it is switched on.
type refusing struct {
	on    atomic.Bool
	times atomic.Int32
}

// refuseProduce refuses the records that transactions write to a topic and for which also holds, and drops what comes for
// other partitions in the same request, as if it were written: a transaction with refused records is aborted. The topic exists.
func (c *cluster) refuseProduce(t *testing.T, topic string, with *kerr.Error, also func(kmsg.ProduceRequestTopicPartition) bool) *refusing {
	t.Helper()
	var id [16]byte
	until(t, "topic "+topic, func() bool {
		list, err := c.admin.ListTopics(t.Context(), topic)
		id = list[topic].ID
		return err == nil && list.Has(topic)
	})
	r := new(refusing)
	c.fake.ControlKey(int16(kmsg.Produce), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		req, ok := kreq.(*kmsg.ProduceRequest)
		if !ok || !r.on.Load() || req.TransactionID == nil {
			return nil, nil, false
		}
		resp, ok := req.ResponseKind().(*kmsg.ProduceResponse)
		if !ok {
			return nil, nil, false
		}
		refused := false
		for _, rt := range req.Topics {
			answer := kmsg.NewProduceResponseTopic()
			answer.Topic, answer.TopicID = rt.Topic, rt.TopicID
			for _, p := range rt.Partitions {
				part := kmsg.NewProduceResponseTopicPartition()
				part.Partition = p.Partition
				if (rt.Topic == topic || rt.TopicID == id) && also(p) {
					part.ErrorCode, refused = with.Code, true
				}
				answer.Partitions = append(answer.Partitions, part)
			}
			resp.Topics = append(resp.Topics, answer)
		}
		if refused {
			r.times.Add(1)
		}
		return resp, nil, refused
	})
	return r
}

func always(kmsg.ProduceRequestTopicPartition) bool { return true }

func (c *cluster) startMeasured(t *testing.T, cfg kafka.Config) (m *member, metrics func() string) {
	t.Helper()
	reg := prometheus.NewRegistry()
	m = c.startDeps(t, cfg, t.TempDir(), kafka.Deps{
		Metrics: kafka.NewMetrics(reg), Now: time.Now, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil)),
	})
	return m, metricsText(t, reg)
}

// metricsText returns what a scrape of metrics gives.
func metricsText(t *testing.T, reg *prometheus.Registry) func() string {
	t.Helper()
	return func() string {
		rec := httptest.NewRecorder()
		promhttp.HandlerFor(reg, promhttp.HandlerOpts{}).ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/", nil))
		return rec.Body.String()
	}
}

func expectText(t *testing.T, metrics func() string, line string) {
	t.Helper()
	if text := metrics(); !strings.Contains(text, "\n"+line+"\n") {
		t.Errorf("the metrics don't say %s:\n%s", line, text)
	}
}

// awaitHeld waits until the service isn't ready and says all of the texts.
func (m *member) awaitHeld(t *testing.T, texts ...string) {
	t.Helper()
	last := ""
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("last status: %s", last)
		}
	})
	until(t, "output is held", func() bool {
		ready, status := m.Ready()
		last = status
		return !ready && !slices.ContainsFunc(texts, func(s string) bool { return !strings.Contains(status, s) })
	})
}

// TestRefusedOutputIsHeld has the broker refuse what the service writes: it keeps what it computed, says what to do, and
// publishes it, once, when it may.
func TestRefusedOutputIsHeld(t *testing.T) {
	for name, tt := range map[string]struct {
		topic  string
		with   *kerr.Error
		says   []string
		reason string
	}{
		"alerts not authorized":    {"t-alerts", kerr.TopicAuthorizationFailed, []string{"alerts topic t-alerts", "--operation Write --operation Describe --topic t-alerts"}, "not_authorized"},
		"alerts too large":         {"t-alerts", kerr.MessageTooLarge, []string{"alerts topic t-alerts", "max.message.bytes=2097152", "alerts.max_bytes"}, "too_large"},
		"alerts against a policy":  {"t-alerts", kerr.PolicyViolation, []string{"alerts topic t-alerts", "broker's log"}, "refused"},
		"changelog not authorized": {"t-changelog", kerr.TopicAuthorizationFailed, []string{"changelog topic t-changelog", "--topic t-changelog"}, "not_authorized"},
		"changelog too large":      {"t-changelog", kerr.MessageTooLarge, []string{"changelog topic t-changelog", "limits.event_bytes"}, "too_large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := fakeCluster(t, 2)
			cfg := c.config()
			cfg.SessionTimeout = 30 * time.Second // a busy machine must not cost the member its partitions: that isn't what is tested
			m, metrics := c.startMeasured(t, cfg)
			hosts := hostNames(4)
			refuse := c.refuseProduce(t, tt.topic, tt.with, always)
			for i := range story("") {
				if i == 2 {
					refuse.on.Store(true)
				}
				for _, h := range hosts {
					c.produce(t, h, story(h)[i])
				}
				if i < 2 {
					c.awaitRead(t, c.input)
				}
			}
			m.awaitHeld(t, append(tt.says, "output is held back")...)
			until(t, "it is tried again", func() bool { return refuse.times.Load() > 2 })
			if text := metrics(); !strings.Contains(text, "\nweir_sink_held 1\n") {
				t.Errorf("weir_sink_held is not 1:\n%s", text)
			}
			refuse.on.Store(false)
			c.awaitRead(t, c.input)
			if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
			m.awaitReady(t)
			text := metrics()
			sink, _, _ := strings.Cut(strings.TrimPrefix(tt.topic, "t-"), " ")
			if none := fmt.Sprintf("weir_sink_errors_total{reason=%q,sink=%q} 0\n", tt.reason, sink); strings.Contains(text, none) || !strings.Contains(text, "\nweir_sink_held 0\n") {
				t.Errorf("not counted, or still held:\n%s", text)
			}
			if !strings.Contains(text, "\nweir_client_restarts_total 0\n") {
				t.Error("the client was replaced: the partitions went to others")
			}
		})
	}
}

// TestBatchTooLarge: records that are too large together are sent one by one.
func TestBatchTooLarge(t *testing.T) {
	c := fakeCluster(t, 1)
	m, metrics := c.startMeasured(t, c.config())
	m.awaitReady(t)
	refuse := c.refuseProduce(t, "t-alerts", kerr.MessageTooLarge, func(p kmsg.ProduceRequestTopicPartition) bool {
		var b kmsg.RecordBatch
		return b.ReadFrom(p.Records) == nil && b.NumRecords > 1
	})
	refuse.on.Store(true)
	var records []*kgo.Record
	var want []string
	for i := range 5 {
		records = append(records, &kgo.Record{Topic: c.input, Key: []byte("h"), Value: []byte(doc("h", strconv.Itoa(i), "process", "nc", 1, 0))})
		want = append(want, "single h")
	}
	c.send(t, records...)
	if diff := cmp.Diff(want, c.awaitAlerts(t, len(want))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
	if refuse.times.Load() == 0 {
		t.Skip("the records came one by one by themselves")
	}
	if text := metrics(); !strings.Contains(text, "\nweir_sink_held 0\n") {
		t.Errorf("output was held:\n%s", text)
	}
}

// TestTopicDeleted deletes topics under a service: it makes them again where it may, and else waits for somebody who does.
func TestTopicDeleted(t *testing.T) {
	for _, create := range []bool{true, false} {
		t.Run(fmt.Sprintf("create=%v", create), func(t *testing.T) {
			t.Parallel()
			c := fakeCluster(t, 2)
			cfg := c.config()
			first := c.start(t, cfg, t.TempDir()) // makes the topics
			first.awaitReady(t)
			first.stop()
			cfg.CreateTopics = create
			cfg.Instance = "b"
			m := c.start(t, cfg, t.TempDir())
			m.awaitReady(t)
			c.produce(t, "h0", doc("h0", "0", "process", "nc", 1, 0)) // the client knows the topic, and by which id
			c.awaitAlerts(t, 1)
			c.awaitRead(t, c.input)
			if _, err := c.admin.DeleteTopics(t.Context(), cfg.AlertTopic); err != nil {
				t.Fatal(err)
			}
			hosts := hostNames(4)
			for _, h := range hosts {
				c.produce(t, h, story(h)...)
			}
			if !create {
				m.awaitHeld(t, "alerts topic t-alerts", "it was deleted; create it: kafka-topics.sh", "--partitions N")
				c.createTopic(t, cfg.AlertTopic, 2)
			}
			c.awaitRead(t, c.input)
			if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
				t.Errorf("alerts (-want +got):\n%s", diff)
			}
		})
	}
}

// TestTransactionsNotAuthorized: rights that are missing at the start are told with the command that gives them, and waited for.
func TestTransactionsNotAuthorized(t *testing.T) {
	c := fakeCluster(t, 1)
	var refuse atomic.Bool
	refuse.Store(true)
	c.fake.ControlKey(int16(kmsg.InitProducerID), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		resp, ok := kreq.ResponseKind().(*kmsg.InitProducerIDResponse)
		if !ok || !refuse.Load() {
			return nil, nil, false
		}
		resp.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		return resp, nil, true
	})
	m := c.start(t, c.config(), t.TempDir())
	m.awaitHeld(t, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "--transactional-id t- --resource-pattern-type prefixed")
	refuse.Store(false)
	m.awaitReady(t)
	c.produce(t, "h", doc("h", "1", "process", "nc", 1, 0))
	if diff := cmp.Diff([]string{"single h"}, c.awaitAlerts(t, 1)); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}

// TestMemberWithoutRights: a member that may not use its transactional id takes no partitions from others.
func TestMemberWithoutRights(t *testing.T) {
	c := fakeCluster(t, 2)
	c.fake.ControlKey(int16(kmsg.InitProducerID), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		req, ok := kreq.(*kmsg.InitProducerIDRequest)
		if !ok || req.TransactionalID == nil || *req.TransactionalID != "t-b" {
			return nil, nil, false
		}
		resp := kmsg.NewPtrInitProducerIDResponse()
		resp.Version = req.Version
		resp.ErrorCode = kerr.TransactionalIDAuthorizationFailed.Code
		return resp, nil, true
	})
	c.fake.ControlKey(int16(kmsg.DescribeTransactions), func(kreq kmsg.Request) (kmsg.Response, error, bool) {
		c.fake.KeepControl()
		req, ok := kreq.(*kmsg.DescribeTransactionsRequest)
		if !ok || len(req.TransactionalIDs) != 1 || req.TransactionalIDs[0] != "t-b" {
			return nil, nil, false
		}
		resp := kmsg.NewPtrDescribeTransactionsResponse()
		resp.Version = req.Version
		st := kmsg.NewDescribeTransactionsResponseTransactionState()
		st.TransactionalID, st.ErrorCode = "t-b", kerr.TransactionalIDAuthorizationFailed.Code
		resp.TransactionStates = append(resp.TransactionStates, st)
		return resp, nil, true
	})
	cfg := c.config()
	cfg.GroupInstance, cfg.SessionTimeout = "one", 10*time.Second
	c.start(t, cfg, t.TempDir()).awaitReady(t)
	other := cfg
	other.GroupInstance, other.Instance = "two", "b"
	second := c.start(t, other, t.TempDir())
	second.awaitHeld(t, "TRANSACTIONAL_ID_AUTHORIZATION_FAILED")
	var hosts []string
	for i := range 8 {
		h := fmt.Sprint("h", i)
		hosts = append(hosts, h)
		c.produce(t, h, story(h)...)
	}
	if diff := cmp.Diff(expected(hosts...), c.awaitAlerts(t, 3*len(hosts))); diff != "" {
		t.Errorf("alerts (-want +got):\n%s", diff)
	}
}
