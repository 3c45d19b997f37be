package alert_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline/alert"
)

func TestSummarise(t *testing.T) {
	m := pair()
	m.Events = []alert.Event{execEvent(), {Missing: true}, netEvent()}
	m.OpenEnd = true
	doc := build(t, alert.Options{}, m)
	got, err := alert.Summarise(doc.Body)
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2026, 3, 1, 10, 0, 0, 123456000, time.UTC)
	end := time.Date(2026, 3, 1, 10, 0, 1, 500000000, time.UTC)
	want := alert.Summary{
		ID: doc.ID, Time: end, Severity: "high", RiskScore: 73,
		RuleID: "a1b2c3d4-0000-4000-8000-000000000001", RuleName: "Listener in a container",
		Message: "2 events in 1.377s, by root, in container c0ffee (image nginx) on host node-1: exec of nc -l -p 4444 by parent bash, " +
			"then connection attempted to 203.0.113.9:443 by curl: Listener in a container (high, 73)",
		Host: "node-1", User: "root", Container: "c0ffee", Image: "nginx",
		Tactics:    []string{"TA0002 Execution", "TA0011 Command and Control"},
		Techniques: []string{"T1059 Command and Scripting Interpreter", "T1059.004 Unix Shell"},
		Steps: []alert.Step{
			{
				Time: start, Action: "exec", Text: "exec of nc -l -p 4444 by parent bash",
				Process: "nc", Parent: "bash", CommandLine: "nc -l -p 4444",
			},
			{Missing: true},
			{
				Time: end, Offset: end.Sub(start), Action: "connection attempted", Process: "curl",
				Text: "connection attempted to 203.0.113.9:443 by curl", Destination: "203.0.113.9:443",
			},
		},
		OpenEnd: true, Latency: -1027 * time.Millisecond,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("summary differs (-want +got):\n%s", diff)
	}
}

func TestSummariseRefuses(t *testing.T) {
	for _, body := range []string{"", "{", "[]", `{"weir":1}`} {
		if got, err := alert.Summarise([]byte(body)); err == nil {
			t.Errorf("no error for %q, got %+v", body, got)
		}
	}
}

func TestSpan(t *testing.T) {
	for ms, want := range map[int64]string{
		0: "0s", 177: "177ms", 1_500: "1.5s", 10_000: "10s", 90_000: "1m30s", 540_000: "9m", 3_600_000: "1h", 3_601_000: "1h0m1s", 3_660_000: "1h1m",
	} {
		if got := alert.Span(ms); got != want {
			t.Errorf("%d ms: got %s, want %s", ms, got, want)
		}
	}
}
