package lint

import (
	"slices"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
)

// verdict says what a condition comes to.
type verdict uint8

const (
	open verdict = iota
	never
	always
)

func (v verdict) negated() verdict {
	switch v {
	case never:
		return always
	case always:
		return never
	default:
		return open
	}
}

// view is an expression, or its complement.
type view struct {
	expr ast.Expr
	not  bool
}

// parts returns what a view is made of when it is a conjunction or a disjunction; op is empty for a single test.
func (v view) parts() (op ast.Op, parts []view) {
	switch e := v.expr.(type) {
	case *ast.Unary:
		if e.Op == ast.Not {
			return view{e.X, !v.not}.parts()
		}
	case *ast.Binary:
		if e.Op != ast.And && e.Op != ast.Or {
			return "", nil
		}
		op = e.Op
		if v.not {
			op = map[ast.Op]ast.Op{ast.And: ast.Or, ast.Or: ast.And}[op]
		}
		for _, side := range []view{{e.Left, v.not}, {e.Right, v.not}} {
			if inner, more := side.parts(); inner == op {
				parts = append(parts, more...)
			} else {
				parts = append(parts, side)
			}
		}
	}
	return op, parts
}

// literal returns the test that a view is.
func (l *linter) literal(v view) (literal, bool) {
	x, ok := l.literalOf(v.expr)
	if v.not {
		x = x.negated()
		x.opposite = true
	}
	return x, ok
}

// group finds out whether v can hold, where all of known do, and reports what in it can't.
func (l *linter) group(v view, known []literal) verdict {
	switch op, parts := v.parts(); op {
	case ast.And:
		return l.conjunction(parts, known)
	case ast.Or:
		return l.disjunction(v, parts, known)
	default:
		return l.single(v, known)
	}
}

// single is group for one test.
func (l *linter) single(v view, known []literal) verdict {
	x, ok := l.literal(v)
	if !ok {
		return l.constant(v)
	}
	if other := l.conflict(known, x); other != nil {
		l.reportConflict(x, other)
		return never
	}
	return open
}

// constant is the verdict on a condition without fields.
func (l *linter) constant(v view) verdict {
	out := constantCondition(v.expr)
	switch out {
	case always:
		l.report(finding.AlwaysTrue, v.expr.Source(), "take it out", "this is always true")
	case never:
		l.report(finding.AlwaysFalse, v.expr.Source(), "", "this is always false")
	case open:
	}
	if v.not {
		return out.negated()
	}
	return out
}

func (l *linter) conjunction(parts []view, known []literal) verdict {
	l.duplicates(parts, ast.And)
	facts := slices.Clone(known)
	var rest []view
	for _, p := range parts {
		x, ok := l.literal(p)
		if !ok {
			x, ok = l.alternative(p)
			rest = append(rest, p)
			if !ok {
				continue
			}
		}
		if other := l.conflict(facts, x); other != nil {
			l.reportConflict(x, other)
			return never
		}
		facts = append(facts, x)
	}
	out := open
	for _, p := range rest {
		if l.group(p, facts) == never {
			out = never
		}
	}
	return out
}

// alternative returns a disjunction of tests of one field as one test: some value is in one of all the sets.
func (l *linter) alternative(v view) (x literal, ok bool) {
	op, parts := v.parts()
	if op != ast.Or {
		return x, false
	}
	for i, p := range parts {
		one, ok := l.literal(p)
		if !ok || one.not || i > 0 && one.field != x.field {
			return x, false
		}
		if i == 0 {
			x = literal{field: one.field, expr: v.expr}
		}
		x.sets = append(x.sets, one.sets...)
	}
	return x, true
}

func (l *linter) disjunction(v view, parts []view, known []literal) verdict {
	l.duplicates(parts, ast.Or)
	var failing []literal
	for _, p := range parts {
		x, ok := l.literal(p)
		if !ok {
			continue
		}
		x = x.negated()
		if other := l.conflict(failing, x); other != nil {
			l.reportTautology(x, *other)
			return always
		}
		failing = append(failing, x)
	}
	out := never
	for _, p := range parts {
		if l.alternativeVerdict(p, known) != never {
			out = open
		}
	}
	if out == never && v.not {
		l.report(finding.AlwaysFalse, v.expr.Source(), "", "all of this holds wherever the tests around it do, so the condition never does")
	}
	return out
}

// alternativeVerdict is the verdict on one side of a disjunction. A conjunction under not is one too, and what always holds in it is
// no more than needless.
func (l *linter) alternativeVerdict(p view, known []literal) verdict {
	if x, ok := l.literal(p); ok && p.not {
		if other := l.conflict(known, x); other != nil {
			l.report(finding.Duplicate, x.expr.Source(), "take it out", "this holds anyway, where `%s` %s", l.source(other.expr), does(*other))
			return never
		}
		return open
	}
	return l.group(p, known)
}

// does says whether the expression of a literal holds where the literal does.
func does(x literal) string {
	if x.opposite {
		return "doesn't"
	}
	return "does"
}

// reportTautology reports two sides of a disjunction of which one always holds. Both literals are those sides negated.
func (l *linter) reportTautology(x, other literal) {
	if x.opposite && !other.opposite {
		x, other = other, x
	}
	if x.opposite { // not (a and b), where a and b exclude each other
		l.report(finding.AlwaysFalse, x.expr.Source(), "", "this never holds where `%s` does, so the condition around them always does", l.source(other.expr))
		return
	}
	hint, what := "", "one of this and `"+l.source(other.expr)+"` holds for every event"
	switch {
	case other.opposite:
		what = "this holds wherever `" + l.source(other.expr) + "` does"
	case !x.not && !other.not: // two complements: the most common slip
		hint = "join them with and, or write not in (…)"
	}
	l.report(finding.AlwaysTrue, x.expr.Source(), hint, "the condition is always true, because %s", what)
}

// reportConflict reports that x can't hold beside other.
func (l *linter) reportConflict(x literal, other *literal) {
	code, what := finding.AlwaysFalse, "this never holds where `"+l.source(other.expr)+"` "+does(*other)
	switch _, key := other.expr.(*ast.Field); {
	case x.opposite:
		code, what = finding.AlwaysTrue, "this always holds where `"+l.source(other.expr)+"` "+does(*other)+", so the condition never does"
	case key && other.sets[0].kind == anything:
		what = other.field + " is a join key: an event without it takes no part"
	}
	hint := ""
	if !x.not && !other.not && other.field == x.field {
		hint = "ECS gives " + x.field + " one value; alternatives are joined with or"
		if !l.isSingle(x.field) {
			hint = ""
		}
	}
	l.report(code, x.expr.Source(), hint, "%s", what)
}

// maxCompared is with how many tests of its field a test is compared: chains have a few, but for those that a program wrote, whose
// thousands would take the square of their number.
const maxCompared = 200

// conflict returns a literal that keeps x from holding, or the last one that takes part where it takes several; nil where
// x can hold beside all of them.
func (l *linter) conflict(known []literal, x literal) *literal {
	var own []literal
	for i := range known {
		if known[i].field != x.field {
			continue
		}
		if len(own) == maxCompared {
			break
		}
		if l.excludes([]literal{known[i], x}) {
			return &known[i]
		}
		own = append(own, known[i])
	}
	if len(own) > 1 && l.excludes(append(own, x)) {
		return &own[len(own)-1]
	}
	return nil
}

// excludes reports whether tests of one field can't hold together. A value must be found for each test that isn't negated,
// in none of the sets of those that are; and where the field has one value, it must be in the sets of all.
func (l *linter) excludes(tests []literal) bool {
	var no []item
	for _, t := range tests {
		if t.not {
			no = append(no, t.sets...)
		}
	}
	single := l.isSingle(tests[0].field)
	for i, t := range tests {
		if t.not {
			continue
		}
		possible := slices.ContainsFunc(t.sets, func(v item) bool {
			if v.covered(no) {
				return false
			}
			if !single {
				return true
			}
			for j, u := range tests {
				if j != i && !u.not && v.apartFromAll(u.sets) {
					return false
				}
			}
			return true
		})
		if !possible {
			return true
		}
	}
	return false
}

// duplicates reports tests that stand twice in a chain of and or or.
func (l *linter) duplicates(parts []view, op ast.Op) {
	seen := map[string]ast.Expr{}
	for _, p := range parts {
		key := ast.PrintExpr(p.expr)
		if p.not {
			key = "not " + key
		}
		if first, ok := seen[key]; ok {
			l.report(finding.Duplicate, p.expr.Source(), "take one of them out", "`%s` stands twice here", l.source(first))
			continue
		}
		seen[key] = p.expr
	}
	if op == ast.Or {
		l.coveredTests(parts)
	}
}

// within reports whether x holds only where y does. Neither is negated, and both are of one field.
func (x literal) within(y literal) bool {
	return len(x.sets) > 0 && !slices.ContainsFunc(x.sets, func(v item) bool { return !v.covered(y.sets) })
}

// coveredTests reports tests that add nothing to another test of their field in a disjunction.
func (l *linter) coveredTests(parts []view) {
	type test struct {
		view
		x       literal
		printed string
	}
	tests := make([]test, 0, len(parts)) // made once: a chain may have thousands of parts, and each is compared with all others
	for _, p := range parts {
		if x, ok := l.literal(p); ok && !x.not {
			tests = append(tests, test{p, x, ast.PrintExpr(p.expr)})
		}
	}
	for i, p := range tests {
		if p.not {
			continue
		}
		compared := 0
		for j, q := range tests {
			if i == j || q.x.field != p.x.field || p.printed == q.printed {
				continue
			}
			if compared++; compared > maxCompared {
				break
			}
			if p.x.within(q.x) && (j < i || !q.x.within(p.x)) { // of two that are the same, the second
				l.report(finding.Duplicate, p.expr.Source(), "take it out", "`%s` holds wherever this does", l.source(q.expr))
				break
			}
		}
	}
}
