package lint_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/eql/lint"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// conditions makes conditions out of few fields and few values, so that many of them never or always hold.
type conditions struct{ *rand.Rand }

func (c conditions) pick(list ...string) string { return list[c.IntN(len(list))] }

func (c conditions) text() string { return c.pick("a", "ab", "B", "b", "abc", "", "a*b") }

func (c conditions) pattern() string {
	return c.pick("a*", "*b", "a?", "?", "*", "AB*", "b", "*a*", "a*c")
}

func (c conditions) test() string {
	textField := c.pick("process.name", "process.args", "some.field", "user.name")
	number := strconv.Itoa(c.IntN(4))
	switch c.IntN(11) {
	case 0:
		return fmt.Sprintf("%s %s %q", textField, c.pick("==", "!="), c.text())
	case 1:
		return fmt.Sprintf("%s %s (%q, %q)", textField, c.pick("in", "in~", "not in"), c.text(), c.text())
	case 2:
		return fmt.Sprintf("%s %s (%q, %q)", textField, c.pick(":", "like", "like~"), c.pattern(), c.pattern())
	case 3:
		return fmt.Sprintf("%s %s null", textField, c.pick("==", "!="))
	case 4:
		return fmt.Sprintf("%s(%s, %q)", c.pick("startsWith", "endsWith~", "stringContains", "wildcard", "startsWith~"), textField, c.pick("a", "b", "B", "ab", "a*"))
	case 5:
		return fmt.Sprintf("%s %s %s", c.pick("process.pid", "process.exit_code", "event.severity"), c.pick("==", "!=", "<", "<=", ">", ">="), number)
	case 6:
		return fmt.Sprintf("length(%s) %s %s", textField, c.pick("==", "!=", "<", ">"), number)
	case 7:
		return fmt.Sprintf("startsWith(%s, \"a\") == %s", textField, c.pick("true", "false"))
	case 8:
		return fmt.Sprintf("%s regex %q", textField, c.pick("a.*", "a", ".*b"))
	case 9:
		return c.pick("process.pid in (1, 2)", "source.ip == \"10.0.0.1\"", "source.ip != \"10.0.0.2\"", "source.ip == \"10.0.0.0/8\"", "some.field == 1", "some.field > 2",
			"file.pe.go_stripped == true", "file.pe.go_stripped", "some.field == true", "some.field")
	default:
		return c.pick("true", "false", "1 == 1", "\"a\" : \"B\"")
	}
}

func (c conditions) condition(depth int) string {
	if depth == 0 || c.IntN(4) == 0 {
		return c.test()
	}
	if c.IntN(4) == 0 {
		return "not (" + c.condition(depth-1) + ")"
	}
	parts := make([]string, 2+c.IntN(2))
	for i := range parts {
		parts[i] = "(" + c.condition(depth-1) + ")"
	}
	return strings.Join(parts, c.pick(" and ", " or "))
}

// document makes an event of values near those of the conditions; only fields that ECS doesn't give one value have several.
func (c conditions) document() string {
	value := func() any { return c.pick("a", "ab", "B", "b", "abc", "", "a*b", "A", "aXb", "ABC") }
	doc := map[string]any{}
	set := func(path string, f func() any, most int) {
		switch n := c.IntN(most + 1); n {
		case 0:
		case 1:
			doc[path] = f()
		default:
			list := make([]any, n)
			for i := range list {
				list[i] = f()
			}
			doc[path] = list
		}
	}
	number := func() any { return c.IntN(5) - 1 }
	set("process.name", value, 1)
	set("user.name", value, 1)
	set("process.args", value, 3)
	set("some.field", func() any {
		switch c.IntN(4) {
		case 0:
			return number()
		case 1:
			return true
		default:
			return value()
		}
	}, 3)
	set("process.pid", number, 1)
	set("process.exit_code", number, 1)
	set("event.severity", number, 1)
	set("source.ip", func() any { return c.pick("10.0.0.1", "10.0.0.2", "192.0.2.1") }, 1)
	set("file.pe.go_stripped", func() any { return c.IntN(2) == 0 }, 1)
	b, err := json.Marshal(doc)
	if err != nil {
		panic("BUG: " + err.Error())
	}
	return string(b)
}

// TestVerdictsAreSound compares what is said of parts of random conditions with what these evaluate to on random events:
// with its verdict in the place of a part, or without what is called needless, a condition must hold for the same events.
func TestVerdictsAreSound(t *testing.T) {
	c := conditions{rand.New(rand.NewPCG(1, 2))}
	n := 4000
	if testing.Short() {
		n = 1000
	}
	found := map[finding.Code]int{}
	for range n {
		text := "any where " + c.condition(2)
		env := eql.NewEnv(event.NewSchema(ecs.TypeOf), eql.EnvOptions{})
		q, err := env.Compile(text, eql.QueryOptions{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		for _, f := range lint.Query(text, q.Statement(), lint.Options{}) {
			variants := map[finding.Code][]string{
				finding.AlwaysFalse: {"(false)"}, finding.AlwaysTrue: {"(true)"},
				finding.Duplicate: {"(false)", "(true)"}, // in a disjunction and in a conjunction
			}[f.Code]
			if part := text[f.Pos:f.End]; part[0] == '"' && strings.IndexByte(part[1:], '"') == len(part)-2 {
				variants = []string{`"no such value"`} // an element of a list
			}
			if variants == nil || f.Code == finding.LiteralStar {
				continue
			}
			found[f.Code]++
			differs := ""
			for _, v := range variants {
				if differs = c.differs(t, env, text, text[:f.Pos]+v+text[f.End:]); differs == "" {
					break
				}
			}
			if differs != "" {
				t.Fatalf("%s\n%s: %s %q: not so for %s", text, f.Code, f.Msg, text[f.Pos:f.End], differs)
			}
		}
	}
	for _, code := range []finding.Code{finding.AlwaysFalse, finding.AlwaysTrue, finding.Duplicate} {
		if found[code] < 50 {
			t.Errorf("%d findings of %s are too few to say anything", found[code], code)
		}
	}
	t.Log(found)
}

// differs returns a random event for which only one of two queries holds, "" where it finds none.
func (c conditions) differs(t *testing.T, env *eql.Env, a, b string) string {
	t.Helper()
	var stages []*eql.Stage
	for _, text := range []string{a, b} {
		q, err := env.Compile(text, eql.QueryOptions{})
		if err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		stages = append(stages, q.Stages[0])
	}
	memo, dec, ev := env.NewMemo(), event.NewDecoder(env.Schema()), event.New(env.Schema())
	for range 50 {
		doc := c.document()
		if err := dec.Decode([]byte(doc), ev); err != nil {
			t.Fatal(err)
		}
		memo.Reset()
		if stages[0].Match(ev, memo) != stages[1].Match(ev, memo) {
			return doc
		}
	}
	return ""
}
