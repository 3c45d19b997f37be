package lucene

// isEmpty reports whether t matches no text at all. Only intersections and complements can be empty without being none.
func (b *builder) isEmpty(t int) bool {
	if t == none || !b.mayBeEmpty(t, map[int]bool{}) {
		return t == none
	}
	terms := b.reach(t, func(t int) bool { return b.terms[t].nullable })
	return terms != nil
}

func (b *builder) mayBeEmpty(t int, seen map[int]bool) bool {
	if seen[t] {
		return false
	}
	seen[t] = true
	if op := b.terms[t].op; op == opInter || op == opNot {
		return true
	}
	for _, a := range b.terms[t].args {
		if b.mayBeEmpty(a, seen) {
			return true
		}
	}
	return false
}

// reach returns the terms that can be left over of t, t first, nil if stop held for one of them. Where there are too many,
// it gives up with an error.
func (b *builder) reach(t int, stop func(int) bool) []int {
	seen := map[int]bool{t: true}
	terms := []int{t}
	for i := 0; i < len(terms); i++ {
		if stop(terms[i]) {
			return nil
		}
		for class := range b.first {
			next := b.derive(terms[i], class)
			if !seen[next] {
				seen[next] = true
				terms = append(terms, next)
			}
		}
		if b.err != nil || len(terms) > maxRepeated {
			b.err = errComplex
			return nil
		}
	}
	return terms
}

// states returns how many states Lucene's automaton for e has, whose term is t: repetitions are bounded by it. Lucene
// minimizes an automaton after each operation, but not after a bounded repetition.
func (b *builder) states(e *expr, t int) int {
	switch {
	case t == none:
		return 0
	case e.kind == kindText:
		return len(e.text) + 1
	case e.kind == kindSet:
		return 2
	case e.kind == kindAll:
		return 1
	case e.kind == kindRepeat && e.bounded:
		n := b.states(e.args[0], b.build(e.args[0]))
		first := 1
		if e.min > 0 {
			first = e.min * n
		}
		return first + (e.max-e.min)*n
	}
	terms := b.reach(t, func(int) bool { return false })
	return b.minimal(terms)
}

// minimal returns the number of states of the least deterministic automaton of terms, without the one that accepts
// nothing. Where there are many, they are counted as they are.
func (b *builder) minimal(terms []int) int {
	const many = 300
	index := make(map[int]int, len(terms))
	for i, t := range terms {
		index[t] = i
	}
	block := make([]int, len(terms))
	blocks := 0
	for i, t := range terms {
		block[i] = b2i(b.terms[t].nullable)
	}
	for len(terms) <= many {
		ids := map[string]int{}
		next := make([]int, len(terms))
		for i, t := range terms {
			key := []byte{byte(block[i]), byte(block[i] >> 8)}
			for class := range b.first {
				to := block[index[b.derive(t, class)]]
				key = append(key, byte(to), byte(to>>8))
			}
			id, ok := ids[string(key)]
			if !ok {
				id = len(ids)
				ids[string(key)] = id
			}
			next[i] = id
		}
		block = next
		if len(ids) == blocks {
			break
		}
		blocks = len(ids)
	}
	if len(terms) > many {
		blocks = len(terms)
	}
	if dead, ok := index[none]; ok && len(terms) > 1 && dead >= 0 {
		blocks--
	}
	return blocks
}
