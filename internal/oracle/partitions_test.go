package oracle_test

import (
	"cmp"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/state"
)

// partitionsCase makes a sequence by any key, and events of some hosts that lie on several partitions, each at most lateness behind what is newer
// on its partition. Where by is set they have their time in that field, and another one in @timestamp; the broker's time is that of their times and
// offset.
func (g *generator) partitionsCase(by string, offset time.Duration) (q *query, events []*fakeEvent, records []pipeline.Record, lateness time.Duration) {
	q, events = g.sequenceCase()
	g.hosts, g.by = []string{"n1", "n2", "n3", "n4"}, by
	fields := slices.Concat(keyPaths[1:], []string{"event.category", "event.kind", "process.exit_code", "process.name", "x.n", "x.flag"})
	lateness = time.Duration(1+g.IntN(20)) * time.Millisecond
	if g.slow {
		lateness *= 1000
	}
	partitions := 2 + g.IntN(3)
	type arrival struct {
		*fakeEvent
		at int64 // microseconds
		on int32
	}
	var arrivals []arrival
	for i, ev := range events {
		e := arrival{fakeEvent: g.document(ev.at, i, fields), at: (ev.at+offset.Milliseconds())*1000 + g.Int64N(lateness.Microseconds())}
		h := fnv.New32a()
		fmt.Fprint(h, e.values["host.id"])
		e.on = int32(h.Sum32() % uint32(partitions))
		arrivals = append(arrivals, e)
	}
	g.hosts, g.by = nil, ""
	// Positions decide last, so they say the partition too.
	slices.SortStableFunc(arrivals, func(a, b arrival) int { return cmp.Or(cmp.Compare(a.on, b.on), cmp.Compare(a.at, b.at)) })
	for i, e := range arrivals {
		e.index = i
		records = append(records, pipeline.Record{
			Topic: "events", Partition: e.on, Offset: int64(i), Value: []byte(e.doc), Time: e.at / 1000, Clock: pipeline.ClockLogAppend,
		})
		events[i] = e.fakeEvent
	}
	return q, events, records, lateness
}

// passed is what the workers of partitions find that get on at random, one record at a time, and pass on what they have and how far they are to
// another one, which is restarted now and then.
func (g *generator) passed(cfg *pipeline.Config, records []pipeline.Record) ([]string, error) {
	cfg.EnsureDefaults()
	left, sources := map[int32][]pipeline.Record{}, []int32{}
	for _, r := range records {
		if left[r.Partition] == nil {
			sources = append(sources, r.Partition)
		}
		left[r.Partition] = append(left[r.Partition], r)
	}
	cfg.Rekey = pipeline.Rekey{Partitions: 1, Sources: slices.Clone(sources)}
	store, out, offset := state.OpenMemory(), []string{}, int64(0)
	workers := map[int32]*pipeline.Worker{}
	commit := func(w *pipeline.Worker) error {
		for _, a := range w.Output().Alerts {
			out = append(out, matchText(a))
		}
		w.Changes()
		return w.Committed(state.Checkpoint{Version: state.CodecVersion})
	}
	const target = 99
	for _, n := range append(slices.Clone(sources), target) {
		w, err := pipeline.NewWorker(cfg, store.Partition(n), n)
		if err != nil {
			return nil, err
		}
		workers[n] = w
	}
	pass := func(w *pipeline.Worker) error {
		p, _ := w.Progress()
		delays, report := rekey.Report{Delays: w.Delays(p.Clock)}, rekey.Report{Progress: []rekey.Progress{p}}
		values := [][]byte{}
		for _, r := range w.Output().Rekeyed {
			values = append(values, r.Value)
		}
		for _, v := range append(values, delays.Append(nil), report.Append(nil)) {
			if err := workers[target].ProcessRekeyed([]pipeline.Record{{Topic: "rekey", Offset: offset, Value: v}}); err != nil {
				return err
			}
			offset++
		}
		return errors.Join(commit(w), commit(workers[target]))
	}
	for len(sources) > 0 {
		at := g.IntN(len(sources))
		n := sources[at]
		if err := workers[n].Process(left[n][:1]); err != nil {
			return nil, err
		}
		if left[n] = left[n][1:]; len(left[n]) == 0 {
			sources = slices.Delete(sources, at, at+1)
		}
		if err := pass(workers[n]); err != nil {
			return nil, err
		}
		if g.chance(20) {
			if err := workers[target].Reload(); err != nil {
				return nil, err
			}
		}
	}
	for _, w := range workers {
		if err := errors.Join(w.Finish(), commit(w)); err != nil {
			return nil, err
		}
	}
	slices.Sort(out)
	return out, store.Close()
}

// TestPartitions feeds sequences through the workers of several partitions in the order of arrival, by @timestamp and by other fields, whose
// times are those of the broker, far behind, or ahead; the answer is that of a search over all events.
func TestPartitions(t *testing.T) {
	total, wrong := 0, 0
	n := count()
	for i := range n {
		seed := *seed + uint64(i)
		g := newGenerator(seed)
		g.ties = g.chance(30)
		by := g.pick("", "event.created", "event.ingested", "event.start")
		offset := []time.Duration{0, time.Hour, -4 * time.Minute}[g.IntN(3)]
		q, events, records, lateness := g.partitionsCase(by, offset)
		text := g.text(q)
		want := []string{}
		for _, fs := range q.answer(events, true) {
			for _, f := range fs {
				want = append(want, fmt.Sprint(f.events))
			}
		}
		slices.Sort(want)
		total += len(want)
		cfg, err := workerBy(by, text, lateness)
		if err != nil && strings.Contains(err.Error(), "too complex") {
			continue
		}
		var have []string
		if err == nil {
			if g.chance(30) {
				have, err = backtest(cfg, records)
			} else {
				have, err = g.passed(cfg, records)
			}
		}
		if err == nil && slices.Equal(have, want) {
			continue
		}
		if wrong++; wrong <= 5 {
			t.Errorf("seed %d, by %q, the broker %v later, lateness %v: %s\n%sgot  %v %v\nwant %v",
				seed, by, offset, lateness, text, describe(text, events), have, err, want)
		}
	}
	if wrong > 0 {
		t.Errorf("%d cases differ", wrong)
	}
	t.Logf("seeds %d to %d: %d cases with %d matches", *seed, *seed+uint64(n)-1, n, total)
}
