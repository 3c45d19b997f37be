package ast_test

import (
	"errors"
	"testing"

	"github.com/weir-eql/weir/eql/ast"
)

// TestPrintExpr prints trees that the parser doesn't make; those that it makes are tested there.
func TestPrintExpr(t *testing.T) {
	a := &ast.Field{Path: "a"}
	cmp := &ast.Binary{Op: ast.Eq, Left: a, Right: &ast.Null{}}
	for want, e := range map[string]ast.Expr{
		"5":                          &ast.Number{IsInt: true, Int: 5, Float: 5},
		"1.5e+30":                    &ast.Number{Float: 1.5e30},
		`"a\"\"\"b"`:                 &ast.String{Value: `a"""b`, Raw: true},
		"\"\ufffd\\u{00}\\u{202e}\"": &ast.String{Value: "\ufffd\x00\u202e"},
		"(a == null) in (1)":         &ast.Match{Op: ast.In, X: cmp, List: []ast.Expr{&ast.Number{Text: "1"}}},
		"a : (-a)":                   &ast.Match{Op: ast.Seq, X: a, List: []ast.Expr{&ast.Unary{Op: ast.Sub, X: a}}},
		"-(a == null)":               &ast.Unary{Op: ast.Sub, X: cmp},
		"not a : null":               &ast.Unary{Op: ast.Not, X: &ast.Match{Op: ast.Seq, X: a, List: []ast.Expr{&ast.Null{}}}},
		"a == null and (a or null)":  &ast.Binary{Op: ast.And, Left: cmp, Right: &ast.Binary{Op: ast.Or, Left: a, Right: &ast.Null{}}},
	} {
		if got := ast.PrintExpr(e); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestQuotePath(t *testing.T) {
	for path, want := range map[string]string{
		"a":            "a",
		"@timestamp":   "@timestamp",
		"a.b_1.C":      "a.b_1.C",
		"a-b.c":        "`a-b.c`",
		"a..b":         "`a..b`",
		"a.1":          "`a.1`",
		"a`b":          "`a``b`",
		"by":           "`by`",
		"a.in":         "`a.in`",
		"in~":          "`in~`",
		"é":            "`é`",
		"True":         "`True`",
		"a.true_story": "a.true_story",
	} {
		if got := ast.QuotePath(path); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}

func TestErrors(t *testing.T) {
	first := &ast.Error{Msg: "first", Hint: "with a hint"}
	second := &ast.Error{Msg: "second"}
	errs := ast.Errors{first, second}
	if got, want := errs.Error(), "first (with a hint)\nsecond"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	var one *ast.Error
	if !errors.As(errs, &one) || one != first {
		t.Errorf("errors.As gives %v, want the first error", one)
	}
	if !errors.Is(errs, second) {
		t.Error("errors.Is doesn't find the second error")
	}
}
