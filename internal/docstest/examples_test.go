package docstest_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/weir-eql/weir/internal/config"
)

func TestDeployedConfigurationLoads(t *testing.T) {
	c, err := config.Load(config.Source{File: filepath.Join(root, "deploy", "weir.yaml")})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings: %v", c.Warnings)
	}
}

// TestConfigurationExamples loads the examples in the documents. Files that they name aren't here; keys and values
// must be right.
func TestConfigurationExamples(t *testing.T) {
	block := regexp.MustCompile("(?s)```yaml\n(brokers:.*?)```")
	for _, file := range []string{"README.md", "docs/configuration.md"} {
		t.Run(file, func(t *testing.T) {
			examples := block.FindAllStringSubmatch(read(t, filepath.Join(root, file)), -1)
			if len(examples) == 0 {
				t.Fatal("no example")
			}
			for _, e := range examples {
				path := filepath.Join(t.TempDir(), "weir.yaml")
				if err := os.WriteFile(path, []byte(e[1]), 0o600); err != nil {
					t.Fatal(err)
				}
				_, err := config.Load(config.Source{File: path})
				if err == nil {
					continue
				}
				for line := range strings.Lines(err.Error()) {
					if !strings.Contains(line, "no such file") {
						t.Errorf("example: %s", line)
					}
				}
			}
		})
	}
}

// TestLinks follows the links from one document to another, and their headings.
func TestLinks(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#:]*)(?:#([^)]*))?\)`)
	files, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil {
		t.Fatal(err)
	}
	followed := 0
	for _, file := range append(files, filepath.Join(root, "README.md"), filepath.Join(root, "CONTRIBUTING.md")) {
		for _, m := range link.FindAllStringSubmatch(read(t, file), -1) {
			target := file
			if m[1] != "" {
				target = filepath.Join(filepath.Dir(file), m[1])
			}
			if _, err := os.Stat(target); err != nil {
				t.Errorf("%s: link to %s: %v", file, m[1], err)
				continue
			}
			followed++
			if m[2] != "" && !headings(read(t, target))[m[2]] {
				t.Errorf("%s: %s has no heading #%s", file, target, m[2])
			}
		}
	}
	if followed == 0 {
		t.Error("no link was found")
	}
}

// headings returns the anchors of a document's headings.
func headings(text string) map[string]bool {
	drop := regexp.MustCompile(`[^a-z0-9 -]`)
	out := map[string]bool{}
	for line := range strings.Lines(text) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			title = drop.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), "")
			out[strings.ReplaceAll(title, " ", "-")] = true
		}
	}
	return out
}

// TestDeployFilesParse reads what other programs read.
func TestDeployFilesParse(t *testing.T) {
	var dashboard struct{ Panels []struct{ Title string } }
	if err := json.Unmarshal([]byte(read(t, filepath.Join(root, "deploy", "grafana", "weir.json"))), &dashboard); err != nil {
		t.Error(err)
	}
	if len(dashboard.Panels) == 0 {
		t.Error("the dashboard has no panels")
	}
	var alarms struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.UnmarshalWithOptions([]byte(read(t, filepath.Join(root, "deploy", "prometheus", "alarms.yml"))), &alarms); err != nil {
		t.Fatal(err)
	}
	operations := read(t, filepath.Join(root, "docs", "operations.md"))
	for _, g := range alarms.Groups {
		for _, r := range g.Rules {
			if r.Expr == "" || !strings.Contains(operations, "| "+r.Alert+" |") {
				t.Errorf("alarm %s has no expression, or docs/operations.md doesn't say what to do about it", r.Alert)
			}
		}
	}
	if len(alarms.Groups) == 0 {
		t.Error("there are no alarms")
	}
}
