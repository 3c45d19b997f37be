package eql

import "slices"

// What evaluating a node costs at worst, in about nanoseconds on the machine of docs/performance.md. Only the order of the
// numbers matters: of conditions that all must hold, or of which one must, the cheap ones are asked first.
const (
	costExists = 2
	costText   = 5
	costNumber = 6
	costSet    = 15
	costGlob   = 25 // and costInner for each part between stars
	costInner  = 20
	costFold   = 30
	costAddr   = 50
	costRegex  = 80
	costScript = 150
)

// cost estimates what it takes to evaluate n.
func cost(n node) int {
	switch n := n.(type) {
	case constNode:
		return 0
	case existsNode:
		return costExists
	case notNode:
		return cost(n.child)
	case *shared:
		return cost(n.inner)
	case *leaf:
		return testCost(n.t)
	case andNode:
		return costOfAll(n)
	case orNode:
		return costOfAll(n)
	default:
		return costScript
	}
}

func costOfAll(nodes []node) int {
	sum := 0
	for _, n := range nodes {
		sum += cost(n)
	}
	return sum
}

// testCost estimates what it takes to test a value.
func testCost(t tester) int {
	switch t := t.(type) {
	case textAny, textEq, textEqFold, textPrefix, textOrder:
		return costText
	case numberOrder, boolOrder, timeOrder:
		return costNumber
	case numberSet:
		return costNumber * len(t)
	case textSet:
		return costSet
	case textGlob:
		return costGlob + costInner*t.pattern.Inner()
	case cidrTest, addrOrder:
		return costAddr
	case anyOf:
		sum := 0
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

// cheapFirst sorts nodes by what they cost, those that cost the same in the order in which they are written.
func cheapFirst(nodes []node) {
	slices.SortStableFunc(nodes, func(a, b node) int { return cost(a) - cost(b) })
}
