package eql_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
)

// foldCase is an expression of constants in the suites of the Python implementation.
type foldCase struct {
	Expression string `toml:"expression"`
	Expected   any    `toml:"expected"`
}

// foldCases collects the cases of one of Python's files, with the name of the group that holds each.
func foldCases(t *testing.T, name string) map[string][]foldCase {
	t.Helper()
	data, err := os.ReadFile(sharedPath(t, "suites", "python-eql", name))
	if err != nil {
		t.Fatal(err)
	}
	var groups map[string]struct {
		Fold struct {
			Tests []foldCase `toml:"tests"`
		} `toml:"fold"`
	}
	if err := toml.Unmarshal(data, &groups); err != nil {
		t.Fatal(err)
	}
	cases := map[string][]foldCase{}
	for group, g := range groups {
		cases[group] = g.Fold.Tests
	}
	return cases
}

// foldable matches what has a form of its own for text in any case, which Python's suite gets by a setting.
var (
	foldableFunction = regexp.MustCompile(`\b(endsWith|startsWith|stringContains|between|indexOf|wildcard)\(`)
	foldableIn       = regexp.MustCompile(`\bin \(`)
)

// elasticDiffers tells why an expression has another value in Elasticsearch, or none; it is empty where both agree.
func elasticDiffers(group, expression string) string {
	switch {
	case strings.HasPrefix(group, "match"), strings.Contains(expression, ":length()"):
		return "Endgame's dialect"
	case group == "string_case_insensitive_match_comparison":
		return "comparisons never fold"
	case group == "between" && strings.Contains(expression, `""`):
		return "an empty bound gives the whole text"
	case group == "number" && strings.Contains(expression, `"+`):
		return "a leading plus is Python's"
	case group == "substring" && strings.Contains(expression, "null, 5"):
		return "a null start gives the whole text"
	default:
		return ""
	}
}

func TestPythonFolding(t *testing.T) {
	total, agreed := 0, 0
	for _, name := range []string{"test_string_functions.toml", "test_folding.toml"} {
		for group, cases := range foldCases(t, name) {
			for _, c := range cases {
				total++
				if elasticDiffers(group, c.Expression) != "" {
					continue
				}
				text := strings.ReplaceAll(c.Expression, "'", `"`)
				if strings.HasSuffix(group, "insensitive") {
					text = foldableIn.ReplaceAllString(foldableFunction.ReplaceAllString(text, "$1~("), "in~ (")
				}
				want := literal(c.Expected)
				if group == "between" && want == "null" && !strings.Contains(text, "null") {
					want = `""` // what is absent is empty in Elasticsearch
				}
				env := eql.NewEnv(event.NewSchema(nil), eql.EnvOptions{})
				q, err := env.Compile(fmt.Sprintf("any where (%s) == %s", text, want), eql.QueryOptions{})
				if err != nil || !q.Stages[0].Match(event.New(env.Schema()), env.NewMemo()) {
					t.Errorf("%s: %s isn't %s (error %v)", group, text, want, err)
					continue
				}
				agreed++
			}
		}
	}
	t.Logf("%d of %d expressions as in Python", agreed, total)
}

// literal returns the EQL literal for a value.
func literal(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return strconv.Quote(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	default:
		return fmt.Sprint(v)
	}
}

func TestAdditionalQueries(t *testing.T) {
	data, err := os.ReadFile(sharedPath(t, "suites", "elasticsearch", "additional_test_queries.toml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Queries []struct {
			Name  string `toml:"name"`
			Query string `toml:"query"`
			Want  []int  `toml:"expected_event_ids"`
		} `toml:"queries"`
	}
	if err := toml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	docs := pythonEvents(t)
	endgame := regexp.MustCompile(`\bmatch(Lite)?\(`)
	agreed := 0
	for _, c := range file.Queries {
		if endgame.MatchString(c.Query) || strings.Contains(c.Query, "sequence") {
			continue // another dialect, or the sequence machine's
		}
		text := strings.NewReplacer(" !: ", " != ", " : true", " == true", " : null", " == null", "true : ", "true == ").Replace(c.Query)
		text = regexp.MustCompile(`(\)|\w) : (\d|number|length|serial)`).ReplaceAllString(text, "$1 == $2")
		got, err := runIDs(t, text, docs)
		if err == nil && slices.Equal(got, c.Want) {
			agreed++
			continue
		}
		t.Errorf("%s: %s\ngot %v, %v\nwant %v", c.Name, text, got, err, c.Want)
	}
	t.Logf("%d of %d queries agree", agreed, len(file.Queries))
}

// pythonEvents returns the events of the Python implementation's suite.
func pythonEvents(t *testing.T) []json.RawMessage {
	t.Helper()
	data, err := os.ReadFile(sharedPath(t, "suites", "python-eql", "test_data.json"))
	if err != nil {
		t.Fatal(err)
	}
	var docs []json.RawMessage
	if err := json.Unmarshal(data, &docs); err != nil {
		t.Fatal(err)
	}
	return docs
}

// runIDs returns the serial numbers of the events that an event query matches.
func runIDs(t *testing.T, text string, docs []json.RawMessage) ([]int, error) {
	t.Helper()
	schema := event.NewSchema(nil)
	env := eql.NewEnv(schema, eql.EnvOptions{})
	q, err := env.Compile(text, eql.QueryOptions{CategoryField: "event_type"})
	if err != nil {
		return nil, err
	}
	id := schema.Add("serial_event_id")
	got := []int{}
	decoder, ev, memo := event.NewDecoder(schema), event.New(schema), env.NewMemo()
	for _, doc := range docs {
		if err := decoder.Decode(doc, ev); err != nil {
			t.Fatal(err)
		}
		memo.Reset()
		if q.Stages[0].Match(ev, memo) {
			got = append(got, int(ev.First(id).Int()))
		}
	}
	return got, nil
}
