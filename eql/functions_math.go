package eql

import (
	"math"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
)

// arithmetic makes a function of two numbers of one that is given no nulls.
func arithmetic(op func(a, b event.Value) event.Value) func([]event.Value, bool) event.Value {
	return func(args []event.Value, _ bool) event.Value {
		if !args[0].IsNumber() || !args[1].IsNumber() {
			return event.Value{}
		}
		return op(args[0], args[1])
	}
}

// operators returns the function that an arithmetic operator stands for.
func operator(op ast.Op) *function {
	switch op {
	case ast.Add:
		return functions["add"]
	case ast.Sub:
		return functions["subtract"]
	case ast.Mul:
		return functions["multiply"]
	case ast.Div:
		return functions["divide"]
	default:
		return functions["modulo"]
	}
}

// floatResult keeps NaN and infinities, of which there are no Values, out: they are null.
func floatResult(f float64) event.Value {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return event.Value{}
	}
	return event.FloatValue(f)
}

func bothInt(a, b event.Value) bool { return a.Kind() == event.Int && b.Kind() == event.Int }

func addNumbers(a, b event.Value) event.Value {
	if !bothInt(a, b) {
		return floatResult(a.Float() + b.Float())
	}
	x, y := a.Int(), b.Int()
	sum := x + y
	if (sum > x) != (y > 0) && y != 0 {
		return event.Value{} // overflow, an error in Elasticsearch
	}
	return event.IntValue(sum)
}

func subtractNumbers(a, b event.Value) event.Value {
	if !bothInt(a, b) {
		return floatResult(a.Float() - b.Float())
	}
	x, y := a.Int(), b.Int()
	diff := x - y
	if (diff < x) != (y > 0) && y != 0 {
		return event.Value{}
	}
	return event.IntValue(diff)
}

func multiplyNumbers(a, b event.Value) event.Value {
	if !bothInt(a, b) {
		return floatResult(a.Float() * b.Float())
	}
	x, y := a.Int(), b.Int()
	if x == 0 || y == 0 {
		return event.IntValue(0)
	}
	product := x * y
	if product/y != x || x == -1 && y == math.MinInt64 || y == -1 && x == math.MinInt64 {
		return event.Value{}
	}
	return event.IntValue(product)
}

// divideNumbers truncates the quotient of two whole numbers.
func divideNumbers(a, b event.Value) event.Value {
	if !bothInt(a, b) {
		return floatResult(a.Float() / b.Float())
	}
	x, y := a.Int(), b.Int()
	if y == 0 || y == -1 && x == math.MinInt64 {
		return event.Value{}
	}
	return event.IntValue(x / y)
}

// moduloNumbers keeps the sign of the dividend.
func moduloNumbers(a, b event.Value) event.Value {
	if !bothInt(a, b) {
		return floatResult(math.Mod(a.Float(), b.Float()))
	}
	if b.Int() == 0 {
		return event.Value{}
	}
	if b.Int() == -1 {
		return event.IntValue(0)
	}
	return event.IntValue(a.Int() % b.Int())
}
