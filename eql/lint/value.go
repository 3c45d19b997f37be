package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/eql/internal/glob"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// comparison looks at a comparison by itself.
func (l *linter) comparison(e *ast.Binary) {
	f, c, op := fieldAndConstant(e)
	if f == nil {
		return
	}
	l.numberAndText(f, op, c)
	if s, ok := c.(*ast.String); ok && (op == ast.Eq || op == ast.Ne) {
		l.literalStar(f, op, s)
		l.fieldValues(f, []ast.Expr{c}, exactly)
	}
}

// match looks at `:`, in, like and regex by themselves.
func (l *linter) match(e *ast.Match) {
	l.repeated(e)
	f, ok := e.X.(*ast.Field)
	if !ok {
		return // over expressions Elasticsearch uses Java's regular expressions: compiling warns of them
	}
	if e.Op == ast.Regex || e.Op == ast.RegexFold {
		for _, c := range e.List {
			if s, ok := c.(*ast.String); ok {
				l.regex(s)
			}
		}
		return
	}
	how := exactly
	switch e.Op {
	case ast.Seq, ast.LikeFold:
		how = foldedPattern
	case ast.Like:
		how = pattern
	case ast.InFold:
		how = folded
	default:
	}
	if e.Op == ast.In || e.Op == ast.InFold {
		for _, c := range e.List {
			l.numberAndText(f, e.Op, c)
			if s, ok := c.(*ast.String); ok {
				l.literalStar(f, e.Op, s)
			}
		}
	}
	l.fieldValues(f, e.List, how)
}

// call looks at a test by function by itself.
func (l *linter) call(e *ast.Call) {
	if len(e.Args) < 2 {
		return
	}
	f, ok := e.Args[0].(*ast.Field)
	if !ok {
		return
	}
	switch name := strings.ToLower(e.Name); {
	case name == "wildcard":
		how := pattern
		if e.Fold {
			how = foldedPattern
		}
		l.fieldValues(f, e.Args[1:], how)
	case (name == "startswith" || name == "endswith" || name == "stringcontains") && !e.Fold && ecs.LowerCase(f.Path):
		if s, ok := e.Args[1].(*ast.String); ok && s.Value != glob.LowerASCII(s.Value) {
			l.upperCase(f, s)
		}
	}
}

// compareHow is the way in which constants are compared with a field.
type compareHow uint8

const (
	exactly compareHow = iota
	folded
	pattern
	foldedPattern
)

// set returns what a constant holds for.
func (h compareHow) set(text string) item {
	switch h {
	case pattern, foldedPattern:
		return patternItem(text, h == foldedPattern)
	default:
		return textItem(text, h == folded)
	}
}

// fieldValues reports constants that no value of the field can equal, by what ECS says of it.
func (l *linter) fieldValues(f *ast.Field, list []ast.Expr, how compareHow) {
	if !ecs.LowerCase(f.Path) {
		return
	}
	allowed := ecs.Values(f.Path)
	var dead []*ast.String
	for _, c := range list {
		s, ok := c.(*ast.String)
		if !ok {
			return
		}
		set := how.set(s.Value)
		switch {
		case (how == exactly || how == pattern) && s.Value != glob.LowerASCII(s.Value):
			l.upperCase(f, s)
		case allowed != nil && !slices.ContainsFunc(allowed, func(v string) bool { return textItem(v, false).within(set) || !textItem(v, false).apart(set) }):
			dead = append(dead, s)
		}
	}
	for _, s := range dead {
		code := finding.UnknownValue
		if len(list) > len(dead) { // another value keeps the test alive
			code = finding.DeadValue
		}
		l.report(code, s.Span, didYouMean(s.Value, allowed), "ECS has no value %s of %s, so no event that keeps to it does", strconv.Quote(s.Value), f.Path)
	}
}

func (l *linter) upperCase(f *ast.Field, s *ast.String) {
	l.report(finding.LetterCase, s.Span, "write "+ast.QuoteString(glob.LowerASCII(s.Value))+", or compare with `:`",
		"%s is written in lower case, and this test regards the case", f.Path)
}

// didYouMean suggests the value that is most like text, or lists what there is where that is little.
func didYouMean(text string, values []string) string {
	best, distance := "", 3
	for _, v := range values {
		if d := levenshtein.ComputeDistance(strings.ToLower(text), v); d < distance {
			best, distance = v, d
		}
	}
	if best != "" {
		return "did you mean " + best + "?"
	}
	return "it has " + strings.Join(values, ", ")
}

// numberAndText reports a number that is compared as text, or a text as a number.
func (l *linter) numberAndText(f *ast.Field, op ast.Op, c ast.Expr) {
	typ := l.o.Types(f.Path)
	switch c := c.(type) {
	case *ast.Number:
		if typ != event.Keyword {
			return
		}
		hint := "write " + ast.QuoteString(c.Text)
		msg := "%s holds text, and this is a number"
		if op == ast.Lt || op == ast.Le || op == ast.Gt || op == ast.Ge {
			msg, hint = `%s holds text, so this compares text: "10" comes before "9"`, "compare number("+f.Path+")"
		}
		l.report(finding.NumberText, c.Span, hint, msg, f.Path)
	case *ast.String:
		if typ != event.Long && typ != event.Unsigned && typ != event.Double {
			return
		}
		hint := ""
		if _, err := strconv.ParseFloat(c.Value, 64); err == nil {
			hint = "write " + c.Value
		}
		l.report(finding.NumberText, c.Span, hint, "%s holds numbers, and this is text", f.Path)
	}
}

// literalStar reports wildcards where none are. A single star or question mark, and those inside a text, may be meant: they are
// arguments of commands. A star at an end of a longer text is not.
func (l *linter) literalStar(f *ast.Field, op ast.Op, s *ast.String) {
	v := s.Value
	if len(strings.Trim(v, "*?")) < 2 || !strings.HasPrefix(v, "*") && !strings.HasSuffix(v, "*") {
		return
	}
	instead := ":"
	switch op {
	case ast.In:
		instead = "like"
	case ast.InFold:
		instead = "like~"
	default:
	}
	l.report(finding.LiteralStar, s.Span, "write "+f.Path+" "+instead+" "+ast.QuoteString(v), "* is no wildcard under %s: only the star itself equals it", op)
}

// repeated reports values of a list that another one in it covers.
func (l *linter) repeated(e *ast.Match) {
	how := map[ast.Op]compareHow{ast.InFold: folded, ast.Seq: foldedPattern, ast.LikeFold: foldedPattern, ast.Like: pattern}[e.Op]
	regex := e.Op == ast.Regex || e.Op == ast.RegexFold
	exact := map[string]int{}
	var globs []int
	sets := make([]item, len(e.List))
	for i, c := range e.List {
		s, ok := c.(*ast.String)
		if !ok {
			return
		}
		sets[i] = how.set(s.Value)
		if regex {
			sets[i] = item{kind: opaque, text: s.Value}
		}
		if sets[i].kind == globText {
			globs = append(globs, i)
		}
		if first, twice := exact[sets[i].text]; twice {
			l.report(finding.Duplicate, s.Span, "take one of them out", "%s stands in this list already", l.source(e.List[first]))
			continue
		}
		exact[sets[i].text] = i
	}
	for i := range sets {
		for _, g := range globs {
			if sets[i].text != sets[g].text && sets[i].within(sets[g]) && (g < i || !sets[g].within(sets[i])) {
				l.report(finding.Duplicate, e.List[i].Source(), "take it out", "%s in this list matches all that this does", l.source(e.List[g]))
				break
			}
		}
	}
}
