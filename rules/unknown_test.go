package rules_test

import (
	"testing"
	"testing/fstest"

	"github.com/weir-eql/weir/rules"
)

func TestUnknownFieldsAreWarnedOf(t *testing.T) {
	const text = `[rule]
author = ["Weir"]
description = "d"
language = "eql"
license = "Apache-2.0"
name = "n"
risk_score = 1
rule_id = "r"
severity = "low"
type = "eql"
query = '''
sequence by host.idd
  [process where procss.name == "x" and procss.name != "y" and ?no.such == null]
  [process where process.name == "y"]
'''
`
	c, err := rules.LoadFS(fstest.MapFS{"r.toml": {Data: []byte(text)}}, "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	type finding struct {
		line, column int
		severity     rules.Severity
		hint         string
	}
	var got []finding
	for _, p := range c.Files[0].Problems {
		got = append(got, finding{p.Line, p.Column, p.Severity, p.Hint})
	}
	want := []finding{
		{12, 13, rules.SeverityWarning, "did you mean host.id?"},
		{13, 18, rules.SeverityWarning, "did you mean process.name?"},
	}
	if len(got) != len(want) || got[0] != want[0] || got[1] != want[1] {
		t.Errorf("findings %v, want %v", got, want)
	}
	if len(c.Rules) != 1 {
		t.Error("a warning keeps the rule from running")
	}
}
