package eql

import (
	"cmp"
	"slices"
)

// What evaluating a node costs, in about nanoseconds as BenchmarkAtoms measures them on the machine of docs/performance.md.
// Only the order of the numbers matters.
const (
	costExists = 2
	costText   = 5
	costNumber = 6
	costSet    = 15
	costGlob   = 25 // and costInner for each part between stars
	costInner  = 20
	costFold   = 30
	costParts  = 60
	costAddr   = 50
	costRegex  = 80
	costScript = 150
)

// cost estimates what it takes to evaluate n, as far as its evaluation is expected to go.
func (e *Env) cost(n node) float64 {
	switch n := n.(type) {
	case constNode:
		return 0
	case existsNode:
		return costExists
	case notNode:
		return e.cost(n.child)
	case *shared:
		return e.cost(n.inner)
	case *equalLeaf, *foldedLeaf:
		return costExists + costText
	case *leaf:
		return costExists + Presence(e.schema.Field(n.slot).Path)*testCost(n.t)
	case andNode:
		return e.costOfAll(n, func(chance float64) float64 { return chance })
	case orNode:
		return e.costOfAll(n, func(chance float64) float64 { return 1 - chance })
	default:
		return costScript
	}
}

// costOfAll adds up what nodes cost in their order, each as often as those before it let the evaluation go on.
func (e *Env) costOfAll(nodes []node, goesOn func(chance float64) float64) float64 {
	sum, reached := 0.0, 1.0
	for _, n := range nodes {
		sum += reached * e.cost(n)
		reached *= goesOn(e.chance(n))
	}
	return sum
}

// testCost estimates what it takes to test a value.
func testCost(t tester) float64 {
	switch t := t.(type) {
	case textAny, textEq, textEqFold, textPrefix, textOrder:
		return costText
	case numberOrder, boolOrder, timeOrder:
		return costNumber
	case numberSet:
		return costNumber * float64(len(t))
	case textSet:
		return costSet
	case textGlob:
		return costGlob + costInner*float64(t.pattern.Inner())
	case cidrTest, addrOrder:
		return costAddr
	case *globSet:
		return t.cost()
	case anyOf:
		sum := 0.0
		for _, one := range t {
			sum += testCost(one)
		}
		return sum
	case noneOf:
		return testCost(t.t)
	case foldFirst:
		return costFold + testCost(t.inner)
	default: // expressions over text
		return costRegex
	}
}

// least keeps a rank finite where a condition is expected to decide nothing.
const least = 0.01

// failFirst sorts the parts of a conjunction by what it costs to have one fail: cheap and selective ones stand first, those
// that are the same in the order in which they are written.
func (e *Env) failFirst(nodes []node, chance func(node) float64) {
	e.sortBy(nodes, func(n node) float64 { return e.cost(n) / max(1-chance(n), least) })
}

// holdFirst sorts the parts of a disjunction by what it costs to have one hold.
func (e *Env) holdFirst(nodes []node) {
	e.sortBy(nodes, func(n node) float64 { return e.cost(n) / max(e.chance(n), least) })
}

func (e *Env) sortBy(nodes []node, rank func(node) float64) {
	if e.opts.NoOptimise || e.opts.NoReorder || len(nodes) < 2 {
		return
	}
	type ranked struct {
		node
		rank float64
	}
	order := make([]ranked, len(nodes))
	for i, n := range nodes {
		order[i] = ranked{n, rank(n)}
	}
	slices.SortStableFunc(order, func(a, b ranked) int { return cmp.Compare(a.rank, b.rank) })
	for i := range order {
		nodes[i] = order[i].node
	}
}

// Arrange tells which needs of a stage an event is known to satisfy before the stage is evaluated, but for the case of
// letters: those conditions are asked last. It must not be called while events are matched.
func (e *Env) Arrange(s *Stage, known func(group []Need) bool) {
	all, ok := s.cond.(andNode)
	if !ok {
		return
	}
	e.failFirst(all, func(n node) float64 {
		if groups := e.needs(n); len(groups) == 1 && known(groups[0]) {
			return 1 - least
		}
		return e.chance(n)
	})
}
