package replay

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
)

// QueryOptions are the parameters of a query, as in Elasticsearch's EQL search API.
type QueryOptions struct {
	TimestampField     string // default @timestamp
	TiebreakerField    string // default none: position breaks ties
	EventCategoryField string // default event.category
	// Fields tells the types of fields; nil means those of the Elastic Common Schema and of known integrations.
	Fields FieldTypes
	// SamplesPerKey is the most samples that a sample query gives for one join key; 0 counts as 1.
	SamplesPerKey int
	// NoOptimise compiles without shared atoms and folding, for differential tests.
	NoOptimise bool
}

// FieldTypes knows fields, their types, and what an explicit null of a field stands for.
type FieldTypes interface {
	eql.FieldTable
	TypeOf(path string) event.Type
	Null(path string) (text string, ok bool)
}

// ecsFields are the fields of the Elastic Common Schema and of known integrations.
type ecsFields struct{ ecs.Table }

// TypeOf is ecs.TypeOf.
func (ecsFields) TypeOf(path string) event.Type { return ecs.TypeOf(path) }

// Null knows no values for null.
func (ecsFields) Null(string) (string, bool) { return "", false }

// QueryMatch is one match of a query.
type QueryMatch struct {
	JoinKeys []event.Value
	Events   []QueryEvent
}

// QueryEvent is one event of a match: its 0-based position in the input and the document, or a missing stage.
type QueryEvent struct {
	Missing bool
	Index   int
	Source  []byte
}

// QueryResult is what a query found and what it could not read.
type QueryResult struct {
	Matches []QueryMatch
	Events  int
	// Undecodable counts the documents that are not JSON objects, Timeless those without a usable timestamp:
	// neither can match a sequence. A sample needs no timestamps: its query counts none as Timeless.
	Undecodable, Timeless int
	// Skipped are the first of the undecodable documents.
	Skipped []SkippedDoc
	// Warnings are findings in the query that didn't keep it from running, by what the documents are: fields and categories that no table
	// knows and no document has.
	Warnings []*ast.Error
}

// SkippedDoc is a document that is no JSON object: where it stands, as in its Record, and what is wrong with it.
type SkippedDoc struct {
	Topic  string
	Offset int64
	Err    error
}

// maxSkipped is the number of skipped documents that are kept in a result.
const maxSkipped = 3

// queryDoc is one document with its place in the order.
type queryDoc struct {
	index int
	raw   []byte
	at    sequence.Ordinal
	timed bool
	tie   event.Value
}

// Query runs one EQL query over the documents of src, all of them in memory: sorted by event time, then
// tiebreaker, then position. Matches come in completion order; absences are decided at the end of the input; a
// sequence without maxspan is unbounded, and a sample always is: documents without a time stand at the end there. The error of a query that doesn't compile is an ast.Errors.
func Query(text string, src Source, o QueryOptions) (*QueryResult, error) {
	q, err := newQuery(text, o)
	if err != nil {
		return nil, err
	}
	res := &QueryResult{}
	if err := q.read(src, res); err != nil {
		return nil, err
	}
	if res.Warnings, err = q.warnings(text, o); err != nil {
		return nil, err
	}
	q.sort()
	if q.query.Kind == eql.EventQuery {
		res.Matches = q.events()
	} else {
		res.Matches = q.joined()
	}
	res.Matches = applyPipes(res.Matches, q.query)
	return res, nil
}

type query struct {
	query   *eql.Query
	schema  *event.Schema
	meta    event.Meta
	tie     event.Slot
	decoder *event.Decoder
	ev      *event.Event
	memo    *eql.Memo
	machine pipeline.Machine // nil for an event query
	docs    []queryDoc
	present []bool         // by slot: a document has a value for it
	unknown []ast.Category // that ECS doesn't have, and no document
}

func newQuery(text string, o QueryOptions) (*query, error) {
	timestamp := o.TimestampField
	if timestamp == "" {
		timestamp = "@timestamp"
	}
	if o.Fields == nil {
		o.Fields = ecsFields{}
	}
	schema := event.NewSchema(func(path string) event.Type {
		if path == timestamp {
			return event.Date
		}
		return o.Fields.TypeOf(path)
	})
	schema.SetNulls(o.Fields.Null)
	q := &query{schema: schema, tie: event.NoSlot}
	q.meta = event.AddMeta(schema, event.MetaOptions{Timestamp: o.TimestampField, Category: o.EventCategoryField})
	if o.TiebreakerField != "" {
		q.tie = schema.Add(o.TiebreakerField)
	}
	env := eql.NewEnv(schema, eql.EnvOptions{NoSharing: o.NoOptimise, NoOptimise: o.NoOptimise})
	var err error
	options := eql.QueryOptions{CategoryField: o.EventCategoryField, Fields: unknownFields{FieldTypes: o.Fields, schema: schema}}
	if q.query, err = env.Compile(text, options); err != nil {
		return nil, err
	}
	q.unknown = rules.UnknownCategories(q.query.Statement(), o.EventCategoryField)
	if q.query.Kind != eql.EventQuery {
		if q.machine, err = pipeline.NewMachine(q.query, q.query.MaxSpan, o.SamplesPerKey); err != nil {
			return nil, err
		}
	}
	q.decoder, q.ev, q.memo = event.NewDecoder(schema), event.New(schema), env.NewMemo()
	q.present = make([]bool, schema.Len())
	return q, nil
}

// read takes in all documents and the time of each.
func (q *query) read(src Source, res *QueryResult) error {
	for {
		r, err := src.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		d := queryDoc{index: res.Events, raw: r.Value}
		res.Events++
		if err := q.decodeErr(r.Value); err != nil {
			if res.Undecodable++; res.Undecodable <= maxSkipped {
				res.Skipped = append(res.Skipped, SkippedDoc{Topic: r.Topic, Offset: r.Offset, Err: err})
			}
			continue
		}
		for slot := range q.present {
			q.present[slot] = q.present[slot] || len(q.ev.Values(event.Slot(slot))) > 0
		}
		if len(q.unknown) > 0 {
			q.unknown = slices.DeleteFunc(q.unknown, func(c ast.Category) bool {
				return slices.ContainsFunc(q.ev.Values(q.meta.Category), func(v event.Value) bool { return v.Text() == c.Name })
			})
		}
		d.at.Time, d.at.SubMillis, d.timed = q.meta.Time(q.ev)
		d.at.Offset = int64(d.index)
		switch {
		case d.timed:
		case q.query.Kind == eql.Sample:
			d.at.Time = math.MaxInt64
		default:
			res.Timeless++
		}
		if q.tie != event.NoSlot {
			d.tie = q.ev.First(q.tie).Clone()
		}
		q.docs = append(q.docs, d)
	}
}

// unknownFields puts the fields that the table doesn't know into the schema, so that reading finds out whether documents
// have them. It knows all fields: before the documents are read there is nothing to warn of.
type unknownFields struct {
	FieldTypes

	schema *event.Schema
}

// Known takes note of the field.
func (f unknownFields) Known(path string) bool {
	if !f.FieldTypes.Known(path) {
		f.schema.Add(path)
	}
	return true
}

// Unusable waits for the documents too: what is an object in the table may be a value in data of one's own.
func (f unknownFields) Unusable(string) (why, hint string) { return "", "" }

// inputFields is the table of fields with those that the documents have: custom data has fields of its own.
type inputFields struct {
	FieldTypes

	schema  *event.Schema
	present []bool
}

// Known reports whether the table or a document has the field.
func (f inputFields) Known(path string) bool {
	return f.FieldTypes.Known(path) || f.present[f.schema.Lookup(path)]
}

// Unusable is the table's, but for what the documents have values for.
func (f inputFields) Unusable(path string) (why, hint string) {
	if slot := f.schema.Lookup(path); slot != event.NoSlot && f.present[slot] {
		return "", ""
	}
	return f.FieldTypes.Unusable(path)
}

// warnings compiles the query once more, now that it is known which fields the documents have.
func (q *query) warnings(text string, o QueryOptions) ([]*ast.Error, error) {
	if o.Fields == nil {
		o.Fields = ecsFields{}
	}
	env := eql.NewEnv(event.NewSchema(q.schema.Type), eql.EnvOptions{})
	again, err := env.Compile(text, eql.QueryOptions{
		CategoryField: o.EventCategoryField, Fields: inputFields{FieldTypes: o.Fields, schema: q.schema, present: q.present},
	})
	if err != nil {
		return nil, err
	}
	warnings := again.Warnings
	for _, c := range q.unknown {
		warnings = append(warnings, rules.CategoryWarning(c))
	}
	return warnings, nil
}

func (q *query) decode(raw []byte) bool { return q.decodeErr(raw) == nil }

func (q *query) decodeErr(raw []byte) error {
	q.memo.Reset()
	return q.decoder.Decode(raw, q.ev)
}

// sort orders the documents as Elasticsearch does: milliseconds, tiebreaker with null last, position. The
// tiebreaker's rank stands for its value in the ordinal, so that values of any type do.
func (q *query) sort() {
	slices.SortStableFunc(q.docs, func(a, b queryDoc) int {
		if c := cmp.Compare(boolRank(!a.timed), boolRank(!b.timed)); c != 0 {
			return c
		}
		if c := cmp.Compare(a.at.Time, b.at.Time); c != 0 {
			return c
		}
		return compareTies(a.tie, b.tie)
	})
	for i := range q.docs {
		q.docs[i].at.Sequence, q.docs[i].at.HasSeq = int64(i), true
		q.docs[i].at.SubMillis = 0
	}
}

func boolRank(b bool) int {
	if b {
		return 1
	}
	return 0
}

func compareTies(a, b event.Value) int {
	switch {
	case a.IsMissing() || b.IsMissing():
		return cmp.Compare(boolRank(a.IsMissing()), boolRank(b.IsMissing()))
	case a.IsNumber() && b.IsNumber():
		if a.Kind() == event.Int && b.Kind() == event.Int {
			return cmp.Compare(a.Int(), b.Int())
		}
		return cmp.Compare(a.Float(), b.Float())
	case a.Kind() == event.Time && b.Kind() == event.Time:
		return cmp.Compare(a.Millis(), b.Millis())
	default:
		return strings.Compare(a.Text(), b.Text())
	}
}

// events returns the matches of an event query.
func (q *query) events() []QueryMatch {
	var out []QueryMatch
	for _, d := range q.docs {
		if q.decode(d.raw) && q.query.Stages[0].Match(q.ev, q.memo) {
			out = append(out, QueryMatch{Events: []QueryEvent{{Index: d.index, Source: d.raw}}})
		}
	}
	return out
}

// completed is a match with what orders it.
type completed struct {
	at    sequence.Ordinal
	key   string
	match sequence.Match
}

// joined runs the machine of a sequence or sample over all documents, a state per join key.
func (q *query) joined() []QueryMatch {
	states := map[string]*pipeline.MachineState{}
	var keys []string
	var done []completed
	collect := func(key string, ms []sequence.Match) {
		for _, m := range ms {
			done = append(done, completed{at: m.Completed().Ordinal, key: key, match: m})
		}
	}
	for i := range q.docs {
		d := &q.docs[i]
		if !d.timed && q.query.Kind == eql.Sequence || !q.decode(d.raw) {
			continue
		}
		for _, h := range q.hits() {
			st, ok := states[h.key]
			if !ok {
				st = &pipeline.MachineState{}
				states[h.key] = st
				keys = append(keys, h.key)
			}
			collect(h.key, q.machine.Advance(st, h.hits, sequence.Ref{Ordinal: d.at}, nil))
		}
	}
	for _, key := range keys {
		collect(key, q.machine.Finish(states[key], nil))
	}
	slices.SortStableFunc(done, func(a, b completed) int { return a.at.Compare(b.at) })
	q.sortTies(done)
	return q.render(done)
}

// sortTies puts the matches that one event completes into the order in which that event's join keys expand.
func (q *query) sortTies(done []completed) {
	docs := map[int64][]byte{}
	for _, d := range q.docs {
		docs[d.at.Offset] = d.raw
	}
	for len(done) > 0 {
		n := 1
		for n < len(done) && done[n].at == done[0].at {
			n++
		}
		if n > 1 && q.decode(docs[done[0].at.Offset]) {
			ranks := map[string]int{}
			var tuples [][]byte
			for _, stage := range slices.Backward(q.query.Stages) { // a sequence's last one has them all
				if stage.Missing {
					continue
				}
				tuples, _ = stage.JoinKeys(q.ev, tuples[:0])
				for _, t := range tuples {
					if _, ok := ranks[string(t)]; !ok {
						ranks[string(t)] = len(ranks)
					}
				}
			}
			slices.SortStableFunc(done[:n], func(a, b completed) int { return cmp.Compare(ranks[a.key], ranks[b.key]) })
		}
		done = done[n:]
	}
}

type keyHits struct {
	key  string
	hits sequence.Hits
}

// hits returns the stages that the decoded event satisfies, by join key.
func (q *query) hits() []keyHits {
	var out []keyHits
	var tuples [][]byte
	add := func(st *eql.Stage, bit int) {
		if !st.Match(q.ev, q.memo) {
			return
		}
		tuples, _ = st.JoinKeys(q.ev, tuples[:0])
		for _, t := range tuples {
			i := slices.IndexFunc(out, func(h keyHits) bool { return h.key == string(t) })
			if i < 0 {
				i = len(out)
				out = append(out, keyHits{key: string(t)})
			}
			out[i].hits = out[i].hits.With(bit)
		}
	}
	for i, st := range q.query.Stages {
		add(st, i)
	}
	if q.query.Until != nil {
		add(q.query.Until, sequence.UntilStage)
	}
	return out
}

func (q *query) render(done []completed) []QueryMatch {
	byIndex := make(map[int64]*queryDoc, len(q.docs))
	for i := range q.docs {
		byIndex[int64(q.docs[i].index)] = &q.docs[i]
	}
	out := make([]QueryMatch, 0, len(done))
	for _, c := range done {
		values, err := event.DecodeTuple([]byte(c.key))
		if err != nil {
			panic(fmt.Sprintf("BUG: join key of our own making: %v", err))
		}
		m := QueryMatch{JoinKeys: values}
		for _, e := range c.match.Events {
			if e.Missing {
				m.Events = append(m.Events, QueryEvent{Missing: true})
				continue
			}
			d := byIndex[e.Ref.Offset]
			m.Events = append(m.Events, QueryEvent{Index: d.index, Source: d.raw})
		}
		out = append(out, m)
	}
	return out
}

// applyPipes cuts the matches to what head and tail leave.
func applyPipes(ms []QueryMatch, q *eql.Query) []QueryMatch {
	for _, p := range q.Pipes {
		n := int(min(p.Count, int64(len(ms))))
		if p.Name == "tail" {
			ms = ms[len(ms)-n:]
		} else {
			ms = ms[:n]
		}
	}
	return ms
}
