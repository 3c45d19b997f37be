package rules

import (
	"slices"
	"strconv"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/event/ecs"
)

// UnknownCategories returns the event categories in a query that ECS doesn't have: no event of an Elastic agent can be of them. field is the
// field of the category; empty means event.category, and of another nothing is known.
func UnknownCategories(statement ast.Statement, field string) []ast.Category {
	if field != "" && field != "event.category" {
		return nil
	}
	known := ecs.Values("event.category")
	return slices.DeleteFunc(categories(statement), func(c ast.Category) bool { return c.Any || slices.Contains(known, c.Name) })
}

// CategoryWarning is the warning of an unknown category.
func CategoryWarning(c ast.Category) *ast.Error {
	hint := ""
	if near := nearest(c.Name, ecs.Values("event.category")); near != "" {
		hint = "did you mean " + near + "?"
	}
	return &ast.Error{
		Code: finding.UnknownValue, Span: c.Span, Hint: hint,
		Msg: "unknown event category " + strconv.Quote(c.Name) + ": ECS has no such value of event.category",
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
