package parser

import (
	"cmp"
	"math"
	"strconv"
	"time"

	"github.com/weir-eql/weir/eql/ast"
)

// maxRuns is the largest number that Elasticsearch allows behind runs=.
const maxRuns = 100

// sequence reads a sequence without its pipes.
func (p *parser) sequence() *ast.Sequence {
	head := p.next()
	s := &ast.Sequence{}
	if p.tok.is("by") {
		s.By = p.keys()
	}
	if p.tok.is("with") {
		s.MaxSpan = p.maxSpan()
	}
	if p.tok.is("by") {
		hint := "write `sequence by … with maxspan=…`"
		if s.By != nil {
			hint = "separate the keys with commas"
		}
		p.errorf(p.tok.Span, hint, "by must stand before with maxspan")
		_ = p.keys()
	}
	s.Stages = p.stages("sequence")
	if p.tok.is("until") {
		s.Until = p.until()
	}
	if len(p.errs.list) == 0 {
		p.checkSequence(s, head)
	}
	return s
}

// until reads `until [ … ]`.
func (p *parser) until() *ast.Stage {
	p.next()
	missing := p.tok
	if !p.tok.isAny("[", "![") {
		p.expected("[ after until", "")
		p.skipTo("|")
		return nil
	}
	u := p.stage("sequence")
	if u.Missing {
		p.shape(missing.Span, "write [ without the !", "until can't wait for a missing event")
	}
	if u.Runs > 1 {
		p.shape(u.Span, "", "until can't have runs")
	}
	if p.tok.isAny("[", "![") {
		p.shape(p.tok.Span, "until is the last part of a sequence", "a stage can't follow until")
		p.skipTo("|")
	}
	return &u
}

// checkSequence reports what the grammar alone can't.
func (p *parser) checkSequence(s *ast.Sequence, head token) {
	total, positive := 0, 0
	for i := range s.Stages {
		st := &s.Stages[i]
		total += st.Runs
		switch {
		case !st.Missing:
			positive++
		case s.MaxSpan == nil:
			p.shape(st.Span, "add `with maxspan=…` behind sequence", "a missing event ![…] needs a maxspan: without one it can't be decided")
		}
	}
	if total < 2 {
		p.shape(head.Span, "for one event write the condition alone, for repeats `with runs=…`", "a sequence has at least 2 stages, this one has %d", total)
	}
	if positive == 0 {
		p.shape(head.Span, "at least one stage must be […] without !", "a sequence can't consist of missing events only")
	}
	p.checkKeys(s.Stages, s.Until)
}

// checkKeys reports stages with another number of keys than the first.
func (p *parser) checkKeys(stages []ast.Stage, until *ast.Stage) {
	if len(stages) == 0 {
		return
	}
	want := len(stages[0].By)
	check := func(what string, st *ast.Stage) {
		if len(st.By) != want {
			p.shape(st.Span, "keys are compared by position, so all stages need the same number",
				"%s has %s, the first one has %d", what, count(len(st.By), "join key"), want)
		}
	}
	for i := range stages {
		check("this stage", &stages[i])
	}
	if until != nil {
		check("until", until)
	}
}

// count returns a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return strconv.Itoa(n) + " " + noun + "s"
}

// sample reads a sample without its pipes.
func (p *parser) sample() *ast.Sample {
	head := p.next()
	s := &ast.Sample{}
	if p.tok.is("by") {
		s.By = p.keys()
	}
	if p.tok.is("with") {
		p.shape(p.tok.Span, "leave it out, or write a sequence: a rule's samples are within its lookback (`from`)", "a sample has no maxspan")
		p.skipTo("[", "![", "|")
	}
	s.Stages = p.stages("sample")
	for i := range s.Stages {
		st := &s.Stages[i]
		if st.Missing {
			p.shape(st.Span, "only a sequence can ask for what doesn't happen", "a sample can't have missing events ![…]")
		}
	}
	if p.tok.is("until") {
		p.shape(p.tok.Span, "leave it out, or write a sequence", "a sample has no until")
		p.skipTo("|")
	}
	if len(p.errs.list) > 0 {
		return s
	}
	if len(s.Stages) < 2 {
		p.shape(head.Span, "for one event write the condition alone", "a sample has at least 2 stages, this one has %d", len(s.Stages))
	}
	p.checkKeys(s.Stages, nil)
	if len(s.By) == 0 && len(s.Stages) > 0 && len(s.Stages[0].By) == 0 {
		p.shape(head.Span, "write `sample by host.id …`", "a sample needs at least 1 join key")
	}
	return s
}

// stages reads the stages of a sequence or sample.
func (p *parser) stages(what string) []ast.Stage {
	var stages []ast.Stage
	strayed := false
	for {
		switch {
		case p.tok.isAny("[", "!["):
			stages = append(stages, p.stage(what))
		case p.tok.is("!") && p.peek().is("["):
			p.errorf(p.tok.Span, "write ![ without a space", "! and [ must stand together")
			p.next()
			stages = append(stages, p.stage(what))
		case p.tok.isAny("until", "|"), p.tok.kind == endOfText:
			if len(stages) == 0 && !strayed {
				p.expected("[ to begin a stage of the "+what, "a stage is `[category where condition]`")
			}
			return stages
		default:
			strayed = true
			p.unexpectedInStages(what, len(stages))
		}
	}
}

// unexpectedInStages reports a token between stages and goes to the next one.
func (p *parser) unexpectedInStages(what string, before int) {
	switch t := p.tok; {
	case t.is("fork"):
		p.dialect(t.Span, "", "fork is Endgame's; Elasticsearch doesn't have it")
	case t.is("by"):
		p.errorf(t.Span, "separate keys with commas", "by stands here a second time")
	case t.is("with"):
		p.errorf(t.Span, "", "with stands here a second time")
	case t.is("maxspan"):
		p.errorf(t.Span, "write `with maxspan=…`", "expected with before maxspan")
	case before == 0:
		hint := cmp.Or(p.meantWith(), p.adjoining())
		before := p.toks[p.i-1]
		switch {
		case hint != "":
		case (t.kind == word || t.kind == quoted) && !before.is(what) && (before.kind == word || before.kind == quoted):
			hint = "separate keys with commas"
		default:
			hint = "a stage is `[category where condition]`"
		}
		p.expected("[ to begin a stage of the "+what, hint)
	case t.is(","):
		p.expected("another stage, until, a pipe or the end of the query", "there are no commas between stages")
	default:
		p.expected("another stage, until, a pipe or the end of the query", cmp.Or(p.meantWith(), p.meant("until"), p.adjoining()))
	}
	p.next()
	p.skipTo("[", "![", "until", "|")
}

// stage reads `[ filter ] by … with runs=…` of a sequence or sample; it stands at the opening bracket.
func (p *parser) stage(what string) ast.Stage {
	open := p.next()
	st := ast.Stage{Missing: open.is("!["), Runs: 1}
	st.Filter = p.filter()
	p.rest("]", open)
	if p.tok.is("fork") {
		p.dialect(p.tok.Span, "", "fork is Endgame's; Elasticsearch doesn't have it")
		p.next()
		if p.tok.isAny("=", "==") {
			p.next()
			p.next()
		}
	}
	if p.tok.is("by") {
		st.By = p.keys()
	}
	if p.tok.is("with") {
		with, before := p.tok.Pos, len(p.errs.list)
		st.Runs = p.runs()
		if what == "sample" && len(p.errs.list) == before {
			p.shape(p.spanFrom(with), "write the stage several times: each takes an event of its own", "a sample can't have runs")
		}
		if p.tok.is("by") {
			p.errorf(p.tok.Span, "write `[…] by … with runs=…`", "by must stand before with runs")
			_ = p.keys()
		}
	}
	st.Span = p.spanFrom(open.Pos)
	return st
}

// keys reads `by key, …`.
func (p *parser) keys() []ast.Key {
	p.next()
	keys := []ast.Key{}
	for {
		k, ok := p.key()
		if !ok {
			p.skipTo(",", "[", "![", "with", "until", "|", "]")
		}
		keys = append(keys, k)
		if !p.accept(",") {
			return keys
		}
	}
}

// key reads one join key.
func (p *parser) key() (ast.Key, bool) {
	t := p.tok
	if t.kind == text || t.kind == number || t.isAny("(", "-", "+", "null", "true", "false") || t.kind == word && p.peek().is("(") {
		hint := ""
		if t.kind == text {
			hint = "a field is written without quotes"
		}
		p.errorf(t.Span, hint, "a join key must be a field, found %s", t.describe())
		return ast.Key{}, false
	}
	path, optional, ok := p.path("a field as join key")
	if !ok {
		return ast.Key{}, false
	}
	k := ast.Key{Span: p.spanFrom(t.Pos), Path: path, Optional: optional}
	if p.tok.kind == operator && !p.tok.isAny(",", "[", "![", "|", "]", "!") {
		p.errorf(p.tok.Span, p.adjoining(), "a join key must be a field alone, found %s behind it", p.tok.describe())
		return k, false
	}
	return k, true
}

// option reads `with name=` and leaves the parser at the value.
func (p *parser) option(name, otherName, otherHint string) bool {
	p.next()
	switch {
	case p.accept(name):
	case p.tok.is(otherName):
		p.errorf(p.tok.Span, otherHint, "%s can't stand here", otherName)
		return false
	default:
		p.expected(name+" after with", p.meant(name))
		return false
	}
	if p.accept("=") {
		return true
	}
	if p.tok.isAny("==", ":") {
		p.expected("= after "+name, "")
		p.next()
		return true
	}
	p.expected("= after "+name, "")
	return false
}

// maxSpan reads `with maxspan=5m`.
func (p *parser) maxSpan() *ast.MaxSpan {
	if !p.option("maxspan", "runs", "runs belongs behind a stage: `[…] with runs=…`") {
		p.skipTo("[", "![", "by", "until", "|")
		return nil
	}
	start := p.tok.Pos
	const example = "such as maxspan=30s, 5m, 2h or 1d"
	if p.tok.isAny("-", "+") {
		p.skipTo("[", "![", "by", "until", "|")
		p.shape(p.spanFrom(start), example, "maxspan must be a positive whole number with a unit")
		return nil
	}
	if p.tok.kind != number {
		p.expected("a number with a unit after maxspan=", example)
		p.skipTo("[", "![", "by", "until", "|")
		return nil
	}
	n := p.next()
	unit := p.tok
	if unit.kind != word || ast.IsKeyword(unit.value) {
		p.shape(n.Span, "did you mean "+n.value+"s?", "maxspan has no unit")
		return nil
	}
	p.next()
	span := p.spanFrom(start)
	size, ok := unitSize(unit.value)
	if !ok {
		p.shape(unit.Span, "the units are ms, s, m, h and d", "unknown unit of time %s", strconv.Quote(shorten(unit.value)))
		return nil
	}
	count, err := strconv.ParseInt(n.value, 10, 64)
	switch {
	case !isWhole(n.value):
		p.shape(span, "use a smaller unit: ms, s, m, h or d", "maxspan must be a whole number, found %s", n.value)
		return nil
	case err != nil || count > math.MaxInt64/int64(size):
		p.shape(span, "the longest is some 290 years", "maxspan is too long")
		return nil
	case count == 0:
		p.shape(span, example, "maxspan must be more than 0")
		return nil
	}
	return &ast.MaxSpan{Span: span, Duration: time.Duration(count) * size, Text: n.value + unit.value}
}

// isWhole tells whether a number literal has digits only.
func isWhole(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return true
}

// unitSize returns the length of a unit of time.
func unitSize(unit string) (time.Duration, bool) {
	switch unit {
	case "ms":
		return time.Millisecond, true
	case "s":
		return time.Second, true
	case "m":
		return time.Minute, true
	case "h":
		return time.Hour, true
	case "d":
		return 24 * time.Hour, true
	}
	return 0, false
}

// runs reads `with runs=3`.
func (p *parser) runs() int {
	if !p.option("runs", "maxspan", "maxspan belongs behind sequence: `sequence by … with maxspan=…`") {
		p.skipTo("[", "![", "until", "|")
		return 1
	}
	t := p.tok
	n, ok := p.wholeNumber()
	if !ok || n < 1 || n > maxRuns {
		if !ok {
			p.skipTo("[", "![", "by", "until", "|")
		}
		span := t.Span
		if t.isAny("-", "+") {
			span.End = p.last
		}
		p.shape(span, "", "runs must be a whole number from 1 to %d", maxRuns)
		return 1
	}
	return int(n)
}
