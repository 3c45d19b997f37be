// Package eql compiles EQL, the event query language of Elasticsearch, into immutable queries over event.Event.
// Elasticsearch's behaviour is the authority. The package knows nothing of rule files, Kafka or storage, and
// it never reads the clock.
package eql

import (
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
)

// Kind is the kind of a query.
type Kind uint8

// The kinds of queries.
const (
	EventQuery Kind = iota // one event is a match
	Sequence               // several events in order
	Sample                 // several events in any order
)

// Query is a compiled query. It is immutable and may be used by any number of goroutines, each with a Memo of its own.
type Query struct {
	Kind Kind
	// Stages holds the one filter of an event query, or the stages of a sequence or sample as written: see Stage.Runs.
	Stages []*Stage
	// Until is the until stage of a sequence, or nil.
	Until *Stage
	// MaxSpan is the sequence's maxspan in milliseconds, 0 where it has none.
	MaxSpan int64
	// Pipes are the head and tail pipes behind the query.
	Pipes []ast.Pipe
	// Warnings are findings that don't keep the query from running, such as unknown fields.
	Warnings []*ast.Error

	tree   ast.Statement
	schema *event.Schema
}

// String returns the canonical text of the query: one spelling for all queries that differ in white space,
// comments and redundant parentheses only.
func (q *Query) String() string { return ast.Print(q.tree) }

// Statement returns the query's syntax tree. The caller must not change it.
func (q *Query) Statement() ast.Statement { return q.tree }

// Stage is one filter of a query.
type Stage struct {
	// Missing marks `![…]`.
	Missing bool
	// Runs is the number of times that the stage stands in the sequence, at least 1.
	Runs int
	// By is the whole key tuple of the stage: the query's global keys, then the stage's own.
	By []Key
	// Fields are the slots that the stage reads, sorted, join keys and category included.
	Fields []event.Slot

	filter ast.Filter
	cond   node
	needs  [][]Need
}

// Key is one join key of a stage.
type Key struct {
	Path     string
	Slot     event.Slot
	Optional bool
}

// Match reports whether ev satisfies the stage. The memo must have been reset for ev.
func (s *Stage) Match(ev *event.Event, m *Memo) bool { return s.cond.eval(ev, m) }

// JoinKeys appends to dst the encoded key tuples (event.AppendTuple per key) under which ev takes part in
// the stage: none where a key that isn't optional is missing, several where keys have several values (their
// cartesian product without duplicates, in order of the values). At most maxKeyTuples tuples are made; truncated reports that
// there were more. A stage without keys has the one empty tuple. Tuples that dst holds behind its length are
// overwritten.
func (s *Stage) JoinKeys(ev *event.Event, dst [][]byte) (keys [][]byte, truncated bool) {
	return appendJoinKeys(dst, s.By, ev)
}

// tupleRoom is more than what a value takes in a tuple beside its text.
const tupleRoom = 16

// AppendJoinKey appends the event's only join key to dst, where each field of the key has one value and dst has room for it. Else ok is
// false, and JoinKeys tells how many keys there are.
func (s *Stage) AppendJoinKey(dst []byte, ev *event.Event) (key []byte, ok bool) {
	for i := range s.By {
		values := ev.Values(s.By[i].Slot)
		if len(values) != 1 || cap(dst)-len(dst) < tupleRoom+len(values[0].Str()) {
			return dst, false
		}
		dst = event.AppendTuple(dst, values[0])
	}
	return dst, true
}
