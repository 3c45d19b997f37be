package oracle_test

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-eql/weir/internal/oracle"
)

// stage is one bracket of a sequence.
type stage struct {
	category string // any for all
	c        cond
	by       []fieldRef
	missing  bool
	runs     int
}

func (s *stage) hits(ev *fakeEvent) bool {
	if s.category != "any" && !slices.Contains(ev.values["event.category"], value(s.category)) {
		return false
	}
	return s.c.holds(ev)
}

// query is a random query.
type query struct {
	stages  []stage // one of them: an event query
	by      []fieldRef
	maxspan int64 // milliseconds, 0 for none
	unit    string
	until   *stage
	pipe    string // head or tail, or nothing
	count   int
}

// found is a match: positions of events, -1 for a missing stage, and the join key as text.
type found struct {
	key    string
	events []int
}

func (f found) String() string { return fmt.Sprint(f.events, " ", f.key) }

// key returns a key's value as text that tells types apart.
func keyOf(v value) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return fmt.Sprintf("%q", v)
	case netip.Addr:
		return fmt.Sprintf("%q", v.String())
	case moment:
		return fmt.Sprint("time ", int64(v))
	}
	return text(v)
}

// tuples returns the join keys under which an event takes part in a stage: the product of the keys' values; a key without
// a value is null where it is optional, and keeps the event out otherwise.
func (q *query) tuples(ev *fakeEvent, s *stage) []string {
	out := []string{""}
	for _, k := range slices.Concat(q.by, s.by) {
		vs := ev.values[k.path]
		if len(vs) == 0 {
			if !k.optional {
				return nil
			}
			vs = []value{nil}
		}
		var next []string
		for _, prefix := range out {
			for _, v := range vs {
				next = append(next, prefix+keyOf(v)+",")
			}
		}
		out = next
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// sorted returns events in the order of a search: time, tiebreaker with none last, position.
func sorted(events []*fakeEvent, ties bool) []*fakeEvent {
	out := slices.Clone(events)
	slices.SortStableFunc(out, func(a, b *fakeEvent) int {
		c := cmp.Compare(a.at, b.at)
		if c == 0 && ties {
			x, y := uint(a.tie), uint(b.tie) // -1 is the largest
			c = cmp.Compare(x, y)
		}
		return cmp.Or(c, cmp.Compare(a.index, b.index))
	})
	return out
}

// answer returns the matches of the query, those of each completing event together.
func (q *query) answer(events []*fakeEvent, ties bool) [][]found {
	events = sorted(events, ties)
	var all [][]found
	if q.sequence() {
		all = q.sequences(events)
	} else {
		for _, ev := range events {
			if q.stages[0].hits(ev) {
				all = append(all, []found{{events: []int{ev.index}}})
			}
		}
	}
	return all
}

func (q *query) sequence() bool { return len(q.stages) > 1 || q.stages[0].runs > 1 }

func (q *query) sequences(events []*fakeEvent) [][]found {
	keys := map[string]bool{}
	for i := range q.stages {
		for _, ev := range events {
			for _, k := range q.tuples(ev, &q.stages[i]) {
				keys[k] = true
			}
		}
	}
	byLast := make([][]found, len(events))
	for key := range keys {
		search := q.search(events, key)
		for _, c := range search.Chains() {
			f := found{key: key}
			for _, place := range search.Events(c) {
				if place >= 0 {
					place = events[place].index
				}
				f.events = append(f.events, place)
			}
			last := c[len(c)-1]
			byLast[last] = append(byLast[last], f)
		}
	}
	var out [][]found
	for _, fs := range byLast {
		if len(fs) > 0 {
			slices.SortFunc(fs, func(a, b found) int { return strings.Compare(a.String(), b.String()) })
			out = append(out, fs)
		}
	}
	return out
}

// places returns where the events stand that hit a stage under a key.
func (q *query) places(events []*fakeEvent, s *stage, key string) []int {
	var out []int
	for i, ev := range events {
		if slices.Contains(q.tuples(ev, s), key) && s.hits(ev) {
			out = append(out, i)
		}
	}
	return out
}

// search returns the search for the query's sequences under a key.
func (q *query) search(events []*fakeEvent, key string) *oracle.Search {
	out := &oracle.Search{Maxspan: q.maxspan}
	for _, ev := range events {
		out.Times = append(out.Times, ev.at)
	}
	for i := range q.stages {
		s := &q.stages[i]
		out.Stages = append(out.Stages, oracle.Stage{Places: q.places(events, s, key), Runs: s.runs, Missing: s.missing})
	}
	if q.until != nil {
		out.Untils = q.places(events, q.until, key)
	}
	return out
}

// keyPaths are the fields that join, by what they may be joined with.
var keyPaths = []string{
	"host.id", "parent.id", "user.id", "owner.id", "process.ppid", "process.pid", "x.k", "process.trusted", "source.ip", "process.start",
}

// keyKinds are the fields that may stand at one place of the join keys: keys of different types are refused. x.k has no mapping.
var keyKinds = [][]string{
	{"host.id", "host.id", "parent.id", "user.id", "owner.id", "x.k"},
	{"process.ppid", "process.pid", "x.k"},
	{"x.k"},
	{"process.trusted"},
	{"source.ip"},
	{"process.start"},
}

// kinds chooses what stands at n places.
func (g *generator) kinds(n int) [][]string {
	var out [][]string
	for range n {
		if g.simple {
			out = append(out, []string{"host.id", "host.id", "parent.id"})
			continue
		}
		kind := keyKinds[min(g.IntN(5), g.IntN(5))]
		if g.chance(8) {
			kind = keyKinds[g.IntN(len(keyKinds))]
		}
		out = append(out, kind)
	}
	return out
}

func (g *generator) keys(kinds [][]string, optional int) []fieldRef {
	var out []fieldRef
	for _, kind := range kinds {
		out = append(out, fieldRef{g.pick(kind...), g.chance(optional)})
	}
	return out
}

// tagCondition makes a condition over few values, so that sequences complete.
func (g *generator) tagCondition() cond {
	tags := func() pattern { return pattern{v: g.pick("A", "B", "C", "D")} }
	f := fieldRef{path: "event.kind"}
	if g.simple && g.chance(85) {
		return compare{f, "==", constant{g.pick("A", "B", "C")}, false}
	}
	switch g.IntN(10) {
	case 0:
		return truth(true)
	case 1, 2:
		return oneOf{e: f, op: "in", list: []pattern{tags(), tags()}, negate: g.chance(10)}
	case 3:
		return not{oneOf{e: f, op: ":", ignore: true, list: []pattern{{v: g.pick("a", "b", "C")}, tags()}}}
	case 4:
		return and{compare{f, "==", constant{tags().v}, false}, g.condition(1)}
	case 5:
		return or{compare{f, "==", constant{tags().v}, false}, compare{f, "==", constant{tags().v}, false}}
	case 6:
		return and{compare{f, "==", constant{tags().v}, false}, compare{fieldRef{path: "process.exit_code"}, g.pick(orders...), constant{whole(2)}, false}}
	}
	return compare{f, "==", constant{tags().v}, false}
}

// sequenceQuery makes a sequence.
func (g *generator) sequenceQuery() *query {
	q := &query{}
	optional := 15
	if g.chance(80) && (!g.simple || g.chance(50)) {
		q.by = g.keys(g.kinds(g.IntN(3)), optional)
	}
	var perStage [][]string
	if g.chance(45) && (!g.simple || g.chance(30)) {
		perStage = g.kinds(1 + g.IntN(2))
	}
	n := 2 + g.IntN(3)
	hasMissing := g.chance(45)
	for range n {
		s := stage{category: g.pick("any", "any", "any", "process"), c: g.tagCondition(), runs: 1}
		s.missing = hasMissing && g.chance(40)
		if g.chance(15) {
			s.runs = 1 + g.IntN(3)
		}
		q.stages = append(q.stages, s)
	}
	if !slices.ContainsFunc(q.stages, func(s stage) bool { return !s.missing }) {
		q.stages[g.IntN(n)].missing = false
	}
	missing := slices.ContainsFunc(q.stages, func(s stage) bool { return s.missing })
	if missing {
		optional = 0 // a null key beside a missing stage is undefined in Elasticsearch
		for i := range q.by {
			q.by[i].optional = false
		}
	}
	for i := range q.stages {
		q.stages[i].by = g.keys(perStage, optional)
	}
	if missing || g.chance(50) {
		q.unit = "ms"
		q.maxspan = int64(1 + g.IntN(12))
		if g.slow {
			q.unit, q.maxspan = "s", q.maxspan*1000
		}
	}
	if g.chance(25) {
		q.until = &stage{category: g.pick("any", "process"), c: g.tagCondition(), by: g.keys(perStage, optional), runs: 1}
	}
	return q
}

// text prints the query.
func (g *generator) text(q *query) string {
	if !q.sequence() {
		return g.filter(q.stages[0].category, q.stages[0].c) + g.pipeText(q)
	}
	var b strings.Builder
	write := func(s ...string) {
		for _, t := range s {
			b.WriteString(t)
		}
	}
	by := func(keys []fieldRef) {
		for i, k := range keys {
			write(g.pick(" ", "\n"), []string{"by ", ", "}[min(i, 1)])
			g.b.Reset()
			g.field(k)
			write(g.b.String())
		}
	}
	write("sequence")
	by(q.by)
	if q.maxspan > 0 {
		n := q.maxspan
		if q.unit == "s" {
			n /= 1000
		}
		write(" with maxspan", g.pick("=", " = "), strconv.FormatInt(n, 10), q.unit)
	}
	bracket := func(s *stage) {
		write("[", g.pick("", " "), g.filter(s.category, s.c), g.pick("]", " ]", "\n]"))
		by(s.by)
		if s.runs > 1 || g.chance(3) {
			write(" with runs", g.pick("=", " = "), strconv.Itoa(s.runs))
		}
	}
	for i := range q.stages {
		write(g.pick(" ", "\n  "))
		if q.stages[i].missing {
			write("!")
		}
		bracket(&q.stages[i])
	}
	if q.until != nil {
		write(g.pick(" ", "\n"), "until ")
		write("[", g.filter(q.until.category, q.until.c), "]")
		by(q.until.by)
	}
	return b.String() + g.pipeText(q)
}

func (g *generator) pipeText(q *query) string {
	if q.pipe == "" {
		return ""
	}
	return fmt.Sprintf(" %s| %s %d", g.pick("", "\n"), q.pipe, q.count)
}
