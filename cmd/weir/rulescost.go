package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-json"
	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
)

func newRulesCostCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "cost [--rules P…] --events FILE…",
		Short: "Measure what rules cost on given events",
		Long: `Measure what each stage of each rule costs on given events: how many events the index finds for it, how many of them are
evaluated after category, type, system, action and index patterns, what an evaluation takes, and its share in each event.
Conditions are timed one by one, in their written order; a rule that the index can't find by a value gets a hint on the edit
that would change that.

Each evaluation is timed by itself, so that the sum is more than what matching all rules together takes: conditions that
rules share are evaluated once there. Times are of this machine; compare them with each other.

` + eventsHelp,
		Example: `  weir rules cost --rules rules/ --events last-week.ndjson.gz
  weir rules cost --rules my.toml --events events/ -o json | jq '.stages[0].conditions'`,
	}
	f, events := addRuleFlags(cmd), eventsFlag(cmd)
	anyIndex := cmd.Flags().Bool("any-index", false, "let every rule see every event, whatever its index patterns say")
	top := cmd.Flags().IntP("top", "n", 20, "show so many stages; 0 for all")
	format := outputFlag(cmd, "table", "json")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		collection, err := f.load()
		if err != nil {
			return err
		}
		if err := a.renderErrors(collection.Files); err != nil {
			return err
		}
		o := f.setOptions()
		o.AnyIndex = *anyIndex
		set, err := compile(collection, o)
		if err != nil {
			return err
		}
		files, err := a.eventFiles(*events, args)
		if err != nil {
			return err
		}
		began := a.now()
		m := rules.NewMeter(set, func() time.Duration { return a.now().Sub(began) })
		skipped, err := a.observe(cmd.Context(), m, set, files)
		if err != nil {
			return err
		}
		if skipped > 0 {
			a.warn("%s could not be read as events: left out", count(skipped, "record"))
		}
		costs := m.Costs()
		report := costReport{Events: m.Events(), Idle: m.Stages() - len(costs), Stages: costs}
		if *top > 0 && len(costs) > *top {
			report.Stages = costs[:*top]
		}
		if *format == "json" {
			return costJSON(a.stdout, report)
		}
		return a.costTable(report, len(costs)-len(report.Stages))
	}
	return cmd
}

// observe gives the events of files to a meter and returns how many records are none.
func (a *app) observe(ctx context.Context, m *rules.Meter, set *rules.Set, files []string) (skipped int, err error) {
	src, err := replay.Concat(files, a.stdin)
	if err != nil {
		return 0, err
	}
	place := placer(src)
	bar := term.NewProgress(a.stderr, a.err, "measuring", totalSize(files))
	watched := watch(ctx, src, bar)
	dec, ev := event.NewDecoder(set.Schema()), event.New(set.Schema())
	for {
		r, err := watched.Next()
		if errors.Is(err, io.EOF) {
			return skipped, src.Close()
		}
		if err != nil {
			return skipped, errors.Join(err, src.Close())
		}
		err = dec.Decode(r.Value, ev)
		if most := config.Default().Limits.EventBytes; len(r.Value) > most {
			err = fmt.Errorf("%d bytes, more than limits.event_bytes (%d)", len(r.Value), most)
		}
		if err != nil {
			if skipped++; skipped <= shownDeadLetters {
				a.warn("%s: %v", place(r.Topic, r.Offset), err)
			}
			continue
		}
		m.Observe(ev, "")
	}
}

// costReport is the JSON form of weir rules cost.
type costReport struct {
	Events uint64            `json:"events"`
	Idle   int               `json:"idle_stages"` // stages that no event was evaluated for: they cost nothing here
	Stages []rules.StageCost `json:"stages"`
}

func costJSON(w io.Writer, report costReport) error {
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	if report.Stages == nil {
		report.Stages = []rules.StageCost{}
	}
	return enc.Encode(report)
}

// costTable writes a report in which so many stages are left out.
func (a *app) costTable(report costReport, left int) error {
	costs, events := report.Stages, report.Events
	number := func(title string) term.Column { return term.Column{Title: title, Right: true} }
	t := term.NewTable(a.out.Width, term.Column{Title: "rule", Flex: true}, term.Column{Title: "stage"},
		number("found"), number("evaluated"), number("matches"), number("ns each"), number("ns/event"),
		term.Column{Title: "dearest condition", Flex: true})
	for i := range costs {
		c := &costs[i]
		t.Row(c.Name, c.Stage, share(c.Candidates, events), share(c.Evaluations, events), strconv.FormatUint(c.Matches, 10),
			fmt.Sprintf("%.0f", c.NanosPerEvaluation), fmt.Sprintf("%.1f", c.NanosPerEvent), term.Shorten(dearest(c), 100))
	}
	if err := t.Write(a.stdout); err != nil {
		return err
	}
	more := ""
	if left > 0 {
		more = fmt.Sprintf("; %s more with --top 0", count(left, "stage"))
	}
	if report.Idle > 0 {
		more += fmt.Sprintf("; %s had no event to evaluate and cost nothing here", count(report.Idle, "stage"))
	}
	_, err := fmt.Fprintf(a.stdout, "%s\n%s%s\n", a.costHints(costs), count(events, "event"), more)
	return err
}

// costHints writes each hint once, below the stages that it is for.
func (a *app) costHints(costs []rules.StageCost) string {
	var order []string
	stages := map[string][]string{}
	for i := range costs {
		c := &costs[i]
		if c.Hint == "" {
			continue
		}
		if stages[c.Hint] == nil {
			order = append(order, c.Hint)
		}
		stages[c.Hint] = append(stages[c.Hint], a.out.Bold(c.Name)+", "+c.Stage)
	}
	var b strings.Builder
	for _, hint := range order {
		fmt.Fprintf(&b, "\n%s:\n", strings.Join(stages[hint], "\n"))
		for _, l := range term.Wrap(hint, a.out.Columns()-2) {
			fmt.Fprintf(&b, "  %s\n", l)
		}
	}
	return b.String()
}

func share(n, of uint64) string {
	if of == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(n)/float64(of))
}

// dearest returns the condition that takes the most time of a stage.
func dearest(c *rules.StageCost) string {
	best, text := 0.0, ""
	for _, cond := range c.Conditions {
		if total := cond.Nanos * float64(cond.Evaluations); total > best {
			best, text = total, cond.Text
		}
	}
	return text
}
