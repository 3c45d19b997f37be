package pipeline_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// These tests hold event time, order and lateness to their definition, sentence by sentence: docs/event-time.md has the table.

// timed is an event of these tests: where it happened, when by its own clock and when by the record's.
type timed struct {
	host, tag     string
	event, record int64  // milliseconds after t0
	extra         string // further fields of the document
}

// records numbers events in the order of arrival and makes them records of a clock.
func timedRecords(clock pipeline.ClockSource, events ...timed) []pipeline.Record {
	var out []pipeline.Record
	for i, e := range events {
		value := fmt.Appendf(nil, `{"@timestamp":%d,"event":{"id":"%s%d","category":"process"},"host":{"id":%q},"tag":%q%s}`,
			t0+e.event, e.tag, i, e.host, e.tag, e.extra)
		out = append(out, pipeline.Record{Topic: "events", Offset: int64(i), Time: t0 + e.record, Clock: clock, Value: value})
	}
	return out
}

// timeQueries are rules with long windows, so that only order decides.
var timeQueries = map[string]string{
	"pair":    `sequence by host.id with maxspan=60s [any where tag == "A"] [any where tag == "B"]`,
	"until":   `sequence by host.id with maxspan=60s [any where tag == "A"] [any where tag == "C"] until [any where tag == "D"]`,
	"missing": `sequence by host.id with maxspan=2s [any where tag == "E"] ![any where tag == "D"]`,
	"short":   `sequence by host.id with maxspan=3s [any where tag == "A"] [any where tag == "B"]`,
	"across":  `sequence with maxspan=60s [any where tag == "F"] [any where tag == "G"]`,
}

// timeWorker is a worker of the time queries, and its metrics.
func timeWorker(t *testing.T) (*pipeline.Worker, *prometheus.Registry) {
	t.Helper()
	reg := prometheus.NewRegistry()
	cfg := config(compileQueries(t, rules.SetOptions{}, timeQueries, nil))
	cfg.Metrics = pipeline.NewMetrics(reg)
	w, err := pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	return w, reg
}

// TestClockOfAnotherMachine: a broker's time is believed as it is and closes windows; one producer's is not, and closes nobody's.
func TestClockOfAnotherMachine(t *testing.T) {
	const hour = 3_600_000
	for name, tt := range map[string]struct {
		clock pipeline.ClockSource
		now   int64
		want  []string
	}{
		"the broker's time is the time":   {pipeline.ClockLogAppend, hour, nil},
		"one producer's time is its own":  {pipeline.ClockCreate, 1000, []string{"A0 B2"}},
		"so is a time in a file, of many": {pipeline.ClockEvent, 1000, []string{"A0 B2"}},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := timeWorker(t)
			extra := ""
			if tt.clock == pipeline.ClockEvent {
				extra = fmt.Sprintf(`,"event.ingested":%d`, t0+hour)
			}
			process(t, w, timedRecords(tt.clock,
				timed{host: "h1", tag: "A"}, timed{host: "h2", tag: "X", record: hour, extra: extra},
				timed{host: "h1", tag: "B", event: 1000, record: 1000})...)
			if got := w.RecordClock() - t0; got != tt.now {
				t.Errorf("the record clock is at %d ms, want %d", got, tt.now)
			}
			if err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			wantMatches(t, w, "short", tt.want...)
		})
	}
}

// TestTwoProducers: of two producers whose times are an hour apart nothing tells which is right. The clock follows the one behind,
// which closes nobody's windows too early, and the sequences of the one ahead go on by its own events.
func TestTwoProducers(t *testing.T) {
	const hour = 3_600_000
	for name, ahead := range map[string]bool{"the one ahead first": true, "the one behind first": false} {
		t.Run(name, func(t *testing.T) {
			w, reg := timeWorker(t)
			var events []timed
			for i := range int64(40) {
				at := i * 500
				pair := []timed{{"now", "X", hour + at, hour + at, ""}, {"behind", "X", at, at, ""}}
				if i == 20 || i == 21 { // once the clock is settled
					pair[0].tag, pair[1].tag = string("AB"[i-20]), string("AB"[i-20])
				}
				if i == 24 {
					pair[0].tag = "E"
				}
				if !ahead {
					pair[0], pair[1] = pair[1], pair[0]
				}
				events = append(events, pair...)
			}
			process(t, w, timedRecords(pipeline.ClockCreate, events...)...)
			if got := w.RecordClock() - t0; got != 39*500 {
				t.Errorf("the record clock is at %d ms, want %d", got, 39*500)
			}
			if n := len(ruleMatches(w, "short")); n != 2 {
				t.Errorf("%d pairs, want one of each producer", n)
			}
			if n := len(ruleMatches(w, "missing")); n != 1 {
				t.Errorf("%d absences, want that of the producer ahead", n)
			}
			commit(t, w)
			expectMetric(t, reg, "weir_late_events_total", 0)
			expectMetric(t, reg, "weir_future_events_total", 0)
		})
	}
}

// TestClockOfAFile: a line's time is event.ingested where it has one, else the newest event time so far.
func TestClockOfAFile(t *testing.T) {
	w, _ := timeWorker(t)
	records := timedRecords(pipeline.ClockEvent,
		timed{host: "h", tag: "X", event: 1000}, timed{host: "h", tag: "X", event: 500},
		timed{host: "h", tag: "X", event: 2000, extra: fmt.Sprintf(`,"event.ingested":%d`, t0+5000)},
		timed{host: "h", tag: "X", event: 4000}, timed{host: "h", tag: "X", event: 6000})
	for i, want := range []int64{1000, 1000, 5000, 5000, 6000} {
		process(t, w, records[i])
		if got := w.RecordClock() - t0; got != want {
			t.Errorf("after line %d the record clock is at %d ms, want %d", i+1, got, want)
		}
	}
}

// TestLateness: an event is in time as long as it is not further behind than the lateness, to the millisecond, by each host's
// own clock; silence of the host lets its watermark go on as the record clock does.
func TestLateness(t *testing.T) {
	for name, tt := range map[string]struct {
		events []timed
		late   float64
	}{
		"behind by the lateness":          {[]timed{{"h", "A", 5000, 5000, ""}, {"h", "B", 3000, 5000, ""}}, 0},
		"a millisecond more":              {[]timed{{"h", "A", 5000, 5000, ""}, {"h", "B", 2999, 5000, ""}}, 1},
		"after silence":                   {[]timed{{"h", "A", 5000, 5000, ""}, {"g", "X", 6000, 6000, ""}, {"h", "B", 4000, 6000, ""}}, 0},
		"after silence, a ms more":        {[]timed{{"h", "A", 5000, 5000, ""}, {"g", "X", 6000, 6000, ""}, {"h", "B", 3999, 6000, ""}}, 1},
		"again and again after silence":   {[]timed{{"h", "A", 0, 0, ""}, {"g", "X", 10_000, 10_000, ""}, {"h", "B", 5000, 10_000, ""}, {"h", "B", 6000, 10_100, ""}}, 2},
		"another host's clock is behind":  {[]timed{{"h", "A", 90_000, 90_000, ""}, {"g", "A", 10, 90_000, ""}, {"g", "B", 20, 90_010, ""}}, 0},
		"another host's clock is ahead":   {[]timed{{"h", "A", 60_000, 0, ""}, {"g", "A", 10, 10, ""}, {"g", "B", 20, 20, ""}}, 0},
		"the watermark doesn't go back":   {[]timed{{"h", "A", 9000, 9000, ""}, {"h", "X", 7500, 9000, ""}, {"h", "B", 6999, 9000, ""}}, 1},
		"across hosts, by record clock":   {[]timed{{"h", "F", 5000, 5000, ""}, {"g", "G", 3000, 5000, ""}}, 0},
		"across hosts, a ms more":         {[]timed{{"h", "F", 5000, 5000, ""}, {"g", "G", 2999, 5000, ""}}, 1},
		"what concerns no rule is no one": {[]timed{{"h", "A", 5000, 5000, ""}, {"h", "X", 0, 5000, ""}}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			w, reg := timeWorker(t)
			process(t, w, timedRecords(pipeline.ClockLogAppend, tt.events...)...)
			commit(t, w)
			expectMetric(t, reg, "weir_late_events_total", tt.late)
			expectMetric(t, reg, "weir_idle_late_events_total", 0)
		})
	}
}

// TestLatePath: what late events may change, and what they may not.
func TestLatePath(t *testing.T) {
	for name, tt := range map[string]struct {
		events     []timed
		rule, want string
	}{
		"it advances an older partial": {
			[]timed{{"h", "A", 0, 0, ""}, {"h", "X", 10_000, 10_000, ""}, {"h", "B", 5000, 10_100, ""}}, "pair", "[A0 B2]",
		},
		"not one that is newer": {
			[]timed{{"h", "A", 6000, 6000, ""}, {"h", "X", 10_000, 10_000, ""}, {"h", "B", 5000, 10_100, ""}}, "pair", "[]",
		},
		"it replaces no newer one": {
			[]timed{
				{"h", "A", 6000, 6000, ""},
				{"h", "X", 10_000, 10_000, ""},
				{"h", "A", 5000, 10_100, ""},
				{"h", "B", 11_000, 11_000, ""},
				{"h", "X", 14_000, 14_000, ""},
			}, "pair", "[A0 B3]",
		},
		"a late until clears what is before it": {
			[]timed{
				{"h", "A", 4000, 4000, ""},
				{"h", "X", 10_000, 10_000, ""},
				{"h", "D", 5000, 10_100, ""},
				{"h", "C", 11_000, 11_000, ""},
				{"h", "X", 14_000, 14_000, ""},
			}, "until", "[]",
		},
		"and not what is after it": {
			[]timed{
				{"h", "A", 6000, 6000, ""},
				{"h", "X", 10_000, 10_000, ""},
				{"h", "D", 5000, 10_100, ""},
				{"h", "C", 11_000, 11_000, ""},
				{"h", "X", 14_000, 14_000, ""},
			}, "until", "[A0 C3]",
		},
		"an absence in time is none": {
			[]timed{{"h", "E", 0, 0, ""}, {"h", "D", 1000, 1000, ""}, {"h", "X", 10_000, 10_000, ""}}, "missing", "[]",
		},
		"one that was decided stands": {
			[]timed{{"h", "E", 0, 0, ""}, {"h", "A", 10_000, 10_000, ""}, {"h", "D", 1000, 10_100, ""}}, "missing", "[E0 -]",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := timeWorker(t)
			process(t, w, timedRecords(pipeline.ClockLogAppend, tt.events...)...)
			if got := fmt.Sprint(ruleMatches(w, tt.rule)); got != tt.want {
				t.Errorf("rule %s matched %s, want %s", tt.rule, got, tt.want)
			}
		})
	}
}

// TestLateEventsByRule: a late event is counted for the rules that it could have concerned, and for no other.
func TestLateEventsByRule(t *testing.T) {
	w, reg := timeWorker(t)
	process(t, w, timedRecords(pipeline.ClockLogAppend,
		timed{"h", "A", 9000, 9000, ""}, timed{"h", "D", 1000, 9000, ""}, timed{"h", "B", 1000, 9000, ""}, timed{"h", "B", 1001, 9000, ""})...)
	commit(t, w)
	expectMetric(t, reg, "weir_late_events_total", 3)
	for rule, want := range map[string]float64{"pair": 2, "short": 2, "until": 1, "missing": 1} {
		if got := sumMetric(t, reg, "weir_rule_late_events_total", rule); got != want {
			t.Errorf("%v late events of rule %s, want %v", got, rule, want)
		}
	}
}

// TestLateBySilence: what only the wall clock made late is counted apart, until the log has caught up with it.
func TestLateBySilence(t *testing.T) {
	for name, tags := range map[string][2]string{"of a host": {"A", "B"}, "across hosts": {"F", "G"}} {
		t.Run(name, func(t *testing.T) {
			w, reg := timeWorker(t)
			events := timedRecords(pipeline.ClockLogAppend,
				timed{"h", tags[0], 0, 0, ""}, timed{"h", tags[1], 1000, 1000, ""}, // the log says 1 s, the wall clock 10 s
				timed{"h", "X", 20_000, 20_000, ""}, timed{"h", tags[0], 20_000, 20_000, ""}, timed{"h", tags[1], 17_000, 20_000, ""})
			process(t, w, events[0])
			if err := w.Idle(t0 + 10_000); err != nil {
				t.Fatal(err)
			}
			if err := w.Idle(t0 + 5000); err != nil { // it doesn't go back
				t.Fatal(err)
			}
			if got := w.RecordClock() - t0; got != 10_000 {
				t.Errorf("the record clock is at %d ms, want 10,000", got)
			}
			process(t, w, events[1])
			commit(t, w)
			expectMetric(t, reg, "weir_late_events_total", 1)
			expectMetric(t, reg, "weir_idle_late_events_total", 1)
			expectMetric(t, reg, "weir_idle_clock_advances_total", 1)
			process(t, w, events[2:]...)
			commit(t, w)
			expectMetric(t, reg, "weir_late_events_total", 2)
			expectMetric(t, reg, "weir_idle_late_events_total", 1)
		})
	}
}

// TestSilenceOfAnEmptyPartition: the wall clock tells nothing of a partition that has had no record.
func TestSilenceOfAnEmptyPartition(t *testing.T) {
	w, _ := timeWorker(t)
	if err := w.Idle(t0); err != nil || w.RecordClock() != 0 {
		t.Errorf("the record clock is at %d, error %v", w.RecordClock(), err)
	}
	if at, ok := w.NextDue(); ok {
		t.Errorf("something is due at %d", at)
	}
}

// TestClamp: times ahead by up to the tolerance are as they are, others are counted and ordered as the latest that is believed;
// neither the host with such a clock nor another one loses its sequences.
func TestClamp(t *testing.T) {
	tolerance := (5 * time.Minute).Milliseconds()
	for name, tt := range map[string]struct {
		ahead   int64
		clamped float64
	}{"as far as tolerated": {tolerance, 0}, "a millisecond more": {tolerance + 1, 1}, "a day": {86_400_000, 1}} {
		t.Run(name, func(t *testing.T) {
			w, reg := timeWorker(t)
			process(t, w, timedRecords(pipeline.ClockLogAppend,
				timed{"h", "C", tt.ahead, 0, ""}, // begins nothing, and waits
				timed{"g", "A", 100, 100, ""}, timed{"h", "A", 100, 100, ""}, timed{"g", "B", 200, 200, ""}, timed{"h", "B", 200, 200, ""},
				timed{"f", "X", 3000, 3000, ""})...)
			wantMatches(t, w, "pair", "A2 B4", "A1 B3") // that of h at once: late by its host's clock
			commit(t, w)
			expectMetric(t, reg, "weir_future_events_total", tt.clamped)
			expectMetric(t, reg, "weir_late_events_total", 2)
		})
	}
}

// TestClampedOrder: an event that was clamped has its place at the latest time that was believed when it came.
func TestClampedOrder(t *testing.T) {
	tolerance := (5 * time.Minute).Milliseconds()
	w, _ := timeWorker(t)
	process(t, w, timedRecords(pipeline.ClockLogAppend,
		timed{"h", "A", 86_400_000, 0, ""}, timed{"h", "B", tolerance, 1000, ""})...)
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	wantMatches(t, w, "pair", "A0 B1")
}

// TestTies: events of one millisecond are ordered by event.sequence with none last, by what is below the millisecond, by topic
// and by offset.
func TestTies(t *testing.T) {
	seq := func(n int) string { return fmt.Sprintf(`,"event.sequence":%d`, n) }
	for name, tt := range map[string]struct {
		first, second timed
		topics        [2]string
		want          string
	}{
		"by sequence":              {timed{tag: "B", extra: seq(2)}, timed{tag: "A", extra: seq(1)}, [2]string{"t", "t"}, "[A1 B0]"},
		"no sequence is last":      {timed{tag: "B"}, timed{tag: "A", extra: seq(9)}, [2]string{"t", "t"}, "[A1 B0]"},
		"sequence before topic":    {timed{tag: "B", extra: seq(2)}, timed{tag: "A", extra: seq(1)}, [2]string{"a", "b"}, "[A1 B0]"},
		"by topic":                 {timed{tag: "B"}, timed{tag: "A"}, [2]string{"b", "a"}, "[A1 B0]"},
		"by offset":                {timed{tag: "A"}, timed{tag: "B"}, [2]string{"t", "t"}, "[A0 B1]"},
		"by offset, the other way": {timed{tag: "B"}, timed{tag: "A"}, [2]string{"t", "t"}, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := timeWorker(t)
			tt.first.host, tt.second.host = "h", "h"
			records := timedRecords(pipeline.ClockLogAppend, tt.first, tt.second)
			records[0].Topic, records[1].Topic = tt.topics[0], tt.topics[1]
			process(t, w, records...)
			if err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(ruleMatches(w, "pair")); got != tt.want {
				t.Errorf("matched %s, want %s", got, tt.want)
			}
		})
	}
}

// TestBelowAMillisecond: what is below a millisecond orders events, and comes after event.sequence.
func TestBelowAMillisecond(t *testing.T) {
	record := func(offset int64, tag, micros, extra string) pipeline.Record {
		return pipeline.Record{
			Topic: "events", Offset: offset, Time: t0, Clock: pipeline.ClockLogAppend,
			Value: fmt.Appendf(nil, `{"@timestamp":"2026-09-21T14:13:20.000%sZ","event":{"id":"%s%d","category":"process"},"host":{"id":"h"},"tag":%q%s}`,
				micros, tag, offset, tag, extra),
		}
	}
	for name, tt := range map[string]struct {
		records []pipeline.Record
		want    string
	}{
		"by microseconds":           {[]pipeline.Record{record(0, "B", "900", ""), record(1, "A", "100", "")}, "[A1 B0]"},
		"event.sequence goes first": {[]pipeline.Record{record(0, "B", "100", `,"event.sequence":2`), record(1, "A", "900", `,"event.sequence":1`)}, "[A1 B0]"},
	} {
		t.Run(name, func(t *testing.T) {
			w, _ := timeWorker(t)
			process(t, w, tt.records...)
			if err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(ruleMatches(w, "pair")); got != tt.want {
				t.Errorf("matched %s, want %s", got, tt.want)
			}
		})
	}
}

// TestHostOfAnEvent: host.id, else agent.id, else host.name; an event without any is counted.
func TestHostOfAnEvent(t *testing.T) {
	reg := prometheus.NewRegistry()
	cfg := config(compileQueries(t, rules.SetOptions{}, map[string]string{"any": `any where true`}, nil))
	cfg.Metrics = pipeline.NewMetrics(reg)
	w, err := pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"i", "a", "n", ""}
	for i, fields := range []string{`"host":{"id":"i","name":"n"},"agent":{"id":"a"}`, `"host":{"name":"n"},"agent":{"id":"a"}`, `"host":{"name":"n"}`, `"x":1`} {
		process(t, w, pipeline.Record{
			Topic: "events", Offset: int64(i), Time: t0, Clock: pipeline.ClockLogAppend,
			Value: fmt.Appendf(nil, `{"@timestamp":%d,%s}`, t0, fields),
		})
	}
	for i, a := range w.Output().Alerts {
		if string(a.Key) != want[i] {
			t.Errorf("event %d is of host %q, want %q", i, a.Key, want[i])
		}
	}
	if n := len(w.Output().Alerts); n != len(want) {
		t.Errorf("%d alerts, want %d", n, len(want))
	}
	commit(t, w)
	expectMetric(t, reg, "weir_hostless_events_total", 1)
}

// TestNoMaxspan: a sequence without maxspan lasts as long as its rule's lookback, six minutes where that isn't said; for weir query
// it lasts for ever.
func TestNoMaxspan(t *testing.T) {
	const query = `sequence by host.id [any where tag == "A"] [any where tag == "B"]`
	for name, tt := range map[string]struct {
		setting string
		after   int64
		want    string
	}{
		"within":              {"from = \"now-60s\"\n", 60_000, "[A0 B1]"},
		"a millisecond later": {"from = \"now-60s\"\n", 60_001, "[]"},
		"within the default":  {"", 360_000, "[A0 B1]"},
		"after the default":   {"", 360_001, "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			set := compileQueries(t, rules.SetOptions{}, map[string]string{"q": query}, map[string]string{"q": tt.setting})
			w := workerOf(t, set, state.OpenMemory(), func(*pipeline.Limits) {})
			records := timedRecords(pipeline.ClockLogAppend, timed{"h", "A", 0, 0, ""}, timed{"h", "B", tt.after, tt.after, ""})
			process(t, w, records...)
			if err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(ruleMatches(w, "q")); got != tt.want {
				t.Errorf("matched %s, want %s", got, tt.want)
			}
			res, err := replay.Query(query, replay.FromRecords(records), replay.QueryOptions{})
			if err != nil || len(res.Matches) != 1 {
				t.Errorf("the query finds %d matches, want 1; error %v", len(res.Matches), err)
			}
		})
	}
}
