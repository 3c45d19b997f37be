package parser_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/parser"
)

// problem is an error with the text that its span covers; an empty one stands at a place between characters.
type problem struct{ At, Msg string }

// invalid are queries with what is wrong with them. Messages are as users see them, hints included.
var invalid = []struct {
	query string
	want  []problem
}{
	{``, []problem{
		{``, "the query is empty (a query is `category where condition` or a sequence)"},
	}},
	{`process`, []problem{
		{``, `expected where after the event category, found the end of the query`},
	}},
	{`where true`, []problem{
		{`where`, `expected an event category before where (write any where … for events of every category)`},
	}},
	{`process where`, []problem{
		{``, `expected a value, found the end of the query`},
	}},
	{`process where a = 1`, []problem{
		{`=`, `= isn't a comparison (did you mean ==?)`},
	}},
	{`process where a == 'x'`, []problem{
		{`'x'`, `strings are in double quotes (write "x")`},
	}},
	{`process where a == ?"x\d"`, []problem{
		{`?"x\d"`, `raw strings are in three double quotes (write """x\d""")`},
	}},
	{`process where a == "x`, []problem{
		{`"x`, `this string isn't closed (a string ends with " on the same line; a line break in it is written \n)`},
	}},
	{`process where a == """x`, []problem{
		{`"""x`, `this raw string isn't closed (close it with """)`},
	}},
	{`process where a == "\d"`, []problem{
		{`\d`, `\d isn't an escape (write \\d for a backslash, or use a raw string """…""")`},
	}},
	{`process where a == "\u{110000}" or b == "\u{zz}" or c == "\u41"`, []problem{
		{`\u{110000}`, `there is no character U+110000 (characters go up to 10ffff, without d800 to dfff)`},
		{`\u{zz}`, `this isn't the number of a character (a character by number is \u{…} with 2 to 8 hexadecimal digits)`},
		{`\u`, `\u isn't followed by {…} (a character by number is \u{…} with 2 to 8 hexadecimal digits; a backslash is \\)`},
	}},
	{`process where a == “x”`, []problem{
		{`“`, `the quotation mark “ isn't one of EQL's (strings are in plain double quotes "…")`},
		{`”`, `the quotation mark ” isn't one of EQL's (strings are in plain double quotes "…")`},
	}},
	{`process where a == 1 && b == 2 || !c`, []problem{
		{`&&`, `&& isn't an operator of EQL (did you mean and?)`},
		{`||`, `|| isn't an operator of EQL (did you mean or?)`},
		{`!`, `! isn't an operator of EQL (did you mean not?)`},
	}},
	{`process where a AND b`, []problem{
		{`AND`, `keywords are in lower case (did you mean and?)`},
	}},
	{`process where NOT a`, []problem{
		{`NOT`, `keywords are in lower case (did you mean not?)`},
	}},
	{`process where a == 1 b == 2`, []problem{
		{`b`, `expected an operator or the end of the query, found "b"`},
	}},
	{`process where a : "a" "b"`, []problem{
		{`"b"`, `expected an operator or the end of the query, found the string "b" (several values are a list: ("a", "b"))`},
	}},
	{`process where a : "a", "b"`, []problem{
		{`,`, `expected an operator or the end of the query, found "," (several values are a list: ("a", "b"))`},
	}},
	{`process where a in "b"`, []problem{
		{`"b"`, "expected ( after in, found the string \"b\" (in takes a list, such as `in (\"a\", \"b\")`)"},
	}},
	{`process where a in ("b" "c")`, []problem{
		{`"c"`, `expected , or ) in a list, found the string "c" (put a comma between the values)`},
	}},
	{`process where a in ("b", )`, []problem{
		{`,`, `a comma can't end a list (remove the comma, or add a value)`},
	}},
	{`process where a in ()`, []problem{
		{`)`, `the list behind in is empty`},
	}},
	{`process where a in ("b"`, []problem{
		{``, "expected , or ) in a list, found the end of the query (to close `(\"b\"`)"},
	}},
	{`process where (a or b`, []problem{
		{``, "expected an operator or ), found the end of the query (to close `(a or b`)"},
	}},
	{`process where a or b)`, []problem{
		{`)`, `) closes nothing`},
	}},
	{`process where a == b == c`, []problem{
		{`==`, `comparisons don't chain (join two comparisons with and)`},
	}},
	{`process where a not like "x*"`, []problem{
		{`not`, "not can't stand before like (write `not a like …`)"},
	}},
	{`process where a not : "x*"`, []problem{
		{`not`, "not can't stand before : (write `not a : …`)"},
	}},
	{`process where a !: "x*"`, []problem{
		{`!:`, "!: isn't an operator of EQL (write `not a : …`)"},
	}},
	{`process where a : b`, []problem{
		{`b`, `: compares with constants only (compare other values with == or in)`},
	}},
	{`process where a == not b`, []problem{
		{`not`, `not binds looser than the operator before it (put the negation in parentheses)`},
	}},
	{`process where a[0] == "b"`, []problem{
		{`[0]`, `array subscripts aren't supported (a test on a field looks at each of its values already)`},
	}},
	{`process where events.1.a == 2`, []problem{
		{`events.1`, "a part of a field name can't begin with a digit (if this is one field name, put it in backquotes: `events.1.a`)"},
	}},
	{`process where a.b-c.0 == 2`, []problem{
		{`c.0`, "a part of a field name can't begin with a digit (if this is one field name, put it in backquotes: `a.b-c.0`)"},
	}},
	{`process where kubernetes.audit.x$y == 2`, []problem{
		{`$`, "the character '$' has no meaning here (if this is one field name, put it in backquotes: `kubernetes.audit.x$y`)"},
	}},
	{`process where a#b == 2`, []problem{
		{`#`, "the character '#' has no meaning here (if this is one field name, put it in backquotes: `a#b`)"},
	}},
	{`process where a.b/c.d-e.f 3`, []problem{
		{`3`, `expected an operator or the end of the query, found the number 3`},
	}},
	{`process where child of [process where true]`, []problem{
		{`child of`, `child of is Endgame's; Elasticsearch doesn't have it (join the two events in a sequence)`},
	}},
	{`process where a == 1e999 or b == 12ab`, []problem{
		{`1e999`, `the number 1e999 is too large`},
		{`12ab`, `"12ab" isn't a number`},
	}},
	{`process where and`, []problem{
		{`and`, `expected a value, found the keyword and`},
	}},
	{`process where a == `, []problem{
		{``, `expected a value, found the end of the query`},
	}},
	{`process where a == 1 and`, []problem{
		{``, `expected a value, found the end of the query`},
	}},
	{`process where like == 1`, []problem{
		{`like`, "expected a value, found the keyword like (a field of this name is written `like`)"},
	}},
	{`process where by == 1`, []problem{
		{`by`, "expected a value, found the keyword by (a field of this name is written `by`)"},
	}},
	{"process where ``== 1", []problem{
		{"``", `a field name can't be empty`},
	}},
	{"process where `a == 1", []problem{
		{"`a == 1", `this field name isn't closed (close it with a backquote; a backquote in the name is written twice)`},
	}},
	{`process where 1 == ?`, []problem{
		{``, `expected a field after ?, found the end of the query`},
	}},
	{`process where f(`, []problem{
		{``, `expected a value, found the end of the query`},
	}},
	{`process where f(a, b`, []problem{
		{``, "expected , or ) in the arguments of f, found the end of the query (to close `(a, b`)"},
	}},
	{`process where foo~ == 1`, []problem{
		{`foo~`, `"foo~" isn't the name of a field (only functions, in, like and regex have a form with ~)`},
	}},
	{`process where ?f(a)`, []problem{
		{`?`, `? marks fields, not functions`},
	}},
	{`process where a =~ "b" and c <> 1 and d === 2`, []problem{
		{`=~`, `=~ isn't an operator of EQL (did you mean :?)`},
		{`<>`, `<> isn't an operator of EQL (did you mean !=?)`},
		{`===`, `=== isn't an operator of EQL (did you mean ==?)`},
	}},
	{`process where a in ("a") in ("b")`, []problem{
		{`in`, `the keyword in can't follow another test of the same value (join two tests with and)`},
	}},
	{`process where a == 1 /* x`, []problem{
		{`/*`, `this comment isn't closed (close it with */; comments inside it need their own */)`},
	}},
	{`process where a == 1 | head`, []problem{
		{``, `head needs a whole number of 0 or more, found the end of the query (such as | head 10)`},
	}},
	{`process where a == 1 | head -1`, []problem{
		{`-`, `head needs a whole number of 0 or more, found "-" (such as | head 10)`},
	}},
	{`process where a == 1 | head 1.5`, []problem{
		{`1.5`, `head needs a whole number of 0 or more, found the number 1.5 (such as | head 10)`},
	}},
	{`process where a == 1 | head 1 2`, []problem{
		{`2`, `expected | or the end of the query, found the number 2 (head takes one number)`},
	}},
	{`process where a == 1 | count`, []problem{
		{`count`, `Elasticsearch has no pipe count (there are head and tail)`},
	}},
	{`process where a == 1 | foo 3`, []problem{
		{`foo`, `unknown pipe "foo" (there are head and tail)`},
	}},
	{`process where a == 1 |`, []problem{
		{``, `expected head or tail, found the end of the query`},
	}},
	{`process.name == "x"`, []problem{
		{`.`, "expected where after the event category, found \".\" (a condition begins with a category: `any where process…`)"},
	}},
	{"`a` where true", []problem{
		{"`a`", `an event category isn't a field: it can't be in backquotes (write "a")`},
	}},
	{`sequence where true`, []problem{
		{`where`, "expected [ to begin a stage of the sequence, found the keyword where (a stage is `[category where condition]`)"},
	}},
	{`process-a where true`, []problem{
		{`-`, `expected where after the event category, found "-" (a category with special characters is in double quotes)`},
	}},
	{`sequnce by a [x where true]`, []problem{
		{`sequnce`, `expected where after the event category, found the keyword by (did you mean sequence?)`},
	}},
	{`sequence with maxspam=1m [a where true] [b where true]`, []problem{
		{`maxspam`, `expected maxspan after with, found "maxspam" (did you mean maxspan?)`},
	}},
	{`sequence by c wizh maxspan=1m [a where true] [b where true]`, []problem{
		{`wizh`, `expected [ to begin a stage of the sequence, found "wizh" (did you mean with?)`},
	}},
	{`sequence [a where true] with runns=2`, []problem{
		{`runns`, `expected runs after with, found "runns" (did you mean runs?)`},
	}},
	{`sequence [a where true] [b where true] untils [c where true]`, []problem{
		{`untils`, `expected another stage, until, a pipe or the end of the query, found "untils" (did you mean until?)`},
	}},
	{`process wher true`, []problem{
		{`wher`, `expected where after the event category, found "wher" (did you mean where?)`},
	}},
	{`[process where true] [x where true]`, []problem{
		{`[`, `a query can't begin with "[" (stages in brackets follow the word sequence)`},
	}},
	{`join [a where true]`, []problem{
		{`join`, `join isn't part of EQL any more (write a sequence, or a sample for events in any order)`},
	}},
	{`sequence [a where true]`, []problem{
		{`sequence`, "a sequence has at least 2 stages, this one has 1 (for one event write the condition alone, for repeats `with runs=…`)"},
	}},
	{`sequence [a where true] [b where true`, []problem{
		{``, "expected an operator or ], found the end of the query (to close `[b where true`)"},
	}},
	{`sequence [a where true [b where true]`, []problem{
		{`[`, "expected an operator or ], found \"[\" (to close `[a where true [b where true]`)"},
	}},
	{`sequence [a where x = 1] [b where y == 'z'] | cout`, []problem{
		{`=`, `= isn't a comparison (did you mean ==?)`},
		{`'z'`, `strings are in double quotes (write "z")`},
		{`cout`, `unknown pipe "cout" (there are head and tail)`},
	}},
	{`sequence by a b [a where true] [b where true]`, []problem{
		{`b`, `expected [ to begin a stage of the sequence, found "b" (separate keys with commas)`},
	}},
	{`sequence by "a" [a where true] [b where true]`, []problem{
		{`"a"`, `a join key must be a field, found the string "a" (a field is written without quotes)`},
	}},
	{`sequence by length(a) [a where true] [b where true]`, []problem{
		{`length`, `a join key must be a field, found "length"`},
	}},
	{`sequence by a-b [a where true] [b where true]`, []problem{
		{`-`, "a join key must be a field alone, found \"-\" behind it (if this is one field name, put it in backquotes: `a-b`)"},
	}},
	{`sequence by a.0 [a where true] [b where true]`, []problem{
		{`a.0`, "a part of a field name can't begin with a digit (if this is one field name, put it in backquotes: `a.0`)"},
	}},
	{`sequence by a[0] [a where true] [b where true]`, []problem{
		{`[0]`, `array subscripts aren't supported (a test on a field looks at each of its values already)`},
	}},
	{`sequence with maxspan=5m by a [a where true] [b where true]`, []problem{
		{`by`, "by must stand before with maxspan (write `sequence by … with maxspan=…`)"},
	}},
	{`sequence with maxspan=5 [a where true] [b where true]`, []problem{
		{`5`, `maxspan has no unit (did you mean 5s?)`},
	}},
	{`sequence with maxspan=5x [a where true] [b where true]`, []problem{
		{`x`, `unknown unit of time "x" (the units are ms, s, m, h and d)`},
	}},
	{`sequence with maxspan=1.5s [a where true] [b where true]`, []problem{
		{`1.5s`, `maxspan must be a whole number, found 1.5 (use a smaller unit: ms, s, m, h or d)`},
	}},
	{`sequence with maxspan=-5s [a where true] [b where true]`, []problem{
		{`-5s`, `maxspan must be a positive whole number with a unit (such as maxspan=30s, 5m, 2h or 1d)`},
	}},
	{`sequence with maxspan=0s [a where true] [b where true]`, []problem{
		{`0s`, `maxspan must be more than 0 (such as maxspan=30s, 5m, 2h or 1d)`},
	}},
	{`sequence with maxspan=99999999999d [a where true] [b where true]`, []problem{
		{`99999999999d`, `maxspan is too long (the longest is some 290 years)`},
	}},
	{`sequence with maxspan 5s [a where true] [b where true]`, []problem{
		{`5`, `expected = after maxspan, found the number 5`},
	}},
	{`sequence with maxspan==5s [a where true] [b where true]`, []problem{
		{`==`, `expected = after maxspan, found "=="`},
	}},
	{`sequence maxspan=5s [a where true] [b where true]`, []problem{
		{`maxspan`, "expected with before maxspan (write `with maxspan=…`)"},
	}},
	{`sequence with runs=5 [a where true] [b where true]`, []problem{
		{`runs`, "runs can't stand here (runs belongs behind a stage: `[…] with runs=…`)"},
	}},
	{`sequence [a where true] with runs=0 [b where true]`, []problem{
		{`0`, `runs must be a whole number from 1 to 100`},
	}},
	{`sequence [a where true] with runs=101 [b where true]`, []problem{
		{`101`, `runs must be a whole number from 1 to 100`},
	}},
	{`sequence [a where true] with runs=x [b where true]`, []problem{
		{`x`, `runs must be a whole number from 1 to 100`},
	}},
	{`sequence [a where true] with runs=3 by x [b where true]`, []problem{
		{`by`, "by must stand before with runs (write `[…] by … with runs=…`)"},
	}},
	{`sequence [a where true] with maxspan=3s [b where true]`, []problem{
		{`maxspan`, "maxspan can't stand here (maxspan belongs behind sequence: `sequence by … with maxspan=…`)"},
	}},
	{`sequence [a where true] by x [b where true]`, []problem{
		{`[b where true]`, `this stage has 0 join keys, the first one has 1 (keys are compared by position, so all stages need the same number)`},
	}},
	{`sequence [a where true] by x [b where true] by x until [c where true]`, []problem{
		{`[c where true]`, `until has 0 join keys, the first one has 1 (keys are compared by position, so all stages need the same number)`},
	}},
	{`sequence [a where true] ![b where true]`, []problem{
		{`![b where true]`, "a missing event ![…] needs a maxspan: without one it can't be decided (add `with maxspan=…` behind sequence)"},
	}},
	{`sequence with maxspan=1s ![a where true] ![b where true]`, []problem{
		{`sequence`, `a sequence can't consist of missing events only (at least one stage must be […] without !)`},
	}},
	{`sequence with maxspan=1s [a where true] ! [b where true]`, []problem{
		{`!`, `! and [ must stand together (write ![ without a space)`},
	}},
	{`sequence [a where true] [b where true] until ![c where true]`, []problem{
		{`![`, `until can't wait for a missing event (write [ without the !)`},
	}},
	{`sequence [a where true] [b where true] until [c where true] [d where true]`, []problem{
		{`[`, `a stage can't follow until (until is the last part of a sequence)`},
	}},
	{`sequence [a where true] fork [b where true]`, []problem{
		{`fork`, `fork is Endgame's; Elasticsearch doesn't have it`},
	}},
	{`sequence [a where true], [b where true]`, []problem{
		{`,`, `expected another stage, until, a pipe or the end of the query, found "," (there are no commas between stages)`},
	}},
	{`sequence`, []problem{
		{``, "expected [ to begin a stage of the sequence, found the end of the query (a stage is `[category where condition]`)"},
	}},
	{`sequence by`, []problem{
		{``, `expected a field as join key, found the end of the query`},
	}},
	{`sequence []`, []problem{
		{`]`, "expected an event category, found \"]\" (a condition begins with a category and where, such as `process where …`)"},
	}},
	{`sample [a where true] [b where true]`, []problem{
		{`sample`, "a sample needs at least 1 join key (write `sample by host.id …`)"},
	}},
	{`sample by a [a where true]`, []problem{
		{`sample`, `a sample has at least 2 stages, this one has 1 (for one event write the condition alone)`},
	}},
	{`sample by a with maxspan=3s [a where true] [b where true]`, []problem{
		{`with`, "a sample has no maxspan (leave it out, or write a sequence: a rule's samples are within its lookback (`from`))"},
	}},
	{`sample by a ![a where true] [b where true] with runs=3`, []problem{
		{`![a where true]`, `a sample can't have missing events ![…] (only a sequence can ask for what doesn't happen)`},
		{`with runs=3`, `a sample can't have runs (write the stage several times: each takes an event of its own)`},
	}},
	{`sample by a [a where true] with runs=1 [b where true]`, []problem{
		{`with runs=1`, `a sample can't have runs (write the stage several times: each takes an event of its own)`},
	}},
	{`sample by a [a where true] with maxspan=1 [b where true]`, []problem{
		{`maxspan`, "maxspan can't stand here (maxspan belongs behind sequence: `sequence by … with maxspan=…`)"},
	}},
	{`sample by a [a where true] [b where true] until [c where true]`, []problem{
		{`until`, `a sample has no until (leave it out, or write a sequence)`},
	}},
	{`sample by a [a where true] by b [b where true]`, []problem{
		{`[b where true]`, `this stage has 0 join keys, the first one has 1 (keys are compared by position, so all stages need the same number)`},
	}},
	{`any where true;`, []problem{
		{`;`, `the character ';' has no meaning here`},
	}},
	{`any where a + not b`, []problem{
		{`not`, `not binds looser than the operator before it (put the negation in parentheses)`},
	}},
	{"any where a == TRUE and `TRUE` == 1", []problem{
		{`TRUE`, `keywords are in lower case (did you mean true?)`},
	}},
	{`SEQUENCE by a [x where true] [y where true] UNTIL [z where true]`, []problem{
		{`SEQUENCE`, `expected where after the event category, found the keyword by (did you mean sequence?)`},
	}},
	{`sequence by a [x where true] [y where true] UNTIL [z where true]`, []problem{
		{`UNTIL`, `expected another stage, until, a pipe or the end of the query, found "UNTIL" (keywords are in lower case: did you mean until?)`},
	}},
	{`sequence BY a [x where true] [y where true]`, []problem{
		{`BY`, `expected [ to begin a stage of the sequence, found "BY" (keywords are in lower case: did you mean by?)`},
	}},
	{`Process WHERE true`, []problem{
		{`WHERE`, `keywords are in lower case (did you mean where?)`},
	}},
	{`any where foo(a, ) or foo(,)`, []problem{
		{`,`, `a comma can't end the arguments of foo (remove the comma, or add a value)`},
		{`,`, `expected a value, found ","`},
	}},
	{`any where in ("a")`, []problem{
		{`in`, `expected a value, found the keyword in`},
	}},
	{`any where (a and ) or b == `, []problem{
		{`)`, `expected a value, found ")"`},
		{``, `expected a value, found the end of the query`},
	}},
	{`any where a == (1, 2)`, []problem{
		{`,`, `expected an operator or ), found "," (several values are a list: ("a", "b"))`},
	}},
	{`any where a == "x") and b = 1`, []problem{
		{`)`, `) closes nothing`},
		{`=`, `= isn't a comparison (did you mean ==?)`},
	}},
	{`sequence [a where (x == 1] [b where y = 2]`, []problem{
		{`]`, "expected an operator or ), found \"]\" (to close `(x == 1] [b where y = 2]`)"},
		{`=`, `= isn't a comparison (did you mean ==?)`},
	}},
}

func TestInvalid(t *testing.T) {
	for _, c := range invalid {
		s, err := parser.Parse(c.query)
		if s != nil {
			t.Errorf("%s: a tree comes with the error", c.query)
		}
		if diff := cmp.Diff(c.want, problems(t, c.query, err)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.query, diff)
		}
	}
}

// problems returns the errors of a query with what they point at, and checks their places and their order.
func problems(tb testing.TB, query string, err error) []problem {
	tb.Helper()
	var errs ast.Errors
	if err != nil && !errors.As(err, &errs) {
		tb.Fatalf("%q: the error is a %T, want ast.Errors", query, err)
	}
	if err != nil && len(errs) == 0 {
		tb.Fatalf("%q: an empty list of errors", query)
	}
	var got []problem
	before := 0
	for _, e := range errs {
		if e.Pos < before || e.End < e.Pos || e.End > len(query) {
			tb.Fatalf("%q: error %q at %d..%d is outside the query or out of order", query, e.Msg, e.Pos, e.End)
		}
		before = e.Pos
		got = append(got, problem{At: query[e.Pos:e.End], Msg: e.Error()})
	}
	return got
}

func TestErrorsAreCapped(t *testing.T) {
	query := "any where " + strings.Repeat("a = 1 or ", 50) + "b"
	_, err := parser.Parse(query)
	if got := len(problems(t, query, err)); got != 20 {
		t.Errorf("got %d errors, want 20", got)
	}
}

func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		query string
		want  string // part of the only error; empty: none
	}{
		"parentheses":        {"any where " + strings.Repeat("(", 5000) + "a" + strings.Repeat(")", 5000), "nested too deep"},
		"unclosed":           {"any where " + strings.Repeat("(", 5000), "nested too deep"},
		"not":                {"any where " + strings.Repeat("not ", 5000) + "a", "nested too deep"},
		"minus":              {"any where " + strings.Repeat("-", 5000) + "1 == a", "nested too deep"},
		"plus":               {"any where " + strings.Repeat("+", 5000) + "1 == a", "nested too deep"},
		"bang":               {"any where " + strings.Repeat("! ", 5000) + "a", "! isn't an operator"},
		"calls":              {"any where " + strings.Repeat("f(", 5000) + "a", "nested too deep"},
		"lists":              {"any where " + strings.Repeat("a in (", 5000) + "a", "nested too deep"},
		"relations":          {"any where " + strings.Repeat("child of [any where ", 5000) + "a", "Endgame"},
		"comments":           {strings.Repeat("/*", 5000) + strings.Repeat("*/", 5000) + "any where a", ""},
		"unclosed comments":  {"any where a" + strings.Repeat("/*", 5000), "isn't closed"},
		"depth that is fine": {"any where " + strings.Repeat("(", 400) + "a" + strings.Repeat(")", 400), ""},
		"long chain":         {"any where " + strings.Repeat("a or ", 100_000) + "a", ""},
		"too long":           {"any where a" + strings.Repeat(" ", 1<<20), "more than the 1048576 that are allowed"},
		"not UTF-8":          {"any where \ufffd\xff\xff == 1", "isn't valid UTF-8"},
		"many stages":        {"sequence " + strings.Repeat("[a where true]", 10_000), ""},
	} {
		_, err := parser.Parse(c.query)
		var msgs []string
		for _, p := range problems(t, c.query, err) {
			msgs = append(msgs, p.Msg)
		}
		got := strings.Join(msgs, "\n")
		if c.want == "" && got != "" || !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestParseExprErrors(t *testing.T) {
	for query, want := range map[string]problem{
		"":                {"", "expected a value, found the end of the query"},
		"a == 1 | head 1": {"|", `expected an operator or the end of the query, found "|"`},
		"a)":              {")", ") closes nothing"},
	} {
		_, err := parser.ParseExpr(query)
		if diff := cmp.Diff([]problem{want}, problems(t, query, err)); diff != "" {
			t.Errorf("%q (-want +got):\n%s", query, diff)
		}
	}
}

func ExampleParse_errors() {
	_, err := parser.Parse("process where process.name = 'cmd.exe' and user.id in \"0\"")
	fmt.Println(err)
	// Output:
	// = isn't a comparison (did you mean ==?)
	// strings are in double quotes (write "cmd.exe")
	// expected ( after in, found the string "0" (in takes a list, such as `in ("a", "b")`)
}
