package eql_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
)

// testTypes maps the fields of the tables: k1, k2 … are keywords, and so on; u has no mapping.
func testTypes(path string) event.Type {
	switch path[0] {
	case 'k':
		return event.Keyword
	case 'n':
		return event.Long
	case 'd':
		return event.Double
	case 'b':
		return event.Boolean
	case 't':
		return event.Date
	case 'i':
		return event.IP
	case 'v':
		return event.Version
	default:
		return event.Unknown
	}
}

// holds reports whether an event satisfies a condition, which every kind of plan must agree on.
func holds(t *testing.T, where, doc string) bool {
	t.Helper()
	var got []bool
	for _, opts := range []eql.EnvOptions{{}, {NoSharing: true, NoOptimise: true}} {
		schema := event.NewSchema(testTypes)
		env := eql.NewEnv(schema, opts)
		q, err := env.Compile("any where "+where, eql.QueryOptions{})
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		ev := event.New(schema)
		if err := event.NewDecoder(schema).Decode([]byte(doc), ev); err != nil {
			t.Fatalf("%s: %v", doc, err)
		}
		got = append(got, q.Stages[0].Match(ev, env.NewMemo()))
	}
	if got[0] != got[1] {
		t.Errorf("%s on %s: got %v, but %v without optimising", where, doc, got[0], got[1])
	}
	return got[0]
}

func table(t *testing.T) func(where, doc string, want bool) {
	t.Helper()
	return func(where, doc string, want bool) {
		t.Helper()
		if got := holds(t, where, doc); got != want {
			t.Errorf("%s on %s: got %v, want %v", where, doc, got, want)
		}
	}
}

func TestEquality(t *testing.T) {
	f := table(t)
	f(`k == "a"`, `{"k": "a"}`, true)
	f(`k == "A"`, `{"k": "a"}`, false)
	f(`k == "a*"`, `{"k": "ab"}`, false)
	f(`k == "a"`, `{}`, false)
	f(`k != "a"`, `{}`, true)
	f(`k != "a"`, `{"k": ["a", "b"]}`, false)
	f(`k == "a"`, `{"k": ["b", "a"]}`, true)
	f(`"a" == k`, `{"k": "a"}`, true)
	f(`k == 512`, `{"k": "512"}`, true)
	f(`k == true`, `{"k": "true"}`, true)
	f(`n == "512"`, `{"n": 512}`, true)
	f(`n == 5.0`, `{"n": 5}`, true)
	f(`n == 5.5`, `{"n": 5}`, false)
	f(`d == 5`, `{"d": 5.0}`, true)
	f(`b == true`, `{"b": true}`, true)
	f(`b == "false"`, `{"b": false}`, true)
	f(`b == false`, `{}`, false)
	f(`b != true`, `{}`, true)
	f(`b`, `{"b": true}`, true)
	f(`b`, `{}`, false)
	f(`not b`, `{}`, true)
	f(`i == "2001:DB8::1"`, `{"i": "2001:db8:0::1"}`, true)
	f(`i == "10.0.0.0/8"`, `{"i": "10.1.2.3"}`, true)
	f(`u == "1"`, `{"u": 1}`, false)
	f(`u == 1`, `{"u": 1.0}`, true)
	f(`u == true`, `{"u": true}`, true)
	f(`u == 9007199254740993`, `{"u": 9007199254740992}`, false)
	f(`u == 18446744073709551615`, `{"u": 18446744073709551615}`, true)
}

func TestOrder(t *testing.T) {
	f := table(t)
	f(`n > 1 and n < 3`, `{"n": [0, 4]}`, true) // two leaves, two values
	f(`n >= 5`, `{"n": 5}`, true)
	f(`5 < n`, `{"n": 6}`, true)
	f(`not n > 1`, `{}`, true)
	f(`k > "b"`, `{"k": "c"}`, true)
	f(`k > "b"`, `{"k": "B"}`, false)
	f(`k <= "b"`, `{"k": "b"}`, true)
	f(`u < 9007199254740993`, `{"u": 9007199254740992.0}`, true)
	f(`u > -1`, `{"u": 18446744073709551615}`, true)
	f(`i > "10.0.0.9"`, `{"i": "10.0.0.10"}`, true)
	f(`i < "::1"`, `{"i": "10.0.0.10"}`, false)
	f(`t == "2024-05"`, `{"t": "2024-05-31T23:59:59.999Z"}`, true)
	f(`t == "2024-05"`, `{"t": "2024-06-01T00:00:00Z"}`, false)
	f(`t > "2024-05-01"`, `{"t": "2024-05-01T12:00:00Z"}`, false)
	f(`t >= "2024-05-01T12:00:00+02:00"`, `{"t": "2024-05-01T10:00:00Z"}`, true)
	f(`t < 1000`, `{"t": 999}`, true)
	f(`t <= "1700000000000"`, `{"t": 1700000000000}`, true)
	f(`t < "1971"`, `{"t": "1970-12-31T23:59:59.999Z"}`, true)
}

func TestVersions(t *testing.T) {
	f := table(t)
	f(`v > "1.5.0"`, `{"v": "1.11.3"}`, true)
	f(`v < "1.5.0"`, `{"v": "1.2.4"}`, true)
	f(`v == "1.2.4"`, `{"v": "1.2.4"}`, true)
	f(`v < "1.0.0"`, `{"v": "1.0.0-rc.1"}`, true)
	f(`v > "1.0.0-rc.9"`, `{"v": "1.0.0-rc.10"}`, true)
	f(`v > "99999.0"`, `{"v": "bad"}`, true)
	f(`v in ("1.2.4", "2")`, `{"v": "1.2.4"}`, true)
	f(`v == "bad"`, `{"v": "bad"}`, true)
	f(`v : "1.*"`, `{"v": "1.2.4"}`, true)
	f(`concat(v, "") == "1.2.4"`, `{"v": "1.2.4"}`, true)
}

func TestNull(t *testing.T) {
	f := table(t)
	f(`k == null`, `{}`, true)
	f(`k == null`, `{"k": []}`, true)
	f(`k == null`, `{"k": [null]}`, true)
	f(`k == null`, `{"k": ""}`, false)
	f(`k != null`, `{"k": "a"}`, true)
	f(`null == k`, `{}`, true)
	f(`n < null`, `{"n": 1}`, false)
	f(`null == (n > -1)`, `{}`, true)
	f(`null == (n > -1)`, `{"n": 1}`, false)
	f(`null == (n > -1 or true)`, `{}`, false)
	f(`null == null`, `{}`, true)
	f(`?u1 == ?u2`, `{}`, true)
	f(`?u1 == ?u2`, `{"u1": 1, "u2": 1}`, false)
	f(`?u1`, `{}`, false)
	f(`length(k) == null`, `{"k": "a"}`, false)
	f(`length(k) == null`, `{}`, true)
	f(`indexOf(k, "a") == null`, `{"k": ["a", "b"]}`, true)
	f(`indexOf(k, "a") != null`, `{"k": ["a", "b"]}`, false)
}

func TestPatterns(t *testing.T) {
	f := table(t)
	f(`k : "CMD*"`, `{"k": "cmd.exe"}`, true)
	f(`k like "CMD*"`, `{"k": "cmd.exe"}`, false)
	f(`k like~ ("x", "CMD*")`, `{"k": "cmd.exe"}`, true)
	f(`k : ("a", "b", "c*")`, `{"k": "B"}`, true)
	f(`k : "É"`, `{"k": "é"}`, false)
	f(`k : "*"`, `{"k": ""}`, true)
	f(`k : "*"`, `{}`, false)
	f(`not k : "x*"`, `{}`, true)
	f(`k in ("a", "b")`, `{"k": "b"}`, true)
	f(`k in ("a*")`, `{"k": "ab"}`, false)
	f(`k in~ ("A", "b")`, `{"k": "a"}`, true)
	f(`k not in ("a", "b")`, `{}`, true)
	f(`n in (1, 2.0, 3)`, `{"n": 3}`, true)
	f(`n not in (1, 2)`, `{"n": [2, 3]}`, false)
	f(`u in (1, "a", true)`, `{"u": "a"}`, true)
	f(`u in (1, "a", true)`, `{"u": true}`, true)
	f(`k in (null)`, `{}`, false)
	f(`k regex "a.c"`, `{"k": "abc"}`, true)
	f(`k regex "b"`, `{"k": "abc"}`, false)
	f(`k regex~ ("x", "A.C")`, `{"k": "abc"}`, true)
	f(`substring(k, 0, 1) : "É"`, `{"k": "éa"}`, true) // expressions fold all letters
	f(`substring(k, 0, 2) in~ ("AB")`, `{"k": "abc"}`, true)
	f(`substring(k, 1) like ("x", "b*")`, `{"k": "abc"}`, true)
	f(`"abc" : "A*"`, `{}`, true)
}

func TestAffixes(t *testing.T) {
	f := table(t)
	f(`startsWith(k, "ab")`, `{"k": "abc"}`, true)
	f(`startsWith(k, "a*")`, `{"k": "abc"}`, false)
	f(`startsWith~(k, "AB")`, `{"k": "abc"}`, true)
	f(`startsWith(k, "")`, `{"k": ""}`, true)
	f(`startsWith(k, "")`, `{}`, false)
	f(`endsWith(k, "bc")`, `{"k": "abc"}`, true)
	f(`endsWith~(k, "BC")`, `{"k": "abc"}`, true)
	f(`endsWith(k, "b?")`, `{"k": "abc"}`, true)
	f(`stringContains(k, "b")`, `{"k": "abc"}`, true)
	f(`stringContains~(k, "B")`, `{"k": "abc"}`, true)
	f(`stringContains(k, "")`, `{"k": "abc"}`, true)
	f(`stringContains(concat(k, ""), "")`, `{"k": "abc"}`, false)
	f(`stringContains(k, "x=[*]")`, `{"k": "a x=[1,2] b"}`, true)
	f(`stringContains(k, "P=\\*")`, `{"k": "P=* b"}`, true)
	f(`stringContains(k, "P=\\*")`, `{"k": "P=a b"}`, false)
	f(`startsWith(k, "a") == false`, `{}`, true)
	f(`startsWith(k, "a") != true`, `{"k": "b"}`, true)
	f(`startsWith(k, "a") == false`, `{"k": ["a", "b"]}`, false)
	f(`not (startsWith(k, "a") or endsWith(k, "b"))`, `{}`, true)
	f(`startsWith(k1, k2)`, `{"k1": ["xa", "bc"], "k2": ["q", "b"]}`, true)
	f(`startsWith(k1, k2)`, `{"k1": "abc"}`, false)
	f(`not startsWith(k1, k2)`, `{"k1": "abc"}`, true)
	f(`startsWith~(k1, k2)`, `{"k1": "ÉA", "k2": "é"}`, true)
	f(`startsWith(k, null)`, `{"k": "a"}`, false)
	f(`wildcard(k, "a*", "b?")`, `{"k": "bc"}`, true)
	f(`wildcard~(k, "A*")`, `{"k": "ab"}`, true)
	f(`wildcard(k, "A*") == false`, `{"k": "ab"}`, true)
}

func TestCIDR(t *testing.T) {
	f := table(t)
	f(`cidrMatch(i, "10.0.0.0/8")`, `{"i": "10.1.1.1"}`, true)
	f(`cidrMatch(i, "10.0.0.0/8")`, `{"i": "11.1.1.1"}`, false)
	f(`cidrMatch(i, "192.168.1.5/16")`, `{"i": "192.168.9.9"}`, true)
	f(`cidrmatch(i, "127.0.0.1", "::1")`, `{"i": "::1"}`, true)
	f(`cidrMatch(i, "2001:db8::/32")`, `{"i": ["10.0.0.1", "2001:DB8::ff"]}`, true)
	f(`cidrMatch(i, "0.0.0.0/0")`, `{"i": "::1"}`, false)
	f(`cidrMatch(i, "::/0")`, `{"i": "10.0.0.1"}`, true)
	f(`cidrMatch(i, "::ffff:10.0.0.0/104")`, `{"i": "10.0.0.1"}`, true)
	f(`cidrMatch(i, "10.0.0.0/8") == false`, `{}`, true)
	f(`cidrMatch(u, "10.0.0.0/8")`, `{"u": "10.0.0.1"}`, true)
	f(`cidrMatch(u, "10.0.0.0/8")`, `{"u": "x"}`, false)
	f(`string(cidrMatch(i, "10.0.0.0/8")) == "true"`, `{"i": "10.0.0.1"}`, true)
}

func TestTextFunctions(t *testing.T) {
	f := table(t)
	f(`length(k) == 3`, `{"k": "abc"}`, true)
	f(`length(k) == 2`, `{"k": "😀"}`, true)
	f(`length(k) == 0`, `{"k": ""}`, true)
	f(`length(k) > 5 and length(k) < 3`, `{"k": ["a", "abcdef"]}`, true)
	f(`length(k) != 3`, `{}`, true)
	f(`concat(k, 1, true, "x") == "a1truex"`, `{"k": "a"}`, true)
	f(`concat(k, null) == null`, `{"k": "a"}`, true)
	f(`concat(k, d) == "a1.5"`, `{"k": "a", "d": 1.5}`, true)
	f(`string(n) == "5"`, `{"n": 5}`, true)
	f(`string(i) == "10.0.0.1"`, `{"i": "10.0.0.1"}`, true)
	f(`substring(k, 1) == "bc"`, `{"k": "abc"}`, true)
	f(`substring(k, -2) == "bc"`, `{"k": "abc"}`, true)
	f(`substring(k, 0, -1) == "ab"`, `{"k": "abc"}`, true)
	f(`substring(k, 5) == ""`, `{"k": "abc"}`, true)
	f(`substring(k, 2, 1) == ""`, `{"k": "abc"}`, true)
	f(`substring(k, null) == "abc"`, `{"k": "abc"}`, true)
	f(`substring(k, 1, 2) == "本"`, `{"k": "日本語"}`, true)
	f(`substring(k, 0, 2) == "😀"`, `{"k": "😀x"}`, true)
	f(`indexOf(k, "b") == 1`, `{"k": "abcb"}`, true)
	f(`indexOf(k, "b", 2) == 3`, `{"k": "abcb"}`, true)
	f(`indexOf(k, "b", -9) == 1`, `{"k": "abcb"}`, true)
	f(`indexOf(k, "b", 9) == null`, `{"k": "abcb"}`, true)
	f(`indexOf(k, "", 2) == 2`, `{"k": "abcb"}`, true)
	f(`indexOf~(k, "B") == 1`, `{"k": "abcb"}`, true)
	f(`indexOf(k, "x") == 2`, `{"k": "😀x"}`, true)
	f(`between(k, "a", "c") == "b"`, `{"k": "abcc"}`, true)
	f(`between(k, "a", "c", true) == "bc"`, `{"k": "abcc"}`, true)
	f(`between~(k, "A", "C") == "b"`, `{"k": "abcc"}`, true)
	f(`between(k, "x", "c") == ""`, `{"k": "abcc"}`, true)
	f(`between(k, "", "c") == "abcc"`, `{"k": "abcc"}`, true)
	f(`between(k, "c", "a", true) == null`, `{"k": "abc"}`, true)
	f(`number(k) == 10`, `{"k": "10"}`, true)
	f(`number(k) == 10.5`, `{"k": "10.5"}`, true)
	f(`number(k) == 31`, `{"k": "0x1f"}`, true)
	f(`number(k, 16) == 31`, `{"k": "1f"}`, true)
	f(`number(k, null) == 31`, `{"k": "0x1f"}`, true)
	f(`number(k) == null`, `{"k": "ten"}`, true)
}

func TestArithmetic(t *testing.T) {
	f := table(t)
	f(`n + 1 == 6`, `{"n": 5}`, true)
	f(`n + 1 == 6`, `{"n": [1, 5]}`, true)
	f(`n + 1 == 6`, `{}`, false)
	f(`n + 1 != 6`, `{}`, true)
	f(`7 / 2 == 3`, `{}`, true)
	f(`n / 2 == 3.5`, `{"n": 7}`, false)
	f(`n / 2.0 == 3.5`, `{"n": 7}`, true)
	f(`-10 % -6 == -4`, `{}`, true)
	f(`modulo(n, 3) == 1`, `{"n": 7}`, true)
	f(`n % 0 == null`, `{"n": 7}`, true)
	f(`n1 * n2 == 12`, `{"n1": [2, 3], "n2": [5, 4]}`, true)
	f(`n + 1 == null`, `{"n": 9223372036854775807}`, true)
	f(`n * 2 == null`, `{"n": 9223372036854775807}`, true)
	f(`n - 1 == null`, `{"n": -9223372036854775808}`, true)
	f(`-n == -5`, `{"n": 5}`, true)
	f(`1 + 2 * 3 == 7`, `{}`, true)
	f(`add(1, subtract(5, n)) > 3`, `{"n": 2}`, true)
	f(`divide(n, 2) == 2`, `{"n": 5}`, true)
	f(`multiply(n, 2) == 10`, `{"n": 5}`, true)
}

func TestErrors(t *testing.T) {
	f := func(where, at, want string) {
		t.Helper()
		text := "any where " + where
		_, err := eql.NewEnv(event.NewSchema(testTypes), eql.EnvOptions{}).Compile(text, eql.QueryOptions{})
		var errs ast.Errors
		if !errors.As(err, &errs) {
			t.Errorf("%s: got error %v, want ast.Errors", where, err)
			return
		}
		if got := errs[0].Error(); !strings.Contains(got, want) {
			t.Errorf("%s: got error %q, want %q", where, got, want)
		}
		if got := text[errs[0].Pos:errs[0].End]; got != at {
			t.Errorf("%s: got the error at %q, want %q", where, got, at)
		}
	}
	f(`wildcrd(k, "a")`, `wildcrd`, `did you mean wildcard?`)
	f(`arrayContains(k, "a")`, `arrayContains`, `Endgame`)
	f(`match(k, "a")`, `match`, `use regex`)
	f(`k1 == k2`, `k1 == k2`, `cannot be compared with fields`)
	f(`length(k) == n`, `length(k) == n`, `cannot be compared with fields`)
	f(`?k1 == ?k2`, `?k1 == ?k2`, `cannot be compared with fields`)
	f(`length(n) == 1`, `n`, `argument 1 of length must be text, but this is a number`)
	f(`length(k, k) == 1`, `length(k, k)`, `takes 1 argument, but has 2`)
	f(`startsWith(k)`, `startsWith(k)`, `takes 2 arguments, but has 1`)
	f(`substring(k) == ""`, `substring(k)`, `takes 2 to 3 arguments`)
	f(`cidrMatch(i)`, `cidrMatch(i)`, `at least 2 arguments`)
	f(`concat() == ""`, `concat()`, `at least 1 argument, but has 0`)
	f(`cidrMatch(i, k)`, `k`, `must be a constant`)
	f(`cidrMatch(i, "10.0.0.0/33")`, `"10.0.0.0/33"`, `not an IP address`)
	f(`length~(k) == 1`, `length`, `no form that ignores case`)
	f(`k`, `k`, `must be boolean, but this is text`)
	f(`b and n`, `n`, `must be boolean, but this is a number`)
	f(`not "a"`, `"a"`, `must be boolean`)
	f(`length(k)`, `length(k)`, `must be boolean, but this is a number`)
	f(`n == "abc"`, `"abc"`, `not a value for the type long of field n`)
	f(`b == 5`, `5`, `not a value for the type boolean`)
	f(`i == "x"`, `"x"`, `not a value for the type ip`)
	f(`t == "soon"`, `"soon"`, `not a value for the type date`)
	f(`t > "now-1d"`, `"now-1d"`, `date math`)
	f(`n in (1, "x")`, `"x"`, `left of it stands a number, but this is text`)
	f(`n in ("1")`, `"1"`, `without quotes`)
	f(`k in (1)`, `1`, `in quotes`)
	f(`b in ("true")`, `"true"`, `left of it stands boolean`)
	f(`i in ("10.0.0.1")`, `"10.0.0.1"`, `use cidrMatch`)
	f(`t in ("2024-01-01")`, `"2024-01-01"`, `compare dates with ==`)
	f(`n in~ (1)`, `n`, `in~ takes text, but this is a number (use in)`)
	f(`k in~ ("a", 1)`, `1`, `in~ takes text`)
	f(`cidrMatch(k, "10.0.0.0/8")`, `k`, `must be an IP address, but this is text`)
	f(`cidrMatch("10.0.0.1", "10.0.0.0/8")`, `"10.0.0.1"`, `must be an IP address, but this is text`)
	f(`number(k, 1.0) == 1`, `1.0`, `argument 2 of number must be a whole number`)
	f(`substring(k, -1.5) == ""`, `-1.5`, `argument 2 of substring must be a whole number`)
	f(`indexOf(k, "a", d) == 1`, `d`, `argument 3 of indexOf must be a whole number`)
	f(`n : "5"`, `n`, `: takes text, but this is a number`)
	f(`i : "10.*"`, `i`, `use == or cidrMatch`)
	f(`k : 5`, `5`, `: takes text`)
	f(`k in ("a", length(k2))`, `length(k2)`, `constants on its right side`)
	f(`k : k2`, `k2`, `constants only`)
	f(`k regex "(a"`, `"`, `regular expression: expected ')' at character 3 (( at character 1 begins it; where it is meant literally it is written \()`)
	f(`k regex ("a", "é\n\\bfoo")`, `\\b`, `unknown escape \b at character 3 (there are no word boundaries`)
	f(`k regex~ """x\u{2}"""`, `\u`, `unknown escape \u at character 2 (write the character itself`)
	f(`k regex ("a", "")`, `""`, `an alternative can't be empty`)
	f(`k regex "[z-a]"`, `z`, `upside down`)
	f(`k regex "\u{61}{9999}{9999}"`, `\u{61}{9999}{9999}`, `too complex`)
	f(`k + 1 == 2`, `k`, `+ takes numbers, but this is text`)
}

func TestSequenceErrors(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := eql.NewEnv(event.NewSchema(testTypes), eql.EnvOptions{}).Compile(text, eql.QueryOptions{})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", text, err, want)
		}
	}
	f(`sequence [any where n] [any where true]`, "must be boolean")
	f(`sequence [any where b] [any where true] until [any where k]`, "must be boolean")
	f(`sample by k [any where b] [any where k]`, "must be boolean")
	f(`sequence [any where true]`, "2 stages") // from the parser
}

func TestQuery(t *testing.T) {
	schema := event.NewSchema(testTypes)
	env := eql.NewEnv(schema, eql.EnvOptions{})
	q, err := env.Compile(`sequence by k1 with maxspan=3s
		[process where k2 == "a" and n > 1] by ?k3
		![any where k2 == "a"] by k4 with runs=2
		[file where stringContains(k2, "*")] by k4
		until [any where b] by k4`, eql.QueryOptions{CategoryField: "kind"})
	if err != nil {
		t.Fatal(err)
	}
	x := q.Explain()
	if got, want := x.Stages[0].Fields, []event.Field{
		{Path: "k1", Type: event.Keyword},
		{Path: "k3", Type: event.Keyword},
		{Path: "k2", Type: event.Keyword},
		{Path: "n", Type: event.Long},
		{Path: "kind", Type: event.Keyword},
	}; !cmp.Equal(got, want) {
		t.Errorf("fields: %s", cmp.Diff(want, got))
	}
	if got, want := x.Stages[0].Keys, []string{"k1", "?k3"}; !cmp.Equal(got, want) {
		t.Errorf("got keys %v, want %v", got, want)
	}
	if got, want := [...]int{x.Stages[0].Atoms, x.Stages[1].Atoms, x.Stages[1].Runs, x.Atoms}, [...]int{3, 1, 2, 6}; got != want {
		t.Errorf("got atoms and runs %v, want %v", got, want)
	}
	if q.Kind != eql.Sequence || q.MaxSpan != 3000 || q.Until == nil || !q.Stages[1].Missing {
		t.Errorf("got query %+v", q)
	}
	if len(q.Warnings) != 1 || !strings.Contains(q.Warnings[0].Msg, "wildcard") {
		t.Errorf("got warnings %v, want one on the wildcard", q.Warnings)
	}
	sample, err := env.Compile(`sample by k [any where true] [any where b]`, eql.QueryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if sample.Kind != eql.Sample || len(sample.Stages) != 2 {
		t.Errorf("got %+v, want a sample of two stages", sample)
	}
}

func TestCategory(t *testing.T) {
	f := func(query, doc string, want bool) {
		t.Helper()
		schema := event.NewSchema(testTypes)
		env := eql.NewEnv(schema, eql.EnvOptions{})
		q, err := env.Compile(query, eql.QueryOptions{})
		if err != nil {
			t.Fatal(err)
		}
		ev := event.New(schema)
		if err := event.NewDecoder(schema).Decode([]byte(doc), ev); err != nil {
			t.Fatal(err)
		}
		if got := q.Stages[0].Match(ev, env.NewMemo()); got != want {
			t.Errorf("%s on %s: got %v, want %v", query, doc, got, want)
		}
	}
	f(`process where true`, `{"event.category": ["file", "process"]}`, true)
	f(`process where true`, `{"event.category": "Process"}`, false)
	f(`process where true`, `{}`, false)
	f(`any where true`, `{}`, true)
	f(`"process" where true`, `{"event": {"category": "process"}}`, true)
}

func TestJoinKeys(t *testing.T) {
	schema := event.NewSchema(testTypes)
	env := eql.NewEnv(schema, eql.EnvOptions{})
	q, err := env.Compile(`sequence by k1, ?n [any where true] [any where true]`, eql.QueryOptions{})
	if err != nil {
		t.Fatal(err)
	}
	k1, n := schema.Lookup("k1"), schema.Lookup("n")
	tuple := func(vs ...event.Value) string {
		var b []byte
		for _, v := range vs {
			b = event.AppendTuple(b, v)
		}
		return string(b)
	}
	f := func(add func(*event.Event), want ...string) {
		t.Helper()
		ev := event.New(schema)
		add(ev)
		keys, truncated := q.Stages[0].JoinKeys(ev, nil)
		got := make([]string, len(keys))
		for i, k := range keys {
			got[i] = string(k)
		}
		if len(got)+len(want) > 0 && !cmp.Equal(got, want) || truncated {
			t.Errorf("got %q, truncated %v, want %q", got, truncated, want)
		}
		one := len(ev.Values(k1)) == 1 && len(ev.Values(n)) == 1
		if key, ok := q.Stages[0].AppendJoinKey(append(make([]byte, 0, 64), 'x'), ev); ok != one || ok && string(key) != "x"+want[0] {
			t.Errorf("got the key %q, only one %v, want %q, %v", key, ok, want, one)
		}
	}
	a, b, one, two := event.StringValue("a"), event.StringValue("b"), event.IntValue(1), event.IntValue(2)
	null := event.Value{}
	f(func(*event.Event) {})
	f(func(ev *event.Event) { ev.Add(n, one) })
	f(func(ev *event.Event) { ev.Add(k1, a) }, tuple(a, null))
	f(func(ev *event.Event) {
		ev.Add(k1, a)
		ev.Add(n, one)
	}, tuple(a, one))
	f(func(ev *event.Event) {
		for _, v := range []event.Value{b, a, b} {
			ev.Add(k1, v)
		}
		ev.Add(n, one)
		ev.Add(n, two)
	}, tuple(b, one), tuple(b, two), tuple(a, one), tuple(a, two))

	ev := event.New(schema)
	ev.Add(k1, event.StringValue(strings.Repeat("x", 64)))
	ev.Add(n, one)
	if key, ok := q.Stages[0].AppendJoinKey(make([]byte, 0, 64), ev); ok {
		t.Errorf("got the key %q, for which there is no room", key)
	}
	ev = event.New(schema)
	for i := range int64(40) {
		ev.Add(k1, event.StringValue(strings.Repeat("x", int(i))))
		ev.Add(n, event.IntValue(i))
	}
	if keys, truncated := q.Stages[0].JoinKeys(ev, nil); len(keys) != 1024 || !truncated {
		t.Errorf("got %d keys, truncated %v, want 1024, true", len(keys), truncated)
	}
}

func TestNeeds(t *testing.T) {
	f := func(where string, want ...string) {
		t.Helper()
		schema := event.NewSchema(testTypes)
		q, err := eql.NewEnv(schema, eql.EnvOptions{}).Compile("any where "+where, eql.QueryOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, group := range q.Stages[0].Needs() {
			var parts []string
			for _, n := range group {
				op := [...]string{"=", "^", "?^", "$", "~", "!"}[n.Op]
				parts = append(parts, schema.Field(n.Slot).Path+op+n.Text)
			}
			got = append(got, strings.Join(parts, " "))
		}
		if !cmp.Equal(got, want) {
			t.Errorf("%s: %s", where, cmp.Diff(want, got))
		}
	}
	f(`k == "A"`, "k=a")
	f(`k in ("B", "a")`, "k=b k=a")
	f(`k : ("a*", "*b", "x*yy*", "*mid*", "c")`, "k=c k$b k~mid k^a k^x", "k!")
	f(`k == "a" and u : "b"`, "k=a", "u=b")
	f(`k == "a" or u : "b"`, "k=a u=b")
	f(`k == "a" or n == 5`, "k=a n=5")
	f(`(k == "a" and u like "b*") or (n > 5 and startsWith(k, "C"))`, "k=a k^c")
	f(`k : "?:\\x*" and u : "??a*" and n != null`, "n!", `k?^:\x`, "u~a", "u!")
	f(`not k == "a"`)
	f(`k : "*"`, "k!")
	f(`i == "10.0.0.1"`, "i=10.0.0.1")
	f(`stringContains(k, "a\\*b")`, "k~a*b", "k!")
	f(`length(k) == 5`)
}
