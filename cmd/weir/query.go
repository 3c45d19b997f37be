package main

import (
	"bufio"
	"bytes"
	"cmp"
	stdjson "encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	"github.com/goccy/go-json"
	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/eql/lint"
	"github.com/weir-eql/weir/eql/parser"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
)

func newQueryCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "query 'EQL' --events FILE…",
		Short: "Run one EQL query over event files",
		Long: `Run one EQL query over event files, as Elasticsearch's EQL search would run it over an index, and print its matches as
JSON lines, in the order in which they were completed:

  {"join_keys":[…],"events":[{"index":N,"source":{…}},…]}

index is the event's position in the input, from 0 and on from file to file in the order given; {"missing":true} stands for a
missing stage. Events are sorted by event time, then tiebreaker, then position. Missing stages at the end of the input are
decided there. What weir rules lint would warn of in the query is written to standard error. A sample query takes the whole input for one search; its events need no time.

` + eventsHelp,
		Example: `  weir query 'process where process.name == "nc"' --events events.ndjson
  weir query 'sequence by host.id with maxspan=1m [process where true] [network where true]' --events a.ndjson.gz b.ndjson.gz
  weir query 'sample by host.id [process where true] [network where true]' --samples-per-key 3 --events events.ndjson
  zcat *.gz | weir query 'any where event.action == "exec"' --events -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return errors.New("weir query needs the EQL query as its first argument, in quotes")
			}
			return nil
		},
	}
	events := eventsFlag(cmd)
	var o replay.QueryOptions
	cmd.Flags().StringVar(&o.TimestampField, "timestamp-field", "", "field of the event time (default @timestamp)")
	cmd.Flags().StringVar(&o.TiebreakerField, "tiebreaker-field", "", "field that orders events of one time (default: their position)")
	cmd.Flags().StringVar(&o.EventCategoryField, "event-category-field", "", "field of the event category (default event.category)")
	cmd.Flags().IntVar(&o.SamplesPerKey, "samples-per-key", 1, "the most samples of one join key in a sample query, the earliest first")
	declared := fieldsFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		if o.SamplesPerKey < 1 {
			return errors.New("--samples-per-key must be at least 1")
		}
		table, err := readFields(*declared)
		if err != nil {
			return err
		}
		o.Fields = table
		return a.query(cmd, args[0], *events, args[1:], o)
	}
	return cmd
}

func (a *app) query(cmd *cobra.Command, text string, events, more []string, o replay.QueryOptions) error {
	files, err := a.eventFiles(events, more)
	if err != nil {
		return err
	}
	src, err := replay.Concat(files, a.stdin)
	if err != nil {
		return err
	}
	bar := term.NewProgress(a.stderr, a.err, "reading", totalSize(files))
	res, err := replay.Query(text, watch(cmd.Context(), src, bar), o)
	err = errors.Join(err, src.Close())
	if wrong, ok := errors.AsType[ast.Errors](err); ok {
		if err := a.renderQuery(text, wrong); err != nil {
			return err
		}
		return fmt.Errorf("the query has %s", count(len(wrong), "error"))
	}
	if err != nil {
		return err
	}
	warnings, err := lintQuery(text, o)
	if err != nil {
		return err
	}
	warnings = append(warnings, res.Warnings...)
	slices.SortStableFunc(warnings, func(x, y *ast.Error) int { return x.Pos - y.Pos })
	if err := a.renderQuery(text, warnings); err != nil {
		return err
	}
	if err := a.printMatches(res.Matches); err != nil {
		return err
	}
	a.noteSkipped(res, placer(src))
	if len(res.Matches) == 0 {
		_, _ = fmt.Fprintf(a.stderr, "no match in %s\n", count(res.Events, "document")) // a note: stdout has the answer
	}
	return nil
}

// lintQuery returns the warnings of weir rules lint on a query that compiles, but for those that depend on the events.
func lintQuery(text string, o replay.QueryOptions) ([]*ast.Error, error) {
	statement, err := parser.Parse(text)
	if err != nil {
		return nil, err
	}
	types := func(path string) event.Type {
		if path == cmp.Or(o.TimestampField, "@timestamp") {
			return event.Date
		}
		return o.Fields.TypeOf(path)
	}
	return slices.DeleteFunc(lint.Query(text, statement, lint.Options{Types: types}), func(e *ast.Error) bool {
		return e.Code.Severity() != finding.Warning
	}), nil
}

func (a *app) noteSkipped(res *replay.QueryResult, place func(name string, offset int64) string) {
	for _, d := range res.Skipped {
		a.warn("%s: skipped: %v", place(d.Topic, d.Offset), d.Err)
	}
	if res.Undecodable > 0 {
		a.warn("%s of %d skipped: not a JSON object", count(res.Undecodable, "document"), res.Events)
	}
	if res.Timeless > 0 {
		a.warn("%s of %d without a usable timestamp: no sequence can have them", count(res.Timeless, "document"), res.Events)
	}
}

// warn writes a warning to stderr.
func (a *app) warn(format string, args ...any) {
	_, _ = fmt.Fprintf(a.stderr, "%s %s\n", a.err.Yellow("warning:"), fmt.Sprintf(format, args...))
}

// renderQuery shows the findings in a query as it was typed.
func (a *app) renderQuery(text string, found []*ast.Error) error {
	for _, e := range found {
		if err := rules.QueryProblem(text, e).Render(a.stderr, "query", a.err.Width); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) printMatches(matches []replay.QueryMatch) error {
	w := bufio.NewWriter(a.stdout)
	var buf bytes.Buffer
	for _, m := range matches {
		buf.Reset()
		if err := appendMatch(&buf, m); err != nil {
			return err
		}
		if _, err := w.Write(buf.Bytes()); err != nil {
			return err
		}
	}
	return w.Flush()
}

// appendMatch writes one match as a line of JSON. Sources keep their bytes, but for white space between tokens.
func appendMatch(buf *bytes.Buffer, m replay.QueryMatch) error {
	buf.WriteString(`{"join_keys":[`)
	for i, v := range m.JoinKeys {
		if i > 0 {
			buf.WriteByte(',')
		}
		text, err := valueJSON(v)
		if err != nil {
			return fmt.Errorf("join key: %w", err)
		}
		buf.Write(text)
	}
	buf.WriteString(`],"events":[`)
	for i, e := range m.Events {
		if i > 0 {
			buf.WriteByte(',')
		}
		if e.Missing {
			buf.WriteString(`{"missing":true}`)
			continue
		}
		fmt.Fprintf(buf, `{"index":%d,"source":`, e.Index)
		if err := stdjson.Compact(buf, e.Source); err != nil {
			return fmt.Errorf("event %d: %w", e.Index, err)
		}
		buf.WriteByte('}')
	}
	buf.WriteString("]}\n")
	return nil
}

// valueJSON returns a value in the JSON type that it has in documents.
func valueJSON(v event.Value) ([]byte, error) {
	switch v.Kind() {
	case event.Missing:
		return []byte("null"), nil
	case event.Bool:
		return strconv.AppendBool(nil, v.Bool()), nil
	case event.Int, event.Uint:
		return []byte(v.Text()), nil
	case event.Float:
		return json.Marshal(v.Float())
	default:
		return json.Marshal(v.Text())
	}
}
