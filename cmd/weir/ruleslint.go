package main

import (
	"fmt"

	"github.com/goccy/go-json"
	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/rules"
)

func newRulesLintCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "lint [P…]",
		Short: "Check rule files",
		Long: `Check rule files, and folders of them, or the shipped rules: do they load, does the query compile, are all keys and fields known?

Rules of other types than EQL are skipped and not checked. Files of test cases beside rules are left to weir rules test.
The exit code is 1 where a file has errors; warnings keep no rule from running.

With -o json one object per file is printed, one a line:
  {"path","rule_id","name","type","status":"ok|error|skipped","problems":[{"line","column","severity","message"}]}
A hint, such as "did you mean ==?", is the end of the message there.`,
		Example: `  weir rules lint rules/
  weir rules lint -o json rules/ my.toml | jq -r 'select(.status=="error").path'`,
	}
	quiet := cmd.Flags().BoolP("quiet", "q", false, "show errors only, no warnings")
	declared := fieldsFlag(cmd)
	format := outputFlag(cmd, "text", "json")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		f := &ruleFlags{paths: besideCases(args), fields: declared}
		c, err := f.load()
		if err != nil {
			return err
		}
		if *format == "json" {
			err = a.lintJSON(c.Files)
		} else {
			err = a.lintText(c.Files, *quiet)
		}
		if err == nil && c.Errors() > 0 {
			return errFindings
		}
		return err
	}
	return cmd
}

func (a *app) lintJSON(files []*rules.File) error {
	enc := json.NewEncoder(a.stdout)
	enc.SetEscapeHTML(false)
	for _, f := range files {
		own := *f
		own.Problems = make([]rules.Problem, len(f.Problems))
		for i, p := range f.Problems {
			p.Message = p.Text()
			own.Problems[i] = p
		}
		if err := enc.Encode(own); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) lintText(files []*rules.File, quiet bool) error {
	for _, f := range files {
		for _, p := range f.Problems {
			if quiet && p.Severity != rules.SeverityError {
				continue
			}
			if err := p.Render(a.stdout, f.Path); err != nil {
				return err
			}
		}
	}
	t := tallyFiles(files)
	errs := plural(t.errors, "with errors", "with errors")
	if t.errors > 0 {
		errs = a.out.Red(errs)
	}
	_, err := fmt.Fprintf(a.stdout, "%s: %d ok, %s, %s; %s\n",
		count(len(files), "file"), t.ok, errs, t.left(), count(t.warnings, "warning"))
	return err
}
