package pipeline_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// logInput is an input that reads records again from a list of them, whose offsets are their places in it.
type logInput struct {
	records []pipeline.Record
	reads   int
	err     error
}

func (in *logInput) Read(span pipeline.Span, take func([]pipeline.Record)) error {
	in.reads++
	if in.err != nil {
		return in.err
	}
	for at := max(span.From, 0); at < min(span.To, int64(len(in.records))); at++ {
		take(in.records[at : at+1])
	}
	return nil
}

// busyStream is a stream of more processes than stream has, so that most later stages come where nothing has begun.
func busyStream(r *rand.Rand, n int) []pipeline.Record {
	var records []pipeline.Record
	clock := int64(1_790_000_000_000)
	hosts, pids := 1+r.IntN(4), 1+r.IntN(30)
	tags := "ABCDX" + strings.Repeat("CDX", r.IntN(4))
	crossing := r.IntN(4) == 0
	several := r.IntN(4) == 0
	skew := make([]int64, hosts) // of each host's clock
	for h := range skew {
		skew[h] = r.Int64N(3) * r.Int64N(4000)
	}
	for i := range n {
		clock += r.Int64N(200)
		if r.IntN(60) == 0 {
			clock += r.Int64N(10_000)
		}
		h := r.IntN(hosts)
		at := clock - r.Int64N(1500) - skew[h]
		switch r.IntN(25) {
		case 0:
			at -= r.Int64N(10_000)
		case 1:
			at = clock - clock%1000 // ties
		}
		host := fmt.Sprintf(`"h%d"`, h)
		if crossing && r.IntN(20) == 0 { // of two hosts at once
			host = fmt.Sprintf(`["h%d","h%d"]`, h, r.IntN(hosts))
		}
		pid := strconv.Itoa(r.IntN(pids))
		if several && r.IntN(20) == 0 { // several keys for the rules that join by it, of one host
			pid = fmt.Sprintf("[%s,%d]", pid, r.IntN(pids))
		}
		value := fmt.Sprintf(`{"@timestamp":%d,"event":{"id":"e%d","created":%d,"category":"process"},"host":{"id":%s},"tag":%q,"n":%d,"process":{"pid":%s,"parent":{"pid":%d}}}`,
			at, i, at-r.Int64N(1000), host, string(tags[r.IntN(len(tags))]), r.IntN(3), pid, r.IntN(pids))
		records = append(records, pipeline.Record{Topic: "events", Offset: int64(i), Value: []byte(value), Time: clock, Clock: pipeline.ClockCreate})
	}
	return records
}

// someQueries returns a few of the queries of the metamorphic tests.
func someQueries(r *rand.Rand) map[string]string {
	ids := slices.Sorted(maps.Keys(queries))
	some := map[string]string{}
	for range 1 + r.IntN(3) {
		id := ids[r.IntN(len(ids))]
		some[id] = queries[id]
	}
	return some
}

// TestNotesChangeNothing: events of which hardly anything is kept give the same alerts, to the byte and in the same order, as events that wait
// whole; with any batch sizes, restarts, aborts, and records that are run while a batch is being committed.
func TestNotesChangeNothing(t *testing.T) {
	alerts, reads := 0, 0
	reg := prometheus.NewRegistry()
	metrics := pipeline.NewMetrics(reg)
	for seed := range seedsOf(120) {
		rnd := rand.New(rand.NewPCG(seed, 51))
		records := busyStream(rnd, 400)
		set := compileQueries(t, rules.SetOptions{}, someQueries(rnd), settings)
		whole := &driver{t: t, cfg: config(set), store: state.OpenMemory(), out: map[string]string{}}
		want := whole.run(records)
		alerts += len(want)
		for name, run := range map[string]func(*driver, []pipeline.Record) map[string]string{
			"at once": (*driver).run, "restarts": (*driver).run, "ahead of commits": (*driver).runAhead,
		} {
			cfg := config(set)
			in := &logInput{records: records}
			cfg.Input, cfg.Metrics = in, metrics
			noted := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}}
			if name != "at once" {
				noted.rnd = rand.New(rand.NewPCG(seed, 52))
			}
			compareAlerts(t, fmt.Sprintf("seed %d, %s", seed, name), want, run(noted, records))
			if !slices.Equal(whole.order, noted.order) {
				t.Errorf("seed %d, %s: the same alerts in another order", seed, name)
			}
			reads += in.reads
		}
		if t.Failed() {
			t.FailNow()
		}
	}
	if lost := sumMetric(t, reg, "weir_reorder_buffer_lost_total", ""); lost > 0 {
		t.Errorf("%v events lost", lost)
	}
	t.Logf("%d alerts, %d reads of %v events", alerts, reads, sumMetric(t, reg, "weir_reorder_buffer_reread_total", ""))
	if alerts < 500 || reads < 20 {
		t.Errorf("only %d alerts and %d reads: the streams prove too little", alerts, reads)
	}
}

// restingStream is a stream in which two sequences of rule q begin, so that it rests where it may have one, and a little later what begins p, and perhaps q,
// before events that wait.
func restingStream(r *rand.Rand) []pipeline.Record {
	records := []pipeline.Record{of("x", "C", 0, 0), of("y", "C", 1, 100)}
	add := func(host, tag string, at int64) { records = append(records, of(host, tag, int64(len(records)), at)) }
	for range 1 + r.IntN(3) {
		add("h", "B", 3000+r.Int64N(2000))
	}
	add("z", "X", 5150+r.Int64N(100)) // the first two are fed
	for _, tag := range []string{"A", "C", "B", "C"}[:2+r.IntN(3)] {
		add("h", tag, 300+r.Int64N(4500))
	}
	add("z", "X", 30_000)
	return records
}

// TestNotesAndQuarantine: rules that rest for a while miss the same whether events wait whole or as notes, with restarts in between.
func TestNotesAndQuarantine(t *testing.T) {
	alerts, rests, reads := 0, 0, 0
	for seed := range seedsOf(400) {
		rnd := rand.New(rand.NewPCG(seed, 53))
		records, budget, hold := restingStream(rnd), 1, time.Second
		queries := map[string]string{"p": pairByHost, "q": strings.ReplaceAll(pairByHost, `"A"`, `"C"`)}
		if seed%8 == 0 {
			records, queries, budget, hold = busyStream(rnd, 400), someQueries(rnd), 1+rnd.IntN(4), time.Duration(500+rnd.IntN(4000))*time.Millisecond
		}
		set := compileQueries(t, rules.SetOptions{}, queries, settings)
		run := func(in *logInput) *driver {
			rnd := rand.New(rand.NewPCG(seed, 54))
			clock, log := &wall{now: time.UnixMilli(t0)}, &strings.Builder{}
			cfg := config(set)
			cfg.Quarantine = pipeline.NewQuarantine(pipeline.QuarantineOptions{
				Partials: budget, Hold: hold, Now: clock.look, Logger: slog.New(slog.NewTextHandler(log, nil)),
			}, prometheus.NewRegistry())
			if in != nil {
				cfg.Input = in
			}
			d := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}, log: records}
			w := d.worker()
			for left := records; len(left) > 0; {
				n := 1 + rnd.IntN(min(len(left), 1+len(records)/20))
				process(t, w, left[:n]...)
				d.commit(w)
				clock.now = clock.now.Add(time.Duration(rnd.IntN(700)) * time.Millisecond)
				if left = left[n:]; rnd.IntN(8) == 0 {
					w = d.worker()
				}
			}
			if err := w.Finish(); err != nil {
				t.Fatal(err)
			}
			d.commit(w)
			rests += strings.Count(log.String(), "rule put in quarantine")
			return d
		}
		in := &logInput{records: records}
		whole, noted := run(nil), run(in)
		compareAlerts(t, fmt.Sprintf("seed %d", seed), whole.out, noted.out)
		if !slices.Equal(whole.order, noted.order) {
			t.Errorf("seed %d: the same alerts in another order", seed)
		}
		alerts, reads = alerts+len(whole.out), reads+in.reads
	}
	t.Logf("%d alerts, %d quarantines, %d reads", alerts, rests, reads)
	if alerts < 100 || rests < 100 || reads < 20 {
		t.Errorf("only %d alerts, %d quarantines and %d reads: the streams prove too little", alerts, rests, reads)
	}
}

// noting is a driver of the rule pairByHost whose workers can read records again.
func noting(t *testing.T, set func(*pipeline.Config)) (*driver, *logInput) {
	t.Helper()
	cfg := config(compileQueries(t, rules.SetOptions{}, map[string]string{"p": pairByHost}, nil))
	in := &logInput{}
	cfg.Input = in
	if set != nil {
		set(cfg)
	}
	return &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}}, in
}

const pairByHost = `sequence by host.id with maxspan=60s [any where tag == "A"] [any where tag == "B"]`

// TestNotesOfManyBlocks: the second stage comes long before the first in the log, with many events between; a restart lies between as well.
func TestNotesOfManyBlocks(t *testing.T) {
	d, in := noting(t, func(c *pipeline.Config) { c.Order.Lateness = 30 * time.Second })
	var records []pipeline.Record
	for i := range 3000 {
		records = append(records, of(fmt.Sprintf("h%d", i%700), "B", int64(i), int64(5000+i)))
	}
	late := of("h7", "A", 3000, 5500) // behind the first three of its host's five in event time
	in.records = append(slices.Clone(records), late)
	d.log = in.records
	w := d.worker()
	process(t, w, records[:1500]...)
	d.commit(w)
	w = d.worker()
	process(t, w, records[1500:]...)
	d.commit(w)
	w = d.worker()
	if n := in.reads; n != 0 {
		t.Errorf("%d reads before any was needed", n)
	}
	process(t, w, late)
	if in.reads != 1 { // of 707, 1407, 2107 and 2807
		t.Errorf("%d reads, want 1", in.reads)
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	d.commit(w)
	if len(d.out) != 1 {
		t.Fatalf("%d alerts, want 1", len(d.out))
	}
	for _, body := range d.out {
		if !strings.Contains(body, `"B707"`) {
			t.Errorf("the alert isn't about the first event behind the late one: %s", body)
		}
	}
}

// TestNoteGone: a note whose record isn't on the input any more is lost and counted, and the rest goes on.
func TestNoteGone(t *testing.T) {
	reg := prometheus.NewRegistry()
	d, _ := noting(t, func(c *pipeline.Config) { c.Metrics = pipeline.NewMetrics(reg) })
	w := d.worker()
	process(t, w, of("h", "B", 0, 1000), of("h", "A", 1, 500), of("h", "B", 2, 1200))
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	d.commit(w)
	if lost := sumMetric(t, reg, "weir_reorder_buffer_lost_total", ""); lost != 1 {
		t.Errorf("%v lost, want 1", lost)
	}
	if len(d.out) != 1 {
		t.Errorf("%d alerts, want the one of the event that came whole", len(d.out))
	}
}

// TestNoteThatCantBeRead: where the input can't be read the batch fails and must not be committed.
func TestNoteThatCantBeRead(t *testing.T) {
	d, in := noting(t, nil)
	in.err = errors.New("no broker")
	w := d.worker()
	process(t, w, of("h", "B", 0, 1000))
	err := w.Process([]pipeline.Record{of("h", "A", 1, 500)})
	if !errors.Is(err, in.err) || !strings.Contains(err.Error(), "events/0, offsets 0 to 0") {
		t.Errorf("error %v, want one that says what could not be read", err)
	}
}

// TestNotesAndRules: a note waits for no rule that was removed, also when that comes back; what waits for others stays.
func TestNotesAndRules(t *testing.T) {
	with := compileQueries(t, rules.SetOptions{}, map[string]string{"p": pairByHost, "q": strings.ReplaceAll(pairByHost, `"A"`, `"C"`)}, nil)
	without := compileQueries(t, rules.SetOptions{}, map[string]string{"q": strings.ReplaceAll(pairByHost, `"A"`, `"C"`)}, nil)
	for _, restart := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
		d, in := noting(t, nil)
		in.records = []pipeline.Record{of("h", "B", 0, 1000), of("h", "A", 1, 500), of("h", "C", 2, 600)}
		d.log = in.records
		change := func(w *pipeline.Worker, set *rules.Set, restart bool) *pipeline.Worker {
			next, err := d.cfg.WithSet(set)
			if err != nil {
				t.Fatal(err)
			}
			d.cfg = next
			d.commit(w)
			if restart {
				return d.worker()
			}
			if err := w.Swap(next); err != nil {
				t.Fatal(err)
			}
			return w
		}
		w := change(d.worker(), with, true)
		process(t, w, in.records[0])
		w = change(w, without, restart[0])
		w = change(w, with, restart[1])
		process(t, w, in.records[1], in.records[2])
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		d.commit(w)
		var got []string
		for _, body := range d.out {
			got = append(got, body)
		}
		if len(got) != 1 || !strings.Contains(got[0], `"action":"q"`) {
			t.Errorf("restart %v: alerts %v, want one of q", restart, got)
		}
	}
}

// TestNotesOfASlowHost: a host whose own time hardly moves doesn't keep the notes of others in memory.
func TestNotesOfASlowHost(t *testing.T) {
	reg := prometheus.NewRegistry()
	d, in := noting(t, func(c *pipeline.Config) { c.Metrics = pipeline.NewMetrics(reg) })
	for i := range 4000 {
		r := of("h", "B", int64(i), int64(i*100))
		if i%10 == 0 { // as far behind as its host's watermark lets it be
			r = of("slow", "B", int64(i), int64(i/10))
		}
		r.Time = 1_790_000_000_000 + int64(i*100)
		in.records = append(in.records, r)
	}
	w := d.worker()
	for part := range slices.Chunk(in.records, 100) {
		process(t, w, part...)
		d.commit(w)
		if n := sumMetric(t, reg, "weir_reorder_buffer_events", ""); n > 1800 {
			t.Fatalf("%v events wait", n)
		}
	}
}

// TestNotesAreBounded: four times as many notes wait as whole events may; further ones wait whole. What is as good as no limit, as that of a backtest, is none.
func TestNotesAreBounded(t *testing.T) {
	for _, c := range []struct{ limit, notes int }{{100, 400}, {math.MaxInt, 1000}} {
		reg := prometheus.NewRegistry()
		d, in := noting(t, func(cfg *pipeline.Config) { cfg.Limits.Buffered, cfg.Metrics = c.limit, pipeline.NewMetrics(reg) })
		for i := range 1000 {
			r := of("h", "B", int64(i), int64(i))
			r.Time = 1_790_000_000_000
			in.records = append(in.records, r)
		}
		w := d.worker()
		process(t, w, in.records...)
		d.commit(w)
		if n := w.Notes(); n != c.notes {
			t.Errorf("limit %d: %d notes, want %d", c.limit, n, c.notes)
		}
		if n := int(sumMetric(t, reg, "weir_reorder_buffer_events", "")); n-c.notes > c.limit {
			t.Errorf("limit %d: %d events wait whole", c.limit, n-c.notes)
		}
	}
}

// TestManyBeginningsAtOnce: so many sequences begin at once that their counts are made anew meanwhile: none is forgotten by that, and what goes on with
// it isn't taken for a note.
func TestManyBeginningsAtOnce(t *testing.T) {
	const base = 1_790_000_000_000
	var records []pipeline.Record
	add := func(h int, tag string, at int64) {
		r := of(fmt.Sprintf("h%d", h), tag, int64(len(records)), at)
		r.Time = base + at
		records = append(records, r)
	}
	n := 3000
	for i := range n {
		add(i, "A", int64(i))
	}
	add(n, "X", 10_000) // moves the record clock: all A are fed
	add(n, "X", 19_000)
	for i := range n {
		add(i, "B", 20_000+int64(i))
	}
	add(n, "X", 30_000)
	run := func(in pipeline.Input) map[string]string {
		cfg := config(compileQueries(t, rules.SetOptions{}, map[string]string{"p": pairByHost}, nil))
		cfg.Input = in
		d := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}}
		return d.run(slices.Clone(records))
	}
	want, got := run(nil), run(&logInput{records: records})
	if len(want) != n || len(got) != len(want) {
		t.Errorf("%d alerts without Input, %d with it", len(want), len(got))
	}
}

// TestEventOfManyJoinKeys: an event with more candidates than a block of notes takes waits whole, and the state can be loaded again.
func TestEventOfManyJoinKeys(t *testing.T) {
	queries := map[string]string{}
	for i := range 33 {
		queries[fmt.Sprintf("r%d", i)] = fmt.Sprintf(`sequence by host.id, process.pid with maxspan=60s [any where tag == "A" and n != %d] [any where tag == "B"]`, i)
	}
	cfg := config(compileQueries(t, rules.SetOptions{}, queries, nil))
	pids := make([]string, 1024)
	for i := range pids {
		pids[i] = strconv.Itoa(i + 1)
	}
	value := fmt.Sprintf(`{"@timestamp":%d,"event":{"id":"x","category":"process"},"host":{"id":"h"},"tag":"B","n":99,"process":{"pid":[%s]}}`, int64(1_790_000_000_000), strings.Join(pids, ","))
	in := &logInput{records: []pipeline.Record{{Topic: "events", Value: []byte(value), Time: 1_790_000_000_000, Clock: pipeline.ClockCreate}}}
	cfg.Input = in
	d := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}, log: in.records}
	w := d.worker()
	process(t, w, in.records...)
	d.commit(w)
	w, err := pipeline.NewWorker(cfg, d.store.Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatalf("the state can't be loaded any more: %v", err)
	}
}

// TestNotesOfAHostThatBeginsAnewTwice: what a host's watermark has passed isn't found by what comes when the watermark has begun anew, once ahead of
// that and then, by a clock that went back, behind it.
func TestNotesOfAHostThatBeginsAnewTwice(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{"p": pairByHost}, nil)
	for _, swap := range []bool{false, true} {
		cfg := config(set)
		records := []pipeline.Record{
			of("h", "B", 0, 800), of("y", "B", 1, 5750), of("h", "X", 2, 5800), of("h", "A", 3, 5900), of("z", "X", 4, 30_000),
		}
		records[0].Time = t0 + 3000
		records[3].Value = of("h", "A", 3, -500).Value
		in := &logInput{records: records}
		cfg.Input = in
		w, err := pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0)
		if err != nil {
			t.Fatal(err)
		}
		process(t, w, records[:3]...)
		if swap {
			if err := w.Swap(withSet(t, cfg, set)); err != nil {
				t.Fatal(err)
			}
		}
		process(t, w, records[3:]...)
		w.Changes()
		if n := len(w.Output().Alerts); n > 0 || in.reads > 0 {
			t.Errorf("swapped %v: %d alerts and %d reads, want none: the first event was passed before the one that begins came", swap, n, in.reads)
		}
	}
}

// TestEventsWaitWholeAfterAReload: what keeps the events of a rule whole, here one with several join keys for it, does so when the rules were loaded again.
func TestEventsWaitWholeAfterAReload(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{"p": pairByHost}, nil)
	for host, reads := range map[string]int{`["h","g"]`: 0, `"h"`: 1} {
		records := []pipeline.Record{of("h", "B", 0, 800), of("h", "B", 1, 1500), of("h", "A", 2, 1000), of("h", "X", 3, 90_000)}
		records[0].Value = bytes.Replace(records[0].Value, []byte(`"id":"h"`), []byte(`"id":`+host), 1)
		in := &logInput{records: records}
		cfg := config(set)
		cfg.Input = in
		w, err := pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0)
		if err != nil {
			t.Fatal(err)
		}
		process(t, w, records[0])
		if err := w.Swap(withSet(t, cfg, set)); err != nil {
			t.Fatal(err)
		}
		process(t, w, records[1:]...)
		w.Changes()
		if n := len(w.Output().Alerts); n != 1 || in.reads != reads {
			t.Errorf("first event of %s: %d alerts and %d reads, want 1 and %d", host, n, in.reads, reads)
		}
	}
}

// TestDroppedNotesAreCounted: notes that wait for removed rules only are counted when they are dropped, by a reload and by a restart alike; those that
// wait no more, or for another rule as well, are not.
func TestDroppedNotesAreCounted(t *testing.T) {
	both := map[string]string{
		"kept":    `sequence by host.id with maxspan=1h [any where tag == "A"] [any where tag in ("B", "F")]`,
		"removed": `sequence by host.id with maxspan=1h [any where tag == "D"] [any where tag in ("E", "F")]`,
	}
	for name, again := range map[string]bool{"reload": false, "restart": true} {
		t.Run(name, func(t *testing.T) {
			records := []pipeline.Record{
				of("h", "E", 0, 0), of("h", "X", 1, 60_000), // which passes it
				of("h", "E", 2, 60_500), of("h", "E", 3, 60_600), of("h", "F", 4, 60_700), of("h", "B", 5, 60_800),
			}
			reg := prometheus.NewRegistry()
			cfg := config(compileQueries(t, rules.SetOptions{}, both, nil))
			cfg.Metrics, cfg.Input = pipeline.NewMetrics(reg), &logInput{records: records}
			d := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}, log: records}
			w := d.worker()
			process(t, w, records...)
			d.commit(w)
			d.cfg = withSet(t, cfg, compileQueries(t, rules.SetOptions{}, map[string]string{"kept": both["kept"]}, nil))
			if again {
				w = d.worker()
			} else if err := w.Swap(d.cfg); err != nil {
				t.Fatal(err)
			}
			d.commit(w)
			expectMetric(t, reg, "weir_reorder_buffer_discarded_total", 2)
			d.cfg = cfg
			d.commit(d.worker()) // what was dropped is not there to be dropped again
			expectMetric(t, reg, "weir_reorder_buffer_discarded_total", 2)
		})
	}
}
