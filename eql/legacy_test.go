package eql_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
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
			Tests         []foldCase `toml:"tests"`
			CaseSensitive struct {
				Tests []foldCase `toml:"tests"`
			} `toml:"case_sensitive"`
			CaseInsensitive struct {
				Tests []foldCase `toml:"tests"`
			} `toml:"case_insensitive"`
		} `toml:"fold"`
	}
	if err := toml.Unmarshal(data, &groups); err != nil {
		t.Fatal(err)
	}
	cases := map[string][]foldCase{}
	for group, g := range groups {
		cases[group] = append(cases[group], g.Fold.Tests...)
		cases[group] = append(cases[group], g.Fold.CaseSensitive.Tests...)
		for _, c := range g.Fold.CaseInsensitive.Tests {
			c.Expression = regexp.MustCompile(`\b(endsWith|startsWith|stringContains|between|indexOf|wildcard)\(`).ReplaceAllString(c.Expression, "$1~(")
			cases[group] = append(cases[group], c)
		}
	}
	return cases
}

func TestPythonFolding(t *testing.T) {
	differ := map[string]string{}
	for _, e := range pythonDiffers {
		differ[e[0]] = e[1]
	}
	total, agreed := 0, 0
	for _, name := range []string{"test_string_functions.toml", "test_folding.toml"} {
		for group, cases := range foldCases(t, name) {
			for _, c := range cases {
				total++
				text := strings.ReplaceAll(c.Expression, "'", `"`)
				want := "null"
				switch v := c.Expected.(type) {
				case nil:
				case string:
					want = fmt.Sprintf("%q", v)
				case float64:
					want = fmt.Sprintf("%f", v)
				default:
					want = fmt.Sprint(v)
				}
				_ = group
				env := eql.NewEnv(event.NewSchema(nil), eql.EnvOptions{})
				q, err := env.Compile(fmt.Sprintf("any where (%s) == %s", text, want), eql.QueryOptions{})
				ok := err == nil && q.Stages[0].Match(event.New(env.Schema()), env.NewMemo())
				if ok {
					agreed++
				}
				if _, known := differ[c.Expression]; known == ok {
					t.Errorf("%s: %s: got agreement %v (want %s, error %v)", group, c.Expression, ok, want, err)
				}
			}
		}
	}
	t.Logf("%d of %d expressions as in Python", agreed, total)
}

// pythonDiffers are expressions whose value differs in Elasticsearch, or that it rejects, and why.
var pythonDiffers = [][2]string{}

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
	agreed := 0
	for _, c := range file.Queries {
		text := strings.NewReplacer(" !: ", " != ", " : true", " == true", " : null", " == null", "true : ", "true == ").Replace(c.Query)
		text = regexp.MustCompile(`(\)|\w) : (\d|number|length)`).ReplaceAllString(text, "$1 == $2")
		got, err := runIDs(t, text, docs)
		if err == nil && slices.Equal(got, c.Want) {
			agreed++
			continue
		}
		t.Logf("%s: %s\ngot %v, %v\nwant %v", c.Name, text, got, err, c.Want)
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
