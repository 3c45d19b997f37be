package docstest_test

import (
	"path/filepath"
	"regexp"
	"testing"
	"testing/fstest"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/ruletest"
)

// TestRuleExample lints the rule of docs/rules.md and runs the cases that stand below it.
func TestRuleExample(t *testing.T) {
	block := regexp.MustCompile("(?s)```toml\n(.*?)```")
	blocks := block.FindAllStringSubmatch(read(t, filepath.Join(root, "docs", "rules.md")), -1)
	if len(blocks) != 2 {
		t.Fatalf("got %d blocks of TOML, want a rule and its cases", len(blocks))
	}
	c, err := rules.LoadFS(fstest.MapFS{"example.toml": {Data: []byte(blocks[0][1])}}, "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range c.Files {
		for _, p := range f.Problems {
			t.Errorf("the rule: line %d: %s", p.Line, p.Text())
		}
	}
	if len(c.Rules) != 1 {
		t.Fatalf("got %d rules, want 1", len(c.Rules))
	}
	cases, err := ruletest.Parse([]byte(blocks[1][1]))
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.NewSet(c.Rules, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	builder := alert.NewECS(alert.Options{MaxBytes: config.DefaultAlertBytes})
	result, err := ruletest.Run(c.Rules[0], cases, func(_ *rules.Rule, events [][]byte) ([][]int, error) {
		return replay.RunRule(t.Context(), &pipeline.Config{Set: set, Alerts: builder, Limits: replay.NoCaps()}, events)
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range result.Cases {
		if !r.Pass() {
			t.Errorf("case %q: %s", r.Case.Name, r.Failure())
		}
	}
}
