package kafka_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/pipeline/replay"
)

// replayed runs a range through a backtest and returns the alerts by id.
func (c *cluster) replayed(t *testing.T, o kafka.RangeOptions) map[string]string {
	t.Helper()
	if o.Topics == nil {
		o.Topics = []string{c.input}
	}
	src, err := kafka.OpenRange(t.Context(), c.config(), o, slog.New(slog.NewTextHandler(testLog{t}, nil)))
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	got, p := map[string]string{}, pipelineConfig(t)
	if c.pipeline != nil {
		p = c.pipeline()
	}
	_, err = replay.Backtest(t.Context(), src, replay.Options{
		Config: p, Reported: src.Reported,
		Alert: func(a pipeline.Alert) error {
			if got[a.ID] != "" {
				t.Errorf("alert %s comes twice", a.ID)
			}
			got[a.ID] = timeless(t, a.Body)
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// timeless is an alert without what depends on when it was found.
func timeless(t *testing.T, body []byte) string {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatal(err)
	}
	weir := doc["weir"].(map[string]any) //nolint:forcetypeassert // the test ends where it isn't
	for _, key := range []string{"detected_at", "latency_ms"} {
		if weir[key] == nil {
			t.Errorf("alert without %s: %s", key, body)
		}
		delete(weir, key)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// published are the alerts of the live service, by id.
func (c *cluster) published(t *testing.T) map[string]string {
	t.Helper()
	got := map[string]string{}
	for _, r := range c.committed(t, c.prefix+"-alerts") {
		got[header(r, "event.id")] = timeless(t, r.Value)
	}
	return got
}

// TestBacktestEqualsLive replays what the service has worked on, and compares alerts to the byte.
func TestBacktestEqualsLive(t *testing.T) {
	c := fakeCluster(t, 3)
	c.createTopic(t, "net", 3)
	hosts := hostNames(8)
	for i := range story("") {
		for n, h := range hosts {
			topic := c.input
			if (i+n)%3 == 0 {
				topic = "net"
			}
			c.send(t, &kgo.Record{Topic: topic, Key: []byte(h), Value: []byte(story(h)[i])})
		}
	}
	for _, topics := range [][]string{{c.input}, {c.input, "net"}} {
		t.Run(fmt.Sprint(len(topics), " topics"), func(t *testing.T) {
			live := *c
			live.prefix = fmt.Sprint("live", len(topics))
			cfg := live.config()
			cfg.Topics = topics
			m := live.start(t, cfg, t.TempDir())
			live.awaitRead(t, topics...)
			m.stop()
			want := live.published(t)
			if len(want) < 12 {
				t.Fatalf("%d alerts: too few", len(want))
			}
			if diff := cmp.Diff(want, live.replayed(t, kafka.RangeOptions{Topics: topics})); diff != "" {
				t.Errorf("backtest (-live +backtest):\n%s", diff)
			}
		})
	}
}

// TestRangeBounds cuts a topic by offsets and by times. Its tail is transaction markers, and one of an open transaction.
func TestRangeBounds(t *testing.T) {
	c := fakeCluster(t, 1)
	for i := range 4 {
		c.produce(t, "h1", doc("h1", fmt.Sprint("before", i), "process", "nc", 1, int64(i)))
	}
	c.produce(t, "h1", doc("h1", "first", "process", "curl", 7, 10)) // offset 4
	stamp := func() time.Time {
		records := c.committed(t, c.input)
		return records[len(records)-1].Timestamp
	}
	begin := stamp()
	until(t, "the broker's clock moves on", func() bool { return time.Now().UnixMilli() > begin.UnixMilli()+1 })
	c.produce(t, "h1", doc("h1", "second", "network", "curl", 7, 20)) // offset 5
	middle := stamp()
	c.produce(t, "h1", doc("h1", "after", "process", "nc", 1, 30)) // offset 6
	cl, err := kgo.NewClient(kgo.SeedBrokers(c.brokers...), kgo.TransactionalID("agent"), kgo.DefaultProduceTopic(c.input))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	for _, end := range []kgo.TransactionEndTry{kgo.TryCommit, kgo.TryAbort, kgo.TryAbort} {
		if err := cl.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		if err := cl.ProduceSync(t.Context(), kgo.StringRecord(doc("h1", fmt.Sprint("txn", end), "process", "nc", 1, 40))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		if err := cl.EndTransaction(t.Context(), end); err != nil {
			t.Fatal(err)
		}
	}
	offset := func(n int64) kafka.Position { return kafka.Position{Offset: n, ByOffset: true} }
	tests := map[string]struct {
		o    kafka.RangeOptions
		want []string // event ids
	}{
		"all":              {kafka.RangeOptions{}, []string{"after", "before0", "before1", "before2", "before3", "first,second", "txntrue"}},
		"offsets":          {kafka.RangeOptions{From: offset(2), To: offset(5)}, []string{"before2", "before3"}},
		"offsets, warm":    {kafka.RangeOptions{From: offset(5), To: offset(6), WarmUp: time.Minute}, []string{"first,second"}},
		"offsets, cold":    {kafka.RangeOptions{From: offset(5), To: offset(7)}, []string{"after"}},
		"time, cold":       {kafka.RangeOptions{From: kafka.Position{Time: middle}, To: offset(7)}, []string{"after"}},
		"time, warm":       {kafka.RangeOptions{From: kafka.Position{Time: middle}, To: offset(7), WarmUp: time.Minute}, []string{"after", "first,second"}},
		"until a time":     {kafka.RangeOptions{From: offset(3), To: kafka.Position{Time: middle}}, []string{"before3"}},
		"aborted only":     {kafka.RangeOptions{From: offset(9)}, nil},
		"markers at end":   {kafka.RangeOptions{From: offset(7), To: offset(9)}, []string{"txntrue"}},
		"beyond the end":   {kafka.RangeOptions{From: offset(6), To: offset(1000)}, []string{"after", "txntrue"}},
		"empty":            {kafka.RangeOptions{From: offset(5), To: offset(5)}, nil},
		"after everything": {kafka.RangeOptions{From: kafka.Position{Time: time.Now().Add(time.Hour)}}, nil},
	}
	if err := cl.BeginTransaction(); err != nil { // left open
		t.Fatal(err)
	}
	if err := cl.ProduceSync(t.Context(), kgo.StringRecord(doc("h1", "open", "process", "nc", 1, 50))).FirstErr(); err != nil {
		t.Fatal(err)
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, body := range c.replayed(t, tt.o) {
				got = append(got, eventIDs(t, body))
			}
			slices.Sort(got)
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("events (-want +got):\n%s", diff)
			}
		})
	}
}

func eventIDs(t *testing.T, body string) string {
	t.Helper()
	var doc struct {
		Weir struct {
			Events []struct {
				ID string `json:"id"`
			} `json:"events"`
		} `json:"weir"`
	}
	if err := json.Unmarshal([]byte(body), &doc); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for _, e := range doc.Weir.Events {
		ids = append(ids, e.ID)
	}
	return strings.Join(ids, ",")
}
