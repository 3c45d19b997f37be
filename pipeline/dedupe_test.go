package pipeline_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// deliveredTwice puts copies of some events into a stream, each some records behind the first, as an agent does that
// sends a batch again.
func deliveredTwice(r *rand.Rand, records []pipeline.Record) []pipeline.Record {
	var out []pipeline.Record
	copies := map[int][]pipeline.Record{} // by the record that they follow
	for i, rec := range records {
		out = append(out, rec)
		for _, c := range copies[i] {
			c.Time = rec.Time
			out = append(out, c)
		}
		if r.IntN(3) == 0 {
			at := i + 1 + r.IntN(30)
			copies[at] = append(copies[at], rec)
		}
	}
	for i := range out {
		out[i].Offset = int64(i)
	}
	return out
}

// TestDuplicatesGiveOneAlert: of the alerts that a stream with repeated events gives, each id is published once, and those that
// are left out are counted; with a short window the same ones are, however the stream is cut into batches.
func TestDuplicatesGiveOneAlert(t *testing.T) {
	set := compile(t, rules.SetOptions{})
	dropped := 0
	for seed := range seedsOf(20) {
		records := deliveredTwice(rand.New(rand.NewPCG(seed, 21)), stream(rand.New(rand.NewPCG(seed, 22)), 300, 10))
		run := func(window time.Duration, rnd *rand.Rand) (*driver, *prometheus.Registry) {
			reg := prometheus.NewRegistry()
			cfg := config(set)
			cfg.Dedupe.Window = window
			cfg.Metrics = pipeline.NewMetrics(reg)
			d := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}, rnd: rnd, again: true}
			d.run(records)
			return d, reg
		}
		all, _ := run(0, nil)
		once, reg := run(time.Hour, nil)
		if got, want := len(once.order), len(all.out); got != want {
			t.Errorf("seed %d: %d alerts, want %d", seed, got, want)
		}
		for id := range all.out {
			if n := len(slices.DeleteFunc(slices.Clone(once.order), func(x string) bool { return x != id })); n != 1 {
				t.Errorf("seed %d: alert %s is published %d times", seed, id, n)
			}
		}
		expectMetric(t, reg, "weir_alerts_deduplicated_total", float64(len(all.order)-len(once.order)))
		expectMetric(t, reg, "weir_dedupe_ids_forgotten_total", 0)
		dropped += len(all.order) - len(once.order)

		short, _ := run(3*time.Second, nil)
		parts, _ := run(3*time.Second, rand.New(rand.NewPCG(seed, 23)))
		if diff := cmp.Diff(short.order, parts.order); diff != "" {
			t.Errorf("seed %d: another choice with restarts (-whole +parts):\n%s", seed, diff)
		}
	}
	if dropped < 100 {
		t.Errorf("only %d alerts were repeated: the streams prove too little", dropped)
	}
}

// TestDedupeWindow follows single events through the window and the cap; the worker is made anew after each of them.
func TestDedupeWindow(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{"single": `any where tag == "A"`}, nil)
	const start = 1_790_000_000_000
	for name, c := range map[string]struct {
		dedupe pipeline.Dedupe
		events string  // ids, a letter each
		at     []int64 // their record times; the event time is that of the first
		want   string  // published
		cut    float64 // ids that the cap forgot
		kept   int     // ids that the store has at the end
	}{
		"off":                       {pipeline.Dedupe{}, "aab", []int64{0, 1, 2}, "aab", 0, 0},
		"within":                    {pipeline.Dedupe{Window: time.Minute}, "aabaa", []int64{0, 0, 5, 59_999, 60_000}, "ab", 0, 2},
		"just over":                 {pipeline.Dedupe{Window: time.Minute}, "aaa", []int64{0, 60_001, 60_002}, "aa", 0, 1},
		"a repetition keeps no id":  {pipeline.Dedupe{Window: time.Minute}, "aaa", []int64{0, 40_000, 80_000}, "aa", 0, 1},
		"another event lets ids go": {pipeline.Dedupe{Window: time.Minute}, "ax", []int64{0, 60_001}, "ax", 0, 1},
		"cap":                       {pipeline.Dedupe{Window: time.Minute, IDs: 2}, "abcbca", []int64{0, 1, 2, 3, 4, 5}, "abca", 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			reg := prometheus.NewRegistry()
			cfg := config(set)
			cfg.Dedupe = c.dedupe
			cfg.Metrics = pipeline.NewMetrics(reg)
			cfg.EnsureDefaults()
			d := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}, again: true}
			names, got := map[string]rune{}, []rune(nil)
			for i, id := range c.events {
				w := d.worker()
				value := fmt.Appendf(nil, `{"@timestamp":%d,"event":{"id":"%c","category":"process"},"host":{"id":"h"},"tag":"A"}`, start, id)
				if err := w.Process([]pipeline.Record{{Topic: "events", Offset: int64(i), Value: value, Time: start + c.at[i], Clock: pipeline.ClockLogAppend}}); err != nil {
					t.Fatal(err)
				}
				for _, a := range w.Output().Alerts {
					names[a.ID] = id
				}
				d.commit(w)
			}
			for _, id := range d.order {
				got = append(got, names[id])
			}
			if string(got) != c.want {
				t.Errorf("published %s, want %s", string(got), c.want)
			}
			expectMetric(t, reg, "weir_dedupe_ids_forgotten_total", c.cut)
			if got := d.stored(state.FamilyAlert); got != c.kept {
				t.Errorf("%d ids are stored, want %d", got, c.kept)
			}
			cfg.Dedupe.Window = 0 // switched off: what is left goes with the next commit
			d.commit(d.worker())
			if got := d.stored(state.FamilyAlert); got != 0 {
				t.Errorf("%d ids are stored without a window", got)
			}
		})
	}
}

// stored counts the keys of a family in the store.
func (d *driver) stored(f state.Family) (n int) {
	d.t.Helper()
	err := d.store.Partition(0).Scan([]byte{byte(f)}, func(key, value []byte) error {
		if n++; !bytes.HasPrefix(value, state.AppendVersion(nil)) {
			d.t.Errorf("key %q: the value has no version", key)
		}
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}
