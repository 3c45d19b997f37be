package ruletest_test

import (
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/ruletest"
)

func TestInspect(t *testing.T) {
	const text = `[rule]
rule_id = "r1"
name = "n"
severity = "low"
type = "eql"
index = ["logs-a*"]
query = '''sequence by host.id [process where process.name == "nc"] [network where true] until [process where true]'''
`
	c, err := rules.LoadFS(fstest.MapFS{"r.toml": {Data: []byte(text)}}, "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := ruletest.Inspect(c.Rules[0], [][]byte{
		[]byte(`{"@timestamp":"2026-01-05T10:00:00Z","event":{"category":["process","x"]},"process.name":"nc","host.id":"h"}`),
		[]byte(`{"@timestamp":"2026-01-05T10:00:01.5Z","event":{"category":"network"},"data_stream":{"dataset":"b"}}`),
		[]byte(`{"event":{"category":"file"}}`),
		[]byte(`{`),
	})
	if err != nil {
		t.Fatal(err)
	}
	if got[3].Err == nil {
		t.Error("a broken event: got no error")
	}
	want := []ruletest.Seen{
		{Timed: true, Hits: []string{"stage 1", "until"}, Fields: []ruletest.FieldText{
			{Path: "event.category", Text: `"process", "x"`}, {Path: "host.id", Text: `"h"`}, {Path: "process.name", Text: `"nc"`},
		}},
		{
			Timed: true, Offset: 1500, Hits: []string{"stage 2 (takes no part without host.id)"}, Filtered: true, Lacking: []string{"host.id", "process.name"},
			Fields: []ruletest.FieldText{{Path: "event.category", Text: `"network"`}},
		},
		{Lacking: []string{"host.id", "process.name"}, Fields: []ruletest.FieldText{{Path: "event.category", Text: `"file"`}}},
		{},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(ruletest.Seen{}, "Err"), cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
