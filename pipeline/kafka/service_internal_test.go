package kafka

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// TestTopicErrorsThatPass: what the broker says while it starts or moves leaders must not end the service; what only
// an operator can mend must.
func TestTopicErrorsThatPass(t *testing.T) {
	for _, c := range []struct {
		err   error
		fatal bool
	}{
		{kerr.RequestTimedOut, false},
		{kerr.InvalidReplicationFactor, false},
		{kerr.TopicAuthorizationFailed, true},
		{kerr.PolicyViolation, true},
	} {
		t.Run(c.err.Error(), func(t *testing.T) {
			var said *kerr.Error
			if !errors.As(c.err, &said) {
				t.Fatal("not an error of the broker")
			}
			cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "events"))
			if err != nil {
				t.Fatal(err)
			}
			defer cluster.Close()
			cluster.ControlKey(int16(kmsg.CreateTopics), func(r kmsg.Request) (kmsg.Response, error, bool) {
				asked, ok := r.(*kmsg.CreateTopicsRequest)
				resp, isResp := r.ResponseKind().(*kmsg.CreateTopicsResponse)
				if !ok || !isResp {
					return nil, nil, false
				}
				for _, q := range asked.Topics {
					answer := kmsg.NewCreateTopicsResponseTopic()
					answer.Topic, answer.ErrorCode = q.Topic, said.Code
					resp.Topics = append(resp.Topics, answer)
				}
				return resp, nil, true
			})
			cl, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
			if err != nil {
				t.Fatal(err)
			}
			defer cl.Close()
			cfg := &Config{Topics: []string{"events"}, AlertTopic: "a", DeadLetterTopic: "d", ChangelogTopic: "c", CreateTopics: true}
			cfg.EnsureDefaults()
			_, err = checkTopics(t.Context(), kadm.NewClient(cl), cfg)
			if !errors.Is(err, c.err) || new(Service).fatal(err) != c.fatal {
				t.Errorf("error %v, fatal %v; want fatal %v", err, new(Service).fatal(err), c.fatal)
			}
		})
	}
}

// pairWorker returns a worker of one sequence.
func pairWorker(t *testing.T) (*pipeline.Config, *pipeline.Worker) {
	t.Helper()
	const rule = "[rule]\nauthor = [\"Weir\"]\ndescription = \"d\"\nlanguage = \"eql\"\nlicense = \"Apache-2.0\"\nname = \"n\"\n" +
		"risk_score = 1\nrule_id = \"r\"\nseverity = \"low\"\ntype = \"eql\"\n" +
		"query = 'sequence by host.id with maxspan=1m [process where process.pid == 1] [process where process.pid == 2]'\n"
	loaded, err := rules.LoadFS(fstest.MapFS{"r.toml": {Data: []byte(rule)}}, "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.NewSet(loaded.Rules, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := &pipeline.Config{Set: set, Alerts: alert.NewECS(alert.Options{})}
	cfg.EnsureDefaults()
	w, err := pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	return cfg, w
}

// TestClocksOfMembersThatDiffer: what the member before says of its wall clock moves the record clock by the time since, less what two
// clocks may differ by, and never past the present.
func TestClocksOfMembersThatDiffer(t *testing.T) {
	start := time.UnixMilli(1_790_000_000_000)
	for _, c := range []struct {
		name                string
		wall, later, counts time.Duration
	}{
		{"equal clocks", 0, time.Minute, 55 * time.Second},
		{"at once", 0, time.Second, 0},
		{"it was an hour behind", -time.Hour, time.Minute, time.Minute},
		{"it was ahead", time.Hour, time.Minute, 0},
		{"ours is behind", 0, -time.Hour, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, w := pairWorker(t)
			record := pipeline.Record{Value: []byte(`{"@timestamp":1,"host":{"id":"h"}}`), Time: start.UnixMilli(), Clock: pipeline.ClockLogAppend}
			if err := w.Process([]pipeline.Record{record}); err != nil {
				t.Fatal(err)
			}
			w.NoteWallClock(start.Add(c.wall).UnixMilli())
			m := &member{worker: w}
			now := start.Add(c.later)
			m.begin(now)
			if clock, _ := m.idleClock(now); time.UnixMilli(clock).Sub(start) != c.counts {
				t.Errorf("the clock is %s on, want %s", time.UnixMilli(clock).Sub(start), c.counts)
			}
		})
	}
}

// TestSilenceBeforeAnUnbelievedBurstCounts: after an hour of silence two records whose producer's time is not
// confirmed don't move the record clock. The wall clock has to wake what they wait for within the lateness, not
// after another hour.
func TestSilenceBeforeAnUnbelievedBurstCounts(t *testing.T) {
	cfg, w := pairWorker(t)
	start := time.UnixMilli(1_790_000_000_000)
	s := &Service{
		cfg: Config{Topics: []string{"events"}}, preparers: newPreparers(cfg, 1), memory: newBuffers(), log: slog.New(slog.DiscardHandler), seen: newHostTable(),
	}
	m := &member{worker: w, positions: map[string]int64{}, epochs: map[string]int32{}, ends: map[string]int64{}, lastSeen: start, clockSeen: start}
	s.members = map[int32]*member{0: m}
	offset := int64(0)
	feed := func(at time.Time, pids ...int) {
		t.Helper()
		p := kgo.FetchTopicPartition{Topic: "events"}
		for _, pid := range pids {
			value := fmt.Appendf(nil, `{"@timestamp":%d,"event":{"category":"process"},"host":{"id":"h"},"process":{"pid":%d}}`, at.UnixMilli(), pid)
			p.Records = append(p.Records, &kgo.Record{Topic: "events", Offset: offset, Value: value, Timestamp: at})
			offset++
		}
		m.take(p, at)
		if err := s.process(); err != nil {
			t.Fatal(err)
		}
	}
	for range 20 {
		feed(start, 9)
	}
	later := start.Add(time.Hour)
	feed(later, 1, 2)
	if _, due := m.idleClock(later.Add(time.Second)); due {
		t.Error("due before the lateness is over")
	}
	if _, due := m.idleClock(later.Add(3 * time.Second)); !due {
		t.Error("not due three seconds after the burst")
	}
}

// TestConfirmedJumpIsAsOldAsItsRecord: a gap in the records whose second record comes long after the first moves the record clock to the
// time of the first. The silence that follows counts from then, also where the member was restarted between both.
func TestConfirmedJumpIsAsOldAsItsRecord(t *testing.T) {
	start := time.UnixMilli(1_790_000_000_000)
	for _, restarted := range []bool{false, true} {
		cfg, w := pairWorker(t)
		s := &Service{
			cfg: Config{Topics: []string{"events"}}, preparers: newPreparers(cfg, 1), memory: newBuffers(), log: slog.New(slog.DiscardHandler), seen: newHostTable(),
		}
		m := &member{worker: w, positions: map[string]int64{}, epochs: map[string]int32{}, ends: map[string]int64{}, lastSeen: start, clockSeen: start}
		s.members = map[int32]*member{0: m}
		offset := int64(0)
		feed := func(at time.Duration, host string) {
			t.Helper()
			value := fmt.Appendf(nil, `{"@timestamp":%d,"event":{"category":"process"},"host":{"id":%q}}`, start.Add(at).UnixMilli(), host)
			m.take(kgo.FetchTopicPartition{Topic: "events", FetchPartition: kgo.FetchPartition{Records: []*kgo.Record{
				{Topic: "events", Offset: offset, Value: value, Timestamp: start.Add(at)},
			}}}, start.Add(at))
			offset++
			if err := s.process(); err != nil {
				t.Fatal(err)
			}
		}
		for range 16 { // until the first time is settled
			feed(0, "h")
		}
		feed(40*time.Second, "h")
		if restarted {
			m.jumpSeen = time.Time{} // as begin leaves it
		}
		feed(75*time.Second, "other")
		if clock := time.UnixMilli(w.RecordClock()).Sub(start); clock != 40*time.Second {
			t.Fatalf("the record clock is %s on, want 40s", clock)
		}
		if clock, _ := m.idleClock(start.Add(80 * time.Second)); time.UnixMilli(clock).Sub(start) != 80*time.Second {
			t.Errorf("restarted %v: after 80 s the wall clock makes it %s", restarted, time.UnixMilli(clock).Sub(start))
		}
		feed(80*time.Second, "other") // far ahead of the clock again, and confirmed at once by the next
		feed(80*time.Second, "h")
		if clock, _ := m.idleClock(start.Add(90 * time.Second)); time.UnixMilli(clock).Sub(start) != 90*time.Second {
			t.Errorf("restarted %v: after 90 s the wall clock makes it %s", restarted, time.UnixMilli(clock).Sub(start))
		}
	}
}

// TestDataLoss: where the client has gone back, a new one begins at what is committed, or where the log parts from that; but not again for what
// was found out when the partition was taken over.
func TestDataLoss(t *testing.T) {
	s := &Service{cfg: Config{Topics: []string{"events"}}, log: slog.New(slog.DiscardHandler)}
	for _, c := range []struct {
		resetTo int64
		again   bool
	}{{10, true}, {0, true}, {80, true}, {100, false}} {
		s.members = map[int32]*member{3: {
			starts: map[string]int64{"events": 10}, parted: map[string]kgo.EpochOffset{"events": {Epoch: 3, Offset: 90}},
		}}
		known := &kgo.ErrDataLoss{Topic: "events", Partition: 3, ConsumedTo: 90, ConsumedToEpoch: 3, ResetTo: 5}
		if err := s.pollError(kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "events", Partitions: []kgo.FetchPartition{{Partition: 3, Err: known}}}}}}); err != nil {
			t.Errorf("what is known already: %v", err)
		}
		loss := &kgo.ErrDataLoss{Topic: "events", Partition: 3, ConsumedTo: 100, ConsumedToEpoch: 3, ResetTo: c.resetTo}
		fetches := kgo.Fetches{{Topics: []kgo.FetchTopic{{Topic: "events", Partitions: []kgo.FetchPartition{{Partition: 3, Err: loss}}}}}}
		if err := s.pollError(fetches); (err != nil) != c.again {
			t.Errorf("reset to %d: %v", c.resetTo, err)
		}
	}
}

// TestBatchEnd: commits are an interval apart from beginning to beginning; a batch keeps a quarter of it where commits are slow, and all
// of it where there is much to read.
func TestBatchEnd(t *testing.T) {
	const interval = 100 * time.Millisecond
	began := time.UnixMilli(1_790_000_000_000)
	for _, c := range []struct {
		name   string
		took   time.Duration // the commit before
		unread int64
		want   time.Duration // from the end of the commit to the end of the batch
	}{
		{"at once", 0, 0, interval},
		{"an ordinary commit", 20 * time.Millisecond, 0, 80 * time.Millisecond},
		{"a little to read", 20 * time.Millisecond, 250, 80 * time.Millisecond},
		{"much to read", 20 * time.Millisecond, 251, interval},
		{"a slow commit", 90 * time.Millisecond, 0, 25 * time.Millisecond},
		{"a commit longer than the interval", 500 * time.Millisecond, 0, 25 * time.Millisecond},
		{"none for long", time.Hour, 0, 25 * time.Millisecond},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := &member{positions: map[string]int64{"events": 1000}, ends: map[string]int64{"events": 1000 + c.unread, "others": 5}}
			s := &Service{cfg: Config{CommitInterval: interval, BatchRecords: 1000}, members: map[int32]*member{0: m}, began: began}
			now := began.Add(c.took)
			if got := s.batchEnd(now).Sub(now); got != c.want {
				t.Errorf("the batch takes %v, want %v", got, c.want)
			}
		})
	}
}

// TestReportsRefused: progress that can't be told is counted each time and said every ten seconds, with the remedy.
func TestReportsRefused(t *testing.T) {
	var text bytes.Buffer
	reg := prometheus.NewRegistry()
	now := time.UnixMilli(1_790_000_000_000)
	cfg := Config{RekeyTopic: "rekey", Brokers: []string{"b:9092"}}
	s := New(cfg, Deps{
		Metrics: NewMetrics(reg), Now: func() time.Time { return now }, Logger: slog.New(slog.NewTextHandler(&text, nil)),
		Pipeline: hotRules(t),
	})
	for range 25 {
		s.reportsRefused(fmt.Errorf("produce: %w", s.cfg.sinkError("rekey", 0, kerr.TopicAuthorizationFailed)))
		now = now.Add(time.Second)
	}
	if n := strings.Count(text.String(), "--operation Write"); n != 3 {
		t.Errorf("said %d times in 25 s, want 3:\n%s", n, &text)
	}
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		sum := 0.0
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
		if want, ok := map[string]float64{"weir_sink_errors_total": 25, "weir_sink_held": 0}[f.GetName()]; ok && sum != want {
			t.Errorf("%s = %v, want %v", f.GetName(), sum, want)
		}
	}
}
