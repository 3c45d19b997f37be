package main

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/rules"
)

func TestPosition(t *testing.T) {
	now := time.Date(2026, 2, 3, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		text string
		want kafka.Position
	}{
		{"", kafka.Position{}},
		{"0", kafka.Position{ByOffset: true}},
		{"1234", kafka.Position{ByOffset: true, Offset: 1234}},
		{"now", kafka.Position{Time: now}},
		{"-24h", kafka.Position{Time: now.Add(-24 * time.Hour)}},
		{"-90m", kafka.Position{Time: now.Add(-90 * time.Minute)}},
		{"-7d", kafka.Position{Time: now.AddDate(0, 0, -7)}},
		{"2026-01-31T08:00:00Z", kafka.Position{Time: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)}},
		{"2026-01-31T08:00", kafka.Position{Time: time.Date(2026, 1, 31, 8, 0, 0, 0, time.UTC)}},
		{"2026-01-31", kafka.Position{Time: time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)}},
	}
	for _, tt := range tests {
		got, err := position(tt.text, now)
		if err != nil || !cmp.Equal(got, tt.want) {
			t.Errorf("position(%q) = %v, %v, want %v", tt.text, got, err, tt.want)
		}
	}
	for _, text := range []string{"24h", "yesterday", "-5", "--1h", "2026-13-01"} {
		if got, err := position(text, now); err == nil {
			t.Errorf("position(%q) = %v, want an error", text, got)
		}
	}
}

func TestValueJSON(t *testing.T) {
	tests := []struct {
		value event.Value
		want  string
	}{
		{event.Value{}, "null"},
		{event.StringValue(`a "b"`), `"a \"b\""`},
		{event.IntValue(math.MinInt64), "-9223372036854775808"},
		{event.UintValue(math.MaxUint64), "18446744073709551615"},
		{event.FloatValue(1.5), "1.5"},
		{event.BoolValue(true), "true"},
	}
	for _, tt := range tests {
		got, err := valueJSON(tt.value)
		if err != nil || string(got) != tt.want {
			t.Errorf("valueJSON(%s) = %s, %v, want %s", tt.value.Text(), got, err, tt.want)
		}
	}
}

func TestQueryProblem(t *testing.T) {
	text := "process where\n  näme == 1"
	pos := strings.Index(text, "==")
	p := rules.QueryProblem(text, &ast.Error{Span: ast.Span{Pos: pos, End: pos + 2}, Msg: "no"})
	got := []int{p.Line, p.Column, p.EndColumn}
	if want := []int{2, 8, 10}; !cmp.Equal(got, want) {
		t.Errorf("line, column, end = %v, want %v", got, want)
	}
	if !cmp.Equal(p.Lines, []string{"  näme == 1"}) {
		t.Errorf("lines = %q", p.Lines)
	}
}

// TestAlertBlock shows how an alert looks in the demo: nothing is broken within a name, nothing is wider than the terminal.
func TestAlertBlock(t *testing.T) {
	s := alert.Summary{
		Time: time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC), Severity: "high", RiskScore: 73, RuleName: "Shell After Connection",
		Message: "2 events by app, on host node-01: connection attempted to 192.0.2.1:443 by python3, then exec of sh: Shell After Connection (high, 73)",
		Host:    "node-01", User: "app", Container: "web",
		Tactics:    []string{"TA0002 Execution", "TA0011 Command and Control"},
		Techniques: []string{"T1059 Command and Scripting Interpreter", "T1059.004 Unix Shell"},
		Steps: []alert.Step{
			{Process: "python3", Destination: "192.0.2.1:443"},
			{Missing: true},
			{Offset: 1500 * time.Millisecond, CommandLine: "sh -i"},
		},
	}
	const want = `04:05:06  HIGH     Shell After Connection
          2 events by app, on host node-01: connection attempted to 192.0.2.1:443 by
          python3, then exec of sh
          where      host node-01, container web, user app
          MITRE      TA0002 Execution · TA0011 Command and Control · T1059.004 Unix Shell
          events     1. +0.0s   python3 → 192.0.2.1:443
                     2.         (nothing of the kind happened)
                     3. +1.5s   sh -i

`
	if diff := cmp.Diff(want, alertBlock(term.Style{Width: 90}, s, time.UTC)); diff != "" {
		t.Errorf("block (-want +got):\n%s", diff)
	}
}

func TestQuantile(t *testing.T) {
	ds := []time.Duration{1 * time.Millisecond, 2 * time.Millisecond, 3 * time.Millisecond, 4 * time.Millisecond}
	for q, want := range map[float64]time.Duration{0: time.Millisecond, 0.5: 3 * time.Millisecond, 0.99: 4 * time.Millisecond, 1: 4 * time.Millisecond} {
		if got := quantile(ds, q); got != want {
			t.Errorf("quantile(%v) = %v, want %v", q, got, want)
		}
	}
}
