package conformance

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/pipeline/replay"
)

// pythonEvents reads the events of the Python suite. Their time is in hundreds of nanoseconds since 1601.
func pythonEvents(fsys fs.FS, name string) (*dataSet, error) {
	d, err := readDocuments(fsys, name, "serial_event_id")
	if err != nil {
		return nil, err
	}
	const epoch, perMilli = 116_444_736_000_000_000, 10_000
	for i, doc := range d.docs {
		var at struct {
			Timestamp int64 `json:"timestamp"`
		}
		if err := json.Unmarshal(doc, &at); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		ms := strconv.FormatInt((at.Timestamp-epoch)/perMilli, 10)
		d.docs[i] = slices.Concat([]byte(`{"@timestamp":`+ms+`,`), doc[1:])
	}
	return d, nil
}

// additional runs the queries that Elasticsearch added to Python's over the same events. They are of early 2021,
// when `:` compared values of any type: see retypeColons. What applies is decided as for Python's queries.
func additional(fsys fs.FS, name string, r *Result) error {
	cases, err := readQueries(fsys, name)
	if err != nil {
		return err
	}
	data, err := pythonEvents(fsys, path.Join(path.Dir(name), "..", "python-eql", "test_data.json"))
	if err != nil {
		return err
	}
	for i := range cases {
		query := retypeColons(cases[i].Query)
		if reason := endgameOnly(query); reason != "" {
			r.skip(reason)
			continue
		}
		r.note(cases[i].Name, query, data.check(query, &cases[i]))
	}
	return nil
}

// pythonQueries runs the queries of the original implementation in Elasticsearch's words: see fromPython. A query
// applies unless endgameOnly, pythonOnly or refusal gives a reason.
func pythonQueries(fsys fs.FS, name string, r *Result) error {
	cases, err := readQueries(fsys, name)
	if err != nil {
		return err
	}
	data, err := pythonEvents(fsys, path.Join(path.Dir(name), "test_data.json"))
	if err != nil {
		return err
	}
	for i := range cases {
		c := &cases[i]
		reason := endgameOnly(c.Query)
		if reason == "" {
			reason = pythonOnly(c.Query, c.CaseInsensitive, data.absent)
		}
		if reason != "" {
			r.skip(reason)
			continue
		}
		query := fromPython(c.Query, c.CaseInsensitive)
		problem := data.check(query, c)
		if reason := refusal(problem); reason != "" {
			r.skip(reason)
			continue
		}
		r.note(c.Name, query, problem)
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

// pythonFolding runs expressions of constants: each becomes a query that compares it with its value. Templates, which
// stand for many expressions, are no cases here.
func pythonFolding(fsys fs.FS, name string, r *Result) error {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	var groups map[string]foldGroup
	if err := toml.Unmarshal(data, &groups); err != nil {
		return err
	}
	noField := func(string) bool { return false }
	doc := [][]byte{[]byte(`{"@timestamp":0}`)}
	for group, g := range groups {
		for i, c := range g.Fold.Tests {
			reason := endgameOnly(c.Expression)
			if reason == "" {
				reason = pythonOnly(c.Expression, g.CaseInsensitive, noField)
			}
			if reason == "" {
				reason = c.differs()
			}
			if reason != "" {
				r.skip(reason)
				continue
			}
			query := fmt.Sprintf("any where (%s) == %s", fromPython(c.Expression, g.CaseInsensitive), c.value())
			problem := ""
			if res, err := runQuery(query, doc, replay.QueryOptions{}); err != nil {
				problem = err.Error()
			} else if len(res.Matches) != 1 {
				problem = "it has another value"
			}
			r.note(group+" "+strconv.Itoa(i+1), query, problem)
		}
	}
	return nil
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
		case t.text == "number" && len(args) > 0 && len(args[0]) == 1 && strings.ContainsAny(args[0][0].text, "+ "):
			return "blanks and a leading + in number() are Python's"
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
