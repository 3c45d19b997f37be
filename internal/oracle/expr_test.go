package oracle_test

import (
	"math/big"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"unicode/utf16"
)

// expr is an expression: constant, field, call or arithmetic.
type expr interface {
	eval(env map[string]value) value
	fields() []string
}

type constant struct{ v value }

type fieldRef struct {
	path     string
	optional bool
}

// call is a function; name is in its usual letter case, with a tilde where it ignores case.
type call struct {
	name string
	args []expr
}

// arith is one of + - * / %; a nil left side is a sign.
type arith struct {
	op          byte
	left, right expr
}

// conditionValue is a condition in brackets that is compared itself: null where its field is.
type conditionValue struct{ c compare }

func (v conditionValue) fields() []string { return v.c.e.fields() }

func (v conditionValue) eval(env map[string]value) value {
	x := v.c.e.eval(env)
	if x == nil {
		return nil
	}
	n, ok := order(x, v.c.want.v)
	return ok && holdsOrder(v.c.op, n)
}

func (c constant) eval(map[string]value) value     { return c.v }
func (c constant) fields() []string                { return nil }
func (f fieldRef) eval(env map[string]value) value { return env[f.path] }
func (f fieldRef) fields() []string                { return []string{f.path} }
func (c call) fields() (out []string) {
	for _, a := range c.args {
		out = append(out, a.fields()...)
	}
	return out
}

func (a arith) fields() []string {
	if a.left == nil {
		return a.right.fields()
	}
	return append(a.left.fields(), a.right.fields()...)
}

func whole(n int64) number { return number{big.NewRat(n, 1), true} }

func (a arith) eval(env map[string]value) value {
	if a.left == nil {
		return calculate('-', whole(0), a.right.eval(env))
	}
	return calculate(a.op, a.left.eval(env), a.right.eval(env))
}

// calculate is arithmetic on two numbers: whole where both are, null where one is or the divisor is 0.
func calculate(op byte, l, r value) value {
	x, ok := l.(number)
	y, ok2 := r.(number)
	if !ok || !ok2 {
		return nil
	}
	out := number{new(big.Rat), x.whole && y.whole}
	switch op {
	case '+':
		out.rat.Add(x.rat, y.rat)
	case '-':
		out.rat.Sub(x.rat, y.rat)
	case '*':
		out.rat.Mul(x.rat, y.rat)
	case '/', '%':
		if y.rat.Sign() == 0 {
			return nil
		}
		q := new(big.Rat).Quo(x.rat, y.rat)
		t := new(big.Rat).SetInt(new(big.Int).Quo(q.Num(), q.Denom()))
		switch {
		case op == '%':
			out.rat.Sub(x.rat, t.Mul(t, y.rat))
		case out.whole:
			out.rat = t
		default:
			out.rat = q
		}
	}
	if out.whole && !out.rat.Num().IsInt64() {
		return nil // an error in Elasticsearch
	}
	return out
}

// java is text as Java has it.
func java(s string) []uint16 { return utf16.Encode([]rune(s)) }

func golang(u []uint16) string { return string(utf16.Decode(u)) }

// index returns where sub begins in s at or after from, -1 where it doesn't.
func index(s, sub []uint16, from int) int {
	for i := from; i+len(sub) <= len(s); i++ {
		if golang(s[i:i+len(sub)]) == golang(sub) {
			return i
		}
	}
	return -1
}

// fold lowers ASCII letters. Other letters are not used where a function ignores case.
func fold(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 32
		}
		return r
	}, s)
}

func integer(v value) int { return int(v.(number).rat.Num().Int64()) }

func (c call) eval(env map[string]value) value {
	args := make([]value, len(c.args))
	for i, a := range c.args {
		args[i] = a.eval(env)
	}
	name, ignore := strings.CutSuffix(c.name, "~")
	switch name {
	case "add", "subtract", "multiply", "divide", "modulo":
		return calculate(map[string]byte{"add": '+', "subtract": '-', "multiply": '*', "divide": '/', "modulo": '%'}[name], args[0], args[1])
	case "concat":
		var b strings.Builder
		for _, a := range args {
			if a == nil {
				return nil
			}
			b.WriteString(text(a))
		}
		return b.String()
	case "string":
		if args[0] == nil {
			return nil
		}
		return text(args[0])
	case "cidrMatch":
		return cidr(args)
	}
	s, ok := args[0].(string)
	if !ok {
		return nil
	}
	switch name {
	case "length":
		return whole(int64(len(java(s))))
	case "number":
		return toNumber(s, args[1:])
	case "substring":
		return substring(java(s), args[1:])
	}
	second, ok := args[1].(string)
	if !ok {
		return nil
	}
	original := s
	if ignore {
		s, second = fold(s), fold(second)
	}
	switch name {
	case "startsWith":
		return strings.HasPrefix(s, second)
	case "endsWith":
		return strings.HasSuffix(s, second)
	case "stringContains":
		return second != "" && strings.Contains(s, second)
	case "indexOf":
		start := 0
		if len(args) > 2 {
			if args[2] == nil {
				return nil
			}
			start = integer(args[2])
		}
		start = max(start, 0)
		if start > len(java(s)) {
			return nil
		}
		if i := index(java(s), java(second), start); i >= 0 {
			return whole(int64(i))
		}
		return nil
	case "between":
		right, ok := args[2].(string)
		if !ok {
			return nil
		}
		if ignore {
			right = fold(right)
		}
		greedy := len(args) > 3 && args[3] == true
		return between(original, s, second, right, greedy)
	}
	panic(c.name)
}

func substring(s []uint16, args []value) value {
	if args[0] == nil {
		return golang(s)
	}
	start := integer(args[0])
	end := len(s)
	if len(args) > 1 && args[1] != nil {
		end = integer(args[1])
	}
	if start < 0 {
		start += len(s)
	}
	if end < 0 {
		end += len(s)
	}
	start, end = max(0, start), min(end, len(s))
	if start >= end {
		return ""
	}
	return golang(s[start:end])
}

// between looks in the folded text and cuts the original, which is as long.
func between(original, s, left, right string, greedy bool) value {
	if left == "" || right == "" {
		return original
	}
	l := strings.Index(s, left)
	if l < 0 {
		return ""
	}
	from := l + len(left)
	r := strings.Index(s[from:], right)
	if greedy {
		last := strings.LastIndex(s, right)
		if last < 0 {
			return ""
		}
		if last < from {
			return nil // an error in Elasticsearch
		}
		r = last - from
	}
	if r < 0 {
		return ""
	}
	return original[from : from+r]
}

// What Java's Long.valueOf and Double.valueOf take, which Elasticsearch asks in this order.
var (
	javaLong   = regexp.MustCompile(`^[+-]?[0-9]+$`)
	javaDouble = regexp.MustCompile(`^[\x00-\x20]*([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?)[fFdD]?[\x00-\x20]*$`)
)

func toNumber(s string, args []value) value {
	base := 0
	if len(args) > 0 && args[0] != nil {
		base = integer(args[0])
	}
	hex, prefixed := strings.CutPrefix(s, "0x")
	switch {
	case prefixed && (base == 0 || base == 16):
		s, base = hex, 16
	case base == 0:
		base = 10
	}
	if base == 10 {
		if javaLong.MatchString(s) {
			if n, err := strconv.ParseInt(s, 10, 64); err == nil {
				return whole(n)
			}
		}
		m := javaDouble.FindStringSubmatch(s)
		if m == nil {
			return nil
		}
		f, err := strconv.ParseFloat(m[1], 64)
		if err != nil {
			return nil
		}
		return number{new(big.Rat).SetFloat64(f), false}
	}
	n, ok := new(big.Int).SetString(s, base)
	if !ok || !n.IsInt64() || strings.Contains(s, "_") {
		return nil
	}
	return number{new(big.Rat).SetInt(n), true}
}

// cidr compares bit by bit.
func cidr(args []value) value {
	var a netip.Addr
	switch v := args[0].(type) {
	case netip.Addr:
		a = v
	case string:
		parsed, err := netip.ParseAddr(v)
		if err != nil {
			return nil
		}
		a = parsed.Unmap()
	default:
		return nil
	}
	for _, arg := range args[1:] {
		block, _ := arg.(string)
		addr, bits, masked := strings.Cut(block, "/")
		base := netip.MustParseAddr(addr)
		x, y := a.As16(), base.As16() // IPv4 lies in ::ffff:0:0/96, so ::/0 holds it too
		n := 128
		if masked {
			n, _ = strconv.Atoi(bits)
			if base.Is4() {
				n += 96
			}
		}
		same := true
		for i := range n {
			mask := byte(1) << (7 - i%8)
			same = same && x[i/8]&mask == y[i/8]&mask
		}
		if same {
			return true
		}
	}
	return false
}
