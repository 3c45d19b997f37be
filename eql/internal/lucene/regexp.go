// Package lucene runs regular expressions in the dialect of Lucene's RegExp with all flags on, as
// Elasticsearch's regexp queries do: a pattern matches whole values, `^` and `$` are ordinary characters, and
// there are operators for complement (~), intersection (&), any text (@), no text (#), number ranges (<1-9>) and
// quoted text. A pattern becomes a deterministic automaton when it is compiled, built from derivatives, so that
// matching takes linear time and doesn't allocate. The package knows nothing of EQL.
package lucene

import (
	"cmp"
	"slices"
	"sort"
	"unicode"
	"unicode/utf8"
)

// Regexp is a compiled pattern. It is immutable and may be used by any number of goroutines.
type Regexp struct {
	ascii   [utf8.RuneSelf]uint16 // the class of each ASCII character
	starts  []rune                // the first characters of runs of one class, ascending from 0
	classes []uint16              // the classes of the runs
	width   int                   // the number of classes
	next    []uint16              // state*width + class → state
	accepts []bool
	start   uint16
	// States that are never left: there the rest of the text needs no look.
	final []bool
}

// Compile compiles a pattern. With fold set, single ASCII letters match in either case; ranges of characters
// don't, as in Lucene 9. The error is an *Error: what is wrong and where in the pattern.
func Compile(pattern string, fold bool) (*Regexp, error) {
	p := &parser{text: pattern, fold: fold}
	e, err := p.parse()
	if err != nil {
		return nil, err
	}
	b := newBuilder(fold)
	e.sets(fold, func(s runeSet) { b.addSet(s) })
	if len(b.sets) > maxSets {
		return nil, p.tooComplex()
	}
	re := &Regexp{}
	re.classify(b)
	root := b.build(e)
	if b.err != nil || !re.determinize(b, root) {
		return nil, p.tooComplex()
	}
	return re, nil
}

// Match reports whether the whole of s matches.
func (re *Regexp) Match(s string) bool {
	state := re.start
	for i := 0; i < len(s); {
		if re.final[state] {
			break
		}
		var class uint16
		if c := s[i]; c < utf8.RuneSelf {
			class = re.ascii[c]
			i++
		} else {
			r, size := utf8.DecodeRuneInString(s[i:])
			class = re.class(r)
			i += size
		}
		state = re.next[int(state)*re.width+int(class)]
	}
	return re.accepts[state]
}

func (re *Regexp) class(r rune) uint16 {
	i := sort.Search(len(re.starts), func(i int) bool { return re.starts[i] > r })
	return re.classes[i-1]
}

// classify finds the classes of characters that no set of the pattern tells apart.
func (re *Regexp) classify(b *builder) {
	cuts := []rune{0}
	for _, s := range b.sets {
		for _, r := range s {
			cuts = append(cuts, r.lo)
			if r.hi < unicode.MaxRune {
				cuts = append(cuts, r.hi+1)
			}
		}
	}
	slices.SortFunc(cuts, cmp.Compare[rune])
	re.starts = slices.Compact(cuts)
	known := map[string]uint16{}
	signature := make([]byte, len(b.sets))
	b.first = []rune{}
	for _, start := range re.starts {
		for i, s := range b.sets {
			signature[i] = byte(b2i(s.has(start)))
		}
		id, ok := known[string(signature)]
		if !ok {
			id = uint16(len(known))
			known[string(signature)] = id
			b.first = append(b.first, start)
		}
		re.classes = append(re.classes, id)
	}
	for _, s := range b.sets {
		b.member = append(b.member, b.membership(s))
	}
	re.width = len(known)
	for c := range re.ascii {
		re.ascii[c] = re.class(rune(c))
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// determinize makes a state of each term that can be left over after some text. It is false where there are too many.
func (re *Regexp) determinize(b *builder, root int) bool {
	states := map[int]uint16{root: 0}
	terms := []int{root}
	effort := 0
	for i := 0; i < len(terms); i++ {
		stays := true
		for class := range re.width {
			t := b.derive(terms[i], class)
			id, ok := states[t]
			if !ok {
				id = uint16(len(terms))
				states[t] = id
				terms = append(terms, t)
			}
			stays = stays && id == uint16(i)
			re.next = append(re.next, id)
		}
		// Each alternative stands for a state of Lucene's automaton before it is made deterministic.
		if t := b.terms[terms[i]]; t.op == opUnion {
			effort += len(t.args)
		}
		if b.err != nil || len(terms) > maxStates || len(re.next) > maxTransitions || effort >= maxEffort {
			return false
		}
		re.accepts = append(re.accepts, b.terms[terms[i]].nullable)
		re.final = append(re.final, stays)
	}
	return true
}
