package detections_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/detections"
	"github.com/weir-eql/weir/rules/ruletest"
)

func load(t *testing.T) *rules.Collection {
	t.Helper()
	c, err := rules.LoadFS(detections.FS(), "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestRules holds the shipped rules to more than lint does: no finding at all, and nothing left out that an
// analyst reads.
func TestRules(t *testing.T) {
	c := load(t)
	if len(c.Rules) < 11 || len(c.Files) != len(c.Rules) {
		t.Fatalf("got %d rules of %d files", len(c.Rules), len(c.Files))
	}
	for _, f := range c.Files {
		if f.Status != rules.StatusOK || len(f.Problems) != 0 {
			t.Errorf("%s: %s, problems %+v", f.Path, f.Status, f.Problems)
			continue
		}
		r := f.Rule
		if r.Description == "" || r.Note == "" || r.Setup == "" || len(r.FalsePositives) == 0 || len(r.References) == 0 ||
			len(r.Threat) == 0 || len(r.Tags) == 0 || len(r.Index) == 0 {
			t.Errorf("%s: description, note, setup, false positives, references, threat, tags or index are missing", f.Path)
		}
		if len(r.Author) != 1 || r.Author[0] != "Weir" || r.License != "Apache-2.0" {
			t.Errorf("%s: author %v, license %s", f.Path, r.Author, r.License)
		}
		if _, err := fs.Stat(detections.FS(), ruletest.Path(f.Path)); err != nil {
			t.Errorf("%s has no cases: %v", f.Path, err)
		}
	}
}

// TestSeeds pins what others rely on in the five rules that the project began with.
func TestSeeds(t *testing.T) {
	tests := []struct {
		id, name, severity string
		score              int
		index, threat      string
	}{
		{"a52a9439-d52c-401c-be37-2785235c6547", "Netcat Listener Established Inside A Container", "high", 73, "logs-cloud_defend*", "TA0002 T1059.004"},
		{"1a289854-5b78-49fe-9440-8a8096b1ab50", "Suspicious Network Tool Launched Inside A Container", "medium", 47, "logs-cloud_defend*", "TA0007 T1046, TA0011 T1105, TA0043 T1595"},
		{"6c6bb7ea-0636-44ca-b541-201478ef6b50", "Container Management Utility Run Inside A Container", "low", 21, "logs-cloud_defend*", "TA0002 T1609"},
		{"527d23e6-8b67-4a8e-a6bd-5169b90ab2a8", "Tool Installation Detected via Defend for Containers", "low", 21, "logs-cloud_defend.process*", "TA0002 T1072"},
		{"c75d0c86-38d6-4821-98a1-465cff8ff4c8", "Egress Connection from Entrypoint in Container", "medium", 47, "logs-endpoint.events.*", "TA0002 T1059.004, TA0004 T1611"},
	}
	byID := map[string]*rules.Rule{}
	for _, r := range load(t).Rules {
		byID[r.ID] = r
	}
	for _, tt := range tests {
		r := byID[tt.id]
		if r == nil {
			t.Errorf("%s: no rule %s", tt.name, tt.id)
			continue
		}
		if r.Name != tt.name || r.Severity != tt.severity || r.RiskScore != tt.score || strings.Join(r.Index, ",") != tt.index {
			t.Errorf("%s: got %s, %s, %v, %v", tt.name, r.Name, r.Severity, r.RiskScore, r.Index)
		}
		if got := threats(r); got != tt.threat {
			t.Errorf("%s: got threat %s, want %s", tt.name, got, tt.threat)
		}
	}
}

// threats writes a rule's mapping as "tactic technique …, …", with the sub-technique where there is one.
func threats(r *rules.Rule) string {
	var all []string
	for _, th := range r.Threat {
		s := th.Tactic.ID
		var sSb91 strings.Builder
		for _, te := range th.Technique {
			id := te.ID
			for _, sub := range te.Subtechnique {
				id = sub.ID
			}
			sSb91.WriteString(" " + id)
		}
		s += sSb91.String()
		all = append(all, s)
	}
	return strings.Join(all, ", ")
}

// runner runs a rule by itself over the events of a case, on the engine of a replay.
func runner(t *testing.T) ruletest.Runner {
	t.Helper()
	return func(rule *rules.Rule, events [][]byte) ([][]int, error) {
		set, err := rules.NewSet([]*rules.Rule{rule}, rules.SetOptions{})
		if err != nil {
			return nil, err
		}
		cfg := &pipeline.Config{Set: set, Alerts: alert.NewECS(alert.Options{}), Order: pipeline.Order{Lateness: time.Hour}}
		return replay.RunRule(t.Context(), cfg, events)
	}
}

// TestAsGiven runs our cases on the reference versions of the same detections: ours must ask for the same.
func TestAsGiven(t *testing.T) {
	const dir = "../../../shared/rules/seed"
	if _, err := os.Stat(dir); err != nil {
		t.Skip("the reference rules are not there: ", err)
	}
	given := map[string]string{
		"netcat_listener_in_container":    "execution_netcat_listener_established_inside_a_container_older",
		"network_tool_in_container":       "discovery_suspicious_network_tool_launched_inside_a_container_older",
		"management_utility_in_container": "execution_container_management_binary_launched_inside_a_container_older",
		"tool_installation_in_container":  "execution_tool_installation_seed",
		"entrypoint_egress_in_container":  "execution_egress_connection_from_entrypoint_in_container_seed",
	}
	for ours, theirs := range given {
		t.Run(ours, func(t *testing.T) {
			c, err := rules.Load([]string{filepath.Join(dir, theirs+".toml")}, rules.LoadOptions{})
			if err != nil {
				t.Fatal(err)
			}
			file, err := ruletest.Read(detections.FS(), ours+".toml")
			if err != nil {
				t.Fatal(err)
			}
			result, err := ruletest.Run(c.Rules[0], file, runner(t))
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range result.Cases {
				if !r.Pass() {
					t.Errorf("%s: %s", r.Case.Name, r.Failure())
				}
			}
		})
	}
}

// TestCases runs the cases that stand beside the rules, as weir rules test does.
func TestCases(t *testing.T) {
	run := runner(t)
	for _, rule := range load(t).Rules {
		t.Run(strings.TrimSuffix(rule.Path, ".toml"), func(t *testing.T) {
			file, err := ruletest.Read(detections.FS(), rule.Path)
			if err != nil {
				t.Fatal(err)
			}
			result, err := ruletest.Run(rule, file, run)
			if err != nil {
				t.Fatal(err)
			}
			hits, misses := 0, 0
			for _, c := range result.Cases {
				if !c.Pass() {
					t.Errorf("%s: %s", c.Case.Name, c.Failure())
				}
				if len(c.Case.Matches) > 0 {
					hits++
				} else {
					misses++
				}
			}
			if hits < 2 || misses < 2 {
				t.Errorf("%d cases that match and %d that don't; want two of each", hits, misses)
			}
		})
	}
}
