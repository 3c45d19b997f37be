package alert_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/pipeline/alert"
)

var update = flag.Bool("update", false, "write the golden files anew")

const execTime = 1772359200123 // 2026-03-01T10:00:00.123Z

func detectedAt() time.Time { return time.UnixMilli(execTime + 350).UTC() }

func netcatRule() *alert.Rule {
	return &alert.Rule{
		ID: "a1b2c3d4-0000-4000-8000-000000000001", Name: "Listener in a container",
		Description: "\nA container started to listen for connections with netcat.\n",
		Severity:    "high", RiskScore: 73, Version: 3,
		References: []string{"https://example.com/listeners"}, Tags: []string{"Domain: Container", "OS: Linux"},
		Author: []string{"Weir"}, FalsePositives: []string{"\n    Debugging by the\n    container's owners.\n    ", " \n"},
		License: "Apache-2.0", Note: "\n  ## Triage\n\n  - See who opened the shell.\n      - Did they stay?\n", Ruleset: "weir", Hash: "f00d",
		Threat: []alert.Threat{
			{
				Framework: "MITRE ATT&CK",
				Tactic:    alert.Tactic{ID: "TA0002", Name: "Execution", Reference: "https://attack.mitre.org/tactics/TA0002/"},
				Techniques: []alert.Technique{{
					ID: "T1059", Name: "Command and Scripting Interpreter", Reference: "https://attack.mitre.org/techniques/T1059/",
					Subtechniques: []alert.Subtechnique{{ID: "T1059.004", Name: "Unix Shell", Reference: "https://attack.mitre.org/techniques/T1059/004/"}},
				}},
			},
			{
				Framework: "MITRE ATT&CK",
				Tactic:    alert.Tactic{ID: "TA0011", Name: "Command and Control", Reference: "https://attack.mitre.org/tactics/TA0011/"},
				Techniques: []alert.Technique{
					{ID: "T1059", Name: "Command and Scripting Interpreter", Reference: "https://attack.mitre.org/techniques/T1059/"},
				},
			},
		},
	}
}

const execSource = `{"@timestamp":"2026-03-01T10:00:00.123456Z","event":{"id":"exec-1","kind":"event","category":["process"],"type":["start"],
 "action":"exec","dataset":"cloud_defend.process","module":"cloud_defend","sequence":18446744073709551615},
 "message":"source's own","tags":["prod"],"rule":{"name":"source's own"},
 "host":{"id":"host-1","name":"node-1","ip":["10.0.0.5","::ffff:10.0.0.6","not an address"]},"user":{"name":"root","id":"0"},
 "container":{"id":"c0ffee","name":"web-1","image":{"name":"nginx","tag":["1.27"]}},
 "orchestrator":{"cluster":{"name":"prod"},"namespace":"shop"},
 "process":{"entity_id":"p1","name":"nc","command_line":"nc -l -p 4444","args":["nc","-l","-p","4444"],"interactive":true,
  "hash":{"sha256":"aaaa"},"parent":{"name":"bash","entity_id":"p0"}},"labels":{"ratio":1.50}}`

func execEvent() alert.Event {
	return alert.Event{ID: "exec-1", Topic: "events", Partition: 2, Offset: 17, Time: execTime, SubMillis: 456000, Source: []byte(execSource)}
}

const netSource = `{"@timestamp":"2026-03-01T10:00:01.500Z","event.id":"net-1","event.category":"network","event.type":["start","connection"],
 "event":{"action":"connection_attempted"},"host.id":"host-1","host":{"name":"node-1","ip":["10.0.0.6"]},"user.name":"root",
 "container.id":"c0ffee","container":{"image.name":"nginx"},"process.name":"curl","process":{"entity_id":"p2","parent.entity_id":"p1"},
 "destination":{"ip":"203.0.113.9","port":443,"domain":"evil.example"},"tags":["prod","egress"]}`

func netEvent() alert.Event {
	return alert.Event{ID: "net-1", Topic: "events", Partition: 2, Offset: 20, Time: execTime + 1377, Source: []byte(netSource)}
}

func single() alert.Match {
	return alert.Match{Rule: netcatRule(), Events: []alert.Event{execEvent()}, Host: "host-1"}
}

func pair() alert.Match {
	return alert.Match{
		Rule:       netcatRule(),
		JoinKeys:   []event.Value{event.StringValue("host-1"), event.IntValue(5), event.BoolValue(true), {}},
		JoinFields: []string{"host.id", "process.pid", "process.interactive", "user.id"},
		Events:     []alert.Event{execEvent(), netEvent()},
		Host:       "host-1",
	}
}

func build(t *testing.T, o alert.Options, m alert.Match) alert.Document {
	t.Helper()
	doc, err := alert.NewECS(o).Build(m, detectedAt())
	if err != nil {
		t.Fatalf("Build: %v", err)
	}
	return doc
}

func TestGolden(t *testing.T) {
	plainRule := &alert.Rule{ID: "r2", Name: "Anything", Severity: "odd", RiskScore: 12.5}
	missing := pair()
	missing.Events = []alert.Event{execEvent(), {Missing: true}, netEvent(), {Missing: true}}
	missing.OpenEnd = true
	big := execEvent()
	big.Source = []byte(strings.Replace(execSource, "{", `{"padding":"`+strings.Repeat("x", 9000)+`",`, 1))
	truncated := pair()
	truncated.Events[0] = big

	cases := []struct {
		name string
		max  int
		m    alert.Match
	}{
		{"single", 0, single()},
		{"sequence", 0, pair()},
		{"missing", 0, missing},
		{"truncated", 8000, truncated},
		{"truncated_single", 8000, alert.Match{Rule: netcatRule(), Events: []alert.Event{big}}},
		{"dotted", 0, alert.Match{Rule: plainRule, Events: []alert.Event{{
			Topic: "t", Offset: 1, Time: execTime,
			Source: []byte(`{"@timestamp":"2026-03-01T10:00:00.123Z","file.path":"/a","file":{"name":"a","path":"/b","x.y":1},"process":"clash","process.name":"p",
				"a..b":1,".c":2,"list":[{"d.e":1},{"d":{"e":2}}],"event.category":["file"],"event":{"action":"file_created"}}`),
		}}}},
		{"no_host", 0, alert.Match{Rule: plainRule, Events: []alert.Event{{
			Topic: "logs/x", Partition: 3, Offset: 44, Time: execTime, SubMillis: 7,
			Source: []byte(`{"event":{"action":"login"},"x":null,"big":12345678901234567890.10}`),
		}}}},
		{"no_source", 0, alert.Match{Rule: plainRule, Host: "pseudo-3", Events: []alert.Event{{ID: "e", Topic: "t", Time: execTime, Truncated: true}}}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			doc := build(t, alert.Options{MaxBytes: c.max}, c.m)
			if c.max > 0 && len(doc.Body) > c.max {
				t.Errorf("body has %d bytes, limit %d", len(doc.Body), c.max)
			}
			var got bytes.Buffer
			fmt.Fprintf(&got, "// id %s key %q rule %s severity %s time %d\n", doc.ID, doc.Key, doc.RuleID, doc.Severity, doc.Time)
			if err := json.Indent(&got, doc.Body, "", "  "); err != nil {
				t.Fatalf("body is not JSON: %v", err)
			}
			got.WriteByte('\n')
			path := filepath.Join("testdata", c.name+".golden")
			if *update {
				if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("document differs (-want +got), run with -update if that is meant:\n%s", diff)
			}
		})
	}
}

func TestDeterminism(t *testing.T) {
	for _, o := range []alert.Options{{}, {MaxBytes: alert.MinBytes}} {
		want := build(t, o, pair())
		for range 100 {
			if got := build(t, o, pair()); !bytes.Equal(got.Body, want.Body) {
				t.Fatalf("two builds of one match differ:\n%s\n%s", got.Body, want.Body)
			}
		}
	}
}

// fields decodes a body for tests that look at a few fields only.
func fields(t *testing.T, body []byte) map[string]any {
	t.Helper()
	var doc map[string]any
	if err := json.Unmarshal(body, &doc); err != nil {
		t.Fatalf("body is not JSON: %v\n%s", err, body)
	}
	return doc
}

func at(doc map[string]any, path string) any {
	var v any = doc
	for k := range strings.SplitSeq(path, ".") {
		o, ok := v.(map[string]any)
		if !ok {
			return nil
		}
		v = o[k]
	}
	return v
}

func TestOnlyDetectionDiffers(t *testing.T) {
	b := alert.NewECS(alert.Options{})
	first, err := b.Build(pair(), detectedAt())
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.Build(pair(), detectedAt().Add(time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	x, y := fields(t, first.Body), fields(t, second.Body)
	if got, want := at(y, "weir.latency_ms"), 3600000+350-1377.0; got != want {
		t.Errorf("latency = %v, want %v", got, want)
	}
	for _, doc := range []map[string]any{x, y} {
		w, _ := doc["weir"].(map[string]any)
		delete(w, "detected_at")
		delete(w, "latency_ms")
	}
	if diff := cmp.Diff(x, y); diff != "" {
		t.Errorf("more than the time of detection differs:\n%s", diff)
	}
}

func TestSourceIsWhole(t *testing.T) {
	doc := build(t, alert.Options{}, single())
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(execSource)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(doc.Body, compact.Bytes()) {
		t.Errorf("body does not hold the source as it was:\n%s", doc.Body)
	}
}

func TestTimestamp(t *testing.T) {
	cases := []struct {
		name, source string
		sub          int32
		want         string
	}{
		{"own text", `{"@timestamp":"2026-03-01T11:00:00.123+01:00"}`, 0, "2026-03-01T11:00:00.123+01:00"},
		{"flat key", `{"@timestamp":"2026-03-01T10:00:00.1230Z"}`, 0, "2026-03-01T10:00:00.1230Z"},
		{"another field is the event time", `{"@timestamp":"2020-01-01T00:00:00Z"}`, 0, "2026-03-01T10:00:00.123Z"},
		{"number", `{"@timestamp":1772359200123}`, 0, "2026-03-01T10:00:00.123Z"},
		{"no date", `{"@timestamp":"yesterday"}`, 0, "2026-03-01T10:00:00.123Z"},
		{"too fine", `{"@timestamp":"2026-03-01T10:00:00.12300000000000000000000000000Z"}`, 0, "2026-03-01T10:00:00.123Z"},
		{"comma", `{"@timestamp":"2026-03-01T10:00:00,123Z"}`, 0, "2026-03-01T10:00:00.123Z"},
		{"not JSON", `{`, 1500, "2026-03-01T10:00:00.123001500Z"},
	}
	for _, c := range cases {
		doc := build(t, alert.Options{}, alert.Match{Rule: netcatRule(), Events: []alert.Event{{
			Topic: "t", Time: execTime, SubMillis: c.sub, Source: []byte(c.source),
		}}})
		if got := at(fields(t, doc.Body), "@timestamp"); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

// A sample's events stand in the order of the stages. The newest is the one that completed it, and the message tells them as they
// happened.
func TestSample(t *testing.T) {
	m := pair()
	m.Events[0], m.Events[1] = m.Events[1], m.Events[0]
	doc := build(t, alert.Options{}, m)
	f := fields(t, doc.Body)
	for path, want := range map[string]any{
		"@timestamp":  "2026-03-01T10:00:01.500Z",
		"event.start": "2026-03-01T10:00:00.123456Z",
		"event.end":   "2026-03-01T10:00:01.500Z",
	} {
		if got := at(f, path); got != want {
			t.Errorf("%s = %v, want %v", path, got, want)
		}
	}
	const told = "2 events in 1.377s, by root, in container c0ffee (image nginx) on host node-1: " +
		"exec of nc -l -p 4444 by parent bash, then connection attempted to 203.0.113.9:443 by curl: Listener in a container (high, 73)"
	if got := at(f, "message"); got != told {
		t.Errorf("message: got %v\nwant %s", got, told)
	}
	summary, err := alert.Summarise(doc.Body)
	if err != nil {
		t.Fatal(err)
	}
	if first := summary.Steps[0]; first.Destination != "203.0.113.9:443" || first.Offset != 1376544*time.Microsecond {
		t.Errorf("the first step isn't that of stage 1: %+v", first)
	}
	if bare, err := alert.NewBare().Build(m, time.Time{}); err != nil || bare.Time != doc.Time || bare.ID != doc.ID {
		t.Errorf("the bare document: got %+v %v, want id %s and time %d", bare, err, doc.ID, doc.Time)
	}
}

func TestSeverity(t *testing.T) {
	for word, want := range map[string]float64{"low": 21, "medium": 47, "high": 73, "critical": 99, "": 73} {
		m := single()
		m.Rule.Severity = word
		if got := at(fields(t, build(t, alert.Options{}, m).Body), "event.severity"); got != want {
			t.Errorf("severity %q = %v, want %v", word, got, want)
		}
	}
}

func TestKey(t *testing.T) {
	cases := []struct{ source, host, want string }{
		{`{"host.id":"h","agent":{"id":"a"}}`, "p", "h"},
		{`{"host.id":"h","host":{"id":"p"}}`, "p", "p"},
		{`{"host":{"id":"h"},"host":{"id":"p"}}`, "p", "p"},
		{`{"host":{"id":"h"},"host":{"id":"p"}}`, "", "h"},
		{`{"host":[{"id":"h"}],"host":{"id":"p"}}`, "p", "p"},
		{`{"agent":{"id":"a"}}`, "p", "p"},
		{`{"agent":{"id":"a"},"host":{"name":"n"}}`, "", "a"},
		{`{"host":{"name":"n"}}`, "", "n"},
		{`{}`, "", ""},
		{`bad`, "p", "p"},
	}
	for _, c := range cases {
		doc := build(t, alert.Options{}, alert.Match{Rule: netcatRule(), Host: c.host, Events: []alert.Event{{Topic: "t", Source: []byte(c.source)}}})
		if got := string(doc.Key); got != c.want {
			t.Errorf("key of %s with host %q = %q, want %q", c.source, c.host, got, c.want)
		}
	}
}

func TestMalformedMatch(t *testing.T) {
	b := alert.NewECS(alert.Options{})
	if _, err := b.Build(alert.Match{Events: []alert.Event{execEvent()}}, detectedAt()); err == nil {
		t.Error("no error without a rule")
	}
	if _, err := b.Build(alert.Match{Rule: netcatRule(), Events: []alert.Event{{Missing: true}}}, detectedAt()); err == nil {
		t.Error("no error without an event")
	}
}

func TestMessage(t *testing.T) {
	cases := []struct{ name, source, want string }{
		{"exec", execSource, "exec of nc -l -p 4444 by parent bash, by root, in container web-1 (image nginx:1.27) on host node-1: R (high, 73)"},
		{"args only", `{"event":{"category":"process"},"process":{"args":["ls","-l"]}}`, "process event of ls -l: R (high, 73)"},
		{"connection", netSource, "connection attempted to 203.0.113.9:443 by curl, by root, in container c0ffee (image nginx) on host node-1: R (high, 73)"},
		{"IPv6", `{"event":{"category":["network"]},"destination":{"ip":"2001:db8::1","port":53}}`, "connection to [2001:db8::1]:53: R (high, 73)"},
		{"dns", `{"event":{"category":"network"},"dns":{"question":{"name":"x.example"}},"process":{"name":"dig"}}`, "DNS query for x.example by dig: R (high, 73)"},
		{"file", `{"event":{"category":["file"],"action":"creation"},"file":{"path":"/tmp/x"},"process":{"executable":"/bin/sh"}}`, "creation of /tmp/x by /bin/sh: R (high, 73)"},
		{"registry", `{"event":{"category":["registry"]},"registry":{"path":"HKLM\\Run"},"user":{"name":"u","domain":"D"}}`, `registry change of HKLM\Run, by D\u: R (high, 73)`},
		{"library", `{"event":{"category":["library"]},"dll":{"path":"C:\\a.dll"}}`, `load of C:\a.dll: R (high, 73)`},
		{"other action", `{"event":{"action":"ssh_login"},"host":{"hostname":"h"}}`, "ssh login, on host h: R (high, 73)"},
		{
			"login", `{"event":{"category":["authentication","session"],"action":"ssh_login","outcome":"failure"},"user":{"name":"root"},"source":{"ip":"203.0.113.7"},"process":{"name":"sshd"},"host":{"name":"h"}}`,
			"ssh login (failure) as root from 203.0.113.7 by sshd, on host h: R (high, 73)",
		},
		{"login without action", `{"event":{"category":["authentication"],"outcome":"unknown"},"user":{"name":"u","domain":"D"}}`, `login as D\u: R (high, 73)`},
		{"account", `{"event":{"category":["iam"],"action":"added-user-account"},"user":{"name":"admin","target":{"name":"new"}}}`, "added-user-account of new, by admin: R (high, 73)"},
		{"group", `{"event":{"category":["iam"]},"group":{"name":"wheel"}}`, "account change of wheel: R (high, 73)"},
		{"category only", `{"event":{"category":["malware"]}}`, "malware event: R (high, 73)"},
		{"nothing", `{}`, "event: R (high, 73)"},
		{"terminal codes", `{"event":{"action":"a\u001b[2J\nb\u202ec"}}`, "a [2J bc: R (high, 73)"},
	}
	for _, c := range cases {
		rule := &alert.Rule{ID: "r", Name: "R", Severity: "high", RiskScore: 73}
		doc := build(t, alert.Options{}, alert.Match{Rule: rule, Events: []alert.Event{{Topic: "t", Source: []byte(c.source)}}})
		if got := at(fields(t, doc.Body), "message"); got != c.want {
			t.Errorf("%s:\n got %v\nwant %v", c.name, got, c.want)
		}
	}
}

func TestMessageOfLongSequence(t *testing.T) {
	m := alert.Match{Rule: netcatRule()}
	for range 9 {
		m.Events = append(m.Events, execEvent())
	}
	m.Events[1] = alert.Event{Missing: true}
	m.Events[8] = netEvent()
	got, _ := at(fields(t, build(t, alert.Options{}, m).Body), "message").(string)
	exec := "exec of nc -l -p 4444 by parent bash"
	want := "8 events in 1.377s, by root, in container c0ffee (image nginx) on host node-1: " + exec + ", then " + exec +
		", then " + exec + ", then " + exec + ", then 3 more, then connection attempted to 203.0.113.9:443 by curl: Listener in a container (high, 73)"
	if got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

func BenchmarkBuild(b *testing.B) {
	padded := execEvent() // about the 2 KB of a real event
	padded.Source = []byte(strings.Replace(execSource, "{", `{"agent":{"id":"a1","type":"endpoint","version":"8.19.0"},"more":{"text":"`+strings.Repeat("lorem ", 120)+`"},`, 1))
	one := single()
	one.Events = []alert.Event{padded}
	two := pair()
	two.Events[0] = padded
	guided := single()
	guided.Events = one.Events
	guided.Rule.Note = "\n" + strings.Repeat("## Triage\n\n- See who opened the shell, and \"why\".\n", 100) // public rules have guides of some 5 KB
	builder := alert.NewECS(alert.Options{MaxBytes: 1 << 20})
	at := detectedAt()
	for name, m := range map[string]alert.Match{"single": one, "guided": guided, "sequence": two} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := builder.Build(m, at); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
