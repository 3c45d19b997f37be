package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/goccy/go-json"
	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/lint"
)

// lintFlags are the flags of weir rules lint.
type lintFlags struct {
	quiet, strict, all bool
	events             *[]string
}

func newRulesLintCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint [P…]",
		Short: "Check rule files",
		Long: `Check rule files, and folders of them, or the shipped rules: do they load, does the query compile, are all keys and fields known,
and can the rule mean what it says: conditions that never or always hold, values that no event has, stages that can't be reached,
regular expressions that Lucene reads otherwise.

With --events it also says which rules no event of the sample could reach: because no event is in their data streams,
passes a stage, or has a field or join key that they read.

Each finding has a code, in square brackets behind its message; docs/lint.md has a section for each. A comment in the
rule file, "# weir:ignore W305 reason" in TOML or "// weir:ignore W305 reason" in the query, silences a warning.
Rules of other types than EQL are skipped and not checked. Files of test cases beside rules are left to weir rules test.
The exit code is 1 where a file has errors, with --strict also where there are warnings; warnings keep no rule from running.

With -o json one object per file is printed, one a line:
  {"path","rule_id","name","type","status":"ok|error|skipped","silenced","problems":
    [{"code","severity","file","line","column","end_line","end_column","message","hint","doc"}]}
With -o github they are annotations of GitHub Actions, with -o sarif one SARIF 2.1.0 log.`,
		Example: `  weir rules lint rules/
  weir rules lint rules/ --events yesterday.ndjson.gz
  weir rules lint -o json rules/ my.toml | jq -r 'select(.status=="error").path'`,
	}
	f := lintFlags{}
	cmd.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "show errors only, no warnings")
	cmd.Flags().BoolVarP(&f.all, "all", "a", false, "show information too, such as values that stand in a list twice")
	cmd.Flags().BoolVar(&f.strict, "strict", false, "exit with 1 where there are warnings")
	f.events = eventsFlag(cmd)
	declared := fieldsFlag(cmd)
	format := outputFlag(cmd, "text", "json", "github", "sarif")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		chosen := &ruleFlags{paths: besideCases(args), fields: declared, keepSource: true}
		c, err := chosen.load()
		if err != nil {
			return err
		}
		sample, err := a.sample(cmd.Context(), c, chosen, *f.events)
		if err != nil {
			return err
		}
		lint.Check(c, sample)
		switch *format {
		case "json":
			err = a.lintJSON(c.Files)
		case "github":
			err = lintGitHub(a.stdout, c.Files)
		case "sarif":
			err = lintSARIF(a.stdout, c.Files)
		default:
			err = a.lintText(c.Files, f)
		}
		if err == nil && (c.Errors() > 0 || f.strict && tallyFiles(c.Files).warnings > 0) {
			return errFindings
		}
		return err
	}
	return cmd
}

// sample reads the events that the rules are checked with; nil where none are named.
func (a *app) sample(ctx context.Context, c *rules.Collection, chosen *ruleFlags, events []string) (*lint.Sample, error) {
	if len(events) == 0 {
		return nil, nil //nolint:nilnil // no sample is a valid choice
	}
	files, err := a.eventFiles(events, nil)
	if err != nil {
		return nil, err
	}
	sample, err := lint.NewSample(c, chosen.setOptions())
	if err != nil {
		return nil, fmt.Errorf("compile rules: %w", err)
	}
	src, err := replay.Concat(files, a.stdin)
	if err != nil {
		return nil, err
	}
	from := watch(ctx, src, term.NewProgress(a.stderr, a.err, "reading", totalSize(files)))
	bad := 0
	for {
		r, err := from.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, errors.Join(err, src.Close())
		}
		if sample.Add(r.Value) != nil {
			bad++
		}
	}
	if bad > 0 {
		a.warn("%s skipped: not a JSON object", count(bad, "document"))
	}
	return sample, src.Close()
}

func (a *app) lintJSON(files []*rules.File) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	for _, f := range files {
		if err := enc.Encode(f); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) lintText(files []*rules.File, f lintFlags) error {
	silenced := 0
	for _, file := range files {
		silenced += file.Silenced
		for _, p := range file.Problems {
			if f.quiet && p.Severity != rules.SeverityError || !f.all && p.Severity == rules.SeverityInfo {
				continue
			}
			if err := p.Render(a.stdout, file.Path, a.out.Width); err != nil {
				return err
			}
		}
	}
	t := tallyFiles(files)
	errs := plural(t.errors, "with errors", "with errors")
	if t.errors > 0 {
		errs = a.out.Red(errs)
	}
	more := ""
	if t.infos > 0 {
		more = fmt.Sprintf(", %d for information", t.infos)
		if !f.all {
			more += " (-a shows them)"
		}
	}
	if silenced > 0 {
		more += fmt.Sprintf(", %d silenced", silenced)
	}
	byCode := ""
	if !f.quiet {
		byCode = warningsByCode(files, t.warnings)
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %d ok, %s, %s; %s%s\n%s",
		count(len(files), "file"), t.ok, errs, t.left(), count(t.warnings, "warning"), more, byCode)
	return err
}

// warningsByCode says of many warnings which they are, the most frequent first; nothing of few.
func warningsByCode(files []*rules.File, total int) string {
	if total < manyWarnings {
		return ""
	}
	counts := map[finding.Code]int{}
	for _, f := range files {
		for _, p := range f.Problems {
			if p.Severity == rules.SeverityWarning {
				counts[p.Code]++
			}
		}
	}
	codes := slices.SortedFunc(maps.Keys(counts), func(a, b finding.Code) int {
		return cmp.Or(counts[b]-counts[a], cmp.Compare(a, b))
	})
	parts := make([]string, len(codes))
	for i, c := range codes {
		parts[i] = fmt.Sprintf("%s %s %d", c, c.Name(), counts[c])
	}
	return strings.Join(term.Wrap("warnings: "+strings.Join(parts, ", "), term.DefaultWidth), "\n") + "\n"
}

// manyWarnings is the number of warnings from which on they are counted by their codes.
const manyWarnings = 10
