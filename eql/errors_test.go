package eql_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// TestErrorsAllAtOnce holds that wrong types don't hide wrong constants elsewhere in the query.
func TestErrorsAllAtOnce(t *testing.T) {
	_, err := eql.NewEnv(event.NewSchema(ecs.TypeOf), eql.EnvOptions{}).Compile(`sequence by host.id
		[process where foo(process.name) and not (process.pid : "4" or process.args regex "a{") and cidrMatch(source.ip, "x")]
		[network where source.ip == "nowhere"] until [any where process.name == process.args]`, eql.QueryOptions{})
	var list ast.Errors
	if !errors.As(err, &list) {
		t.Fatalf("got %v, want ast.Errors", err)
	}
	var got []string
	for _, e := range list {
		got = append(got, string(e.Code))
	}
	if want := []string{"E202", "E201", "E205", "E206", "E206", "E204"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v\n%v", got, want, err)
	}
}
