package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

const t0 = int64(1_790_000_000_000)

// at makes a record of host h1 at so many milliseconds, event time and broker time.
func at(offset, event, broker int64, tag string) pipeline.Record {
	return pipeline.Record{
		Topic: "events", Offset: offset, Time: t0 + broker, Clock: pipeline.ClockLogAppend,
		Value: fmt.Appendf(nil, `{"@timestamp":%d,"event":{"id":"%s%d","category":"process"},"host":{"id":"h1"},"tag":%q,"process":{"pid":1,"parent":{"pid":1}}}`,
			t0+event, tag, offset, tag),
	}
}

// newWorker returns a worker of the metamorphic rules over a fresh state, changed by set.
func newWorker(t *testing.T, set func(*pipeline.Config)) *pipeline.Worker {
	t.Helper()
	cfg := config(compile(t, rules.SetOptions{}))
	if set != nil {
		set(cfg)
	}
	w, err := pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	return w
}

func process(t *testing.T, w *pipeline.Worker, records ...pipeline.Record) {
	t.Helper()
	if err := w.Process(records); err != nil {
		t.Fatal(err)
	}
}

// ruleMatches returns the matches of a rule as the tags and offsets of their events.
func ruleMatches(w *pipeline.Worker, rule string) []string {
	var out []string
	for _, a := range w.Output().Alerts {
		if a.RuleID != rule {
			continue
		}
		var ids []string
		for _, e := range a.Match {
			if e.Missing {
				ids = append(ids, "-")
			} else {
				ids = append(ids, e.Ref.ID)
			}
		}
		out = append(out, strings.Join(ids, " "))
	}
	return out
}

func wantMatches(t *testing.T, w *pipeline.Worker, rule string, want ...string) {
	t.Helper()
	if got := ruleMatches(w, rule); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("rule %s matched %v, want %v", rule, got, want)
	}
}

func TestSequenceWaitsForTheWatermark(t *testing.T) {
	w := newWorker(t, nil)
	process(t, w, at(0, 1000, 1000, "B"), at(1, 500, 1010, "A")) // B came first, A happened first
	wantMatches(t, w, "pair")
	process(t, w, at(2, 3001, 3001, "X"))
	wantMatches(t, w, "pair", "A1 B0")
}

func TestSilentHostIsMovedByTheOthers(t *testing.T) {
	w := newWorker(t, nil)
	process(t, w, at(0, 0, 0, "A"), at(1, 100, 100, "B"))
	other := at(2, 2200, 2200, "X")
	other.Value = []byte(strings.ReplaceAll(string(other.Value), `"h1"`, `"h2"`))
	process(t, w, other)
	wantMatches(t, w, "pair", "A0 B1")
}

func TestWallClockMovesASilentPartition(t *testing.T) {
	w := newWorker(t, nil)
	process(t, w, at(0, 0, 0, "A"), at(1, 100, 100, "B"))
	due, ok := w.NextDue()
	if !ok || due != t0+2001 { // the first event is released 2 s and 1 ms after the newest one came, less what lies between them
		t.Fatalf("next due at %d, %v; want %d", due-t0, ok, 2001)
	}
	if err := w.Idle(t0 + 2101); err != nil {
		t.Fatal(err)
	}
	wantMatches(t, w, "pair", "A0 B1")
}

func TestAbsenceIsDecidedByTheWatermark(t *testing.T) {
	w := newWorker(t, nil)
	process(t, w, at(0, 0, 0, "C"), at(1, 4000, 4000, "X"))
	wantMatches(t, w, "trailing")
	process(t, w, at(2, 4001, 4001, "X"))
	wantMatches(t, w, "trailing", "C0 -")
	if a := w.Output().Alerts; strings.Contains(string(a[len(a)-1].Body), "open_end") {
		t.Error("a decision of the watermark is marked as one of the input's end")
	}
}

func TestEndOfInputDecidesWithAMark(t *testing.T) {
	w := newWorker(t, nil)
	process(t, w, at(0, 0, 0, "C"))
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	wantMatches(t, w, "trailing", "C0 -")
	if body := string(w.Output().Alerts[0].Body); !strings.Contains(body, `"open_end":true`) {
		t.Errorf("no weir.open_end in %s", body)
	}
}

func TestLateEventsAreFedAndCounted(t *testing.T) {
	reg := prometheus.NewRegistry()
	w := newWorker(t, func(c *pipeline.Config) { c.Metrics = pipeline.NewMetrics(reg) })
	// The B at 10 s keeps the host pending; the A and the C that belong together come 8 s late.
	process(t, w, at(0, 9000, 9000, "A"), at(1, 10_000, 10_000, "X"), at(2, 1000, 10_100, "A"), at(3, 2000, 10_200, "C"))
	wantMatches(t, w, "until", "A2 C3")
	w.Changes()
	if err := w.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
		t.Fatal(err)
	}
	expectMetric(t, reg, "weir_late_events_total", 2)
}

func TestDuplicateDeliveriesDontFillTwoStages(t *testing.T) {
	w := newWorker(t, nil)
	first := at(0, 0, 0, "B")
	again := first
	again.Offset, again.Time = 1, first.Time+5
	process(t, w, first, again, at(2, 10, 10, "B"))
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	wantMatches(t, w, "runs")
}

func TestFutureClockBlindsNobody(t *testing.T) {
	w := newWorker(t, nil)
	process(t, w, at(0, 86_400_000, 0, "X"), at(1, 100, 100, "A"), at(2, 200, 200, "B"))
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	wantMatches(t, w, "pair", "A1 B2")
}

func TestBadRecordsBecomeDeadLetters(t *testing.T) {
	cases := map[string]struct{ value, reason string }{
		"not JSON":     {"hello", pipeline.ReasonNotObject},
		"an array":     {`[{"@timestamp":1}]`, pipeline.ReasonNotObject},
		"cut in half":  {`{"@timestamp":1790000000000,"event":{"cat`, pipeline.ReasonMalformed},
		"too deep":     {`{"a":` + strings.Repeat("[", 10_000) + strings.Repeat("]", 10_000) + `}`, pipeline.ReasonTooDeep},
		"no timestamp": {`{"event":{"category":"process"}}`, pipeline.ReasonNoTimestamp},
		"no date":      {`{"@timestamp":"yesterday"}`, pipeline.ReasonNoTimestamp},
		"too large":    {`{"@timestamp":1,"x":"` + strings.Repeat("x", 1<<20) + `"}`, pipeline.ReasonTooLarge},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorker(t, nil)
			bad := pipeline.Record{Topic: "events", Offset: 7, Value: []byte(c.value), Time: t0, Clock: pipeline.ClockLogAppend}
			process(t, w, bad, at(8, 0, 0, "A"), at(9, 10, 10, "B"))
			if err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			letters := w.Output().DeadLetters
			if len(letters) != 1 || letters[0].Reason != c.reason || letters[0].Offset != 7 || letters[0].Length != len(c.value) {
				t.Fatalf("dead letters %+v, want one with reason %s", letters, c.reason)
			}
			if len(letters[0].Value) > 64<<10 || letters[0].Detail == "" || len(letters[0].SHA256) != 64 {
				t.Errorf("dead letter keeps %d bytes, detail %q, hash %q", len(letters[0].Value), letters[0].Detail, letters[0].SHA256)
			}
			wantMatches(t, w, "pair", "A8 B9")
		})
	}
}

func TestOldestPartialGoesFirst(t *testing.T) {
	reg := prometheus.NewRegistry()
	w := newWorker(t, func(c *pipeline.Config) {
		c.Limits.PartialsPerRule = 2
		c.Metrics = pipeline.NewMetrics(reg)
	})
	tagged := func(offset int64, tag, field string, pid int) pipeline.Record {
		r := at(offset, offset*10, offset*10, tag)
		r.Value = []byte(strings.Replace(string(r.Value), field, fmt.Sprintf(field[:len(field)-1]+"%d", pid), 1))
		return r
	}
	// Rule pid joins process.pid with process.parent.pid: three keys begin, the cap keeps two.
	for i := range int64(3) {
		process(t, w, tagged(i, "A", `{"pid":1`, int(i)+1))
	}
	for i := range int64(3) {
		process(t, w, tagged(3+i, "C", `"parent":{"pid":1`, int(i)+1))
	}
	process(t, w, at(9, 60_000, 60_000, "X"))
	wantMatches(t, w, "pid", "A1 C4", "A2 C5")
	w.Changes()
	if err := w.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
		t.Fatal(err)
	}
	if got := sumMetric(t, reg, "weir_rule_partials_evicted_total", "pid"); got != 1 {
		t.Errorf("%v partials of the rule evicted, want 1", got)
	}
}

func TestStateIsGoneWhenNothingIsPending(t *testing.T) {
	cfg := config(compile(t, rules.SetOptions{}))
	part := state.OpenMemory().Partition(0)
	w, err := pipeline.NewWorker(cfg, part, 0)
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(200) {
		process(t, w, at(i, i*1000, i*1000, string("ABCD"[i%4])))
		w.Changes()
		if err := w.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
			t.Fatal(err)
		}
	}
	process(t, w, at(1000, int64(time.Hour/time.Millisecond), int64(time.Hour/time.Millisecond), "X"))
	w.Changes()
	if err := w.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
		t.Fatal(err)
	}
	var left []string
	err = part.Scan(nil, func(key, _ []byte) error {
		left = append(left, fmt.Sprintf("%q", key))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{`"c"`, `"s"`}; !slices.Equal(left, want) { // the record clock stays, and the delay of rules that join hosts
		t.Errorf("the store still holds %v, want %v", left, want)
	}
}
