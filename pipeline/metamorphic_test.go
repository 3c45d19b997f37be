package pipeline_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// queries are the rules of the metamorphic tests, by id: every form of stage that a sequence may have, and samples.
var queries = map[string]string{
	"single":   `any where tag == "A" and n == 1`,
	"pair":     `sequence by host.id with maxspan=3s [any where tag == "A"] [any where tag == "B"]`,
	"pid":      `sequence by host.id with maxspan=5s [any where tag == "A"] by process.pid [any where tag == "C"] by process.parent.pid`,
	"runs":     `sequence by host.id, process.pid with maxspan=10s [any where tag == "B"] with runs=3`,
	"until":    `sequence by host.id with maxspan=4s [any where tag == "A"] [any where tag == "C"] until [any where tag == "D"]`,
	"gap":      `sequence by host.id, process.pid with maxspan=6s [any where tag == "A"] ![any where tag == "B"] [any where tag == "C"]`,
	"trailing": `sequence by host.id, process.pid with maxspan=2s [any where tag == "C"] ![any where tag == "D"]`,
	"leading":  `sequence by host.id, process.pid with maxspan=2s ![any where tag == "D"] [any where tag == "B"]`,
	"across":   `sequence by n with maxspan=3s [any where tag == "A"] [any where tag == "B"] until [any where tag == "D"]`,
	"created":  `sequence by host.id with maxspan=3s [any where tag == "B"] [any where tag == "A"]`,
	"sample":   `sample by host.id [any where tag == "A"] [any where tag == "B"] [any where tag in ("B", "C")]`,
	"overlap":  `sample by host.id, ?process.pid [any where tag in ("A", "B")] [any where tag in ("B", "C")] [any where n == 1]`,
	"apart":    `sample by n [any where tag == "A"] by process.pid [any where tag == "D"] by process.parent.pid`,
	"started":  `sequence by n with maxspan=3s [any where tag == "B"] [any where tag == "A"] until [any where tag == "D"]`,
	"ended":    `sequence by n, process.pid with maxspan=2s [any where tag == "C"] ![any where tag == "B"]`,
	"starts":   `sample by n, process.pid [any where tag == "A"] [any where tag == "D"]`,
	"both":     `sequence by host.id with maxspan=3s ![any where tag == "D"] [any where tag == "A"] ![any where tag == "C"]`,
}

// settings are further lines of a rule.
var settings = map[string]string{
	"created": "timestamp_field = \"event.created\"\n",
	"started": "timestamp_field = \"event.start\"\n",
	"ended":   "timestamp_field = \"event.end\"\n",
	"starts":  "timestamp_field = \"event.start\"\nfrom = \"now-6s\"\n",
	"sample":  "from = \"now-4s\"\n", "overlap": "from = \"now-3s\"\n", "apart": "from = \"now-9s\"\n",
}

func compile(tb testing.TB, o rules.SetOptions) *rules.Set {
	tb.Helper()
	return compileQueries(tb, o, queries, settings)
}

// compileQueries compiles rules by their ids; settings are further lines of some of them.
func compileQueries(tb testing.TB, o rules.SetOptions, queries, settings map[string]string) *rules.Set {
	tb.Helper()
	dir := tb.TempDir()
	for id, q := range queries {
		text := fmt.Sprintf("[metadata]\nmaturity = \"production\"\n[rule]\nauthor = [\"Weir\"]\ndescription = \"d\"\nlanguage = \"eql\"\nlicense = \"Apache-2.0\"\nname = %q\nrisk_score = 21\nrule_id = %q\nseverity = \"low\"\ntype = \"eql\"\n%squery = '''%s'''\n", id, id, settings[id], q)
		if err := os.WriteFile(filepath.Join(dir, id+".toml"), []byte(text), 0o600); err != nil {
			tb.Fatal(err)
		}
	}
	c, err := rules.Load([]string{dir}, rules.LoadOptions{})
	if err != nil || c.Errors() > 0 {
		tb.Fatal(err, c.Files)
	}
	set, err := rules.NewSet(c.Rules, o)
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// stream makes a random stream of some hosts: event times out of order by less than the lateness, broker times in
// order, now and then a silence, and now and then a record that is no event. One event in late comes up to 10 s
// late; 0 means none. By event.created the disorder is more than the lateness; event.start is a minute behind @timestamp, event.end is
// ahead of it and of the broker's time, and by both the disorder is another one, less than the lateness.
func stream(r *rand.Rand, n, late int) []pipeline.Record {
	var records []pipeline.Record
	clock := int64(1_790_000_000_000)
	source := []pipeline.ClockSource{pipeline.ClockLogAppend, pipeline.ClockCreate, pipeline.ClockEvent}[r.IntN(3)]
	for i := range n {
		clock += r.Int64N(400)
		if r.IntN(40) == 0 {
			clock += r.Int64N(20_000)
		}
		at := clock - r.Int64N(1500)
		if late > 0 && r.IntN(late) == 0 {
			at -= r.Int64N(10_000)
		}
		id := fmt.Sprintf(`"id":"e%d",`, i)
		if r.IntN(4) == 0 {
			id = "" // its place in the log is its identity
		}
		value := fmt.Sprintf(`{"@timestamp":%d,"event":{%s"created":%d,"start":%d,"end":%d,"category":"process"},"host":{"id":"h%d"},"tag":%q,"n":%d,"process":{"pid":%d,"parent":{"pid":%d}}}`,
			at, id, at+r.Int64N(3000)-4000, at-60_000+int64(i*37%400), at+1600+int64(i*53%400), r.IntN(3), string("ABCDX"[r.IntN(5)]), r.IntN(3), r.IntN(3), r.IntN(3))
		if r.IntN(50) == 0 {
			value = value[:len(value)/2]
		}
		records = append(records, pipeline.Record{
			Topic: "events", Offset: int64(i), Value: []byte(value), Time: clock, Clock: source,
		})
	}
	return records
}

// driver runs a stream as a process would: in batches, with restarts and aborts where rnd says so.
type driver struct {
	t     *testing.T
	cfg   *pipeline.Config
	store *state.Store
	rnd   *rand.Rand // nil: one batch, no restarts
	out   map[string]string
	order []string // ids as published
	again bool     // an id may be published again
	log   []pipeline.Record
}

func (d *driver) worker() *pipeline.Worker {
	d.t.Helper()
	w, err := pipeline.NewWorker(d.cfg, d.store.Partition(0), 0)
	if err != nil {
		d.t.Fatal(err)
	}
	d.reload(w)
	return w
}

// reload does what follows an assignment or an abort.
func (d *driver) reload(w *pipeline.Worker) {
	d.t.Helper()
	if err := w.Reload(); err != nil {
		d.t.Fatal(err)
	}
	if err := w.RefillFrom(d.log); err != nil {
		d.t.Fatal(err)
	}
}

func (d *driver) run(records []pipeline.Record) map[string]string {
	d.t.Helper()
	d.log = records
	w := d.worker()
	for len(records) > 0 {
		n := len(records)
		if d.rnd != nil {
			n = 1 + d.rnd.IntN(min(n, 60))
		}
		if err := w.Process(records[:n]); err != nil {
			d.t.Fatal(err)
		}
		if d.rnd != nil && d.rnd.IntN(4) == 0 { // the transaction is aborted: the same records come again
			w.Changes()
			d.reload(w)
			continue
		}
		d.commit(w)
		records = records[n:]
		if d.rnd != nil && d.rnd.IntN(3) == 0 { // killed and started again
			w = d.worker()
		}
	}
	if err := w.Finish(); err != nil {
		d.t.Fatal(err)
	}
	d.commit(w)
	return d.out
}

func (d *driver) commit(w *pipeline.Worker) {
	d.t.Helper()
	w.Changes()
	d.publish(w.Output().Alerts)
	if err := w.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *driver) publish(alerts []pipeline.Alert) {
	d.t.Helper()
	for _, a := range alerts {
		if _, ok := d.out[a.ID]; ok && !d.again {
			d.t.Errorf("alert %s of rule %s is published twice", a.ID, a.RuleID)
		}
		d.out[a.ID] = string(a.Body)
		d.order = append(d.order, a.ID)
	}
}

// runAhead runs a stream as a process would that goes on with the next records while a batch is being committed: its outcome comes before or after
// these, and where it is an abort they are dropped with it.
func (d *driver) runAhead(records []pipeline.Record) map[string]string {
	d.t.Helper()
	d.log = records
	w := d.worker()
	var sealed *pipeline.Sealed
	committed, end, next := 0, 0, 0 // up to where the input is committed, sealed, and read
	settle := func() {
		d.t.Helper()
		if sealed == nil {
			return
		}
		s := sealed
		sealed = nil
		if d.rnd.IntN(4) == 0 {
			d.reload(w)
			next = committed
			return
		}
		d.publish(s.Alerts)
		if err := s.Apply(state.Checkpoint{Version: state.CodecVersion}); err != nil {
			d.t.Fatal(err)
		}
		committed = end
		if d.rnd.IntN(4) == 0 { // killed when the store had it, and started again
			w = d.worker()
			next = committed
			return
		}
		w.Confirm()
	}
	for committed < len(records) {
		if d.rnd.IntN(3) == 0 {
			settle()
		}
		n := min(1+d.rnd.IntN(60), len(records)-next)
		if err := w.Process(records[next : next+n]); err != nil {
			d.t.Fatal(err)
		}
		next += n
		if d.rnd.IntN(3) == 0 {
			continue
		}
		if before := next; sealed != nil {
			if settle(); next < before {
				continue
			}
		}
		w.Changes()
		sealed, end = w.Seal(), next
		if d.rnd.IntN(8) == 0 { // killed before it was committed, and started again
			sealed, w, next = nil, d.worker(), committed
		}
	}
	settle()
	if err := w.Finish(); err != nil {
		d.t.Fatal(err)
	}
	d.commit(w)
	return d.out
}

func sampling(set *rules.Set, mode pipeline.SampleMode) *pipeline.Config {
	c := config(set)
	c.Samples = mode
	return c
}

func config(set *rules.Set) *pipeline.Config {
	c := &pipeline.Config{Set: set, Alerts: alert.NewECS(alert.Options{})}
	c.EnsureDefaults()
	return c
}

// TestSameAlertsHoweverItRuns: any batch sizes, restarts after any commit, aborts of any batch, records that are run while the batch before them is
// being committed, index and shared atoms on or off give the same alerts, to the byte, each once. Every fourth stream is one search for samples.
func TestSameAlertsHoweverItRuns(t *testing.T) {
	plain := compile(t, rules.SetOptions{})
	unindexed := compile(t, rules.SetOptions{NoIndex: true, Env: eql.EnvOptions{NoSharing: true, NoOptimise: true}})
	seeds := uint64(30)
	if testing.Short() {
		seeds = 5
	}
	alerts := 0
	for seed := range seeds {
		records := stream(rand.New(rand.NewPCG(seed, 1)), 400, int(seed%3)*10)
		mode := pipeline.SamplesStream
		if seed%4 == 3 {
			mode = pipeline.SamplesBatch
		}
		whole := &driver{t: t, cfg: sampling(plain, mode), store: state.OpenMemory(), out: map[string]string{}}
		want := whole.run(records)
		alerts += len(want)
		for name, v := range map[string]struct {
			set *rules.Set
			run func(*driver, []pipeline.Record) map[string]string
		}{"restarts": {plain, (*driver).run}, "unindexed": {unindexed, (*driver).run}, "ahead of commits": {plain, (*driver).runAhead}} {
			parts := &driver{
				t: t, cfg: sampling(v.set, mode), store: state.OpenMemory(), out: map[string]string{},
				rnd: rand.New(rand.NewPCG(seed, 2)),
			}
			compareAlerts(t, fmt.Sprintf("seed %d, %s", seed, name), want, v.run(parts, records))
			if !slices.Equal(whole.order, parts.order) {
				t.Errorf("seed %d, %s: the same alerts in another order", seed, name)
			}
		}
	}
	if alerts < 1000 {
		t.Errorf("only %d alerts: the streams prove too little", alerts)
	}
}

func compareAlerts(t *testing.T, name string, want, got map[string]string) {
	t.Helper()
	for id, body := range want {
		switch other, ok := got[id]; {
		case !ok:
			t.Errorf("%s: alert missing: %s", name, body[:min(len(body), 300)])
		case other != body:
			t.Errorf("%s: alert %s differs:\n%s\n%s", name, id, body, other)
		}
	}
	for id, body := range got {
		if _, ok := want[id]; !ok {
			t.Errorf("%s: alert too many: %s", name, body[:min(len(body), 300)])
		}
	}
}

// TestDisorderWithinLatenessIsNoDisorder: what the pipeline finds in a disordered stream is what a query finds in
// the sorted one. A search for samples doesn't even mind late events.
func TestDisorderWithinLatenessIsNoDisorder(t *testing.T) {
	set := compile(t, rules.SetOptions{})
	for seed := range uint64(30) {
		late := 0
		if seed >= 20 {
			late = 5
		}
		records := stream(rand.New(rand.NewPCG(seed, 3)), 300, late)
		got := map[string][]string{}
		_, err := replay.Backtest(t.Context(), replay.FromRecords(records), replay.Options{
			Config: sampling(set, pipeline.SamplesBatch),
			Alert: func(a pipeline.Alert) error {
				got[a.RuleID] = append(got[a.RuleID], places(a.Match))
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for id, q := range queries {
			if id == "created" { // not ordered by one host's @timestamp
				continue
			}
			if late > 0 && !strings.HasPrefix(q, "sample") {
				continue
			}
			_, field, _ := strings.Cut(settings[id], "timestamp_field = \"")
			field, _, _ = strings.Cut(field, "\"")
			res, err := replay.Query(q, replay.FromRecords(records), replay.QueryOptions{TimestampField: field})
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, m := range res.Matches {
				want = append(want, queryPlaces(m))
			}
			slices.Sort(want)
			slices.Sort(got[id])
			if !slices.Equal(got[id], want) {
				t.Errorf("seed %d, rule %s: pipeline %v, query %v", seed, id, got[id], want)
			}
		}
	}
}

func places(match []sequence.MatchEvent) string {
	var b strings.Builder
	for _, e := range match {
		if e.Missing {
			b.WriteString("- ")
		} else {
			fmt.Fprintf(&b, "%d ", e.Ref.Offset)
		}
	}
	return b.String()
}

func queryPlaces(m replay.QueryMatch) string {
	var b strings.Builder
	for _, e := range m.Events {
		if e.Missing {
			b.WriteString("- ")
		} else {
			fmt.Fprintf(&b, "%d ", e.Index)
		}
	}
	return b.String()
}
