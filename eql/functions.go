package eql

import (
	"fmt"

	"github.com/weir-eql/weir/event"
)

// function is what the checker and the planner know of an EQL function.
type function struct {
	name     string // as Elasticsearch's documentation spells it
	params   []param
	variadic bool // the last parameter repeats
	fold     bool // name~ exists
	result   kind
	// call computes the function. args holds one value per argument given, Missing standing for null.
	// cidrMatch and wildcard have none: they are planned as tests.
	call func(args []event.Value, fold bool) event.Value
}

type param struct {
	kinds    []kind // empty: any
	optional bool
	constant bool
	whole    bool // no decimals
}

// arity describes the number of arguments, for errors.
func (f *function) arity(least int) string {
	switch {
	case f.variadic && least == 1:
		return "at least 1 argument"
	case f.variadic:
		return fmt.Sprintf("at least %d arguments", least)
	case least != len(f.params):
		return fmt.Sprintf("%d to %d arguments", least, len(f.params))
	case least == 1:
		return "1 argument"
	default:
		return fmt.Sprintf("%d arguments", least)
	}
}

// functions holds all functions by their names in lower case: names are case-insensitive. It is never changed.
var functions = map[string]*function{
	"add":            {name: "add", params: []param{number, number}, result: numberKind, call: arithmetic(addNumbers)},
	"subtract":       {name: "subtract", params: []param{number, number}, result: numberKind, call: arithmetic(subtractNumbers)},
	"multiply":       {name: "multiply", params: []param{number, number}, result: numberKind, call: arithmetic(multiplyNumbers)},
	"divide":         {name: "divide", params: []param{number, number}, result: numberKind, call: arithmetic(divideNumbers)},
	"modulo":         {name: "modulo", params: []param{number, number}, result: numberKind, call: arithmetic(moduloNumbers)},
	"between":        {name: "between", params: []param{text, text, text, {kinds: []kind{boolKind}, optional: true}}, fold: true, result: textKind, call: between},
	"cidrmatch":      {name: "cidrMatch", params: []param{address, constantText}, variadic: true, result: boolKind},
	"concat":         {name: "concat", params: []param{{}}, variadic: true, result: textKind, call: concat},
	"endswith":       {name: "endsWith", params: []param{text, text}, fold: true, result: boolKind, call: endsWith},
	"indexof":        {name: "indexOf", params: []param{text, text, {kinds: []kind{numberKind}, optional: true, whole: true}}, fold: true, result: numberKind, call: indexOf},
	"length":         {name: "length", params: []param{text}, result: numberKind, call: length},
	"number":         {name: "number", params: []param{text, {kinds: []kind{numberKind}, optional: true, whole: true}}, result: numberKind, call: toNumber},
	"startswith":     {name: "startsWith", params: []param{text, text}, fold: true, result: boolKind, call: startsWith},
	"string":         {name: "string", params: []param{{}}, result: textKind, call: toText},
	"stringcontains": {name: "stringContains", params: []param{text, text}, fold: true, result: boolKind, call: stringContains},
	"substring":      {name: "substring", params: []param{text, whole, {kinds: []kind{numberKind}, optional: true, whole: true}}, result: textKind, call: substring},
	"wildcard":       {name: "wildcard", params: []param{text, constantText}, variadic: true, fold: true, result: boolKind},
}

// The parameters that occur often.
var (
	number       = param{kinds: []kind{numberKind}}
	whole        = param{kinds: []kind{numberKind}, whole: true}
	address      = param{kinds: []kind{ipKind}}
	text         = param{kinds: []kind{textKind, versionKind}}
	constantText = param{kinds: []kind{textKind}, constant: true}
)
