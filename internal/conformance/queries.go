package conformance

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/parser"
	"github.com/weir-eql/weir/event"
)

// querySpec is a case of the suites in TOML.
type querySpec struct {
	Name            string   `toml:"name"`
	Query           string   `toml:"query"`
	Want            []any    `toml:"expected_event_ids"` // numbers, or lists of them of which one is right
	JoinKeys        []string `toml:"join_keys"`
	CaseInsensitive bool     `toml:"case_insensitive"`

	want [][]int // the answers, any of which is right
}

// readQueries reads the cases of a file; those without a name get their number.
func readQueries(path string) ([]querySpec, error) {
	data, err := readAll(path)
	if err != nil {
		return nil, err
	}
	var file struct {
		Queries []querySpec `toml:"queries"`
	}
	if err := toml.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	for i := range file.Queries {
		c := &file.Queries[i]
		if c.Name == "" {
			c.Name = "#" + strconv.Itoa(i+1)
		}
		if c.want, err = answers(c.Want); err != nil {
			return nil, fmt.Errorf("%s: expected_event_ids: %w", c.Name, err)
		}
	}
	return file.Queries, nil
}

// answers reads the numbers of the expected events: one list, or a list of lists.
func answers(list []any) ([][]int, error) {
	numbers := func(list []any) ([]int, error) {
		out := make([]int, len(list))
		for i, v := range list {
			n, ok := v.(int64)
			if !ok {
				return nil, fmt.Errorf("%v is no number", v)
			}
			out[i] = int(n)
		}
		return out, nil
	}
	if len(list) == 0 {
		return [][]int{nil}, nil
	}
	if _, nested := list[0].([]any); !nested {
		one, err := numbers(list)
		return [][]int{one}, err
	}
	var out [][]int
	for _, v := range list {
		inner, ok := v.([]any)
		if !ok {
			return nil, errors.New("numbers and lists are mixed")
		}
		one, err := numbers(inner)
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// match is one match as a suite writes it: the numbers of its events and its join keys.
type match struct {
	ids  []int
	keys []string
}

func (m match) String() string {
	text := fmt.Sprint(m.ids)
	if len(m.keys) > 0 {
		text += " by " + strings.Join(m.keys, ", ")
	}
	return text
}

// completed returns the event that completed the match.
func (m match) completed() int {
	for _, id := range slices.Backward(m.ids) {
		if id >= 0 {
			return id
		}
	}
	return -1
}

// untied returns the matches of a query as text, those that one event completes in an order of their own: Elasticsearch's
// order among them depends on how it pages. So does its order of samples, which no event completes.
func untied(query string, ms []match) string {
	text := make([]string, len(ms))
	for i, m := range ms {
		text[i] = m.String()
	}
	if isSample(query) {
		slices.Sort(text)
		return strings.Join(text, "; ")
	}
	for i := 0; i < len(ms); {
		j := i + 1
		for j < len(ms) && ms[j].completed() == ms[i].completed() {
			j++
		}
		slices.Sort(text[i:j])
		i = j
	}
	return strings.Join(text, "; ")
}

func isSample(query string) bool {
	stmt, err := parser.Parse(query)
	_, sample := stmt.(*ast.Sample)
	return err == nil && sample
}

// answer runs a query and returns its matches.
func (d *dataSet) answer(query string) ([]match, error) {
	res, err := runQuery(query, d.docs, d.options)
	if err != nil {
		return nil, err
	}
	out := make([]match, len(res.Matches))
	for i, m := range res.Matches {
		for _, e := range m.Events {
			if e.Missing {
				out[i].ids = append(out[i].ids, -1)
			} else {
				out[i].ids = append(out[i].ids, d.ids[e.Index])
			}
		}
		for _, k := range m.JoinKeys {
			out[i].keys = append(out[i].keys, keyText(k))
		}
	}
	return out, nil
}

func keyText(v event.Value) string {
	if v.IsMissing() {
		return "null"
	}
	return v.Text()
}

// check runs a case. Join keys are compared where the case has some.
func (d *dataSet) check(query string, c *querySpec) outcome {
	got, err := d.answer(query)
	if err != nil {
		return failed(err, fmt.Sprint(c.want[0]))
	}
	if len(c.JoinKeys) == 0 {
		for i := range got {
			got[i].keys = nil
		}
	}
	text := untied(query, got)
	first := ""
	for i, ids := range c.want {
		want := untied(query, c.matches(ids, got))
		if want == text {
			return outcome{text, text}
		}
		if i == 0 {
			first = want
		}
	}
	return outcome{text, first}
}

// matches cuts the numbers of expected events, and the join keys, into matches as long as those that were found.
func (c *querySpec) matches(ids []int, got []match) []match {
	size, keys := len(ids), len(c.JoinKeys)
	if len(got) > 0 {
		size, keys = len(got[0].ids), len(got[0].keys)
	}
	var out []match
	rest := c.JoinKeys
	for chunk := range slices.Chunk(ids, max(1, size)) {
		m := match{ids: chunk}
		if keys > 0 {
			n := min(keys, len(rest))
			m.keys, rest = rest[:n], rest[n:]
		}
		out = append(out, m)
	}
	return out
}

// runQueries runs queries in Elasticsearch's words over documents. Early ones compared values of any type with `:`, see
// retypeColons. A query applies unless Elasticsearch of today refuses it, or its answer depends on a mapping that wasn't given.
func runQueries(s *session, f *file, r *Result) error {
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
		query := retypeColons(c.Query)
		if reason := endgameOnly(query); reason != "" {
			_, err := data.answer(query)
			r.refuse(c.Name, query, reason, err)
			continue
		}
		if reason := data.unmapped(query); reason != "" {
			r.skip(c.Name, query, reason)
			continue
		}
		r.note(c.Name, query, data.check(query, c))
	}
	return nil
}

// unmapped says what a query needs to know of its index's mapping, where neither the field tables nor the documents tell.
func (d *dataSet) unmapped(query string) string {
	tokens := scan(query)
	for i, t := range tokens {
		if t.kind != word {
			continue
		}
		if hasValue, occurs := d.fields[t.text]; occurs && !hasValue {
			if _, declared := d.options.Fields.Null(t.text); !declared {
				return "the documents have " + t.text + " as null only: the answer depends on the null_value of its mapping, which --fields can declare"
			}
		}
		if i+2 < len(tokens) && strings.ContainsAny(tokens[i+1].text, "<>") && isVersion(tokens[i+2]) &&
			d.options.Fields.TypeOf(t.text) == event.Unknown {
			return "a field is ordered by versions: the answer depends on the type of " + t.text + ", which --fields can declare"
		}
	}
	return ""
}

// isVersion reports whether a token is a text of numbers with two dots or more.
func isVersion(t token) bool {
	if t.kind != text {
		return false
	}
	parts := strings.Split(strings.Trim(t.text, `"`), ".")
	return len(parts) > 2 && !slices.ContainsFunc(parts, func(p string) bool { return p == "" || strings.Trim(p, "0123456789") != "" })
}
