package lint

import (
	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
)

// constantCondition is the verdict on a condition that reads no field, found by evaluating it.
func constantCondition(e ast.Expr) verdict {
	if readsField(e) {
		return open
	}
	schema := event.NewSchema(nil)
	env := eql.NewEnv(schema, eql.EnvOptions{})
	q, err := env.CompileStatement(&ast.EventQuery{Filter: ast.Filter{Category: ast.Category{Any: true}, Where: e}}, eql.QueryOptions{})
	if err != nil {
		return open
	}
	if q.Stages[0].Match(event.New(schema), env.NewMemo()) {
		return always
	}
	return never
}
