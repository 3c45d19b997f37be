package main

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	"github.com/weir-eql/weir/internal/bench"
	"github.com/weir-eql/weir/internal/term"
)

// render prints what was measured.
func (b *benchRun) render(format string) error {
	if t := b.topic; b.f.rate > 0 && t.events > 0 {
		b.report.Setup.Events, b.report.Setup.TopicBytes = t.events, t.bytes
		b.report.Setup.EventBytes = float64(t.bytes) / float64(t.events)
	}
	if format == "json" {
		out := json.NewEncoder(b.stdout)
		out.SetIndent("", "  ")
		return out.Encode(b.report)
	}
	if format == "csv" {
		return b.report.WriteCSV(b.stdout)
	}
	return b.renderTables()
}

// benchTable is one of the tables of the report.
type benchTable struct {
	title string
	head  []string
	rows  [][]string
}

func (b *benchRun) renderTables() error {
	s := b.report.Setup
	if _, err := fmt.Fprintf(b.stdout, "%d %s events of %.0f bytes, %d partitions, %s, commit every %v, broker %s\n%s, %d cores, %s, weir %s\n\n",
		s.Events, s.Source, s.EventBytes, s.Partitions, s.Compression, s.CommitInterval, s.Broker,
		b.report.CPU, b.report.Cores, b.report.Go, b.report.Version); err != nil {
		return err
	}
	main := benchTable{head: []string{"rules", "runs", "events/s", "µs CPU/event", "allocs/event", "B/event", "GCs", "RSS MB", "alerts", "exact"}}
	stages := benchTable{
		title: "\nµs of CPU per event by stage, from the profile:\n", head: append([]string{"rules"}, bench.Stages()...),
	}
	latency := benchTable{
		title: "\nfrom the event to its alert under read_committed, in ms:\n", head: []string{"rules", "alerts of", "n", "p50", "p99", "max"},
	}
	for _, g := range b.report.ByRules() {
		r := bench.Median(g)
		rules := strconv.Itoa(r.Rules)
		main.rows = append(main.rows, []string{
			rules, strconv.Itoa(len(g)), fixed(r.EventsPerS, 0), spread(g), fixed(r.Allocs, 3),
			fixed(r.AllocBytes, 0), strconv.FormatUint(uint64(r.GCs), 10), fixed(r.RSSMB, 0), strconv.Itoa(r.Alerts.Distinct), exactness(g),
		})
		if len(r.Stages) > 0 {
			cells := []string{rules}
			for _, stage := range bench.Stages() {
				cells = append(cells, fixed(r.Stages[stage], 2))
			}
			stages.rows = append(stages.rows, cells)
		}
		if l := r.Latency; l != nil {
			latency.rows = append(latency.rows, quantiles(rules, "single event", l.Single), quantiles(rules, "sequence", l.Sequence))
		}
	}
	if slices.ContainsFunc(b.report.Rows, func(r bench.Row) bool { return r.Whole }) {
		b.warn("too few commits for a warm-up: the figures are those of the whole run, with the start of the process; take more events, or a shorter --commit")
	}
	if len(stages.rows) == 0 && !b.f.noSplit {
		b.warn("no split by stage: the runs were too short for the CPU profile to see anything; take more events")
	}
	for _, t := range []benchTable{main, stages, latency} {
		if err := b.renderTable(t); err != nil {
			return err
		}
	}
	return nil
}

func (b *benchRun) renderTable(t benchTable) error {
	if len(t.rows) == 0 {
		return nil
	}
	if _, err := fmt.Fprint(b.stdout, t.title); err != nil {
		return err
	}
	columns := make([]term.Column, len(t.head))
	for i, name := range t.head {
		columns[i] = term.Column{Title: name, Right: i > 0 && name != "alerts of" && name != "exact"}
	}
	table := term.NewTable(b.out.Width, columns...)
	for _, r := range t.rows {
		table.Row(r...)
	}
	return table.Write(b.stdout)
}

func quantiles(rules, of string, q bench.Quantiles) []string {
	return []string{rules, of, strconv.Itoa(q.N), fixed(q.P50, 0), fixed(q.P99, 0), fixed(q.Max, 0)}
}

// exactness says whether all alerts were there once in all runs, and those of the planted rules were all there.
func exactness(rows []bench.Row) string {
	text := "-"
	for _, r := range rows {
		switch {
		case r.Alerts.Doubled > 0:
			return fmt.Sprintf("NO: %d alerts are there twice", r.Alerts.Doubled)
		case r.Planted == nil:
		case !r.Planted.Exact():
			return fmt.Sprintf("NO: %+v", *r.Planted)
		default:
			text = "yes"
		}
	}
	return text
}

func fixed(v float64, decimals int) string { return strconv.FormatFloat(v, 'f', decimals, 64) }

// spread is the median CPU time with the lowest and highest behind it where there are several runs.
func spread(rows []bench.Row) string {
	lo, hi := rows[0].CPUMicros, rows[0].CPUMicros
	for _, r := range rows {
		lo, hi = min(lo, r.CPUMicros), max(hi, r.CPUMicros)
	}
	text := fixed(bench.Median(rows).CPUMicros, 2)
	if len(rows) > 1 {
		text += fmt.Sprintf(" (%.2f-%.2f)", lo, hi)
	}
	return text
}
