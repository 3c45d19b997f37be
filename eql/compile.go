package eql

import (
	"slices"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/parser"
	"github.com/weir-eql/weir/event"
)

// defaultCategory is the field that holds an event's category where the options name none.
const defaultCategory = "event.category"

// Compile parses, checks and plans a query. Its fields join the schema of the environment. The error is an
// ast.Errors. Compile must not be called while events are matched.
func (e *Env) Compile(text string, o QueryOptions) (*Query, error) {
	stmt, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	return e.CompileStatement(stmt, o)
}

// CompileStatement is Compile for a query that parser.Parse returned.
func (e *Env) CompileStatement(stmt ast.Statement, o QueryOptions) (*Query, error) {
	c := &compiler{env: e, category: o.CategoryField, automata: o.Automata}
	if c.category == "" {
		c.category = defaultCategory
	}
	q := &Query{tree: stmt, schema: e.schema}
	c.checkStatement(stmt)
	if len(c.errs) > 0 {
		c.planSound(stmt)
		return nil, c.result()
	}
	switch s := stmt.(type) {
	case *ast.EventQuery:
		q.Kind, q.Pipes = EventQuery, s.Pipes
		q.Stages = []*Stage{c.stage(ast.Stage{Span: s.Span, Filter: s.Filter, Runs: 1}, nil)}
	case *ast.Sequence:
		q.Kind, q.Pipes = Sequence, s.Pipes
		q.Stages = c.stages(s.Stages, s.By)
		if s.Until != nil {
			q.Until = c.stage(*s.Until, s.By)
		}
		if s.MaxSpan != nil {
			q.MaxSpan = s.MaxSpan.Duration.Milliseconds()
		}
	case *ast.Sample:
		q.Kind, q.Pipes = Sample, s.Pipes
		q.Stages = c.stages(s.Stages, s.By)
	}
	if err := c.result(); err != nil {
		return nil, err
	}
	c.warnUnknown(stmt, o.Fields)
	if err := c.result(); err != nil {
		return nil, err
	}
	q.Warnings = c.warnings
	slices.SortStableFunc(q.Warnings, func(a, b *ast.Error) int { return a.Pos - b.Pos })
	return q, nil
}

func (c *compiler) stages(stages []ast.Stage, by []ast.Key) []*Stage {
	out := make([]*Stage, len(stages))
	for i, s := range stages {
		out[i] = c.stage(s, by)
	}
	return out
}

// stage plans one filter; by are the query's own keys.
func (c *compiler) stage(s ast.Stage, by []ast.Key) *Stage {
	out := &Stage{Missing: s.Missing, Runs: max(1, s.Runs), filter: s.Filter}
	for _, k := range slices.Concat(by, s.By) {
		out.By = append(out.By, Key{Path: k.Path, Slot: c.env.schema.Add(k.Path), Optional: k.Optional})
	}
	cond := c.plan(s.Filter.Where)
	if !s.Filter.Category.Any {
		field := &ast.Field{Span: s.Filter.Category.Span, Path: c.category}
		name := event.StringValue(s.Filter.Category.Name)
		cond = c.env.and(c.fieldOrder(field, field, ast.Eq, name), cond)
	}
	out.cond, out.needs = cond, c.env.needs(cond)
	out.Fields = c.fields(s, out.By)
	return out
}

// fields returns the slots that a stage reads, sorted.
func (c *compiler) fields(s ast.Stage, by []Key) []event.Slot {
	var slots []event.Slot
	if !s.Filter.Category.Any {
		slots = append(slots, c.env.schema.Add(c.category))
	}
	EachField(s.Filter.Where, func(f *ast.Field) { slots = append(slots, c.slot(f)) })
	for _, k := range by {
		slots = append(slots, k.Slot)
	}
	slices.Sort(slots)
	return slices.Compact(slots)
}

// checkStatement reports the problems of all conditions. The shape of a sequence is the parser's to check.
func (c *compiler) checkStatement(stmt ast.Statement) {
	switch s := stmt.(type) {
	case *ast.EventQuery:
		c.condition(s.Filter.Where)
	case *ast.Sequence:
		c.checkStages(s.Stages)
		stages := s.Stages
		if s.Until != nil {
			c.condition(s.Until.Filter.Where)
			stages = append(slices.Clip(stages), *s.Until)
		}
		c.checkKeyTypes(stages)
	case *ast.Sample:
		c.checkStages(s.Stages)
		c.checkKeyTypes(s.Stages)
	}
}

// checkKeyTypes reports keys whose values can't equal those of the first stage's key in the same place: no sequence
// could ever match. Keys that the query has for all stages are the same field everywhere.
func (c *compiler) checkKeyTypes(stages []ast.Stage) {
	for _, s := range stages[1:] {
		for i, k := range s.By {
			first := stages[0].By[i]
			want, got := kindOf(c.env.schema.Type(first.Path)), kindOf(c.env.schema.Type(k.Path))
			if !sameFamily(want, got) {
				c.hint(k, "keys are compared by their place, and with their types",
					"join key %s is %s, but %s, which it is compared with, is %s", k.Path, got, first.Path, want)
			}
		}
	}
}

// planSound plans the conditions that were found sound, and the sound parts of others, for the errors in their constants: so that
// one run tells all.
func (c *compiler) planSound(stmt ast.Statement) {
	faulty := slices.Clone(c.errs)
	var plan func(e ast.Expr)
	plan = func(e ast.Expr) {
		at := e.Source()
		if !slices.ContainsFunc(faulty, func(f *ast.Error) bool { return at.Pos <= f.Pos && f.End <= at.End }) {
			c.plan(e)
			return
		}
		switch e := e.(type) {
		case *ast.Unary:
			if e.Op == ast.Not {
				plan(e.X)
			}
		case *ast.Binary:
			if e.Op == ast.And || e.Op == ast.Or {
				plan(e.Left)
				plan(e.Right)
			}
		}
	}
	var stages []ast.Stage
	switch s := stmt.(type) {
	case *ast.EventQuery:
		plan(s.Filter.Where)
	case *ast.Sequence:
		stages = s.Stages
		if s.Until != nil {
			stages = append(slices.Clip(stages), *s.Until)
		}
	case *ast.Sample:
		stages = s.Stages
	}
	for _, s := range stages {
		plan(s.Filter.Where)
	}
}

func (c *compiler) checkStages(stages []ast.Stage) {
	for _, s := range stages {
		c.condition(s.Filter.Where)
	}
}
