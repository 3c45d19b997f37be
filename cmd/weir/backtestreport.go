package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-json"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/replay"
)

// backtestReport is what a backtest found, for people and for programs.
type backtestReport struct {
	app      *app
	files    tally
	all      bool
	anyIndex bool
	registry *prometheus.Registry
	result   *replay.Result
	took     time.Duration
	unread   int                                    // event files that couldn't be read to their ends
	shown    int                                    // dead letters that were named
	place    func(name string, offset int64) string // of an event in its file, nil for topics
}

// shownDeadLetters is the number of dead letters that are named one by one.
const shownDeadLetters = 5

func (r *backtestReport) deadLetter(d pipeline.DeadLetter) error {
	if r.shown++; r.shown > shownDeadLetters {
		return nil
	}
	why := cmp.Or(d.Detail, d.Reason)
	if where := wrapping(d.Value); d.Reason == pipeline.ReasonNoTimestamp && where != "" {
		why += "; the document seems to be under " + where + ": take it out first, as jq -c " + where + " does"
	}
	if r.place != nil {
		r.app.warn("%s: %s", r.place(d.Topic, d.Offset), why)
	} else {
		r.app.warn("%s, partition %d, offset %d: %s", d.Topic, d.Partition, d.Offset, why)
	}
	return nil
}

// wrapping returns where in what Elasticsearch or weir query answers the documents are, as a filter of jq; empty where it isn't one.
func wrapping(doc []byte) string {
	type source struct {
		ES   map[string]any `json:"_source"`
		Weir map[string]any `json:"source"`
	}
	var answer struct {
		source

		Events []source `json:"events"`
		Hits   struct {
			Hits   []source `json:"hits"`
			Events []source `json:"events"`
		} `json:"hits"`
	}
	_ = json.Unmarshal(doc, &answer) // of a field that is something else the others still count
	has := func(list []source) bool { return len(list) > 0 && list[0].ES != nil }
	switch {
	case answer.ES != nil:
		return "._source"
	case len(answer.Events) > 0 && answer.Events[0].Weir != nil:
		return ".events[].source"
	case has(answer.Hits.Hits):
		return ".hits.hits[]._source"
	case has(answer.Hits.Events):
		return ".hits.events[]._source"
	default:
		return ""
	}
}

// noEvents is the error of a replay in which nothing was an event; nil where something was, or nothing was there.
func (r *backtestReport) noEvents() error {
	rejected := 0
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(r.result.DeadLetters)) {
		rejected += r.result.DeadLetters[reason]
		reasons = append(reasons, reason)
	}
	if rejected == 0 || uint64(rejected) < r.result.Records {
		return nil
	}
	return fmt.Errorf("no event could be read: %s, all dead letters (%s)", count(r.result.Records, "record"), strings.Join(reasons, ", "))
}

// filtered reports whether index patterns decide which events some rule sees.
func (r *backtestReport) filtered() bool {
	return !r.anyIndex && slices.ContainsFunc(r.result.Rules, func(rr replay.RuleResult) bool { return len(rr.Rule.Rule.Index) > 0 })
}

// ruleJSON is one rule in the JSON form of the report.
type ruleJSON struct {
	RuleID   string `json:"rule_id"`
	Name     string `json:"name"`
	Severity string `json:"severity"`
	Matches  int    `json:"matches"`
	Hosts    int    `json:"hosts"`
	First    string `json:"first,omitempty"`
	Last     string `json:"last,omitempty"`
}

// filesJSON counts rule files by status.
type filesJSON struct {
	OK      int `json:"ok"`
	Error   int `json:"error"`
	Skipped int `json:"skipped"`
}

// backtestJSON is the JSON form of the report.
type backtestJSON struct {
	Rules          []ruleJSON     `json:"rules"`
	Alerts         int            `json:"alerts"`
	Events         uint64         `json:"events"`
	Bytes          uint64         `json:"bytes"`
	Seconds        float64        `json:"seconds"`
	EventsPerSec   float64        `json:"events_per_second"`
	DeadLetters    map[string]int `json:"dead_letters"`
	Late           uint64         `json:"late_events"`
	Deduplicated   uint64         `json:"deduplicated_alerts"`
	UnknownStreams uint64         `json:"unknown_stream_events"`
	UnreadFiles    int            `json:"unread_files"` // not read to their ends: the report is incomplete
	RuleFiles      filesJSON      `json:"rule_files"`
}

func (r *backtestReport) write(format string, alertsOnStdout bool) error {
	w := r.app.stream(alertsOnStdout)
	if more := r.shown - shownDeadLetters; more > 0 {
		r.app.warn("%d more could not be read", more)
	}
	if format == "json" {
		return json.NewEncoder(w).Encode(r.json())
	}
	if n := r.counter("weir_unknown_stream_events_total"); n > 0 && r.filtered() {
		r.app.warn("%s without data_stream.* fields: no index pattern filtered them", count(n, "event"))
	}
	return r.table(w)
}

// rows returns the results that are shown, most matches first.
func (r *backtestReport) rows() []replay.RuleResult {
	var rows []replay.RuleResult
	for _, rr := range r.result.Rules {
		if r.all || rr.Matches > 0 {
			rows = append(rows, rr)
		}
	}
	slices.SortStableFunc(rows, func(x, y replay.RuleResult) int {
		return cmp.Or(cmp.Compare(y.Matches, x.Matches), strings.Compare(x.Rule.Rule.Name, y.Rule.Rule.Name))
	})
	return rows
}

func (r *backtestReport) json() backtestJSON {
	out := backtestJSON{
		Rules: []ruleJSON{}, Alerts: r.result.Alerts, Events: r.result.Records, Bytes: r.result.Bytes,
		Seconds: r.took.Seconds(), EventsPerSec: r.rate(), DeadLetters: r.result.DeadLetters,
		Late:           r.counter("weir_late_events_total"),
		Deduplicated:   r.counter("weir_alerts_deduplicated_total"),
		UnknownStreams: r.counter("weir_unknown_stream_events_total"), UnreadFiles: r.unread,
		RuleFiles: filesJSON{OK: r.files.ok, Error: r.files.errors, Skipped: r.files.skipped},
	}
	for _, rr := range r.rows() {
		row := ruleJSON{
			RuleID: rr.Rule.Rule.ID, Name: rr.Rule.Rule.Name, Severity: rr.Rule.Rule.Severity,
			Matches: rr.Matches, Hosts: len(rr.Hosts),
		}
		if rr.Matches > 0 {
			row.First, row.Last = instant(rr.First).Format(time.RFC3339Nano), instant(rr.Last).Format(time.RFC3339Nano)
		}
		out.Rules = append(out.Rules, row)
	}
	return out
}

func (r *backtestReport) table(w io.Writer) error {
	style := r.app.out
	rows := r.rows()
	if len(rows) > 0 {
		t := term.NewTable(style.Width, term.Column{Title: "rule", Flex: true}, term.Column{Title: "severity"},
			term.Column{Title: "matches", Right: true}, term.Column{Title: "hosts", Right: true},
			term.Column{Title: "first", Flex: true}, term.Column{Title: "last", Flex: true})
		for _, rr := range rows {
			first, last := "", ""
			if rr.Matches > 0 {
				first, last = moment(rr.First), moment(rr.Last)
			}
			t.Row(rr.Rule.Rule.Name, style.Severity(rr.Rule.Rule.Severity), strconv.Itoa(rr.Matches),
				strconv.Itoa(len(rr.Hosts)), first, last)
		}
		if err := t.Write(w); err != nil {
			return err
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(w, r.summary())
	return err
}

// summary says in two lines what was run and what came of it.
func (r *backtestReport) summary() string {
	matched := 0
	for _, rr := range r.result.Rules {
		if rr.Matches > 0 {
			matched++
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s of %d with %s", count(matched, "rule"), len(r.result.Rules), plural(r.result.Alerts, "match", "matches"))
	fmt.Fprintf(&b, " in %s (%.1f MB) in %.2f s, %.0f events/s", count(r.result.Records, "event"),
		float64(r.result.Bytes)/1e6, r.took.Seconds(), r.rate())
	var notes []string
	if r.unread > 0 {
		notes = append(notes, "INCOMPLETE: "+count(r.unread, "event file")+" not read to the end")
	}
	if n := r.counter("weir_late_events_total"); n > 0 {
		notes = append(notes, fmt.Sprintf("%d late (%s)", n, r.lateHint()))
	}
	if n := r.counter("weir_alerts_deduplicated_total"); n > 0 {
		notes = append(notes, count(n, "repeated alert")+" left out (see --dedupe)")
	}
	for _, reason := range slices.Sorted(maps.Keys(r.result.DeadLetters)) {
		notes = append(notes, fmt.Sprintf("%s (%s)", count(r.result.DeadLetters[reason], "dead letter"), reason))
	}
	if r.files.skipped > 0 {
		notes = append(notes, count(r.files.skipped, "rule file")+" skipped by type")
	}
	if r.files.errors > 0 {
		notes = append(notes, count(r.files.errors, "rule file")+" with errors, not run")
	}
	if len(notes) > 0 {
		b.WriteString("\n" + strings.Join(notes, ", "))
	}
	return b.String()
}

// lateHint says what late events are and what helps.
func (r *backtestReport) lateHint() string {
	if r.place != nil {
		return "events behind their host's order by record time; see --lateness and --sort"
	}
	return "events behind their host's order by record time; see --lateness"
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

func (r *backtestReport) rate() float64 {
	if r.took <= 0 {
		return 0
	}
	return float64(r.result.Records) / r.took.Seconds()
}

// counter returns the sum of a counter of the engine over its labels.
func (r *backtestReport) counter(name string) uint64 { return sumCounter(r.registry, name) }

func sumCounter(g prometheus.Gatherer, name string) uint64 {
	families, err := g.Gather()
	if err != nil {
		return 0
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += m.GetCounter().GetValue()
		}
	}
	return uint64(sum)
}

func instant(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// moment writes a time for a table.
func moment(ms int64) string { return instant(ms).Format("2006-01-02 15:04:05Z") }
