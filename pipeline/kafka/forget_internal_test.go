package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/state"
)

// TestUnreportedHostsAreAnnouncedAgain: of a batch whose report couldn't be written the hosts are still to be announced, those of one that
// was written aren't.
func TestUnreportedHostsAreAnnouncedAgain(t *testing.T) {
	r := rekeying{hosts: []string{"a", "b"}, announced: 2}
	r.unreported()
	r.hosts = append(r.hosts, "c") // met behind the batch
	r.committed()
	if want := []string{"a", "b", "c"}; !slices.Equal(r.hosts, want) {
		t.Errorf("hosts %q, want %q", r.hosts, want)
	}
	r.announced = 2
	r.committed()
	if want := []string{"c"}; !slices.Equal(r.hosts, want) {
		t.Errorf("hosts %q, want %q", r.hosts, want)
	}
}

// TestRestsGoWithTheClient: what rests on the partitions of a client rests no more when another one begins: they may be another member's then.
func TestRestsGoWithTheClient(t *testing.T) {
	cfg := hotRules(t)
	start := time.UnixMilli(1_790_000_000_000)
	cfg.Quarantine = pipeline.NewQuarantine(pipeline.QuarantineOptions{Partials: 1, Now: func() time.Time { return start }}, prometheus.NewRegistry())
	s := New(Config{Topics: []string{"events"}, Brokers: []string{"127.0.0.1:1"}}, Deps{Pipeline: cfg, Logger: slog.New(slog.DiscardHandler), Now: time.Now})
	store := state.OpenMemory()
	for n := range int32(2) {
		w, err := pipeline.NewWorker(cfg, store.Partition(n), n)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		var records []pipeline.Record
		for i := range int64(3) {
			at := start.UnixMilli() + i
			records = append(records, pipeline.Record{
				Topic: "events", Partition: n, Offset: i, Time: at, Clock: pipeline.ClockLogAppend,
				Value: fmt.Appendf(nil, `{"@timestamp":%d,"event":{"category":"process"},"host":{"id":"h%d"},"process":{"pid":1}}`, at, i),
			})
		}
		if err := w.Process(records); err != nil {
			t.Fatal(err)
		}
		if err := w.Idle(start.UnixMilli() + 60_000); err != nil {
			t.Fatal(err)
		}
	}
	if notes := cfg.Quarantine.Notes(); len(notes) != 2 {
		t.Fatalf("notes %q, want one for each partition", notes)
	}
	s.members, s.loading = map[int32]*member{0: {number: 0}}, map[int32]*loader{1: nil}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.runClient(ctx); err == nil {
		t.Fatal("a client without a broker")
	}
	if notes := cfg.Quarantine.Notes(); len(notes) > 0 {
		t.Errorf("notes %q of partitions that aren't ours", notes)
	}
}
