package eql

import (
	"fmt"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
)

// warnUnknown warns of fields that the table doesn't know, each once. Optional fields (?name) say themselves that they
// may not exist. Multi-fields and objects are errors, as in Elasticsearch: its verifier finds no exact values for the ones,
// and takes only the members of the others.
func (c *compiler) warnUnknown(stmt ast.Statement, table FieldTable) {
	if table == nil {
		return
	}
	seen := map[string]bool{}
	warn := func(path string, at ast.Span, optional bool) {
		if why, hint := table.Unusable(path); why != "" && !seen[path] {
			seen[path] = true
			c.errs = append(c.errs, &ast.Error{Code: finding.Type, Span: at, Msg: path + " " + why, Hint: hint})
			return
		}
		if optional || seen[path] || table.Known(path) {
			return
		}
		seen[path] = true
		w := &ast.Error{Code: finding.UnknownField, Span: at, Msg: fmt.Sprintf("unknown field %s: it is in no field table, so its values keep their JSON types", path)}
		if near := table.Nearest(path); near != "" {
			w.Hint = "did you mean " + near + "?"
		}
		c.warnings = append(c.warnings, w)
	}
	keys := func(by []ast.Key) {
		for _, k := range by {
			warn(k.Path, k.Span, k.Optional)
		}
	}
	stages := func(list []ast.Stage) {
		for _, s := range list {
			EachField(s.Filter.Where, func(f *ast.Field) { warn(f.Path, f.Span, f.Optional) })
			keys(s.By)
		}
	}
	switch s := stmt.(type) {
	case *ast.EventQuery:
		EachField(s.Filter.Where, func(f *ast.Field) { warn(f.Path, f.Span, f.Optional) })
	case *ast.Sequence:
		keys(s.By)
		stages(s.Stages)
		if s.Until != nil {
			stages([]ast.Stage{*s.Until})
		}
	case *ast.Sample:
		keys(s.By)
		stages(s.Stages)
	}
}
