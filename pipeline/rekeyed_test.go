package pipeline_test

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// spread runs a stream on several partitions as members of a group would: each partition has a worker that is a source and a target.
// Batches, aborts, kills and who gets on when are random.
type spread struct {
	t     *testing.T
	cfg   *pipeline.Config
	rnd   *rand.Rand
	parts []*spreadPart
	out   map[string]string
	again bool               // batches that don't count are on the re-key topic all the same, some much later, and their alerts too
	late  []pipeline.Rekeyed // what replaced members write when they wake up
	// Sets that lack rules, whose files are broken for a moment: members with them take partitions over and give them back before anything comes.
	broken []*pipeline.Config
}

type spreadPart struct {
	number   int32
	store    *state.Store
	worker   *pipeline.Worker
	input    []pipeline.Record
	read     int // committed position of the input
	log      []pipeline.Record
	logRead  int // committed position of the re-key log
	reported rekey.Progress
	finished bool
}

const rekeyTopic = "rekey"

func newSpread(t *testing.T, cfg *pipeline.Config, partitions int, rnd *rand.Rand) *spread {
	t.Helper()
	cfg.Rekey.Partitions = int32(partitions)
	s := &spread{t: t, cfg: cfg, rnd: rnd, out: map[string]string{}}
	for n := range partitions {
		p := &spreadPart{number: int32(n), store: state.OpenMemory()}
		s.parts = append(s.parts, p)
		s.kill(p)
	}
	return s
}

// kill takes a worker's memory away: the next one has what the store has.
func (s *spread) kill(p *spreadPart) {
	s.t.Helper()
	broken := s.broken[s.rnd.IntN(len(s.broken)+1):]
	if slices.ContainsFunc(s.parts, func(q *spreadPart) bool { return q.read == len(q.input) }) {
		broken = nil // the clock is at the end, where nothing is kept for such rules any more
	}
	for _, cfg := range broken {
		s.start(p, cfg)
		p.worker.Changes()
		if out := p.worker.Output(); len(out.Alerts) > 0 || len(out.Rekeyed) > 0 {
			s.t.Errorf("a member that lacks rules made %d alerts and %d records of nothing", len(out.Alerts), len(out.Rekeyed))
		}
		if err := p.worker.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
			s.t.Fatal(err)
		}
	}
	s.start(p, s.cfg)
}

func (s *spread) start(p *spreadPart, cfg *pipeline.Config) {
	s.t.Helper()
	w, err := pipeline.NewWorker(cfg, p.store.Partition(p.number), p.number)
	if err != nil {
		s.t.Fatal(err)
	}
	p.worker = w
	s.reload(p)
}

// reload gives a worker what the store has, and what waited on the input.
func (s *spread) reload(p *spreadPart) {
	s.t.Helper()
	if err := p.worker.Reload(); err != nil {
		s.t.Fatal(err)
	}
	if err := p.worker.RefillFrom(p.input); err != nil {
		s.t.Fatal(err)
	}
}

func (s *spread) add(p *spreadPart, value []byte) {
	p.log = append(p.log, pipeline.Record{Topic: rekeyTopic, Partition: p.number, Offset: int64(len(p.log)), Value: value})
}

// step runs one batch of one partition, input and re-key log in any order, and commits or aborts it.
func (s *spread) step(p *spreadPart, end int64) {
	s.t.Helper()
	take := func(n int) int { return s.rnd.IntN(min(n, 40) + 1) }
	input, log := take(len(p.input)-p.read), take(len(p.log)-p.logRead)
	work := []func() error{
		func() error { return p.worker.Process(p.input[p.read : p.read+input]) },
		func() error { return p.worker.ProcessRekeyed(p.log[p.logRead : p.logRead+log]) },
	}
	s.rnd.Shuffle(len(work), func(i, j int) { work[i], work[j] = work[j], work[i] })
	for _, f := range work {
		if err := f(); err != nil {
			s.t.Fatal(err)
		}
	}
	if p.read+input == len(p.input) && end > 0 { // silent and caught up: the wall clock goes on
		if err := p.worker.Idle(end); err != nil {
			s.t.Fatal(err)
		}
	}
	p.worker.Changes()
	out := p.worker.Output()
	if s.rnd.IntN(5) == 0 {
		if s.again {
			s.publishSome(out)
		}
		s.reload(p)
		return
	}
	for _, a := range out.Alerts {
		if before, ok := s.out[a.ID]; ok && (!s.again || before != string(a.Body)) {
			s.t.Errorf("alert %s of rule %s is published twice", a.ID, a.RuleID)
		}
		s.out[a.ID] = string(a.Body)
	}
	for _, r := range out.Rekeyed {
		s.add(s.parts[r.Partition], r.Value)
	}
	p.read += input
	p.logRead += log
	if input > 0 && s.rnd.IntN(3) > 0 { // else the next one says more
		s.tell(p)
	}
	progress, _ := p.worker.Progress()
	if p.read == len(p.input) && end > 0 {
		progress.Clock = end
		p.finished = true
	}
	if progress != p.reported && (!progress.Empty || p.finished) {
		p.reported = progress
		delays := rekey.Report{Delays: p.worker.Delays(progress.Clock)}
		report := rekey.Report{Progress: []rekey.Progress{progress}}
		for _, q := range s.parts {
			s.add(q, delays.Append(nil))
			s.add(q, report.Append(nil))
		}
	}
	if err := p.worker.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
		s.t.Fatal(err)
	}
	if s.rnd.IntN(4) == 0 {
		s.kill(p)
	}
}

// tell reports to the targets what of its input a source has sent.
func (s *spread) tell(p *spreadPart) {
	last := &p.input[p.read-1]
	told, ok := p.worker.Sent("events", last.Offset+1, last.LeaderEpoch)
	if !ok {
		return
	}
	report := rekey.Report{Sent: []rekey.Sent{told}}
	for _, q := range s.parts {
		s.add(q, report.Append(nil))
	}
}

// publishSome publishes some of a batch that won't count: to each target, and of the alerts, up to anywhere or with gaps.
func (s *spread) publishSome(out *pipeline.Output) {
	for _, a := range out.Alerts {
		if s.rnd.IntN(2) == 0 {
			s.out[a.ID] = string(a.Body)
		}
	}
	gaps, end := s.rnd.IntN(2) == 0, s.rnd.IntN(len(out.Rekeyed)+1)
	if s.rnd.IntN(3) == 0 {
		s.late = append(s.late, out.Rekeyed...)
		return
	}
	for i, r := range out.Rekeyed {
		if i < end && (!gaps || s.rnd.IntN(3) > 0) {
			s.add(s.parts[r.Partition], r.Value)
		}
	}
}

// wakeUp has replaced members write what they had at hand.
func (s *spread) wakeUp() {
	for _, r := range s.late {
		s.add(s.parts[r.Partition], r.Value)
	}
	s.late = nil
}

// run runs everything until nothing is left to read, with the wall clock at lastClock for partitions that are caught up.
func (s *spread) run() map[string]string {
	s.t.Helper()
	left := func(p *spreadPart) bool { return p.read < len(p.input) || p.logRead < len(p.log) || !p.finished }
	for slices.ContainsFunc(s.parts, left) {
		s.step(s.parts[s.rnd.IntN(len(s.parts))], lastClock)
		if s.rnd.IntN(8) == 0 {
			s.wakeUp()
		}
	}
	return s.out
}

// scatter gives each record of a stream a partition and an offset on it, and returns the records of each partition.
func scatter(records []pipeline.Record, partitions int, of func(i int, r pipeline.Record) int) [][]pipeline.Record {
	out := make([][]pipeline.Record, partitions)
	for i := range records {
		r := &records[i]
		n := of(i, *r)
		r.Partition, r.Offset = int32(n), int64(len(out[n]))
		r.Clock = pipeline.ClockLogAppend
		out[n] = append(out[n], *r)
	}
	return out
}

// byHost assigns the hosts of stream to partitions at random.
func byHost(seed uint64, partitions int) func(int, pipeline.Record) int {
	return func(_ int, r pipeline.Record) int {
		_, host, _ := strings.Cut(string(r.Value), `"host":{"id":"`)
		h := fnv.New64a()
		fmt.Fprintf(h, "%d %.2s", seed, host)
		return int(h.Sum64() % uint64(partitions))
	}
}

// past has all events of a stream happen some months before they came, and then twenty times as fast.
func past(records []pipeline.Record) {
	first := records[0].Time
	for i := range records {
		records[i].Time = first + (records[i].Time-first)/20 + 60*24*3600*1000
	}
}

// lastClock is behind everything that waits.
const lastClock = int64(1_799_000_000_000)

// alone runs records on one worker that sees all of them.
func alone(t *testing.T, cfg *pipeline.Config, records []pipeline.Record) map[string]string {
	t.Helper()
	d := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}}
	w := d.worker()
	if err := w.Process(records); err != nil {
		t.Fatal(err)
	}
	if err := w.Idle(lastClock); err != nil {
		t.Fatal(err)
	}
	d.commit(w)
	return d.out
}

// TestSameAlertsOnAnyPartitions: however hosts are spread over partitions, in whatever batches their workers get on, however often
// they are aborted and killed, the alerts are those of one worker that sees all events, to the byte. With Rekey.All even a host may be
// on several partitions.
func TestSameAlertsOnAnyPartitions(t *testing.T) { onAnyPartitions(t, 40, false) }

// TestRepeatsAreTakenOnce: what batches that didn't count have sent, all of it or some, changes nothing, though it comes again.
func TestRepeatsAreTakenOnce(t *testing.T) { onAnyPartitions(t, 45, true) }

func onAnyPartitions(t *testing.T, salt uint64, again bool) {
	t.Helper()
	set := compile(t, rules.SetOptions{})
	seeds := uint64(60)
	switch {
	case testing.Short():
		seeds = 12
	case again:
		seeds = 30
	}
	by := map[string]int{"across": 0, "started": 0, "ended": 0, "starts": 0}
	for seed := range seeds {
		rnd := rand.New(rand.NewPCG(seed, salt))
		partitions := 1 + rnd.IntN(5)
		cfg := config(set)
		assign := byHost(seed, partitions)
		records := stream(rnd, 300, 0)
		if cfg.Rekey.All = seed%3 == 2; cfg.Rekey.All {
			assign = func(int, pipeline.Record) int { return rnd.IntN(partitions) }
		}
		if seed%4 == 1 {
			past(records)
		}
		inputs := scatter(records, partitions, assign)
		single := config(set)
		want := alone(t, single, records)
		if again {
			cfg.Rekey.Logs, cfg.Rekey.Repeats = map[string]uint64{"events": 77}, true
		}
		s := newSpread(t, cfg, partitions, rnd)
		s.again = again
		for n, p := range s.parts {
			p.input = inputs[n]
		}
		got := s.run()
		if cfg.Rekey.All { // by this field's times events are late, and where hosts share an order others are than where they don't
			for _, m := range []map[string]string{want, got} {
				maps.DeleteFunc(m, func(_, body string) bool { return strings.Contains(body, `"id":"created"`) })
			}
		}
		compareAlerts(t, fmt.Sprintf("seed %d, %d partitions", seed, partitions), want, got)
		for _, body := range want {
			for rule := range by {
				if strings.Contains(body, fmt.Sprintf(`"id":%q`, rule)) {
					by[rule]++
				}
			}
		}
	}
	for rule, n := range by {
		if n < 20 {
			t.Errorf("only %d alerts of rule %s, which joins hosts: the streams prove too little", n, rule)
		}
	}
}

// TestBacktestJoinsPartitions: a replay of several partitions finds what one worker does that sees all events.
func TestBacktestJoinsPartitions(t *testing.T) {
	set := compile(t, rules.SetOptions{})
	across := 0
	for seed := range uint64(10) {
		rnd := rand.New(rand.NewPCG(seed, 43))
		partitions := 2 + rnd.IntN(4)
		records := stream(rnd, 300, 0)
		inputs := scatter(records, partitions, byHost(seed, partitions))
		want := alone(t, config(set), records)
		rnd.Shuffle(partitions, func(i, j int) { inputs[i], inputs[j] = inputs[j], inputs[i] })
		got := map[string]string{}
		_, err := replay.Backtest(t.Context(), replay.FromRecords(slices.Concat(inputs...)), replay.Options{
			Config: config(set),
			Alert: func(a pipeline.Alert) error {
				got[a.ID] = strings.Replace(string(a.Body), `"open_end":true,`, "", 1)
				return nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		for id, body := range want {
			if _, ok := got[id]; !ok {
				t.Errorf("seed %d: alert missing: %.300s", seed, body)
			}
			if strings.Contains(body, `"id":"across"`) {
				across++
			}
		}
		for id, body := range got {
			if _, ok := want[id]; !ok {
				t.Errorf("seed %d: alert too many: %.300s", seed, body)
			}
		}
	}
	if across < 10 {
		t.Errorf("only %d alerts of the rule that joins hosts: the streams prove too little", across)
	}
}

// TestEndedPartitionHoldsNothingUp: in a replay, a partition that ends long before the others doesn't make the joining
// worker wait for the end of the input with what they send. What is decided by the clock of the others has no open end.
func TestEndedPartitionHoldsNothingUp(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{
		"stays": `sequence by user.name with maxspan=1s [process where process.name == "sudo"] ![process where process.name == "logout"]`,
	}, nil)
	const t0 = 1_790_000_000_000
	var records []pipeline.Record
	add := func(partition int32, user, process string, at int64) {
		records = append(records, pipeline.Record{
			Topic: "t", Partition: partition, Offset: int64(len(records)), Time: t0 + at, Clock: pipeline.ClockLogAppend,
			Value: fmt.Appendf(nil, `{"@timestamp":%d,"event":{"category":"process"},"host":{"id":"h%d"},"user":{"name":%q},"process":{"name":%q}}`,
				t0+at, partition, user, process),
		})
	}
	add(0, "early", "sudo", 0)
	for i := range 20_000 {
		add(1, fmt.Sprint("u", i), "sudo", int64(i)*100)
	}
	ends := map[bool]int{}
	_, err := replay.Backtest(t.Context(), replay.FromRecords(records), replay.Options{
		Config: config(set),
		Alert: func(a pipeline.Alert) error {
			ends[strings.Contains(string(a.Body), `"open_end":true`)]++
			return nil
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if open := ends[true]; ends[true]+ends[false] != len(records) || open == 0 || open > 100 {
		t.Errorf("%d alerts of %d have an open end, want those of the last seconds", open, ends[true]+ends[false])
	}
}

// TestTargetIsAFunctionOfItsLog: with late events too, what a target makes of its log of the re-key topic doesn't depend on batches,
// aborts and kills.
func TestTargetIsAFunctionOfItsLog(t *testing.T) {
	set := compile(t, rules.SetOptions{})
	alerts := 0
	for seed := range uint64(12) {
		rnd := rand.New(rand.NewPCG(seed, 41))
		cfg := config(set)
		cfg.Rekey.All = true
		s := newSpread(t, cfg, 2, rnd)
		for n, records := range scatter(stream(rnd, 400, 6), 2, func(int, pipeline.Record) int { return rnd.IntN(2) }) {
			s.parts[n].input = records
		}
		s.run()
		for _, p := range s.parts {
			again := newSpread(t, cfg, 2, rand.New(rand.NewPCG(seed, 42)))
			again.parts[p.number].log = p.log
			want := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}}
			w := want.worker()
			if err := w.ProcessRekeyed(p.log); err != nil {
				t.Fatal(err)
			}
			want.commit(w)
			for q := again.parts[p.number]; q.logRead < len(q.log); {
				again.step(q, 0)
			}
			compareAlerts(t, fmt.Sprintf("seed %d, target %d", seed, p.number), want.out, again.out)
			alerts += len(want.out)
		}
	}
	if alerts < 300 {
		t.Errorf("only %d alerts: the streams prove too little", alerts)
	}
}

// target returns a worker that waits for so many sources, and a function that gives it records of the re-key topic.
func target(t *testing.T, sources int32, set func(*pipeline.Config)) (w *pipeline.Worker, receive func(...[]byte)) {
	t.Helper()
	w = newWorker(t, func(c *pipeline.Config) {
		c.Rekey.Partitions = sources
		if set != nil {
			set(c)
		}
	})
	return w, receiver(t, w)
}

// receiver returns a function that gives a target records of the re-key topic.
func receiver(t *testing.T, w *pipeline.Worker) func(...[]byte) {
	t.Helper()
	offset := int64(0)
	return func(values ...[]byte) {
		t.Helper()
		for _, v := range values {
			if err := w.ProcessRekeyed([]pipeline.Record{{Topic: rekeyTopic, Offset: offset, Value: v}}); err != nil {
				t.Fatal(err)
			}
			offset++
		}
	}
}

// sent returns what a source hands out for an event at so many milliseconds.
func sent(t *testing.T, offset, ms int64, tag string) []byte {
	t.Helper()
	w := newWorker(t, func(c *pipeline.Config) { c.Rekey.Partitions = 1 })
	r := at(offset, ms, ms, tag)
	r.Value = []byte(strings.Replace(string(r.Value), `"tag"`, `"n":1,"tag"`, 1))
	process(t, w, r)
	out := w.Output().Rekeyed
	if len(out) != 1 {
		t.Fatalf("%d records for the re-key topic, want 1", len(out))
	}
	return out[0].Value
}

func progress(source int32, ms int64) []byte {
	p := rekey.Report{Progress: []rekey.Progress{{Source: source, Clock: t0 + ms, Delay: 0}}}
	return p.Append(nil)
}

func empty(source int32, clock int64) []byte {
	p := rekey.Report{Progress: []rekey.Progress{{Source: source, Clock: clock, Empty: true}}}
	return p.Append(nil)
}

func TestTargetWaitsForAllSources(t *testing.T) {
	w, receive := target(t, 3, nil)
	receive(sent(t, 1, 500, "B"), sent(t, 0, 0, "A"), progress(0, 60_000), progress(1, 60_000))
	wantMatches(t, w, "across") // one source isn't known yet
	receive(progress(2, 2500))
	wantMatches(t, w, "across") // the watermark is 499 ms
	receive(progress(2, 2501))
	wantMatches(t, w, "across", "A0 B1")
	receive(progress(2, 10)) // it never goes back
	receive(sent(t, 3, 1000, "B"), sent(t, 2, 900, "A"), progress(2, 3001))
	wantMatches(t, w, "across", "A0 B1", "A2 B3")
}

// TestEmptySource: a partition that never had an event follows the clocks of the others, and goes by its own from its first event on.
func TestEmptySource(t *testing.T) {
	w, receive := target(t, 2, nil)
	receive(empty(1, 0), sent(t, 0, 0, "A"), sent(t, 1, 100, "B"), progress(0, 2101))
	wantMatches(t, w, "across")
	receive(empty(1, t0+2101))
	wantMatches(t, w, "across", "A0 B1")
	receive(progress(1, 2200), sent(t, 2, 1000, "A"), sent(t, 3, 1100, "B"), progress(0, 60_000))
	wantMatches(t, w, "across", "A0 B1")
	receive(progress(1, 3101))
	wantMatches(t, w, "across", "A0 B1", "A2 B3")
}

// TestTargetLeavesOutWhatItDoesNotKnow: damaged records, and candidates of rules that have changed since they were sent.
func TestTargetLeavesOutWhatItDoesNotKnow(t *testing.T) {
	reg := prometheus.NewRegistry()
	w, receive := target(t, 1, func(c *pipeline.Config) { c.Metrics = pipeline.NewMetrics(reg) })
	rec, err := rekey.Decode(sent(t, 7, 50, "A"))
	if err != nil {
		t.Fatal(err)
	}
	rec.Event.Candidates = append(rec.Event.Candidates[:1:1], rekey.Candidate{Rule: 12345, Hits: 1, Join: rec.Event.Candidates[0].Join})
	rec.Event.Candidates[0].Rule++
	receive(sent(t, 0, 0, "A"), rec.Event.Append(nil), []byte("no record"), sent(t, 1, 100, "B"), progress(0, 60_000))
	wantMatches(t, w, "across", "A0 B1")
	w.Changes()
	if err := w.Committed(state.Checkpoint{}); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]float64{"unknown_rule": 2, "malformed": 1} {
		if got := sumMetric(t, reg, "weir_rekey_dropped_total", name); got != want {
			t.Errorf("%s: %v counted, want %v", name, got, want)
		}
	}
}

// TestPartialsOfAnotherOrderAreDropped: a rule whose events were ordered by their hosts begins afresh when they are re-keyed, and the
// reverse: nobody would move the watermark of its old partials.
func TestPartialsOfAnotherOrderAreDropped(t *testing.T) {
	for _, before := range []bool{false, true} {
		store := state.OpenMemory()
		work := func(all bool, records ...pipeline.Record) *pipeline.Worker {
			cfg := config(compile(t, rules.SetOptions{}))
			cfg.Rekey.All = all
			w, err := pipeline.NewWorker(cfg, store.Partition(0), 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := w.Reload(); err != nil {
				t.Fatal(err)
			}
			process(t, w, records...)
			w.Changes()
			return w
		}
		w := work(before, at(0, 0, 0, "A"), at(1, 2500, 2500, "X"))
		if err := w.Committed(state.Checkpoint{}); err != nil {
			t.Fatal(err)
		}
		w = work(before, at(2, 2600, 2600, "B"), at(3, 9000, 9000, "X"))
		wantMatches(t, w, "pair", "A0 B2")
		w = work(!before, at(2, 2600, 2600, "B"), at(3, 9000, 9000, "X"))
		wantMatches(t, w, "pair")
	}
}
