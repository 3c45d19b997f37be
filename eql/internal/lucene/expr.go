package lucene

import "slices"

// unbounded is the max of a repetition without one.
const unbounded = -1

// expr is an expression as Lucene's RegExp reads it. It is kept apart from terms since some of Lucene's results depend on
// how a pattern is written and not only on what its parts match.
type expr struct {
	kind kind
	args []*expr
	text []rune  // kindText
	set  runeSet // kindSet
	// min and max are the bounds of a repetition or an interval. bounded marks {n} and {n,m}.
	min, max int
	bounded  bool
	width    int // of an interval's numbers, 0 where any number of leading zeros is allowed
}

type kind uint8

const (
	kindText     kind = iota // one character or a quoted text, also the empty one
	kindSet                  // one character of a set; of an empty set: nothing
	kindAll                  // every text
	kindInterval             // decimal numbers
	kindUnion
	kindInter
	kindConcat // two parts
	kindOptional
	kindRepeat
	kindNot
)

// chars returns the characters that one item of a class stands for.
func (e *expr) chars(fold bool) runeSet {
	if e.kind == kindText {
		return char(e.text[0], fold)
	}
	return e.set
}

// concat joins expressions. Texts side by side become one, as RegExp does it: an empty text vanishes beside another,
// which matters where it would match nothing, see builder.text.
func concat(x, y *expr) *expr {
	switch {
	case x.kind == kindText && y.kind == kindText:
		return joinText(x, y)
	case x.kind == kindConcat && x.args[1].kind == kindText && y.kind == kindText:
		return &expr{kind: kindConcat, args: []*expr{x.args[0], joinText(x.args[1], y)}}
	case x.kind == kindText && y.kind == kindConcat && y.args[0].kind == kindText:
		return &expr{kind: kindConcat, args: []*expr{joinText(x, y.args[0]), y.args[1]}}
	}
	return &expr{kind: kindConcat, args: []*expr{x, y}}
}

func joinText(x, y *expr) *expr {
	return &expr{kind: kindText, text: slices.Concat(x.text, y.text)}
}

// sets calls add for all sets of characters that e needs.
func (e *expr) sets(fold bool, add func(runeSet)) {
	switch e.kind {
	case kindText:
		for _, r := range e.text {
			add(char(r, fold))
		}
	case kindSet:
		add(e.set)
	case kindInterval:
		for d := '0'; d <= '9'; d++ {
			add(runeSet{{d, d}})
		}
	default:
	}
	for _, a := range e.args {
		a.sets(fold, add)
	}
}

// build returns the term of e.
func (b *builder) build(e *expr) int {
	switch e.kind {
	case kindText:
		return b.text(e.text)
	case kindSet:
		return b.oneOf(e.set)
	case kindAll:
		return all
	case kindInterval:
		return b.interval(e.min, e.max, e.width)
	case kindUnion:
		return b.union(b.buildAll(e.args)...)
	case kindInter:
		return b.intersect(b.buildAll(e.args)...)
	case kindConcat:
		// The right side nests as deep as the pattern is long.
		var parts []int
		for ; e.kind == kindConcat; e = e.args[1] {
			parts = append(parts, b.build(e.args[0]))
		}
		out := b.build(e)
		for _, t := range slices.Backward(parts) {
			out = b.concat(t, out)
		}
		return out
	case kindNot:
		return b.not(b.build(e.args[0]))
	case kindOptional:
		return b.repeat(b.build(e.args[0]), 0, 1)
	default:
		return b.repeated(e)
	}
}

func (b *builder) buildAll(es []*expr) []int {
	terms := make([]int, len(es))
	for i, e := range es {
		terms[i] = b.build(e)
	}
	return terms
}

// text returns the term for a text. An empty one that ignores case matches nothing: Lucene's toCaseInsensitiveString
// concatenates no automata then, and gets one that accepts nothing.
func (b *builder) text(text []rune) int {
	if len(text) == 0 && b.fold {
		return none
	}
	out := empty
	for _, r := range slices.Backward(text) {
		out = b.concat(b.oneOf(char(r, b.fold)), out)
	}
	return out
}

// repeated returns the term of a repetition. Lucene's Operations.repeat returns an automaton without states as it is:
// where the operand matches nothing, * and {0,} match nothing, too, instead of the empty text; ? and {0,n} do not.
func (b *builder) repeated(e *expr) int {
	t := b.build(e.args[0])
	if e.min == 0 && e.bounded && e.max == 0 {
		return empty
	}
	if b.isEmpty(t) {
		if e.min == 0 && e.bounded {
			return empty
		}
		return none
	}
	least := e.min
	if e.bounded {
		least = e.max
	}
	if least > 1 && (b.states(e.args[0], t)-1)*least > maxRepeated {
		b.err = errComplex
		return none
	}
	return b.repeat(t, e.min, e.max)
}
