package pipeline_test

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// hostile is a stream that is meant to make a worker grow, and what bounds it: records come one for each number, a millisecond
// apart, unless the stream says otherwise.
type hostile struct {
	name    string
	queries map[string]string
	record  func(i int) (host, fields string) // of event i: its host, and JSON members of its document
	limits  pipeline.Limits
	// check is given the worker after each commit, and at the end the counters too.
	check func(tb testing.TB, s *siege, i int)
	end   func(tb testing.TB, s *siege, n int)
}

// siege is a worker under a hostile stream.
type siege struct {
	*pipeline.Worker
	reg     *prometheus.Registry
	log     *strings.Builder
	store   *state.Store
	matches map[string]int // by rule
}

const (
	pairOfProcesses = `sequence by host.id, process.entity_id with maxspan=10h [any where tag == "A"] [any where tag == "B"]`
	pairOfHosts     = `sequence by host.id with maxspan=10h [any where tag == "A"] [any where tag == "B"]`
)

func hostileStreams() []hostile {
	return []hostile{
		{
			name:    "many hosts, of which nothing is remembered for long",
			queries: map[string]string{"pair": pairOfHosts},
			record:  func(i int) (string, string) { return fmt.Sprint("h", i), `"tag":"X"` },
			limits:  pipeline.Limits{Hosts: 1000},
			check: func(tb testing.TB, s *siege, _ int) {
				tb.Helper()
				atMost(tb, "hosts", s.Hosts(), 1000+1000/8+1)
				atMost(tb, "hosts that wait", s.Due(), 0)
			},
			end: func(tb testing.TB, s *siege, n int) {
				tb.Helper()
				exactly(tb, "forgotten and remembered hosts", int(s.metric(tb, "weir_hosts_forgotten_total"))+s.Hosts(), n)
			},
		},
		{
			name:    "many hosts, each with a partial",
			queries: map[string]string{"pair": pairOfHosts},
			record:  func(i int) (string, string) { return fmt.Sprint("h", i), `"tag":"A"` },
			limits:  pipeline.Limits{Hosts: 1000, PartialsPerRule: 2000, Partials: 5000, Buffered: 500},
			check: func(tb testing.TB, s *siege, _ int) {
				tb.Helper()
				atMost(tb, "hosts", s.Hosts(), 2*(1000+2000+500))
				atMost(tb, "hosts that wait", s.Due(), 2000+500+1) // the one at hand
			},
			end: func(tb testing.TB, s *siege, n int) {
				tb.Helper()
				exactly(tb, "partials evicted, live or not yet begun",
					int(s.metric(tb, "weir_rule_partials_evicted_total"))+s.Partials()+int(s.metric(tb, "weir_reorder_buffer_events")), n)
				s.logs(tb, "limits.partials_per_rule")
			},
		},
		{
			name: "many join keys of one rule beside another rule",
			queries: map[string]string{
				"greedy": pairOfProcesses,
				"modest": `sequence by host.id with maxspan=10h [any where tag == "C"] [any where tag == "D"]`,
			},
			record: func(i int) (string, string) {
				if i == 0 {
					return "h", `"tag":"C"`
				}
				return "h", fmt.Sprintf(`"tag":"A","process":{"entity_id":"p%d"}`, i)
			},
			limits: pipeline.Limits{PartialsPerRule: 2000, Partials: 3000},
			check: func(tb testing.TB, s *siege, _ int) {
				tb.Helper()
				atMost(tb, "partials", s.Partials(), 2001)
				atMost(tb, "hosts that wait", s.Due(), 1)
			},
			end: func(tb testing.TB, s *siege, n int) {
				tb.Helper()
				// The oldest have gone and the newest are there, and the other rule has lost nothing.
				s.feed(tb, n, "h", `"tag":"B","process":{"entity_id":"p1"}`)
				s.feed(tb, n+1, "h", fmt.Sprintf(`"tag":"B","process":{"entity_id":"p%d"}`, n-1))
				s.feed(tb, n+2, "h", `"tag":"D"`)
				s.feed(tb, n+5000, "h", `"tag":"X"`)
				s.commit(tb)
				exactly(tb, "matches of the greedy rule", s.matches["greedy"], 1)
				exactly(tb, "matches of the modest rule", s.matches["modest"], 1)
				exactly(tb, "partials evicted", int(s.metric(tb, "weir_rule_partials_evicted_total")), n-1-2000)
			},
		},
		{
			name:    "many rules' worth of partials of one partition",
			queries: map[string]string{"a": pairOfProcesses, "b": pairOfProcesses + ` until [any where tag == "U"]`},
			record: func(i int) (string, string) {
				return fmt.Sprint("h", i%7), fmt.Sprintf(`"tag":"A","process":{"entity_id":"p%d"}`, i)
			},
			limits: pipeline.Limits{PartialsPerRule: 2000, Partials: 3000},
			check: func(tb testing.TB, s *siege, _ int) {
				tb.Helper()
				atMost(tb, "partials", s.Partials(), 3000)
			},
			end: func(tb testing.TB, s *siege, n int) {
				tb.Helper()
				exactly(tb, "partials evicted, live or not yet begun", int(s.metric(tb, "weir_rule_partials_evicted_total"))+s.Partials()+
					2*int(s.metric(tb, "weir_reorder_buffer_events")), 2*n)
				s.logs(tb, "limits.partials")
			},
		},
		{
			name:    "one host with a thousand times the events of others",
			queries: map[string]string{"pair": pairOfHosts},
			record: func(i int) (string, string) {
				if i%1000 == 500 {
					return fmt.Sprint("quiet", i/4000), fmt.Sprintf(`"tag":%q`, string("ABXX"[i/1000%4]))
				}
				return "loud", `"tag":"A"`
			},
			limits: pipeline.Limits{Buffered: 20_000},
			check: func(tb testing.TB, s *siege, i int) {
				tb.Helper()
				atMost(tb, "hosts that wait", s.Due(), 1+i/4000+1)
				atMost(tb, "events referred to", s.Evidence(), 20_000+s.Partials())
			},
			end: func(tb testing.TB, s *siege, n int) {
				tb.Helper()
				s.feed(tb, n+5000, "loud", `"tag":"X"`)
				s.commit(tb)
				exactly(tb, "matches of quiet hosts", s.matches["pair"], (n-500+3999)/4000)
				exactly(tb, "overflows", int(s.metric(tb, "weir_reorder_buffer_overflow_total")), 0)
			},
		},
		{
			name: "a rule whose first stage matches everything",
			queries: map[string]string{
				"all":  `sequence by host.id, process.entity_id with maxspan=2s [any where true] [any where tag == "B"]`,
				"same": `sequence by host.id with maxspan=10h [any where true] ![any where tag == "B"]`,
			},
			record: func(i int) (string, string) {
				return fmt.Sprint("h", i%50), fmt.Sprintf(`"tag":"A","process":{"entity_id":"p%d"}`, i)
			},
			limits: pipeline.Limits{PartialsPerRule: 1000, PerKey: 100, Buffered: 3000},
			check: func(tb testing.TB, s *siege, _ int) {
				tb.Helper()
				atMost(tb, "partials", s.Partials(), 1000+50)
				atMost(tb, "events referred to", s.Evidence(), 3000+1000+50*100)
			},
			end: func(tb testing.TB, s *siege, _ int) {
				tb.Helper()
				s.logs(tb, "limits.per_key")
			},
		},
	}
}

// TestHostileStreams: memory and store stay within the limits, what a limit cuts is counted, and rules and hosts that are
// within theirs lose nothing.
func TestHostileStreams(t *testing.T) {
	for _, h := range hostileStreams() {
		t.Run(h.name, func(t *testing.T) {
			h.run(t, 12_000)
		})
	}
}

// BenchmarkHostileStreams runs the same streams with a million events. An operation is one event.
func BenchmarkHostileStreams(b *testing.B) {
	for _, h := range hostileStreams() {
		b.Run(h.name, func(b *testing.B) {
			const events = 1_000_000
			for b.Loop() {
				h.run(b, events)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/events, "ns/event")
		})
	}
}

func (h *hostile) run(tb testing.TB, n int) {
	tb.Helper()
	s := &siege{reg: prometheus.NewRegistry(), log: &strings.Builder{}, store: state.OpenMemory(), matches: map[string]int{}}
	cfg := &pipeline.Config{
		Set: compileQueries(tb, rules.SetOptions{}, h.queries, nil), Alerts: alert.NewECS(alert.Options{}), Limits: h.limits,
		Metrics: pipeline.NewMetrics(s.reg), Logger: slog.New(slog.NewTextHandler(s.log, nil)), Order: pipeline.Order{Lateness: 2 * time.Second},
	}
	cfg.EnsureDefaults()
	var err error
	if s.Worker, err = pipeline.NewWorker(cfg, s.store.Partition(0), 0); err != nil {
		tb.Fatal(err)
	}
	if err := s.Reload(); err != nil {
		tb.Fatal(err)
	}
	for i := range n {
		host, fields := h.record(i)
		s.feed(tb, i, host, fields)
		if i%1000 == 999 {
			s.commit(tb)
			h.check(tb, s, i)
			if tb.Failed() {
				return
			}
		}
	}
	s.commit(tb)
	if keys, most := s.keys(tb), 4*(s.Partials()+s.Hosts()+int(s.metric(tb, "weir_reorder_buffer_events")))+s.Evidence()+1; keys > most {
		tb.Errorf("the store has %d keys, at most %d are expected", keys, most)
	}
	h.end(tb, s, n)
}

func (s *siege) feed(tb testing.TB, i int, host, fields string) {
	tb.Helper()
	at := t0 + int64(i)
	doc := fmt.Appendf(nil, `{"@timestamp":%d,"event":{"id":"e%d","category":"process"},"host":{"id":%q},%s}`, at, i, host, fields)
	if err := s.Process([]pipeline.Record{{Topic: "events", Offset: int64(i), Time: at, Clock: pipeline.ClockLogAppend, Value: doc}}); err != nil {
		tb.Fatal(err)
	}
}

func (s *siege) commit(tb testing.TB) {
	tb.Helper()
	s.Changes()
	for _, a := range s.Output().Alerts {
		s.matches[a.RuleID]++
	}
	if err := s.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
		tb.Fatal(err)
	}
}

// keys counts what the store has.
func (s *siege) keys(tb testing.TB) (n int) {
	tb.Helper()
	if err := s.store.Partition(0).Scan(nil, func(_, _ []byte) error {
		n++
		return nil
	}); err != nil {
		tb.Fatal(err)
	}
	return n
}

// metric sums a metric over its labels.
func (s *siege) metric(tb testing.TB, name string) float64 {
	tb.Helper()
	return sumMetric(tb, s.reg, name, "")
}

// logs checks that the log names a cap that was reached, once for a rule.
func (s *siege) logs(tb testing.TB, limit string) {
	tb.Helper()
	if !strings.Contains(s.log.String(), "cap="+limit+"\n") {
		tb.Errorf("the log doesn't name %s: %s", limit, s.log)
	}
}

func atMost(tb testing.TB, what string, got, most int) {
	tb.Helper()
	if got > most {
		tb.Errorf("%d %s, at most %d are expected", got, what, most)
	}
}

func exactly(tb testing.TB, what string, got, want int) {
	tb.Helper()
	if got != want {
		tb.Errorf("%d %s, want %d", got, what, want)
	}
}
