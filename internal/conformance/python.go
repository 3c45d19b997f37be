package conformance

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/pipeline/replay"
)

// runPythonQueries runs the queries of the original implementation in Elasticsearch's words: see fromPython. A query
// applies unless endgameOnly or refusal gives a reason, or its answer is another one and pythonOnly gives one.
func runPythonQueries(s *session, f *file, r *Result) error {
	cases, err := readQueries(f.path)
	if err != nil {
		return err
	}
	data, err := s.documentsFor(f, cases)
	if err != nil {
		return err
	}
	r.Data = data.path
	for i := range cases {
		c := &cases[i]
		query := fromPython(c.Query, c.CaseInsensitive)
		if reason := endgameOnly(c.Query); reason != "" {
			_, err := data.answer(query)
			r.refuse(c.Name, c.Query, reason, err)
			continue
		}
		o := data.check(query, c)
		if reason := pythonOnly(c.Query, c.CaseInsensitive, data.absent); reason != "" && !o.ok() {
			r.skip(c.Name, c.Query, reason)
			continue
		}
		if reason := refusal(o.got); reason != "" {
			r.skip(c.Name, query, reason)
			continue
		}
		r.note(c.Name, query, o)
	}
	return nil
}

// foldGroup is the expressions of constants that stand under one heading.
type foldGroup struct {
	CaseInsensitive bool `toml:"case_insensitive"`
	Fold            struct {
		Tests []foldCase `toml:"tests"`
	} `toml:"fold"`
}

type foldCase struct {
	Expression string `toml:"expression"`
	Want       any    `toml:"expected"`
}

// runExpressions runs expressions of constants: each becomes a query that compares it with its value. Templates, which
// stand for many expressions, are no cases here.
func runExpressions(f *file, r *Result) error {
	data, err := readAll(f.path)
	if err != nil {
		return err
	}
	var groups map[string]foldGroup
	if err := toml.Unmarshal(data, &groups); err != nil {
		return err
	}
	for _, group := range slices.Sorted(maps.Keys(groups)) {
		g := groups[group]
		for i := range g.Fold.Tests {
			g.Fold.Tests[i].run(group+" "+strconv.Itoa(i+1), g.CaseInsensitive, r)
		}
	}
	return nil
}

func (c *foldCase) run(name string, insensitive bool, r *Result) {
	query := fmt.Sprintf("any where (%s) == %s", fromPython(c.Expression, insensitive), c.value())
	answer := func() (string, error) {
		res, err := runQuery(query, [][]byte{[]byte(`{"@timestamp":0}`)}, replay.QueryOptions{})
		if err != nil {
			return "", err
		}
		return strconv.FormatBool(len(res.Matches) == 1), nil
	}
	if reason := endgameOnly(c.Expression); reason != "" {
		_, err := answer()
		r.refuse(name, c.Expression, reason, err)
		return
	}
	got, err := answer()
	if got != "true" {
		reason := pythonOnly(c.Expression, insensitive, func(string) bool { return false })
		if reason == "" {
			reason = c.differs()
		}
		if reason != "" {
			r.skip(name, c.Expression, reason)
			return
		}
	}
	if err != nil {
		r.note(name, query, failed(err, "true"))
		return
	}
	r.note(name, query, outcome{got, "true"})
}

// differs says why an expression of constants has another value in Elasticsearch.
func (c *foldCase) differs() string {
	tokens := scan(c.Expression)
	for i, t := range tokens {
		if t.kind != word || i+1 == len(tokens) || tokens[i+1].text != "(" {
			continue
		}
		args := arguments(tokens[i+2:])
		switch {
		case t.text == "between" && len(args) > 2 && (isText(args[1], "") || isText(args[2], "")):
			return "between with an empty bound gives the whole text"
		case t.text == "substring" && len(args) > 2 && len(args[1]) == 1 && args[1][0].text == "null":
			return "substring from null gives the whole text"
		}
	}
	return ""
}

// arguments cuts the tokens behind an opening bracket into the arguments of the call.
func arguments(tokens []token) [][]token {
	var out [][]token
	var arg []token
	depth := 0
	for _, t := range tokens {
		switch t.text {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth < 0 || depth == 0 && t.text == "," {
			out = append(out, arg)
			arg = nil
			if depth < 0 {
				return out
			}
			continue
		}
		arg = append(arg, t)
	}
	return out
}

func isText(arg []token, want string) bool {
	return len(arg) == 1 && arg[0].kind == text && arg[0].text[1:len(arg[0].text)-1] == want
}

// value returns the literal of what the expression is worth. What between doesn't find is null in Python and
// empty in Elasticsearch.
func (c *foldCase) value() string {
	switch v := c.Want.(type) {
	case nil:
		if strings.HasPrefix(c.Expression, "between(") && !strings.Contains(c.Expression, "null") {
			return `""`
		}
		return "null"
	case string:
		return literal(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}
