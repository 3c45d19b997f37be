package lucene

import (
	"encoding/binary"
	"slices"
)

// These bound the time for one pattern and the memory of its automaton. maxRepeated and maxEffort are Lucene's: the states of
// what is repeated times the repetitions, and the states that are looked at while the automaton is made deterministic.
const (
	maxTerms       = 500_000
	maxWork        = 3_000_000 // arguments of unions and intersections that are sorted
	maxSets        = 2_000
	maxStates      = 50_000
	maxTransitions = 1 << 20
	maxRepeated    = 10_000
	maxEffort      = 100_000
)

var errComplex = &Error{
	Msg:  "pattern is too complex to run in linear time",
	Hint: "counted repetitions multiply, and a choice before a counted part doubles its states with each repetition",
}

type op uint8

const (
	opNone   op = iota // no text at all
	opEmpty            // the empty text
	opAll              // every text
	opSet              // one character of a set
	opConcat           // args[0] then args[1]
	opUnion            // one of args, sorted
	opInter            // all of args, sorted
	opNot              // every text that args[0] doesn't match
	opRepeat           // args[0], min to max times
)

// term is an expression. Equal expressions have one id, so that few states are told apart.
type term struct {
	op       op
	nullable bool // matches the empty text
	args     []int
	set      int
	min, max int // max < 0: unbounded
}

// The terms that every builder has.
const (
	none  = 0
	empty = 1
	all   = 2
)

// builder makes terms and their derivatives.
type builder struct {
	terms []term
	ids   map[string]int
	sets  []runeSet
	setID map[string]int
	fold  bool
	// first holds a character of each class, once the classes are known.
	first []rune
	// member[set][class] tells whether the characters of a class are in a set, once the classes are known.
	member  [][]bool
	derived map[uint64]int
	work    int
	err     error
}

func newBuilder(fold bool) *builder {
	b := &builder{ids: map[string]int{}, setID: map[string]int{}, derived: map[uint64]int{}, fold: fold}
	b.make(term{op: opNone})
	b.make(term{op: opEmpty, nullable: true})
	b.make(term{op: opAll, nullable: true})
	return b
}

// make returns the id of t.
func (b *builder) make(t term) int {
	key := make([]byte, 0, 16+4*len(t.args))
	key = append(key, byte(t.op))
	key = binary.AppendVarint(key, int64(t.set))
	key = binary.AppendVarint(key, int64(t.min))
	key = binary.AppendVarint(key, int64(t.max))
	for _, a := range t.args {
		key = binary.AppendVarint(key, int64(a))
	}
	if id, ok := b.ids[string(key)]; ok {
		return id
	}
	if len(b.terms) >= maxTerms {
		b.err = errComplex
		return none
	}
	id := len(b.terms)
	b.terms = append(b.terms, t)
	b.ids[string(key)] = id
	return id
}

// oneOf returns the term for one character of a set.
func (b *builder) oneOf(s runeSet) int {
	if len(s) == 0 {
		return none
	}
	return b.make(term{op: opSet, set: b.addSet(s)})
}

// addSet returns the number of a set.
func (b *builder) addSet(s runeSet) int {
	key := make([]byte, 0, 8*len(s))
	for _, r := range s {
		key = binary.AppendVarint(binary.AppendVarint(key, int64(r.lo)), int64(r.hi))
	}
	if i, ok := b.setID[string(key)]; ok {
		return i
	}
	i := len(b.sets)
	b.sets, b.setID[string(key)] = append(b.sets, s), i
	if b.first != nil { // of digits: each has a class of its own
		b.member = append(b.member, b.membership(s))
	}
	return i
}

func (b *builder) membership(s runeSet) []bool {
	in := make([]bool, len(b.first))
	for class, r := range b.first {
		in[class] = s.has(r)
	}
	return in
}

func (b *builder) concat(x, y int) int {
	switch {
	case x == none || y == none:
		return none
	case x == empty:
		return y
	case y == empty:
		return x
	}
	if t := b.terms[x]; t.op == opConcat {
		return b.concat(t.args[0], b.concat(t.args[1], y))
	}
	if x == all {
		if t := b.terms[y]; y == all || t.op == opConcat && t.args[0] == all {
			return y
		}
	}
	return b.make(term{op: opConcat, args: []int{x, y}, nullable: b.terms[x].nullable && b.terms[y].nullable})
}

func (b *builder) union(xs ...int) int {
	args, decided := b.flatten(opUnion, none, all, xs)
	switch {
	case decided:
		return all
	case len(args) == 0:
		return none
	case len(args) == 1:
		return args[0]
	}
	nullable := slices.ContainsFunc(args, func(a int) bool { return b.terms[a].nullable })
	return b.make(term{op: opUnion, args: args, nullable: nullable})
}

func (b *builder) intersect(xs ...int) int {
	args, decided := b.flatten(opInter, all, none, xs)
	switch {
	case decided:
		return none
	case len(args) == 0:
		return all
	case len(args) == 1:
		return args[0]
	}
	nullable := !slices.ContainsFunc(args, func(a int) bool { return !b.terms[a].nullable })
	return b.make(term{op: opInter, args: args, nullable: nullable})
}

// flatten returns the sorted arguments of an operator without duplicates and its neutral term. One deciding
// term decides the whole.
func (b *builder) flatten(o op, neutral, deciding int, xs []int) (args []int, decided bool) {
	for _, x := range xs {
		switch {
		case x == deciding:
			return nil, true
		case x == neutral:
		case b.terms[x].op == o:
			args = append(args, b.terms[x].args...)
		default:
			args = append(args, x)
		}
	}
	if b.work += len(args); b.work > maxWork {
		b.err = errComplex
		return nil, false
	}
	slices.Sort(args)
	return slices.Compact(args), false
}

func (b *builder) not(x int) int {
	switch {
	case x == none:
		return all
	case x == all:
		return none
	case b.terms[x].op == opNot:
		return b.terms[x].args[0]
	}
	return b.make(term{op: opNot, args: []int{x}, nullable: !b.terms[x].nullable})
}

func (b *builder) repeat(x, low, high int) int {
	t := b.terms[x]
	switch {
	case high >= 0 && low > high:
		return none
	case high == 0 || x == empty:
		return empty
	case x == none:
		if low == 0 {
			return empty
		}
		return none
	case low == 1 && high == 1:
		return x
	case x == all, t.op == opRepeat && t.min == 0 && t.max < 0:
		return x
	case t.op == opSet && low == 0 && high < 0 && b.sets[t.set].isAny():
		return all
	}
	if high < 0 {
		high = -1
	}
	return b.make(term{op: opRepeat, args: []int{x}, min: low, max: high, nullable: low == 0 || t.nullable})
}

// derive returns the term for what must follow a character of class c in a match of x.
func (b *builder) derive(x, c int) int {
	t := b.terms[x]
	switch t.op {
	case opNone, opEmpty:
		return none
	case opAll:
		return all
	case opSet:
		if b.member[t.set][c] {
			return empty
		}
		return none
	default:
	}
	key := uint64(x)<<32 | uint64(c)
	if id, ok := b.derived[key]; ok {
		return id
	}
	if b.err != nil {
		return none
	}
	id := b.deriveCompound(t, c)
	b.derived[key] = id
	return id
}

func (b *builder) deriveCompound(t term, c int) int {
	switch t.op {
	case opConcat:
		d := b.concat(b.derive(t.args[0], c), t.args[1])
		if b.terms[t.args[0]].nullable {
			d = b.union(d, b.derive(t.args[1], c))
		}
		return d
	case opNot:
		return b.not(b.derive(t.args[0], c))
	case opRepeat:
		high := t.max
		if high > 0 {
			high--
		}
		return b.concat(b.derive(t.args[0], c), b.repeat(t.args[0], max(t.min-1, 0), high))
	default: // a union or an intersection
	}
	args := make([]int, len(t.args))
	for i, a := range t.args {
		args[i] = b.derive(a, c)
	}
	if t.op == opUnion {
		return b.union(args...)
	}
	return b.intersect(args...)
}
