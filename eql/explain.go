package eql

import (
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
)

// Explanation tells how a query is run, for people.
type Explanation struct {
	Kind    string // "event", "sequence" or "sample"
	Text    string // the canonical text
	MaxSpan int64  // milliseconds, 0 for none
	Stages  []StageExplanation
	Until   *StageExplanation
	// Atoms is the number of distinct atoms of the query.
	Atoms int
}

// StageExplanation tells how one filter is run.
type StageExplanation struct {
	Missing   bool
	Runs      int
	Category  string // empty for any
	Condition string // the canonical text
	Keys      []string
	Fields    []event.Field
	Atoms     int
	// Needs are the groups of necessary conditions.
	Needs [][]Need
}

// String returns the name of the kind.
func (k Kind) String() string {
	switch k {
	case EventQuery:
		return "event"
	case Sequence:
		return "sequence"
	case Sample:
		return "sample"
	default:
		return "unknown"
	}
}

// Explain returns what `weir rules explain` shows.
func (q *Query) Explain() Explanation {
	all := map[node]bool{}
	x := Explanation{Kind: q.Kind.String(), Text: q.String(), MaxSpan: q.MaxSpan}
	for _, s := range q.Stages {
		x.Stages = append(x.Stages, q.explainStage(s, all))
	}
	if q.Until != nil {
		u := q.explainStage(q.Until, all)
		x.Until = &u
	}
	x.Atoms = len(all)
	return x
}

func (q *Query) explainStage(s *Stage, all map[node]bool) StageExplanation {
	x := StageExplanation{
		Missing:   s.Missing,
		Runs:      s.Runs,
		Category:  s.filter.Category.Name,
		Condition: ast.PrintExpr(s.filter.Where),
		Needs:     s.needs,
	}
	for _, k := range s.By {
		if k.Optional {
			x.Keys = append(x.Keys, "?"+k.Path)
		} else {
			x.Keys = append(x.Keys, k.Path)
		}
	}
	for _, slot := range s.Fields {
		x.Fields = append(x.Fields, q.schema.Field(slot))
	}
	atoms := map[node]bool{}
	collectAtoms(s.cond, atoms)
	x.Atoms = len(atoms)
	for a := range atoms {
		all[a] = true
	}
	return x
}

func collectAtoms(n node, atoms map[node]bool) {
	switch n := n.(type) {
	case andNode:
		for _, child := range n {
			collectAtoms(child, atoms)
		}
	case orNode:
		for _, child := range n {
			collectAtoms(child, atoms)
		}
	case notNode:
		collectAtoms(n.child, atoms)
	case constNode:
	default:
		atoms[n] = true // pointers: shared atoms are one, others are themselves
	}
}
