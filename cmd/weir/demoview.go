package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
)

// demoView prints alerts as they come and counts them.
type demoView struct {
	app   *app
	style term.Style
	rules int
	f     demoFlags

	mu        sync.Mutex // alerts come from the engine's goroutine
	byRule    map[string]*ruleCount
	latencies []time.Duration
}

// ruleCount is what the summary says of a rule.
type ruleCount struct {
	name, severity string
	risk, alerts   int
	hosts          map[string]struct{}
}

func newDemoView(a *app, rules int, f demoFlags) *demoView {
	return &demoView{app: a, style: a.out, rules: rules, f: f, byRule: map[string]*ruleCount{}}
}

// print writes to stdout. A reader that went away ends the demo by SIGPIPE or Ctrl-C, not by an error here.
func (v *demoView) print(text string) { _, _ = v.app.stdout.Write([]byte(text)) }

func (v *demoView) opening() {
	broker := "a Kafka broker in this process"
	if v.f.kafka != "" {
		broker = v.f.kafka
	}
	const title = "weir demo:"
	text := fmt.Sprintf("%s %s, %s, %.0f events/s through %s. Ctrl-C ends it.", title,
		count(v.f.hosts, "host"), count(v.rules, "rule"), v.f.rate, broker)
	lines := strings.Join(term.Wrap(text, v.style.Columns()), "\n")
	v.print(v.style.Bold(title) + strings.TrimPrefix(lines, title) + "\n\n")
}

// alert prints an alert.
func (v *demoView) alert(a pipeline.Alert) {
	s, err := alert.Summarise(a.Body)
	if err != nil {
		v.app.warn("alert %s can't be shown: %v", a.ID, err)
		return
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	r := v.byRule[s.RuleID]
	if r == nil {
		r = &ruleCount{name: s.RuleName, severity: s.Severity, risk: int(s.RiskScore), hosts: map[string]struct{}{}}
		v.byRule[s.RuleID] = r
	}
	r.alerts++
	r.hosts[s.Host] = struct{}{}
	v.latencies = append(v.latencies, v.app.now().Sub(s.Time))
	v.print(alertBlock(v.style, s, time.Local))
}

// Columns of an alert block.
const (
	blockIndent = 10
	blockLabel  = 11
	blockTitle  = 19 // time and severity
)

// alertBlock lays an alert out for an analyst: what and how bad, in a sentence, where, which technique, and the events.
func alertBlock(style term.Style, s alert.Summary, zone *time.Location) string {
	var b strings.Builder
	width := min(style.Columns(), 120)
	for i, l := range term.Wrap(s.RuleName, width-blockTitle) {
		if i == 0 {
			fmt.Fprintf(&b, "%s  %s %s\n", style.Faint(s.Time.In(zone).Format("15:04:05")), style.Badge(s.Severity), style.Bold(l))
		} else {
			fmt.Fprintf(&b, "%*s%s\n", blockTitle, "", style.Bold(l))
		}
	}
	// The sentence ends with the rule and its severity, which stand above.
	message := strings.TrimSuffix(s.Message, fmt.Sprintf(": %s (%s, %.0f)", s.RuleName, s.Severity, s.RiskScore))
	for _, l := range term.Wrap(message, width-blockIndent) {
		fmt.Fprintf(&b, "%*s%s\n", blockIndent, "", l)
	}
	line := func(label string, items []string, separator string) {
		for i, l := range term.WrapItems(items, separator, width-blockIndent-blockLabel) {
			if i > 0 {
				label = ""
			}
			fmt.Fprintf(&b, "%*s%s%s\n", blockIndent, "", style.Faint(fmt.Sprintf("%-*s", blockLabel, label)), l)
		}
	}
	line("where", place(s), ", ")
	line("MITRE", append(slices.Clone(s.Tactics), specific(s.Techniques)...), " · ")
	if len(s.Steps) > 1 {
		writeSteps(&b, style, s.Steps, width)
	}
	b.WriteByte('\n')
	return b.String()
}

// specific leaves out the techniques of which a subtechnique is named too.
func specific(techniques []string) []string {
	var out []string
	for _, t := range techniques {
		id, _, _ := strings.Cut(t, " ")
		if !slices.ContainsFunc(techniques, func(o string) bool { return strings.HasPrefix(o, id+".") }) {
			out = append(out, t)
		}
	}
	return out
}

func place(s alert.Summary) []string {
	var parts []string
	if s.Host != "" {
		parts = append(parts, "host "+s.Host)
	}
	if s.Container != "" {
		parts = append(parts, "container "+s.Container)
	}
	if s.User != "" {
		parts = append(parts, "user "+s.User)
	}
	return parts
}

// writeSteps shows the events of a sequence in order.
func writeSteps(b *strings.Builder, style term.Style, steps []alert.Step, width int) {
	for i, st := range steps {
		label := "events"
		if i > 0 {
			label = ""
		}
		text, at := cmp.Or(st.CommandLine, st.Text), fmt.Sprintf("+%.1fs", st.Offset.Seconds())
		if st.Destination != "" {
			text = cmp.Or(st.Process, st.Text) + " → " + st.Destination
		}
		if st.Missing {
			text, at = style.Faint("(nothing of the kind happened)"), ""
		}
		head := fmt.Sprintf("%d. %-7s ", i+1, at)
		lines := term.Wrap(text, width-blockIndent-blockLabel-len(head))
		for j, l := range lines {
			if j > 0 {
				label, head = "", strings.Repeat(" ", len(head))
			}
			fmt.Fprintf(b, "%*s%s%s%s\n", blockIndent, "", style.Faint(fmt.Sprintf("%-*s", blockLabel, label)), style.Faint(head), l)
		}
	}
}

// summary prints what the demo did.
func (v *demoView) summary(feed *demoFeed, took time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	rows := make([]*ruleCount, 0, len(v.byRule))
	total := 0
	for _, r := range v.byRule {
		rows = append(rows, r)
		total += r.alerts
	}
	slices.SortFunc(rows, func(a, b *ruleCount) int {
		return cmp.Or(cmp.Compare(b.risk, a.risk), cmp.Compare(b.alerts, a.alerts), strings.Compare(a.name, b.name))
	})
	if len(rows) > 0 {
		t := term.NewTable(v.style.Width, term.Column{Title: "rule", Flex: true}, term.Column{Title: "severity"},
			term.Column{Title: "risk", Right: true}, term.Column{Title: "alerts", Right: true}, term.Column{Title: "hosts", Right: true})
		for _, r := range rows {
			t.Row(r.name, v.style.Severity(r.severity), strconv.Itoa(r.risk), strconv.Itoa(r.alerts), strconv.Itoa(len(r.hosts)))
		}
		_ = t.Write(v.app.stdout)
		v.print("\n")
	}
	produced := feed.produced.Load()
	text := fmt.Sprintf("%s in %.0f s (%.0f/s), %s, %s", count(int(produced), "event"), took.Seconds(),
		float64(produced)/max(took.Seconds(), 0.001), count(int(feed.attacks.Load()), "attack"), count(total, "alert"))
	if len(v.latencies) > 0 {
		slices.Sort(v.latencies)
		text += fmt.Sprintf("; from the event to the committed alert: half within %s, 99 %% within %s",
			quantile(v.latencies, 0.5), quantile(v.latencies, 0.99))
	}
	v.print(strings.Join(term.Wrap(text+".", v.style.Columns()), "\n") + "\n")
	if v.f.length == 0 || total > 0 {
		next := "The same again: " + v.f.command() + ". Next: weir run --help, weir rules list."
		for _, l := range term.Wrap(next, v.style.Columns()) {
			v.print(v.style.Faint(l) + "\n")
		}
	}
}

// quantile returns a quantile of sorted durations, rounded for reading.
func quantile(sorted []time.Duration, q float64) time.Duration {
	i := min(int(q*float64(len(sorted))), len(sorted)-1)
	return sorted[i].Round(time.Millisecond)
}
