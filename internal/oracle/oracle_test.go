package oracle_test

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/replay"
)

var (
	cases = flag.Int("oracle.cases", 2000, "random cases of each kind")
	brief = flag.Bool("oracle.brief", false, "show the fields that a failing query reads instead of the documents")
	seed  = flag.Uint64("oracle.seed", 1, "seed of the first case; each case has the next one")
)

// count is the number of cases of each kind: fewer where tests are to be short.
func count() int {
	if testing.Short() {
		return min(*cases, 400)
	}
	return *cases
}

// base is the time of the first event.
const base = 1_600_000_000_000

// eventQuery makes a single-event query and documents.
func (g *generator) eventQuery() (*query, []*fakeEvent) {
	q := &query{stages: []stage{{category: g.pick("any", "any", "process", "file", "Process"), c: g.condition(g.IntN(4)), runs: 1}}}
	fields := slices.Concat(allPaths, []string{"event.kind"})
	var events []*fakeEvent
	at := int64(base)
	for i := range 4 + g.IntN(6) {
		at += int64(g.IntN(3))
		events = append(events, g.document(at, i, fields))
	}
	return q, events
}

// sequenceCase makes a sequence and documents.
func (g *generator) sequenceCase() (*query, []*fakeEvent) {
	g.slow, g.simple = g.chance(30), g.chance(60)
	q := g.sequenceQuery()
	fields := slices.Concat(keyPaths, []string{"event.category", "event.kind", "process.exit_code", "process.name", "x.n", "x.flag"})
	var events []*fakeEvent
	at := int64(base)
	for i := range 5 + g.IntN(12) {
		step := int64(g.IntN(4))
		if g.simple {
			step = int64(g.IntN(2) * g.IntN(4))
		}
		if g.slow {
			step *= 1000
		}
		at += step
		events = append(events, g.document(at, i, fields))
	}
	return q, events
}

// got is what the product answers.
func got(text string, events []*fakeEvent, ties bool) ([]found, error) {
	var records []pipeline.Record
	for i, ev := range events {
		records = append(records, pipeline.Record{Topic: "events", Offset: int64(i), Value: []byte(ev.doc)})
	}
	o := replay.QueryOptions{Fields: declared{}}
	if ties {
		o.TiebreakerField = "event.sequence"
	}
	res, err := replay.Query(text, replay.FromRecords(records), o)
	if err != nil {
		return nil, err
	}
	var out []found
	for _, m := range res.Matches {
		var f found
		for _, e := range m.Events {
			if e.Missing {
				f.events = append(f.events, -1)
			} else {
				f.events = append(f.events, e.Index)
			}
		}
		for _, k := range m.JoinKeys {
			f.key += productKey(k) + ","
		}
		out = append(out, f)
	}
	return out, nil
}

func productKey(v event.Value) string {
	switch v.Kind() {
	case event.Missing:
		return "null"
	case event.String, event.Addr:
		return fmt.Sprintf("%q", v.Text())
	case event.Time:
		return fmt.Sprint("time ", v.Millis())
	default:
		return v.Text()
	}
}

// differs says whether matches are others than those expected: they come in the order of completion, those of one completing
// event in any order; a pipe may cut among these as it likes.
func (q *query) differs(got []found, want [][]found) bool {
	total := 0
	for _, fs := range want {
		total += len(fs)
	}
	skip, n := 0, total
	switch q.pipe {
	case "head":
		n = min(q.count, total)
	case "tail":
		n = min(q.count, total)
		skip = total - n
	}
	if len(got) != n {
		return true
	}
	at, end := 0, skip+n
	for _, fs := range want {
		from, to := max(at, skip), min(at+len(fs), end)
		at += len(fs)
		if from >= to {
			continue
		}
		part := got[:to-from]
		got = got[to-from:]
		seen := map[string]bool{}
		for _, f := range part {
			if seen[f.String()] || !slices.ContainsFunc(fs, func(w found) bool { return w.String() == f.String() }) {
				return true
			}
			seen[f.String()] = true
		}
	}
	return false
}

// run checks one case and returns what is wrong with it.
func run(seed uint64, makeCase func(*generator) (*query, []*fakeEvent)) (problem string, matches int) {
	g := newGenerator(seed)
	g.ties = g.chance(15)
	q, events := makeCase(g)
	if g.chance(10) {
		q.pipe, q.count = g.pick("head", "tail"), g.IntN(4)
	}
	if g.chance(20) {
		g.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
		for i := range events {
			events[i].index = i
		}
	}
	text := g.text(q)
	want := q.answer(events, g.ties)
	have, err := got(text, events, g.ties)
	if err != nil && strings.Contains(err.Error(), "too complex") { // a limit that is documented; Lucene has one too
		return "", 0
	}
	for _, fs := range want {
		matches += len(fs)
	}
	if err == nil && !q.differs(have, want) {
		return "", matches
	}
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s\n%s", seed, text, describe(text, events))
	fmt.Fprintf(&b, "got  %v %v\nwant %v", have, err, want)
	return b.String(), matches
}

// describe shows the events of a case, or what the query reads of them.
func describe(text string, events []*fakeEvent) string {
	var b strings.Builder
	plain := strings.ReplaceAll(text, "`", "")
	for _, ev := range events {
		if !*brief {
			fmt.Fprintf(&b, "  %d %s\n", ev.index, ev.doc)
			continue
		}
		fmt.Fprintf(&b, "  %d %d", ev.index, ev.at)
		if ev.tie >= 0 {
			fmt.Fprintf(&b, "/%d", ev.tie)
		}
		for _, path := range slices.Sorted(maps.Keys(ev.values)) {
			if strings.Contains(plain, path) {
				fmt.Fprintf(&b, "  %s=%s", path, show(ev.values[path]))
			}
		}
		b.WriteString("\n")
	}
	return b.String()
}

func show(vs []value) string {
	var out []string
	for _, v := range vs {
		switch v := v.(type) {
		case number:
			out = append(out, v.rat.RatString())
		case string:
			out = append(out, fmt.Sprintf("%q", v))
		default:
			out = append(out, fmt.Sprint(v))
		}
	}
	return strings.Join(out, "|")
}

func TestEventQueries(t *testing.T) { check(t, (*generator).eventQuery) }

func TestSequences(t *testing.T) { check(t, (*generator).sequenceCase) }

func check(t *testing.T, makeCase func(*generator) (*query, []*fakeEvent)) {
	t.Helper()
	wrong, total, without := 0, 0, 0
	n := count()
	for i := range n {
		problem, matches := run(*seed+uint64(i), makeCase)
		total += matches
		if matches == 0 {
			without++
		}
		if problem == "" {
			continue
		}
		if wrong++; wrong <= 5 {
			t.Error(problem)
		}
	}
	if wrong > 0 {
		t.Errorf("%d cases differ", wrong)
	}
	t.Logf("seeds %d to %d: %d cases with %d matches, %d of them without", *seed, *seed+uint64(n)-1, n, total, without)
	if without == n {
		t.Error("nothing matched")
	}
}
