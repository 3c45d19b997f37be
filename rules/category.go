package rules

import (
	"slices"
	"strconv"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/event/ecs"
)

// checkCategories warns of event categories that ECS doesn't have: no event of an Elastic agent can be of them.
func (p *parser) checkCategories(r *Rule, text *textMap, statement ast.Statement) {
	if r.EventCategoryOverride != "" && r.EventCategoryOverride != "event.category" {
		return
	}
	known := ecs.Values("event.category")
	for _, c := range categories(statement) {
		if c.Any || slices.Contains(known, c.Name) {
			continue
		}
		hint := ""
		if near := nearest(c.Name, known); near != "" {
			hint = "did you mean " + near + "?"
		}
		p.report(finding.UnknownValue, text.span(c.Pos, c.End),
			"unknown event category "+strconv.Quote(c.Name)+": ECS has no such value of event.category", hint)
	}
}

// categories returns the event categories of a query in their order.
func categories(statement ast.Statement) []ast.Category {
	var stages []ast.Stage
	switch s := statement.(type) {
	case *ast.EventQuery:
		return []ast.Category{s.Filter.Category}
	case *ast.Sequence:
		stages = s.Stages
		if s.Until != nil {
			stages = append(slices.Clone(stages), *s.Until)
		}
	case *ast.Sample:
		stages = s.Stages
	}
	out := make([]ast.Category, 0, len(stages))
	for i := range stages {
		out = append(out, stages[i].Filter.Category)
	}
	return out
}
