package pipeline_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// of makes a record of a host.
func of(host, tag string, offset, at int64) pipeline.Record {
	return pipeline.Record{
		Topic: "events", Offset: offset, Time: t0 + at, Clock: pipeline.ClockLogAppend,
		Value: fmt.Appendf(nil, `{"@timestamp":%d,"event":{"created":%d,"id":"%s%d","category":"process"},"host":{"id":%q},"tag":%q}`,
			t0+at, t0+at, tag, offset, host, tag),
	}
}

func workerOf(t *testing.T, set *rules.Set, store *state.Store, change func(*pipeline.Limits), log ...pipeline.Record) *pipeline.Worker {
	t.Helper()
	cfg := config(set)
	change(&cfg.Limits)
	w, err := pipeline.NewWorker(cfg, store.Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Reload(); err != nil {
		t.Fatal(err)
	}
	if err := w.RefillFrom(log); err != nil {
		t.Fatal(err)
	}
	return w
}

func commit(t *testing.T, w *pipeline.Worker) {
	t.Helper()
	w.Changes()
	if err := w.Committed(state.Checkpoint{Version: state.CodecVersion}); err != nil {
		t.Fatal(err)
	}
}

// An event that completes many matches gives as many alerts when its batch comes again after an abort.
func TestAbortsDontCountTowardsTheCapOfAnEvent(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{
		"p": `sequence by user.name with maxspan=60s [any where tag == "A"] [any where tag == "B"]`,
	}, nil)
	w := workerOf(t, set, state.OpenMemory(), func(l *pipeline.Limits) { l.MatchesPerEvent = 30 })
	var users []string
	for i := range 20 {
		users = append(users, fmt.Sprintf("%q", fmt.Sprint("u", i)))
	}
	withUsers := func(r pipeline.Record) pipeline.Record {
		r.Value = []byte(strings.Replace(string(r.Value), `"tag"`, `"user":{"name":[`+strings.Join(users, ",")+`]},"tag"`, 1))
		return r
	}
	process(t, w, withUsers(of("h", "A", 0, 0)))
	commit(t, w)
	for attempt := range 4 {
		process(t, w, withUsers(of("h", "B", 1, 1000)), of("h", "X", 2, 9000))
		if n := len(w.Output().Alerts); n != 20 {
			t.Fatalf("attempt %d: %d alerts, want 20", attempt, n)
		}
		w.Changes()
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		if err := w.RefillFrom([]pipeline.Record{withUsers(of("h", "A", 0, 0))}); err != nil {
			t.Fatal(err)
		}
	}
}

// The oldest partial goes first, also when the partials come from the store, which has them by key.
func TestOldestGoesFirstAfterARestart(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{
		"p": `sequence by host.id with maxspan=60s [any where tag == "A"] [any where tag == "B"]`,
	}, nil)
	for _, restart := range []bool{false, true} {
		store := state.OpenMemory()
		limit := func(l *pipeline.Limits) { l.PartialsPerRule = 3 }
		w := workerOf(t, set, store, limit)
		log := []pipeline.Record{of("z", "A", 0, 0), of("m", "A", 1, 100), of("a", "A", 2, 200), of("q", "X", 3, 9000)}
		process(t, w, log...)
		commit(t, w)
		if restart {
			w = workerOf(t, set, store, limit, log...)
		}
		process(t, w, of("k", "A", 4, 10_000), of("q", "X", 5, 20_000))
		for i, host := range []string{"z", "m", "a", "k"} {
			process(t, w, of(host, "B", int64(6+i), 21_000))
		}
		process(t, w, of("q", "X", 10, 31_000))
		got := ruleMatches(w, "p")
		slices.Sort(got)
		if want := []string{"A1 B7", "A2 B8", "A4 B9"}; !slices.Equal(got, want) {
			t.Errorf("restart %v: matches %v, want %v", restart, got, want)
		}
	}
}

// Forgetting idle hosts never forgets the one at hand.
func TestHostAtHandIsNotForgotten(t *testing.T) {
	const query = `sequence by host.id with maxspan=5s [any where tag == "A"] [any where tag == "B"]`
	set := compileQueries(t, rules.SetOptions{}, map[string]string{"aa": query, "zz": query},
		map[string]string{"aa": "timestamp_field = \"event.created\"\n"})
	w := workerOf(t, set, state.OpenMemory(), func(l *pipeline.Limits) { l.Hosts = 1 })
	process(t, w, of("h0", "X", 0, 0), of("h1", "A", 1, 1000), of("h1", "B", 2, 1500))
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	wantMatches(t, w, "aa", "A1 B2")
	wantMatches(t, w, "zz", "A1 B2")
}

// A worker that begins with a lower cap on waiting events than the one before had gives none of them to its machines early,
// in whatever order they are read again.
func TestLowerCapAfterARestart(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, timeQueries, nil)
	records := timedRecords(pipeline.ClockLogAppend,
		timed{host: "h", tag: "B", event: 1500, record: 1500}, timed{host: "h", tag: "C", event: 1600, record: 1600},
		timed{host: "h", tag: "A", event: 1000, record: 1700}, timed{host: "h", tag: "X", event: 90_000, record: 90_000})
	store := state.OpenMemory()
	w := workerOf(t, set, store, func(*pipeline.Limits) {})
	process(t, w, records[:3]...)
	commit(t, w)
	w = workerOf(t, set, store, func(l *pipeline.Limits) { l.Buffered = 1 }, records[:3]...)
	process(t, w, records[3])
	if got := ruleMatches(w, "pair"); !slices.Equal(got, []string{"A2 B0"}) {
		t.Errorf("matches %q, want A2 B0", got)
	}
}

// At the end of the input, too, an event that waits by two timestamps is given to the rules in one order, whatever the order of
// the table of hosts is.
func TestTwoTimestampsAtTheEnd(t *testing.T) {
	const query = `sequence by host.id with maxspan=5s [any where tag == "A"] [any where tag == "B"]`
	set := compileQueries(t, rules.SetOptions{}, map[string]string{"aa": query, "zz": query},
		map[string]string{"aa": "timestamp_field = \"event.created\"\n"})
	for range 20 { // each worker has a seed of its own
		w := workerOf(t, set, state.OpenMemory(), func(*pipeline.Limits) {})
		process(t, w, of("h1", "A", 1, 1000), of("h1", "B", 2, 1500))
		if err := w.Finish(); err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, a := range w.Output().Alerts {
			got = append(got, a.RuleID)
		}
		if !slices.Equal(got, []string{"zz", "aa"}) {
			t.Fatalf("alerts of %q, want zz and aa", got)
		}
	}
}
