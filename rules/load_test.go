package rules_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/weir-eql/weir/rules"
)

// head is a rule file up to its query.
const head = `[rule]
rule_id = "r1"
name = "a rule"
severity = "low"
risk_score = 21
type = "eql"
language = "eql"
`

// loadOne loads one file of the given text.
func loadOne(t *testing.T, text string) *rules.File {
	t.Helper()
	c, err := rules.LoadFS(fstest.MapFS{"r.toml": {Data: []byte(text)}}, "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Files) != 1 {
		t.Fatalf("got %d files, want 1", len(c.Files))
	}
	return c.Files[0]
}

// TestQueryPositions marks the faulty word of each query with «», and expects the first problem there.
func TestQueryPositions(t *testing.T) {
	for name, query := range map[string]string{
		"basic":                                `query = "process where «wildcrd»(process.name, \"x\")"`,
		"basic with escapes":                   `query = "process where process.name == \"a\u00e9\tb\" and «wildcrd»(process.name, \"x\")"`,
		"literal":                              `query = 'process where «wildcrd»(process.name, "x")'`,
		"literal, not ASCII":                   `query = 'process where process.name == "äöü" and «wildcrd»(process.name, "x")'`,
		"multi-line literal":                   "query = '''\nprocess where\n  process.name == \"x\" and\n\t«wildcrd»(process.name, \"x\")\n'''",
		"multi-line literal CRLF":              "query = '''\r\nprocess where\r\n  «wildcrd»(process.name, \"x\")\r\n'''",
		"multi-line literal, no first newline": "query = '''process where true and\n «wildcrd»(process.name, \"x\")'''",
		"multi-line literal ends in a quote":   "query = '''process where «wildcrd»(process.name, \"x\") // it''''",
		"multi-line basic":                     "query = \"\"\"\nprocess where \\\"\\\\\\\\\\\" == process.name and\n «wildcrd»(process.name, \"x\")\n\"\"\"",
		"multi-line basic, joined lines":       "query = \"\"\"\nprocess where \\\n\n     process.name == \"\\U0001F600\" and \\\r\n «wildcrd»(process.name, \"x\")\"\"\"",
		"indented key":                         "   \"query\" = 'process where «wildcrd»(process.name, \"x\")' # it",
	} {
		t.Run(name, func(t *testing.T) {
			marked := head + query
			before, rest, _ := strings.Cut(marked, "«")
			word, after, _ := strings.Cut(rest, "»")
			line := strings.Count(before, "\n") + 1
			column := len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1

			f := loadOne(t, before+word+after)
			if f.Status != rules.StatusError || len(f.Problems) == 0 {
				t.Fatalf("got status %s and problems %v, want an error", f.Status, f.Problems)
			}
			p := f.Problems[0]
			got := []int{p.Line, p.Column, p.EndColumn}
			if diff := cmp.Diff([]int{line, column, column + len(word)}, got); diff != "" {
				t.Errorf("line, column, end (-want +got):\n%s%s", diff, p.Message)
			}
			if !strings.Contains(p.Hint, "wildcard") {
				t.Errorf("got hint %q, want wildcard in it", p.Hint)
			}
		})
	}
}

func TestLoadProblems(t *testing.T) {
	good := "query = 'process where true'\n"
	for _, tc := range []struct {
		name, text, status string
		problems           []string
	}{
		{"sound", head + good, "ok", nil},
		{"sound, behind a byte order mark", "\ufeff" + head + good, "ok", nil},
		{"syntax error behind a byte order mark", "\ufeffname = \"x\n", "error", []string{"1:10 error"}},
		{"syntax error", "[rule]\nname = \"x\nrule_id = 3\n", "error", []string{"2:10 error"}},
		{"no rule table", "[metadata]\nmaturity = \"production\"\n", "error", []string{"1:1 error the file has no [rule] table"}},
		{"no type", "[rule]\nname = \"x\"\n", "error", []string{"1:2 error rule.type is missing"}},
		{"another type", "[rule]\ntype = \"threshold\"\nwhatever = 1\n", "skipped", nil},
		{"wrong type of a key", head + good + "max_signals = \"many\"\n", "error", []string{"9:15 error"}},
		{"unknown key", head + good + "severty_mapping = []\nzzz = 1\n", "ok", []string{
			"9:1 warning unknown key rule.severty_mapping", "10:1 warning unknown key rule.zzz",
		}},
		{"unknown metadata", head + good + "[metadata]\nfoo = 1\n", "ok", []string{"10:1 warning unknown key metadata.foo"}},
		{"unknown table", head + good + "[extra]\nfoo = 1\n", "ok", []string{"9:2 warning unknown key extra"}},
		{"all at once", "[rule]\ntype = \"eql\"\nseverity = \"bad\"\nrisk_score = 101\nfrom = \"yesterday\"\ninterval = \"5x\"\nlanguage = \"kuery\"\n", "error", []string{
			"1:2 error rule.rule_id is missing", "1:2 error rule.name is missing", "1:2 error rule.query is missing",
			"3:12 error severity", "4:14 error risk_score 101", "5:8 error from:", "6:12 error interval:", "7:12 error language",
		}},
		{"disabled", head + good + "enabled = false\n", "skipped", []string{"9:1 warning the rule is disabled"}},
		{"disabled and faulty", head + "enabled = false\nquery = 'process where'\n", "error", []string{"8:1 warning the rule is disabled", "9:"}},
		{"sample", head + "query = 'sample by host.id [process where true] [network where true]'\n", "ok", nil},
		{"a sample with too many stages", head + "query = 'sample by host.id " + strings.Repeat("[any where true]", 64) + "'\n", "error", []string{
			"8:1 error the sample has 64 stages, at most 63 are supported",
		}},
		{"integration of a wrong type", head + good + "[metadata]\nintegration = 3\n", "error", []string{"10:15 error metadata.integration"}},
		{"empty query", head + "query = ''\n", "error", []string{"8:1 error rule.query is missing"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := loadOne(t, tc.text)
			if string(f.Status) != tc.status {
				t.Errorf("got status %s, want %s", f.Status, tc.status)
			}
			if (f.Rule != nil) != (f.Status == rules.StatusOK) {
				t.Errorf("got rule %v with status %s", f.Rule, f.Status)
			}
			var got []string
			for _, p := range f.Problems {
				var b strings.Builder
				if err := p.Render(&b, "r.toml", 0); err != nil {
					t.Fatal(err)
				}
				first, _, _ := strings.Cut(b.String(), "\n")
				got = append(got, strings.Replace(strings.TrimPrefix(first, "r.toml:"), ": ", " ", 2))
			}
			if len(got) != len(tc.problems) {
				t.Fatalf("got problems %q, want %q", got, tc.problems)
			}
			for i, want := range tc.problems {
				if !strings.HasPrefix(strings.Replace(got[i], " error: ", " error ", 1), want) {
					t.Errorf("problem %d: got %q, want it to begin with %q", i, got[i], want)
				}
			}
		})
	}
}

func TestRender(t *testing.T) {
	f := loadOne(t, head+"query = '''\n\tprocess where wildcrd(process.name, \"x\")\n'''\n")
	var b strings.Builder
	if err := f.Problems[0].Render(&b, "dir/r.toml", 0); err != nil {
		t.Fatal(err)
	}
	want := "dir/r.toml:9:16: error: unknown function \"wildcrd\" [E202]\n" +
		" 9 | \tprocess where wildcrd(process.name, \"x\")\n" +
		"   | \t              ^~~~~~~\n" +
		"   = did you mean wildcard?\n"
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestLoadFields(t *testing.T) {
	f := loadOne(t, head+allFields)
	if f.Rule == nil || len(f.Problems) > 0 {
		t.Fatal(f.Problems)
	}
	if diff := cmp.Diff(allFieldsLoaded(), f.Rule, cmpopts.IgnoreUnexported(rules.Rule{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if got := f.Rule.LookbackMillis(); got != 540_000 {
		t.Errorf("got lookback %d, want 540000", got)
	}
	if got := f.Rule.IntervalMillis(); got != 600_000 {
		t.Errorf("got interval %d, want 600000", got)
	}
	unhonoured := []string{"alert_suppression", "exceptions_list", "max_signals", "severity_mapping", "risk_score_mapping", "rule_name_override"}
	if diff := cmp.Diff(unhonoured, f.Rule.Unhonoured()); diff != "" {
		t.Errorf("unhonoured (-want +got):\n%s", diff)
	}
}

// allFields is the text of a rule, below head, that has every field there is.
const allFields = `
description = "d"
author = ["a"]
license = "l"
tags = ["t"]
references = ["ref"]
false_positives = ["fp"]
note = "n"
setup = "s"
index = ["logs-a*", "-logs-ab*"]
from = "now-9m"
interval = "10m"
timestamp_override = "event.ingested"
event_category_override = "event.type"
tiebreaker_field = "event.sequence"
timestamp_field = "process.start"
building_block_type = "default"
max_signals = 5
version = 3
rule_name_override = "process.name"
timeline_id = "ti"
timeline_title = "tt"
query = 'start where  process.name=="x"'
[rule.alert_suppression]
group_by = ["host.id"]
duration = { value = 5, unit = "m" }
missing_fields_strategy = "suppress"
[rule.investigation_fields]
field_names = ["host.id"]
[[rule.exceptions_list]]
id = "e"
list_id = "el"
namespace_type = "single"
type = "detection"
[[rule.severity_mapping]]
field = "event.severity"
operator = "equals"
value = "21"
severity = "low"
[[rule.risk_score_mapping]]
field = "event.risk_score"
operator = "equals"
value = ""
[[rule.related_integrations]]
package = "endpoint"
version = "^8"
[[rule.required_fields]]
name = "process.name"
type = "keyword"
ecs = true
[[rule.threat]]
framework = "MITRE ATT&CK"
[rule.threat.tactic]
id = "TA0002"
name = "Execution"
reference = "https://x"
[[rule.threat.technique]]
id = "T1059"
name = "Interpreter"
reference = "https://y"
[[rule.threat.technique.subtechnique]]
id = "T1059.004"
name = "Unix Shell"
reference = "https://z"
[metadata]
integration = "endpoint"
maturity = "production"
creation_date = "2026/01/01"
updated_date = "2026/01/02"
min_stack_version = "9.3.0"
min_stack_comments = "c"
[transform]
[[transform.osquery]]
label = "l"
`

// allFieldsLoaded returns the rule that head and allFields say.
func allFieldsLoaded() *rules.Rule {
	return &rules.Rule{
		Path: "r.toml", Line: 30,
		Metadata: rules.Metadata{
			Maturity: "production", CreationDate: "2026/01/01", UpdatedDate: "2026/01/02", Integration: []string{"endpoint"},
			MinStackVersion: "9.3.0", MinStackComments: "c",
		},
		Transform: map[string]any{"osquery": []any{map[string]any{"label": "l"}}},
		ID:        "r1", Name: "a rule", Description: "d", Author: []string{"a"}, License: "l", Severity: "low", RiskScore: 21,
		Tags: []string{"t"}, References: []string{"ref"}, FalsePositives: []string{"fp"}, Note: "n", Setup: "s", Version: 3,
		Threat: []rules.Threat{{
			Framework: "MITRE ATT&CK", Tactic: rules.Tactic{ID: "TA0002", Name: "Execution", Reference: "https://x"},
			Technique: []rules.Technique{{
				ID: "T1059", Name: "Interpreter", Reference: "https://y",
				Subtechnique: []rules.Subtechnique{{ID: "T1059.004", Name: "Unix Shell", Reference: "https://z"}},
			}},
		}},
		Type: "eql", Language: "eql", Query: `start where  process.name=="x"`, Index: []string{"logs-a*", "-logs-ab*"},
		From: "now-9m", Interval: "10m", TimestampOverride: "event.ingested", TimestampField: "process.start",
		EventCategoryOverride: "event.type", TiebreakerField: "event.sequence", BuildingBlockType: "default",
		AlertSuppression: &rules.AlertSuppression{
			GroupBy: []string{"host.id"}, Duration: rules.SuppressionDuration{Value: 5, Unit: "m"}, MissingFieldsStrategy: "suppress",
		},
		ExceptionsList:      []rules.ExceptionList{{ID: "e", ListID: "el", NamespaceType: "single", Type: "detection"}},
		MaxSignals:          5,
		SeverityMapping:     []rules.SeverityMapping{{Field: "event.severity", Operator: "equals", Value: "21", Severity: "low"}},
		RiskScoreMapping:    []rules.RiskScoreMapping{{Field: "event.risk_score", Operator: "equals", RiskScore: nil}},
		RuleNameOverride:    "process.name",
		RelatedIntegrations: []rules.RelatedIntegration{{Package: "endpoint", Version: "^8"}},
		RequiredFields:      []rules.RequiredField{{Name: "process.name", Type: "keyword", ECS: true}},
		InvestigationFields: rules.InvestigationFields{FieldNames: []string{"host.id"}},
		TimelineID:          "ti", TimelineTitle: "tt",
	}
}

func TestDuplicateIDs(t *testing.T) {
	text := func(name string) *fstest.MapFile {
		return &fstest.MapFile{Data: []byte(strings.Replace(head, "a rule", name, 1) + "query = 'any where true'\n")}
	}
	load := func(prefix string, fsys fstest.MapFS) *rules.Collection {
		c, err := rules.LoadFS(fsys, prefix, rules.LoadOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	explicit := load("mine", fstest.MapFS{"b/second.toml": text("second"), "a.toml": text("first")})
	shipped := load("shipped", fstest.MapFS{"x.toml": text("shipped")})
	all := rules.Merge(explicit, shipped)
	if len(all.Rules) != 1 || all.Rules[0].Name != "first" {
		t.Fatalf("got %d rules, the first %q; want one, first", len(all.Rules), all.Rules[0].Name)
	}
	var got []string
	for _, f := range all.Files {
		for _, p := range f.Problems {
			got = append(got, f.Path+" "+string(f.Status)+" "+p.Message)
		}
	}
	want := []string{
		"mine/b/second.toml ok duplicate rule id r1: mine/a.toml wins, this rule does not run",
		"shipped/x.toml ok duplicate rule id r1: mine/a.toml wins, this rule does not run",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if n := len(shipped.Files[0].Problems); n != 0 {
		t.Errorf("got %d problems in the shipped collection after the merge, want 0", n)
	}
}

func TestLoadPaths(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	rule := head + "query = 'any where true'\n"
	one := write("rules/..2026_01/one.toml", rule)
	if err := os.Symlink(one, filepath.Join(dir, "rules", "one.toml")); err != nil {
		t.Skipf("no symbolic links here: %v", err)
	}
	write("rules/sub/two.toml", strings.Replace(rule, "r1", "r2", 1))
	write("rules/sub/two_test.toml", "[[case]]\n")
	write("rules/sub/two.test.toml", "[[case]]\n")
	write("rules/readme.md", "no rule")
	write("rules/big.toml", rule+"# "+strings.Repeat("x", 2000))
	o := rules.LoadOptions{MaxFileBytes: 1000}
	c, err := rules.Load([]string{filepath.Join(dir, "rules"), filepath.Join(dir, "rules", "one.toml"), filepath.Join(dir, "none")}, o)
	if err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("got error %v, want one that names the path that isn't there", err)
	}
	var got []string
	for _, f := range c.Files {
		rel, _ := filepath.Rel(dir, f.Path)
		got = append(got, filepath.ToSlash(rel)+" "+string(f.Status))
	}
	want := []string{"rules/big.toml error", "rules/one.toml ok", "rules/sub/two.toml ok"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestHash(t *testing.T) {
	load := func(query, more string) *rules.Rule {
		f := loadOne(t, head+more+"query = '''"+query+"'''\n")
		if f.Rule == nil {
			t.Fatal(f.Problems)
		}
		return f.Rule
	}
	base := load(`process where process.name == "a"`, "")
	for _, tc := range []struct {
		name  string
		other *rules.Rule
		same  bool
	}{
		{"white space, comments and parentheses", load("process where /* x */\n (process.name == \"a\")", "note = 'n'\n"), true},
		{"another constant", load(`process where process.name == "b"`, ""), false},
		{"another category field", load(`process where process.name == "a"`, "event_category_override = 'event.type'\n"), false},
		{"another time", load(`process where process.name == "a"`, "timestamp_field = 'process.start'\n"), false},
	} {
		if got := tc.other.Hash() == base.Hash(); got != tc.same {
			t.Errorf("%s: got same hash %t, want %t", tc.name, got, tc.same)
		}
		if got := tc.other.StateHash() == base.StateHash(); got != tc.same {
			t.Errorf("%s: got same state hash %t, want %t", tc.name, got, tc.same)
		}
	}
	if len(base.Hash()) != 64 {
		t.Errorf("got hash %q, want 64 hex digits", base.Hash())
	}
}

func TestLookback(t *testing.T) {
	for from, want := range map[string]int64{
		"": 360_000, "now-9m": 540_000, "now-7205m": 432_300_000, "now-12h": 43_200_000, "now-30s": 30_000,
		"now-1d-30m": 88_200_000, "now-1d/d": 172_800_000, "now-2w": 1_209_600_000, "now-3H": 10_800_000, "now-1M": 2_678_400_000, "now-1y": 31_622_400_000,
		"now": -1, "now-": -1, "now-m": -1, "now+5m": -1, "5m": -1, "now-5q": -1, "now-99999999999999999d": -1, "now--5m": -1,
	} {
		text := head + "query = 'any where true'\n"
		if from != "" {
			text += "from = '" + from + "'\n"
		}
		f := loadOne(t, text)
		got := int64(-1)
		if f.Rule != nil {
			got = f.Rule.LookbackMillis()
		}
		if got != want {
			t.Errorf("%q: got %d ms, want %d", from, got, want)
		}
	}
}

// TestRenderMarks holds that marks stand under what they mean: behind tabs and wide characters, over several lines.
func TestRenderMarks(t *testing.T) {
	for _, tc := range []struct {
		name, query string
		want        []string
	}{
		{"tab", "\tany where wildcrd(a)", []string{
			" 9 | \tany where wildcrd(a)",
			"   | \t          ^~~~~~~",
		}},
		{"wide characters", `any where "日本語" == a and "日" == wildcrd(a)`, []string{
			` 9 | any where "日本語" == a and "日" == wildcrd(a)`,
			`   |                                     ^~~~~~~`,
		}},
		{"marks under wide characters", `any where "日本" : ("日" == a)`, []string{
			` 9 | any where "日本" : ("日" == a)`,
			`   |                     ^~~~~~~~~`,
		}},
		{"several lines", "any where (a ==\n    b) and c", []string{
			"  9 | any where (a ==",
			"    |            ^~~~",
			" 10 |     b) and c",
			"    |     ~",
		}},
		{"many lines", "any where (a + 1\n\n + 2\n + 3\n + 4\n + 5\n == b)", []string{
			"  9 | any where (a + 1",
			"    |            ^~~~~",
			" 10 |",
			" 11 |  + 2",
			"    |  ~~~",
			" 12 |  + 3",
			"    |  ~~~",
			"    ...",
			" 15 |  == b)",
			"    |  ~~~~",
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := loadOne(t, head+"query = '''\n"+tc.query+"\n'''\n")
			var b strings.Builder
			if err := f.Problems[0].Render(&b, "r.toml", 0); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, line := range strings.Split(b.String(), "\n")[1:] {
				if strings.Contains(line, " |") || strings.HasSuffix(line, "...") {
					got = append(got, line)
				}
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}
