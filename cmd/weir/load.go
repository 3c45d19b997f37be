package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/detections"
)

// shippedPrefix stands before the names of the rules that ship with Weir.
const shippedPrefix = "shipped"

// ruleFlags choose the rules of a command.
type ruleFlags struct {
	paths   []string
	shipped bool
}

func addRuleFlags(cmd *cobra.Command) *ruleFlags {
	f := &ruleFlags{}
	cmd.Flags().StringArrayVar(&f.paths, "rules", nil, "rule file or folder of rule files; repeat it for more (default: the shipped rules)")
	cmd.Flags().BoolVar(&f.shipped, "shipped", false, "take the shipped rules as well")
	return f
}

// load reads the rules that the flags name. Files with errors are in the collection: the error says what couldn't be read at all.
func (f *ruleFlags) load() (*rules.Collection, error) {
	var parts []*rules.Collection
	if len(f.paths) > 0 {
		c, err := rules.Load(f.paths, rules.LoadOptions{})
		if err != nil {
			return nil, err
		}
		if len(c.Files) == 0 {
			return nil, fmt.Errorf("no rule files (*.toml) in %s", orList(f.paths))
		}
		parts = append(parts, c)
	}
	if f.shipped || len(f.paths) == 0 {
		c, err := rules.LoadFS(detections.FS(), shippedPrefix, rules.LoadOptions{})
		if err != nil {
			return nil, err
		}
		parts = append(parts, c)
	}
	return rules.Merge(parts...), nil
}

// tally counts files by status and their warnings.
type tally struct {
	ok, errors, skipped, warnings int
}

func tallyFiles(files []*rules.File) tally {
	var t tally
	for _, f := range files {
		switch f.Status {
		case rules.StatusOK:
			t.ok++
		case rules.StatusError:
			t.errors++
		case rules.StatusSkipped:
			t.skipped++
		}
		for _, p := range f.Problems {
			if p.Severity == rules.SeverityWarning {
				t.warnings++
			}
		}
	}
	return t
}

// renderErrors shows what keeps rules from running; warnings are for weir rules lint.
func (a *app) renderErrors(files []*rules.File) error {
	for _, f := range files {
		for _, p := range f.Problems {
			if p.Severity != rules.SeverityError {
				continue
			}
			if err := p.Render(a.stderr, f.Path); err != nil {
				return err
			}
		}
	}
	return nil
}

// compile puts the rules of a collection into a set.
func compile(c *rules.Collection, o rules.SetOptions) (*rules.Set, error) {
	if len(c.Rules) == 0 {
		return nil, errors.New("no rule can run: see what is wrong with them with weir rules lint")
	}
	set, err := rules.NewSet(c.Rules, o)
	if err != nil {
		return nil, fmt.Errorf("compile rules: %w", err)
	}
	return set, nil
}
