package pipeline_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// TestWhatLoadsRuns: the limits of the rule loader are those of the machines, so that a rule that lints as
// ok can't keep the service from starting.
func TestWhatLoadsRuns(t *testing.T) {
	for name, c := range map[string]struct {
		query string
		loads bool
	}{
		"63 stages":                 {"sequence" + strings.Repeat(" [any where true]", 63), true},
		"64 stages":                 {"sequence" + strings.Repeat(" [any where true]", 64), false},
		"1,000 stages after runs":   {"sequence" + strings.Repeat(" [any where true] with runs=100", 10), true},
		"1,100 stages after runs":   {"sequence" + strings.Repeat(" [any where true] with runs=100", 11), false},
		"a sample of 63 stages":     {"sample by host.id" + strings.Repeat(" [any where true]", 63), true},
		"a sample of 64 stages":     {"sample by host.id" + strings.Repeat(" [any where true]", 64), false},
		"63 stages and their until": {"sequence" + strings.Repeat(" [any where true]", 63) + " until [any where false]", true},
	} {
		t.Run(name, func(t *testing.T) {
			text := fmt.Sprintf("[rule]\nauthor = [\"Weir\"]\ndescription = \"d\"\nlanguage = \"eql\"\nlicense = \"Apache-2.0\"\n"+
				"name = \"n\"\nrisk_score = 1\nrule_id = \"r\"\nseverity = \"low\"\ntype = \"eql\"\nquery = '''%s'''\n", c.query)
			loaded, err := rules.LoadFS(fstest.MapFS{"r.toml": {Data: []byte(text)}}, "", rules.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if got := loaded.Errors() == 0; got != c.loads {
				t.Fatalf("loads: %v, want %v: %v", got, c.loads, loaded.Files[0].Problems)
			}
			if !c.loads {
				return
			}
			set, err := rules.NewSet(loaded.Rules, rules.SetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := pipeline.NewWorker(config(set), state.OpenMemory().Partition(0), 0); err != nil {
				t.Error(err)
			}
		})
	}
}
