package parser_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/parser"
)

// valid are queries with their canonical text.
var valid = []struct{ query, want string }{
	{`process where true`, `process where true`},
	{"\n any\twhere // all of them\r\n  ( ( false ) ) /* and /* no */ more */", `any where false`},
	{`"my-event" where a`, `"my-event" where a`},
	{`"process" where a`, `process where a`},
	{`"any" where a`, `"any" where a`},
	{`"""a"b""" where a`, `"a\"b" where a`},

	{`any where @timestamp == 1 and _x.y_1.@z == 2`, `any where @timestamp == 1 and _x.y_1.@z == 2`},
	{"any where `a-b` == 1 and a.`b-c`.d == 2 and `x.y` == 3 and `a``b` == 4", "any where `a-b` == 1 and `a.b-c.d` == 2 and x.y == 3 and `a``b` == 4"},
	{"any where ?a.b == 1 and ? `c d` == 2", "any where ?a.b == 1 and ?`c d` == 2"},
	{"any where x.`in` == 1 and y.`by`.`with`.`not` == 2", "any where `x.in` == 1 and `y.by.with.not` == 2"},
	{"any where head == 1 and tail == maxspan and runs == 1 and process . name == 2", `any where head == 1 and tail == maxspan and runs == 1 and process.name == 2`},
	{"any where `TRUE` == 1 and NULL.x == 2 and NOT == 3", "any where `TRUE` == 1 and NULL.x == 2 and NOT == 3"},

	{`any where a == "x\n\r\t\b\f\\\"\'y"`, `any where a == "x\n\r\t\b\f\\\"'y"`},
	{`any where a == "\u{41}\u{1F600}\u{0000000a}\u{200b}é"`, `any where a == "A😀\n\u{200b}é"`},
	{`any where a == """C:\x\"y"""`, `any where a == """C:\x\"y"""`},
	{`any where a in ("""""", """a"""", """b""""", """"c""", "")`, `any where a in ("""""", """a"""", """b""""", """"c""", "")`},
	{"any where a == \"\"\"two\nlines\"\"\"", "any where a == \"\"\"two\nlines\"\"\""},
	{`any where a == .5 or a == 1. or a == 1e3 or a == 1.5E-3 or a == .1e+2 or a == 007`, `any where a == .5 or a == 1. or a == 1e3 or a == 1.5E-3 or a == .1e+2 or a == 007`},
	{`any where a == -1 or a == +1 or a == - -1 or a == 1 - -1`, `any where a == -1 or a == 1 or a == --1 or a == 1 - -1`},
	{`any where a == 9223372036854775807 or a == 9223372036854775808`, `any where a == 9223372036854775807 or a == 9223372036854775808`},

	{`any where (a and b) or (c and d)`, `any where a and b or c and d`},
	{`any where a and (b or c) and (d and e)`, `any where a and (b or c) and (d and e)`},
	{`any where not (not a)`, `any where not not a`},
	{`any where not (a == 1)`, `any where not a == 1`},
	{`any where (not a) == true`, `any where (not a) == true`},
	{`any where not (a and b)`, `any where not (a and b)`},
	{`any where not a and b`, `any where not a and b`},
	{`any where (a == b) == (c == d)`, `any where (a == b) == (c == d)`},
	{`any where a + (b + c) * (d * e) - (f - g) == -(h + i)`, `any where a + (b + c) * (d * e) - (f - g) == -(h + i)`},
	{`any where (a * b) / c % (d) > (1 + 2) + 3`, `any where a * b / c % d > 1 + 2 + 3`},
	{`any where a-b>c/d`, `any where a - b > c / d`},

	{`any where a : "x" and a:("x","y") and a : ("x")`, `any where a : "x" and a : ("x", "y") and a : "x"`},
	{`any where a in ("x") and a not in~ (1, b + 1)`, `any where a in ("x") and a not in~ (1, b + 1)`},
	{`any where not a in (1)`, `any where a not in (1)`},
	{`any where not (a not in (1))`, `any where not a not in (1)`},
	{`any where a not in (1) == true`, `any where a not in (1) == true`},
	{`any where not a in (1) == true`, `any where not a in (1) == true`},
	{`any where a like "x*" or a like~ ("x*", """y*""") or a regex "x.*" or a regex~ ("x+")`, `any where a like "x*" or a like~ ("x*", """y*""") or a regex "x.*" or a regex~ "x+"`},
	{`any where (a + b) in (1) or a + b in (1)`, `any where (a + b) in (1) or a + b in (1)`},
	{`any where substring(a, 1) : "x" and "x" : "X"`, `any where substring(a, 1) : "x" and "x" : "X"`},
	{`any where startsWith~(a, "x") or CIDRMATCH(ip,"::/0") == null or f()`, `any where startsWith~(a, "x") or CIDRMATCH(ip, "::/0") == null or f()`},
	{`any where (a in (1)) in (true)`, `any where (a in (1)) in (true)`},

	{`any where a | head 3 | tail 0`, "any where a\n| head 3\n| tail 0"},
	{`sequence [a where true] [b where c]`, "sequence\n  [a where true]\n  [b where c]"},
	{`sequence [a where true] with runs=2`, "sequence\n  [a where true] with runs=2"},
	{
		"sequence by a, ?b.c with maxspan = 1 m [x where 1 == 1] by `d e` with runs = 3 ![any where y] by ?f with runs=1 until [z where true] by g | tail 2",
		"sequence by a, ?b.c with maxspan=1m\n  [x where 1 == 1] by `d e` with runs=3\n  ![any where y] by ?f\nuntil [z where true] by g\n| tail 2",
	},
	{`sequence with maxspan=5s ![a where true] [b where true]`, "sequence with maxspan=5s\n  ![a where true]\n  [b where true]"},
	{`sequence with maxspan=5s ![a where true] with runs=3 [b where true]`, "sequence with maxspan=5s\n  ![a where true] with runs=3\n  [b where true]"},
	{`sample by a, ?b [x where true] [y where true] | head 1`, "sample by a, ?b\n  [x where true]\n  [y where true]\n| head 1"},
	{`sample [x where true] by a [y where true] by b`, "sample\n  [x where true] by a\n  [y where true] by b"},
}

func TestValid(t *testing.T) {
	for _, c := range valid {
		s, err := parser.Parse(c.query)
		if err != nil {
			t.Errorf("%s: %v", c.query, err)
			continue
		}
		if got := ast.Print(s); got != c.want {
			t.Errorf("%s: printed\n%s\nwant\n%s", c.query, got, c.want)
		}
		checkRoundTrip(t, c.query, s)
	}
}

// dump shows the structure of an expression with all its parentheses.
func dump(e ast.Expr) string {
	list := func(head string, items ...ast.Expr) string {
		var b strings.Builder
		b.WriteString("(" + head)
		for _, i := range items {
			b.WriteString(" " + dump(i))
		}
		return b.String() + ")"
	}
	switch e := e.(type) {
	case *ast.Binary:
		return list(string(e.Op), e.Left, e.Right)
	case *ast.Unary:
		if e.Op == ast.Sub {
			return list("neg", e.X)
		}
		return list("not", e.X)
	case *ast.Match:
		return list(string(e.Op), append([]ast.Expr{e.X}, e.List...)...)
	case *ast.Call:
		return list(e.Name, e.Args...)
	default:
		return ast.PrintExpr(e)
	}
}

func TestPrecedence(t *testing.T) {
	for query, want := range map[string]string{
		`a or b and c or d`:           `(or (or a (and b c)) d)`,
		`not a and not b or c`:        `(or (and (not a) (not b)) c)`,
		`not a == b`:                  `(not (== a b))`,
		`not not a : "x" and b`:       `(and (not (not (: a "x"))) b)`,
		`a == b and c != d`:           `(and (== a b) (!= c d))`,
		`a + b * c - d < e % f / g`:   `(< (- (+ a (* b c)) d) (/ (% e f) g))`,
		`-a * b`:                      `(* (neg a) b)`,
		`-a + b`:                      `(+ (neg a) b)`,
		`a - -b`:                      `(- a (neg b))`,
		`-a in (1)`:                   `(neg (in a 1))`,
		`a + b in (1, 2)`:             `(+ a (in b 1 2))`,
		`a * b : "x"`:                 `(* a (: b "x"))`,
		`a == b in (1)`:               `(== a (in b 1))`,
		`a in (1) == true`:            `(== (in a 1) true)`,
		`a not in (1) == true`:        `(== (not (in a 1)) true)`,
		`not a in (1) == true`:        `(not (== (in a 1) true))`,
		`a not in (1) and b`:          `(and (not (in a 1)) b)`,
		`f(a or b, c) == (d and e)`:   `(== (f (or a b) c) (and d e))`,
		`null == (exit_code > -1)`:    `(== null (> exit_code (neg 1)))`,
		`a in (b or c, d)`:            `(in a (or b c) d)`,
		`(a) like ("x", "y") or true`: `(or (like a "x" "y") true)`,
	} {
		e, err := parser.ParseExpr(query)
		if err != nil {
			t.Errorf("%s: %v", query, err)
			continue
		}
		if got := dump(e); got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
}

func TestSequenceTree(t *testing.T) {
	query := `sequence by a, ?b with maxspan=90s [x where true] by c with runs=3 ![any where true] by ?d until ["z" where true] by e | head 7`
	got, err := parser.Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	filter := func(c ast.Category) ast.Filter { return ast.Filter{Category: c, Where: &ast.Bool{Value: true}} }
	want := &ast.Sequence{
		By:      []ast.Key{{Path: "a"}, {Path: "b", Optional: true}},
		MaxSpan: &ast.MaxSpan{Duration: 90 * time.Second, Text: "90s"},
		Stages: []ast.Stage{
			{Filter: filter(ast.Category{Name: "x"}), By: []ast.Key{{Path: "c"}}, Runs: 3},
			{Missing: true, Filter: filter(ast.Category{Any: true}), By: []ast.Key{{Path: "d", Optional: true}}, Runs: 1},
		},
		Until: &ast.Stage{Filter: filter(ast.Category{Name: "z"}), By: []ast.Key{{Path: "e"}}, Runs: 1},
		Pipes: []ast.Pipe{{Name: "head", Count: 7}},
	}
	if diff := cmp.Diff(ast.Statement(want), got, cmpopts.IgnoreTypes(ast.Span{}, ast.Escapes{})); diff != "" {
		t.Errorf("tree (-want +got):\n%s", diff)
	}
}

func TestMaxSpanUnits(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1ms": time.Millisecond, "2s": 2 * time.Second, "3m": 3 * time.Minute, "4h": 4 * time.Hour, "5d": 5 * 24 * time.Hour,
	} {
		s, err := parser.Parse("sequence with maxspan=" + text + " [a where true] [b where true]")
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got := s.(*ast.Sequence).MaxSpan.Duration; got != want {
			t.Errorf("%s: got %s, want %s", text, got, want)
		}
	}
}

func TestSpans(t *testing.T) {
	query := ` sequence by  h.id with maxspan=5s // one
  [ process where (a == 1) and f~(x) not in ( 2 ) ] by ?k with runs=2
  ![ any where true ] by k until [ "q" where -n : """z""" ] by k
  | head 3 `
	s, err := parser.Parse(query)
	if err != nil {
		t.Fatal(err)
	}
	seq := s.(*ast.Sequence)
	first := seq.Stages[0]
	and := first.Filter.Where.(*ast.Binary)
	not := and.Right.(*ast.Unary)
	in := not.X.(*ast.Match)
	call := in.X.(*ast.Call)
	neg := seq.Until.Filter.Where.(*ast.Unary)
	for _, c := range []struct {
		span ast.Span
		want string
	}{
		{seq.Span, strings.TrimSpace(query)},
		{seq.By[0].Span, "h.id"},
		{seq.MaxSpan.Span, "5s"},
		{first.Span, "[ process where (a == 1) and f~(x) not in ( 2 ) ] by ?k with runs=2"},
		{first.Filter.Span, "process where (a == 1) and f~(x) not in ( 2 )"},
		{first.Filter.Category.Span, "process"},
		{first.By[0].Span, "?k"},
		{and.Span, "(a == 1) and f~(x) not in ( 2 )"},
		{and.OpSpan, "and"},
		{and.Left.Source(), "a == 1"},
		{not.Span, "f~(x) not in ( 2 )"},
		{in.Span, "f~(x) not in ( 2 )"},
		{in.OpSpan, "in"},
		{in.List[0].Source(), "2"},
		{call.Span, "f~(x)"},
		{call.NameSpan, "f"},
		{seq.Stages[1].Span, "![ any where true ] by k"},
		{seq.Until.Span, `[ "q" where -n : """z""" ] by k`},
		{seq.Until.Filter.Category.Span, `"q"`},
		{neg.Span, `-n : """z"""`},
		{neg.X.(*ast.Match).List[0].Source(), `"""z"""`},
		{seq.Pipes[0].Span, "head 3"},
	} {
		if got := query[c.span.Pos:c.span.End]; got != c.want {
			t.Errorf("got span %q, want %q", got, c.want)
		}
	}
}

// FuzzParse checks that no text makes the parser panic, that errors lie inside the text and that what parses
// is printed in a form that parses to the same.
func FuzzParse(f *testing.F) {
	for _, c := range valid {
		f.Add(c.query)
	}
	for _, c := range invalid {
		f.Add(c.query)
	}
	for _, dir := range []string{"../../rules/detections", shared + "/rules/rules/linux"} {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		for _, query := range ruleQueries(f, dir) {
			f.Add(query)
		}
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parser.Parse(text)
		if err != nil {
			problems(t, text, err)
			return
		}
		checkRoundTrip(t, text, s)
	})
}

func TestComments(t *testing.T) {
	text := "any where /* a /* b */ c */ x == \"// no\" // yes\n and y == \"\"\"/* no */\"\"\" // end"
	var got []string
	for _, c := range parser.Comments(text) {
		got = append(got, text[c.Pos:c.End])
	}
	if diff := cmp.Diff([]string{"/* a /* b */ c */", "// yes", "// end"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
