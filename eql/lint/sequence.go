package lint

import (
	"slices"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
)

// sequence looks at each stage, then at what the stages make of each other.
func (l *linter) sequence(s *ast.Sequence) {
	dead := false
	for i := range s.Stages {
		if !l.stage(&s.Stages[i], s.By) {
			dead = dead || !s.Stages[i].Missing
		}
	}
	if s.Until != nil {
		l.stage(s.Until, s.By)
	}
	if dead {
		return // what follows from it needs no further words
	}
	l.keyValues(s.By, s.Stages)
	l.untilEnds(s)
}

// sample looks at each filter, then at what they make of each other.
func (l *linter) sample(s *ast.Sample) {
	dead := false
	for i := range s.Stages {
		dead = !l.stage(&s.Stages[i], s.By) || dead
	}
	if !dead {
		l.keyValues(s.By, s.Stages)
	}
}

// stage looks at one stage and reports whether an event can pass it.
func (l *linter) stage(s *ast.Stage, by []ast.Key) bool {
	var known []literal
	for _, k := range slices.Concat(by, s.By) {
		if !k.Optional {
			known = append(known, exists(k.Path, &ast.Field{Span: k.Span, Path: k.Path}))
		}
	}
	possible := l.condition(s.Filter.Where, known)
	switch {
	case possible:
	case s.Missing:
		l.report(finding.UnreachableStage, s.Span, "take it out, or mend its condition", "no event passes this stage, so it forbids nothing")
	default:
		l.report(finding.UnreachableStage, s.Span, "", "no event passes this stage, so nothing is ever complete")
	}
	return possible
}

// keyValues reports stages whose conditions give the same join key different values.
func (l *linter) keyValues(by []ast.Key, stages []ast.Stage) {
	var facts []stageFact
	for i := range stages {
		st := &stages[i]
		if st.Missing {
			continue
		}
		tests := l.tests(st.Filter.Where)
		for j, k := range slices.Concat(by, st.By) {
			if !l.o.Single(k.Path) {
				continue
			}
			for _, x := range tests {
				if x.field != k.Path || x.not {
					continue
				}
				if other := l.otherValue(facts, j, i, x); other != nil {
					l.report(finding.KeysDiffer, x.expr.Source(), "", "the join key %s is another one in stage %d (`%s`), so no event of this stage ever joins one of that",
						k.Path, other.stage+1, l.source(other.test.expr))
				}
				facts = append(facts, stageFact{j, i, x})
			}
		}
	}
}

// stageFact is a test of a join key in a stage.
type stageFact struct {
	key, stage int
	test       literal
}

// otherValue returns a fact about the key in another stage that x excludes.
func (l *linter) otherValue(facts []stageFact, key, stage int, x literal) *stageFact {
	for i := range facts {
		f := &facts[i]
		if f.key != key || f.stage == stage {
			continue
		}
		if !slices.ContainsFunc(x.sets, func(v item) bool { return !v.apartFromAll(f.test.sets) }) {
			return f
		}
	}
	return nil
}

// tests returns the tests of which a condition is the conjunction, those that aren't single tests left out.
func (l *linter) tests(e ast.Expr) []literal {
	v := view{expr: e}
	op, parts := v.parts()
	if op != ast.And {
		parts = []view{v}
	}
	var out []literal
	for _, p := range parts {
		x, ok := l.literal(p)
		if !ok {
			x, ok = l.alternative(p)
		}
		if ok {
			out = append(out, x)
		}
	}
	return out
}

// untilEnds reports a stage each of whose events the until stage takes too: what it has advanced ends at once.
func (l *linter) untilEnds(s *ast.Sequence) {
	if s.Until == nil {
		return
	}
	last := 0
	for i := range s.Stages {
		if !s.Stages[i].Missing {
			last = i
		}
	}
	for i := range s.Stages {
		st := &s.Stages[i]
		if st.Missing || i == last && st.Runs < 2 || !sameKeys(st.By, s.Until.By) || !l.implies(&st.Filter, &s.Until.Filter) {
			continue
		}
		l.report(finding.UntilEnds, s.Until.Span, "until takes effect right after its event has been used: exclude the stage's events from it",
			"each event of stage %d is one of until's too, so the sequence ends where it has got there", i+1)
		return
	}
}

func sameKeys(a, b []ast.Key) bool {
	return slices.EqualFunc(a, b, func(x, y ast.Key) bool { return x.Path == y.Path })
}

// implies reports whether every event that passes a surely passes b.
func (l *linter) implies(a, b *ast.Filter) bool {
	if !b.Category.Any && (a.Category.Any || a.Category.Name != b.Category.Name) {
		return false
	}
	if ast.PrintExpr(a.Where) == ast.PrintExpr(b.Where) {
		return true
	}
	if t, ok := b.Where.(*ast.Bool); ok {
		return t.Value
	}
	v := view{expr: b.Where}
	op, parts := v.parts()
	if op != ast.And {
		parts = []view{v}
	}
	facts := l.tests(a.Where)
	for _, p := range parts {
		x, ok := l.literal(p)
		if !ok {
			x, ok = l.alternative(p)
		}
		if !ok || l.conflict(facts, x.negated()) == nil {
			return false
		}
	}
	return true
}
