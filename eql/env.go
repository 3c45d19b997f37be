package eql

import (
	"sync"

	"github.com/weir-eql/weir/eql/internal/lucene"
	"github.com/weir-eql/weir/event"
)

// Env is where queries compile together: they share one schema, so that an event is decoded once for all of
// them, and one table of atoms, so that each distinct (field, operator, constant) is evaluated once per event.
// An Env is built by one goroutine; when the last query is compiled it is read-only and may be shared.
type Env struct {
	schema  *event.Schema
	opts    EnvOptions
	atoms   []*shared
	atomIDs map[string]int
}

// EnvOptions configure an Env. The zero value is what production uses.
type EnvOptions struct {
	// NoSharing evaluates each atom wherever it stands, without the memo. For differential tests.
	NoSharing bool
	// NoFolding evaluates constant conditions and calls for each event, and keeps nested conjunctions as they are written. For
	// differential tests.
	NoFolding bool
	// NoReorder evaluates conditions in the order in which they are written. For differential tests.
	NoReorder bool
	// NoPatternSets tests the wildcard patterns of a list one by one. For differential tests.
	NoPatternSets bool
	// NoPrefixTree compares an address with one block after the other. For differential tests.
	NoPrefixTree bool
	// NoOptimise switches off all of these but sharing. For differential tests.
	NoOptimise bool
}

// folds reports whether constants are folded.
func (e *Env) folds() bool { return !e.opts.NoOptimise && !e.opts.NoFolding }

// QueryOptions are what Elasticsearch's EQL search API calls the request's parameters.
type QueryOptions struct {
	// Fields knows which fields there are: others are warned of. Nil warns of none.
	Fields FieldTable
	// CategoryField is the field that a category is compared with; empty means event.category.
	CategoryField string
	// Automata are shared with other queries; nil shares none.
	Automata *Automata
}

// FieldTable knows the names of fields.
type FieldTable interface {
	// Known reports whether there is a field at path.
	Known(path string) bool
	// Nearest returns the known field that is most like path, "" where none is close.
	Nearest(path string) string
	// Unusable tells why EQL can't read the field at path though there is one, and what to write instead; why is "" for
	// all others.
	Unusable(path string) (why, hint string)
}

// NewEnv returns an empty environment over s.
func NewEnv(s *event.Schema, opts EnvOptions) *Env {
	return &Env{schema: s, opts: opts, atomIDs: map[string]int{}}
}

// Schema returns the schema that the queries share.
func (e *Env) Schema() *event.Schema { return e.schema }

// Atoms returns the number of distinct atoms of all queries.
func (e *Env) Atoms() int { return len(e.atoms) }

// Memo remembers, for one event, the atoms that were evaluated already. It belongs to one goroutine.
type Memo struct {
	generation uint32
	stamp      []uint32
	value      []bool
	vars       []event.Value // the fields' values of the script leaf under evaluation
	args       []event.Value // the stack of arguments of the calls under evaluation
	budget     int           // combinations of values that the script leaf may still try
}

// NewMemo returns a memo for the atoms compiled so far.
func (e *Env) NewMemo() *Memo {
	return &Memo{generation: 1, stamp: make([]uint32, len(e.atoms)), value: make([]bool, len(e.atoms))}
}

// Reset forgets everything, for the next event.
func (m *Memo) Reset() {
	m.generation++
	if m.generation == 0 { // wrapped: old stamps would look fresh
		clear(m.stamp)
		m.generation = 1
	}
}

// Need is a cheap test that an event must pass for a stage to hold, used by the rule set's index.
type Need struct {
	Slot event.Slot
	Op   NeedOp
	// Text is lower case (ASCII): the index folds values before it compares, whatever the atom does.
	Text string
}

// NeedOp is the operator of a Need.
type NeedOp uint8

// The operators of needs.
const (
	NeedEqual    NeedOp = iota
	NeedPrefix          // the value begins with Text
	NeedRest            // the value begins with any one character, then Text
	NeedSuffix          // the value ends with Text
	NeedContains        // Text stands anywhere in the value
	NeedPresent         // the field has a value; Text is empty
)

// Automata holds the automata of regular expressions: rules that have the same ones, and the same rule compiled again, share
// them. It may be used by any number of goroutines and holds as many as the queries that were compiled with it have.
type Automata struct{ byPattern sync.Map }

// NewAutomata returns an empty table.
func NewAutomata() *Automata { return &Automata{} }

type automatonKey struct {
	pattern string
	fold    bool
}

// compile returns the automaton of a pattern. A nil table makes it anew.
func (a *Automata) compile(pattern string, fold bool) (*lucene.Regexp, error) {
	if a == nil {
		return lucene.Compile(pattern, fold) //nolint:wrapcheck // its position is put into the query by regexError
	}
	key := automatonKey{pattern, fold}
	if known, ok := a.byPattern.Load(key); ok {
		if re, ok := known.(*lucene.Regexp); ok {
			return re, nil
		}
	}
	re, err := lucene.Compile(pattern, fold)
	if err == nil {
		a.byPattern.Store(key, re)
	}
	return re, err //nolint:wrapcheck // as above
}
