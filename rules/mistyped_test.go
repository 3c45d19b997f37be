package rules_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/rules"
)

// findings loads one rule file and returns its problems, one a line.
func findings(t *testing.T, text string) []string {
	t.Helper()
	c, err := rules.LoadFS(fstest.MapFS{"r.toml": {Data: []byte(text)}}, "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, p := range c.Files[0].Problems {
		out = append(out, fmt.Sprintf("%d:%d %s %s", p.Line, p.Column, p.Severity, p.Text()))
	}
	return out
}

const plainRule = `[rule]
rule_id = "r1"
name = "n"
severity = "low"
risk_score = 21
type = "eql"
index = ["a"]
query = 'process where process.name == "nc"'
`

func TestMistypedValues(t *testing.T) {
	for _, tc := range []struct {
		name    string
		replace []string
		want    []string
	}{
		{"several, and the query beside them", []string{
			`"n"`, "3", "21", `"high"`, `["a"]`, `"a"`, "process where", "procces where",
		}, []string{
			"3:8 error rule.name must be a string, found a whole number",
			"5:14 error rule.risk_score must be a whole number, found a string",
			"7:9 error rule.index must be a list of strings, found a string",
			`8:10 warning unknown event category "procces": ECS has no such value of event.category; did you mean process?`,
		}},
		{"an element", []string{`["a"]`, `["a", 3]`}, []string{
			"7:15 error an element of rule.index must be a string, found a whole number",
		}},
		{"a list", []string{`"n"`, `["n"]`}, []string{"3:8 error rule.name must be a string, found a list"}},
		{"a fraction", []string{"21", "2.5"}, []string{"5:14 error rule.risk_score must be a whole number, found a number with a fraction"}},
		{"a boolean in a text of several lines", []string{"21", "21\nenabled = '''\nyes'''"}, []string{
			"6:11 error rule.enabled must be true or false, found a string",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := findings(t, strings.NewReplacer(tc.replace...).Replace(plainRule))
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestCategoriesThatECSDoesNotHave(t *testing.T) {
	text := strings.Replace(plainRule, `process where process.name == "nc"`,
		"sequence [any where true] [netwrk where true] [web where true] until [\"oddities\" where true]", 1)
	want := []string{
		`8:37 warning unknown event category "netwrk": ECS has no such value of event.category; did you mean network?`,
		`8:80 warning unknown event category "oddities": ECS has no such value of event.category`,
	}
	if diff := cmp.Diff(want, findings(t, text)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := findings(t, text+"event_category_override = \"labels.kind\"\n"); len(got) > 0 {
		t.Errorf("another category field: got %v", got)
	}
}
