package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/fields"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/detections"
)

// shippedPrefix stands before the names of the rules that ship with Weir.
const shippedPrefix = "shipped"

// ruleFlags choose the rules of a command.
type ruleFlags struct {
	paths   []string
	shipped bool
	fields  *[]string     // files of declared fields
	table   *fields.Table // what they declare, once they are read, or was declared otherwise
	// keepSource keeps the text of the files, for checking them.
	keepSource bool
}

func addRuleFlags(cmd *cobra.Command) *ruleFlags {
	f := &ruleFlags{fields: fieldsFlag(cmd)}
	cmd.Flags().StringArrayVar(&f.paths, "rules", nil, "rule file or folder of rule files; repeat it for more (default: the shipped rules)")
	cmd.Flags().BoolVar(&f.shipped, "shipped", false, "take the shipped rules as well")
	return f
}

// load reads the rules that the flags name. Files with errors are in the collection: the error says what couldn't be read at all.
func (f *ruleFlags) load() (*rules.Collection, error) {
	defer lessCollection()()
	o, err := f.loadOptions()
	if err != nil {
		return nil, err
	}
	var parts []*rules.Collection
	if len(f.paths) > 0 {
		c, err := rules.Load(f.paths, o)
		if err != nil {
			return nil, err
		}
		if len(c.Files) == 0 {
			return nil, fmt.Errorf("no rule files (*.toml) in %s", orList(f.paths))
		}
		parts = append(parts, c)
	}
	if f.shipped || len(f.paths) == 0 {
		c, err := rules.LoadFS(detections.FS(), shippedPrefix, o)
		if err != nil {
			return nil, err
		}
		parts = append(parts, c)
	}
	return rules.Merge(parts...), nil
}

// loadOptions reads the files of declared fields.
func (f *ruleFlags) loadOptions() (rules.LoadOptions, error) {
	if f.fields != nil && f.table == nil {
		t, err := readFields(*f.fields)
		if err != nil {
			return rules.LoadOptions{}, err
		}
		f.table = t
	}
	return rules.LoadOptions{Types: f.table.TypeOf, Fields: f.table, KeepSource: f.keepSource}, nil
}

// setOptions are those of a set whose rules were loaded with f.
func (f *ruleFlags) setOptions() rules.SetOptions {
	return rules.SetOptions{Types: f.table.TypeOf, Nulls: f.table.Null}
}

// besideCases puts the rule files in the place of the files of cases that stand beside them: foo.toml for foo_test.toml.
func besideCases(paths []string) []string {
	out := make([]string, 0, len(paths))
	for _, p := range paths {
		if stem, cases := strings.CutSuffix(p, "_test.toml"); cases {
			if info, err := os.Stat(stem + ".toml"); err == nil && !info.IsDir() {
				p = stem + ".toml"
			}
		}
		if !slices.Contains(out, p) {
			out = append(out, p)
		}
	}
	return out
}

// tally counts files by status and their warnings.
type tally struct {
	ok, errors, warnings, infos int
	skipped                     int // rules of other types
}

// left says in words how many files are no rules that could run, though nothing is wrong with them.
func (t tally) left() string {
	return fmt.Sprintf("%d skipped by type", t.skipped)
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
			switch p.Severity {
			case rules.SeverityWarning:
				t.warnings++
			case rules.SeverityInfo:
				t.infos++
			default:
			}
		}
	}
	return t
}

// rulePaths returns the names of the rule files of a collection.
func rulePaths(c *rules.Collection) []string {
	paths := make([]string, len(c.Files))
	for i, f := range c.Files {
		paths[i] = f.Path
	}
	return paths
}

// renderErrors shows what keeps rules from running; warnings are for weir rules lint.
func (a *app) renderErrors(files []*rules.File) error {
	for _, f := range files {
		for _, p := range f.Problems {
			if p.Severity != rules.SeverityError {
				continue
			}
			if err := p.Render(a.stderr, f.Path, a.err.Width); err != nil {
				return err
			}
		}
	}
	return nil
}

// duplicates returns the files whose rule doesn't run because another file with its id does, each with that file's rule.
func duplicates(c *rules.Collection) map[*rules.File]*rules.Rule {
	chosen := map[string]*rules.Rule{}
	for _, r := range c.Rules {
		chosen[r.ID] = r
	}
	out := map[*rules.File]*rules.Rule{}
	for _, f := range c.Files {
		if winner := chosen[f.RuleID]; f.Rule != nil && winner != nil && winner != f.Rule {
			out[f] = winner
		}
	}
	return out
}

// warnLoaded says of the rules that load what weir run logs of them: those that don't run because of their id, and
// in one line what isn't honoured.
func (a *app) warnLoaded(c *rules.Collection) {
	twice := duplicates(c)
	asking, keys := 0, map[string]struct{}{}
	for _, f := range c.Files {
		if winner, ok := twice[f]; ok {
			a.warn("%s: duplicate rule id %s: %s wins, this rule does not run", f.Path, f.RuleID, winner.Path)
		}
	}
	for _, r := range c.Rules {
		asked := r.Unhonoured()
		if len(asked) > 0 {
			asking++
		}
		for _, k := range asked {
			keys[k] = struct{}{}
		}
	}
	if asking > 0 {
		a.warn("%s for what is not honoured yet (%s): see weir rules list", plural(asking, "rule asks", "rules ask"),
			strings.Join(slices.Sorted(maps.Keys(keys)), ", "))
	}
}

// compile puts the rules of a collection into a set.
func compile(c *rules.Collection, o rules.SetOptions) (*rules.Set, error) {
	if len(c.Rules) == 0 {
		return nil, errors.New("no rule can run: see what is wrong with them with weir rules lint")
	}
	o.Incomplete = c.Errors() > 0
	set, err := rules.NewSet(c.Rules, o)
	if err != nil {
		return nil, fmt.Errorf("compile rules: %w", err)
	}
	return set, nil
}
