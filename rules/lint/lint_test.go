package lint_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/lint"
)

const head = `[rule]
rule_id = "r"
name = "n"
severity = "low"
type = "eql"
`

// load loads one file.
func load(t *testing.T, text string) *rules.Collection {
	t.Helper()
	c, err := rules.LoadFS(fstest.MapFS{"r.toml": {Data: []byte(text)}}, "", rules.LoadOptions{KeepSource: true})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// found returns the findings of one file as line:column-line:column code.
func found(c *rules.Collection) []string {
	got := []string{}
	for _, p := range c.Files[0].Problems {
		got = append(got, fmt.Sprintf("%d:%d-%d:%d %s", p.Line, p.Column, p.EndLine, p.EndColumn, p.Code))
	}
	return got
}

func check(t *testing.T, text string) []string {
	t.Helper()
	c := load(t, text)
	lint.Check(c, nil)
	return found(c)
}

// TestPlaces holds that findings deep in a query stand where they should in the file, however the query is written. «» marks
// what is to be found.
func TestPlaces(t *testing.T) {
	for name, marked := range map[string]string{
		"literal":        `query = 'process where process.args regex "a«^»b"'`,
		"escaped":        `query = "process where process.args regex \"\\\\.a«^»b\""`,
		"multi-line":     "query = '''\nprocess where\n\tprocess.args regex \"äa«^»b\"'''",
		"wide, CRLF":     "query = '''\r\nprocess where process.name != \"日本\" and\r\n  process.args regex \"日a«^»b\"\r\n'''\r\n",
		"raw string":     `query = 'process where process.args regex """\\a«^»b"""'`,
		"escape of EQL":  `query = 'process where process.args regex "\u{e4}\t«^»b"'`,
		"escape of TOML": `query = "process where process.args regex \"\u00e4\U0001F600«^»b\""`,
		"joined":         "query = \"\"\"process where \\\n    process.args regex \\\n\n  \\\"x«^»y\\\" \"\"\"",
	} {
		t.Run(name, func(t *testing.T) {
			before, rest, _ := strings.Cut(head+marked, "«")
			word, after, _ := strings.Cut(rest, "»")
			line := strings.Count(before, "\n") + 1
			column := len([]rune(before[strings.LastIndex(before, "\n")+1:])) + 1
			want := fmt.Sprintf("%d:%d-%d:%d W321", line, column, line, column+len(word))
			if diff := cmp.Diff([]string{want}, check(t, before+word+after)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestSilences(t *testing.T) {
	const star, dup = `process.name == "ab*"`, `user.name == "cd*"`
	for _, tc := range []struct {
		name, text string
		want       []string
		silenced   int
	}{
		{"none", "query = '''\nany where " + star + "\n'''", []string{"7:27-7:32 W305"}, 0},
		{"behind, in the query", "query = '''\nany where " + star + " // weir:ignore W305 it is so\n'''", nil, 1},
		{"a blank behind the colon", "query = '''\nany where " + star + " // weir: ignore W305 it is so\n'''", nil, 1},
		{"block comment", "query = '''\nany where " + star + " /* weir:ignore W305 */\n'''", nil, 1},
		{"above, in the query", "query = '''\nany where\n // weir:ignore W305 it is so\n // and more\n\n " + star + "\n'''", nil, 1},
		{"that line only", "query = '''\nany where " + star + " and // weir:ignore W305\n" + dup + "\n'''", []string{"8:14-8:19 W305"}, 1},
		{"above the key", "# weir:ignore W305 it is so\nquery = '''\nany where " + star + " and\n" + dup + "\n'''", nil, 2},
		{"above the key, with others between", "# weir:ignore W305\n# for more see there\n\nquery = '''\nany where " + star + "\n'''", nil, 1},
		{"above another key", "# weir:ignore W305\nrisk_score = 1\nquery = '''\nany where " + star + "\n'''", []string{"6:15-6:19 W901", "9:27-9:32 W305"}, 0},
		{"behind the value", "query = '''\nany where " + star + " and\n" + dup + "\n''' # weir:ignore W305", nil, 2},
		{"behind another key", "zz = 1 # weir:ignore W001 ours\nquery = 'any where true'", nil, 1},
		{"two codes", "# weir:ignore W305, W001\nzz = 1\nquery = 'any where true'", []string{"6:15-6:19 W901"}, 1},
		{"another code", "query = 'any where " + `process.name == "ab*"` + "' # weir:ignore W306", []string{"6:36-6:41 W305", "6:57-6:61 W901"}, 0},
		{"nothing there", "query = '''\nany where true // weir:ignore W305 once\n'''", []string{"7:31-7:35 W901"}, 0},
		{"at the end", "query = '''\nany where true\n // weir:ignore W305\n'''\n# weir:ignore W001", []string{"8:17-8:21 W901", "10:15-10:19 W901"}, 0},
		{"no code", "query = '''\nany where true // weir:ignore\n'''", []string{"7:16-7:30 W902"}, 0},
		{"unknown code", "query = '''\nany where true // weir:ignore W999 x\n'''", []string{"7:31-7:35 W902"}, 0},
		{"an error", "query = '''\nany where foo() // weir:ignore E202\n'''", []string{"7:11-7:14 E202", "7:32-7:36 W902"}, 0},
		{"of itself", "query = '''\nany where true // weir:ignore W901\n'''", []string{"7:31-7:35 W902"}, 0},
		{"of a sample that isn't there", "query = '''\nany where true // weir:ignore W502\n'''", nil, 0},
		{"of a query that doesn't compile", "query = '''\nany where foo() // weir:ignore W305\n'''", []string{"7:11-7:14 E202"}, 0},
		{"in a string", "query = '''\nany where process.name == \"// weir:ignore W305\"\n'''\nnote = \"# weir:ignore W305\"", nil, 0},
		{"in a list", "index = [ # weir:ignore W305\n  \"a-*\", # weir:ignore W001\n]\nquery = 'any where true'", []string{"6:25-6:29 W901", "7:24-7:28 W901"}, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := load(t, head+tc.text)
			lint.Check(c, nil)
			if diff := cmp.Diff(append([]string{}, tc.want...), found(c)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if got := c.Files[0].Silenced; got != tc.silenced {
				t.Errorf("%d silenced, want %d", got, tc.silenced)
			}
		})
	}
	t.Run("above [rule]", func(t *testing.T) {
		if got := check(t, "# weir:ignore W305 everywhere\n"+head+"query = '''\nany where "+star+" and "+dup+"\n'''"); len(got) > 0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestLookback(t *testing.T) {
	sequence := func(maxspan string) string {
		return "query = 'sequence by host.id with maxspan=" + maxspan + " [process where true] [file where true]'\n"
	}
	hint := func(from, interval string) string {
		return `write from = "` + from + `" or more: maxspan and the interval of ` + interval
	}
	for _, tc := range []struct{ text, want string }{
		{"from = \"now-9m\"\n" + sequence("10m"), hint("now-15m", "5m")},
		{sequence("7m"), hint("now-12m", "5m")},
		{"from = \"now-30s\"\ninterval = \"15s\"\n" + sequence("1m"), hint("now-75s", "15s")},
		{"from = \"now-1h\"\ninterval = \"1d\"\n" + sequence("1d"), hint("now-2d", "1d")},
		{"from = \"now-9m\"\n" + sequence("9m"), ""},
		{"from = \"now-9m\"\n" + sequence("30s"), ""},
		{"from = \"now-1d/d\"\n" + sequence("26h"), ""},
		{"query = 'sequence [process where true] [file where true]'\n", ""},
	} {
		c := load(t, head+tc.text)
		lint.Check(c, nil)
		var hints []string
		for _, p := range c.Files[0].Problems {
			hints = append(hints, p.Hint)
		}
		if got := strings.Join(hints, ", "); got != tc.want {
			t.Errorf("%s\ngot  %s\nwant %s", tc.text, got, tc.want)
		}
	}
}

func TestAbsentKeys(t *testing.T) {
	const process, network, registry = `"logs-endpoint.events.process-*"`, `"logs-endpoint.events.network-*"`, `"logs-endpoint.events.registry-default"`
	for _, tc := range []struct{ index, query, want string }{
		{process + "," + network, `sequence by dns.question.name [process where true] [network where true]`, "stage 1"},
		{process + "," + network, `sample by dns.question.name [network where true] [process where true]`, "stage 2"},
		{process + "," + registry, `sequence [process where true] by process.name [registry where true] by process.parent.name`, "stage 2"},
		{process, `sequence by registry.path [process where true] [any where true]`, "stage 1,stage 2"},
		{process + "," + registry, `sequence by registry.path [registry where true] [any where true]`, ""},
		{process + "," + network, `sequence by process.entity_id [process where true] [network where true]`, ""},
		{process + "," + network, `sequence by ?dns.question.name [process where true] [network where true]`, ""},
		{process + "," + `"winlogbeat-*"`, `sequence by registry.path [process where true] [network where true]`, ""},
		{`"logs-endpoint.events.*"`, `sequence by registry.path [process where true] [network where true]`, ""},
		{process + "," + network, `sequence by container.id, labels.team, user.id, event.id [process where true] [network where true]`, ""},
		{process, `sequence by dns.question.name [network where true] [network where true]`, ""}, // no event of the category at all
		{process + "," + network, `sequence by some.key [process where true] [network where true]`, ""},
		{`"logs-endpoint.events.api-*"`, `sequence by Target.process.entity_id [api where true] [process where true]`, ""},
	} {
		c := load(t, head+"index = ["+tc.index+"]\nquery = '"+tc.query+"'\n")
		lint.Check(c, nil)
		var got []string
		for _, p := range c.Files[0].Problems {
			if p.Code == finding.KeyAbsent {
				got = append(got, p.Message[len("the events of "):len("the events of stage 1")])
			}
		}
		if strings.Join(got, ",") != tc.want {
			t.Errorf("%s %s: got %v, want %s", tc.index, tc.query, got, tc.want)
		}
	}
}

// TestSample checks rules with events.
func TestSample(t *testing.T) {
	events := []string{
		`{"data_stream": {"dataset": "endpoint.events.process"}, "event": {"category": "process"}, "host": {"id": "h"}, "process": {"name": "sh", "entity_id": "p"}}`,
		`{"data_stream": {"dataset": "endpoint.events.network", "namespace": "x"}, "event": {"category": ["network"]}, "host": {"id": "h"}}`,
	}
	for _, tc := range []struct{ index, query, want string }{
		{"", `process where process.name == "sh"`, ""},
		{"", `process where process.name == "bash"`, "W502"},
		{"", `process where process.name == "bash" or process.args == "x" or process.args == "y"`, "W502 W503 process.args"},
		{"", `process where process.name == "sh" or process.args == "x"`, ""},
		{"", `process where process.name == "bash" and ?process.args == null`, "W502"},
		{"logs-endpoint.events.network-*", `process where process.name == "sh"`, "W502 W503 process.name"},
		{"logs-windows.*", `process where process.name == "sh"`, "W501"},
		{"logs-*-x", `network where true`, ""},
		{"", `sequence by host.id [process where true] [network where true]`, ""},
		{"", `sequence by host.id [process where true] [network where true] [file where true]`, "W502"},
		{"", `sample by host.id [network where true] [process where true]`, ""},
		{"", `sample by host.id [network where true] [file where true]`, "W502"},
		{"", `sequence by host.id with maxspan=1m ![file where true] [process where true] [network where true]`, ""},
		{"", `sequence by process.entity_id [process where true] [network where true]`, "W504"},
		{"", `sequence by ?process.entity_id [process where true] [network where true]`, ""},
		{"", `sequence by host.id [process where true] [network where true] until [file where true]`, ""},
	} {
		index := ""
		if tc.index != "" {
			index = "index = [\"" + tc.index + "\"]\n"
		}
		c := load(t, head+index+"query = '"+tc.query+"'\n")
		sample, err := lint.NewSample(c, rules.SetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range events {
			if err := sample.Add([]byte(e)); err != nil {
				t.Fatal(err)
			}
		}
		if sample.Add([]byte("nothing")) == nil {
			t.Error("a document that is none is taken")
		}
		lint.Check(c, sample)
		var got []string
		for _, p := range c.Files[0].Problems {
			got = append(got, string(p.Code))
			if p.Code == finding.NoMatch && strings.HasPrefix(tc.query, "sample") && !strings.HasSuffix(p.Message, "passes stage 2") {
				t.Errorf("%s: %s", tc.query, p.Message)
			}
			if p.Code == finding.FieldInNone {
				got = append(got, p.Message[strings.LastIndexByte(p.Message, ' ')+1:])
			}
		}
		if strings.Join(got, " ") != tc.want {
			t.Errorf("%s %s: got %v, want %s", tc.index, tc.query, got, tc.want)
		}
	}
}

// TestCorpus holds that lint is nearly silent on rules that are in production, and names each kind of finding that it
// isn't silent about: all of these were read and are true.
func TestCorpus(t *testing.T) {
	const shared = "../../../shared/rules"
	if _, err := os.Stat(shared); err != nil {
		t.Skip("the reference rules are not beside the repository")
	}
	c, err := rules.Load([]string{filepath.Join(shared, "rules"), filepath.Join(shared, "rules_building_block")}, rules.LoadOptions{KeepSource: true})
	if err != nil {
		t.Fatal(err)
	}
	lint.Check(c, nil)
	got := map[finding.Code]int{}
	for _, f := range c.Files {
		for _, p := range f.Problems {
			got[p.Code]++
		}
	}
	want := map[finding.Code]int{
		finding.LiteralStar:   14, // patterns under in
		finding.NeedlePattern: 2,  // of the AWS rules
		finding.LongSpan:      4,  // maxspan 10m, 9 or 6 minutes back
		finding.Duplicate:     192,
		finding.DeadValue:     30, // process_started and dns
		finding.NotActed:      8,  // max_signals
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("findings by code (-want +got):\n%s", diff)
	}
}
