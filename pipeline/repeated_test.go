package pipeline_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// alertsOf runs records and returns the alerts.
func alertsOf(t *testing.T, query string, bodies ...string) []pipeline.Alert {
	t.Helper()
	cfg := config(compileQueries(t, rules.SetOptions{}, map[string]string{"r": query}, nil))
	d := &driver{t: t, cfg: cfg, store: state.OpenMemory(), out: map[string]string{}}
	w := d.worker()
	for i, body := range bodies {
		at := t0 + int64(i)*1000
		process(t, w, pipeline.Record{Topic: "events", Offset: int64(i), Time: at, Clock: pipeline.ClockLogAppend, Value: fmt.Appendf(nil, `{"@timestamp":%d,%s}`, at, body)})
	}
	process(t, w, pipeline.Record{Topic: "events", Offset: int64(len(bodies)), Time: t0 + 3_600_000, Clock: pipeline.ClockLogAppend, Value: fmt.Appendf(nil, `{"@timestamp":%d,"host":{"id":"z"}}`, t0+3_600_000)})
	return w.Output().Alerts
}

// valuesAt returns the values of a field of an alert, as JSON.
func valuesAt(t *testing.T, a pipeline.Alert, path string) string {
	t.Helper()
	var v any
	if err := json.Unmarshal(a.Body, &v); err != nil {
		t.Fatal(err)
	}
	for k := range strings.SplitSeq(path, ".") {
		if list, ok := v.([]any); ok {
			v = list[0]
		}
		o, _ := v.(map[string]any)
		v = o[k]
	}
	b, _ := json.Marshal(v)
	return string(b)
}

// An event that names a key twice must not have an alert that describes another event than the one that the rule has seen.
const (
	seenByRule = `"event":{"id":"e","category":"process"},"host":{"id":"victim","name":"victim"},"process":{"name":"nc","command_line":"nc -e /bin/sh"},"user":{"name":"root"}`
	decoy      = `"host":{"id":"other","name":"other"},"process":{"name":"sshd"},"user":{"name":"backup"}`
	flatDecoy  = `"host.id":"other","host.name":"other","process.name":"sshd","user.name":"backup"`
)

func TestAlertOfRepeatedKeys(t *testing.T) {
	for name, c := range map[string]struct{ body, key, host, process, user string }{
		"objects":       {seenByRule + "," + decoy, "victim", `["victim","other"]`, `["nc","sshd"]`, `["root","backup"]`},
		"decoy first":   {decoy + "," + seenByRule, "other", `["other","victim"]`, `["sshd","nc"]`, `["backup","root"]`},
		"flat":          {seenByRule + "," + flatDecoy, "victim", `["victim","other"]`, `["nc","sshd"]`, `["root","backup"]`},
		"flat first":    {flatDecoy + "," + seenByRule, "other", `["victim","other"]`, `["nc","sshd"]`, `["root","backup"]`},
		"inner keys":    {`"event":{"category":"process"},"host":{"id":"victim","id":"other"},"process":{"name":"nc","name":"sshd"},"user":{"name":"root","name":"backup"}`, "victim", `["victim","other"]`, `["nc","sshd"]`, `["root","backup"]`},
		"in an array":   {`"event":{"category":"process"},"host":[{"id":"victim"}],"host":{"id":"other"},"process":[{"name":"nc"}],"process":{"name":"sshd"},"user":[{"name":"root"}],"user":{"name":"backup"}`, "victim", `["victim","other"]`, `["nc","sshd"]`, `["root","backup"]`},
		"flat in array": {`"event":{"category":"process"},"host":[{"id":"victim"}],"host.id":"other","process":[{"name":"nc"}],"process.name":"sshd","user":[{"name":"root"}],"user.name":"backup"`, "victim", `["victim","other"]`, `["nc","sshd"]`, `["root","backup"]`},
	} {
		alerts := alertsOf(t, `process where process.name == "nc"`, c.body)
		if len(alerts) != 1 {
			t.Fatalf("%s: %d alerts", name, len(alerts))
		}
		a := alerts[0]
		got := []string{string(a.Key), valuesAt(t, a, "host.id"), valuesAt(t, a, "process.name"), valuesAt(t, a, "user.name")}
		if diff := cmp.Diff([]string{c.key, c.host, c.process, c.user}, got); diff != "" {
			t.Errorf("%s: (-want +got)\n%s", name, diff)
		}
		if n := strings.Count(string(a.Body), `"process":{`) + strings.Count(string(a.Body), `"process":[`); n != 2 {
			t.Errorf("%s: process is %d times in the fields and the source", name, n)
		}
	}
}

func TestAlertOfRepeatedKeysInSequence(t *testing.T) {
	connection := strings.NewReplacer(`"e"`, `"f"`, `"process"}`, `"network"}`).Replace(seenByRule)
	alerts := alertsOf(t, `sequence by user.name with maxspan=1m [process where process.name == "nc"] [network where process.name == "nc"]`,
		seenByRule+`,"process":{"name":"sshd"},"host":{"id":"x"}`, `"host":{"id":"y"},`+connection+`,"process":{"name":"sshd"}`)
	if len(alerts) != 1 {
		t.Fatalf("%d alerts", len(alerts))
	}
	a := alerts[0]
	summary, err := alert.Summarise(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := []string{string(a.Key), valuesAt(t, a, "host.id"), valuesAt(t, a, "process.name"), valuesAt(t, a, "weir.events.source.process.name"), summary.Steps[0].Process, summary.Steps[1].Process}
	if diff := cmp.Diff([]string{"y", `["victim"]`, `["nc","sshd"]`, `["nc","sshd"]`, "nc", "nc"}, got); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
}
