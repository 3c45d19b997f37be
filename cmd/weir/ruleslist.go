package main

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"

	"github.com/goccy/go-json"
	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/rules"
)

// listed is a rule file in the list of rules.
type listed struct {
	ID        string       `json:"id"`
	Name      string       `json:"name"`
	Path      string       `json:"path"`
	Status    rules.Status `json:"status"`
	Type      string       `json:"type"`
	Severity  string       `json:"severity,omitempty"`
	RiskScore int          `json:"risk_score"`
	Kind      string       `json:"kind,omitempty"` // event, sequence or sample
	Stages    int          `json:"stages"`
	Index     []string     `json:"index"`
	// Rekey says that the join keys don't imply the host, so that events go through the re-key topic.
	Rekey bool `json:"needs_rekeying"`
	// Replaced says that another file with the same id runs instead.
	Replaced    bool     `json:"replaced,omitempty"`
	NotHonoured []string `json:"not_honoured"`
}

func newRulesListCommand(a *app) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list [P…]",
		Short: "List rules with what they need",
		Long: `List rule files, or the shipped rules: severity, kind, index patterns, whether the rule runs, and what it asks for that is not
honoured yet. "re-key" marks sequences and samples whose join keys don't imply the host: their events go through the re-key topic.
The exit code is 1 where rules didn't load.`,
		Example: `  weir rules list
  weir rules list rules/ -o json`,
	}
	declared := fieldsFlag(cmd)
	format := outputFlag(cmd, "table", "json")
	cmd.RunE = func(_ *cobra.Command, args []string) error {
		f := &ruleFlags{paths: args, fields: declared}
		c, err := f.load()
		if err != nil {
			return err
		}
		rows, err := listRules(c, f.setOptions())
		if err != nil {
			return err
		}
		if *format == "json" {
			enc := json.NewEncoder(a.stdout)
			enc.SetEscapeHTML(false)
			for _, row := range rows {
				if err := enc.Encode(row); err != nil {
					return err
				}
			}
		} else if err := a.listTable(rows, c); err != nil {
			return err
		}
		if c.Errors() > 0 {
			return errFindings
		}
		return nil
	}
	return cmd
}

func listRules(c *rules.Collection, o rules.SetOptions) ([]listed, error) {
	set, err := rules.NewSet(c.Rules, o)
	if err != nil {
		return nil, fmt.Errorf("compile rules: %w", err)
	}
	rows := make([]listed, 0, len(c.Files))
	for _, f := range c.Files {
		row := listed{
			ID: f.RuleID, Name: f.Name, Path: f.Path, Status: f.Status, Type: f.Type, Index: []string{}, NotHonoured: []string{},
		}
		if f.Rule != nil {
			row.fill(f.Rule, set.Rule(f.RuleID))
		}
		rows = append(rows, row)
	}
	return rows, nil
}

func (l *listed) fill(r *rules.Rule, c *rules.Compiled) {
	l.Severity, l.RiskScore = r.Severity, r.RiskScore
	l.Index = append(l.Index, r.Index...)
	l.NotHonoured = append(l.NotHonoured, r.Unhonoured()...)
	if c == nil {
		return
	}
	l.Replaced = c.Rule != r
	l.Kind, l.Stages = c.Query.Kind.String(), len(c.Query.Stages)
	l.Rekey = !c.HostLocal
}

// fullWidth and narrowWidth are the widths below which the list leaves things out: rules explain tells them, and takes
// the beginning of an id too.
// Where the width isn't known a rule has one line, and what may be long is cut to shownList characters.
const (
	fullWidth   = 150
	narrowWidth = 100
	shownList   = 60
)

func (a *app) listTable(rows []listed, c *rules.Collection) error {
	width := a.out.Width
	full, narrow := width <= 0 || width >= fullWidth, width > 0 && width < narrowWidth
	columns := []term.Column{{Title: "id"}, {Title: "name", Flex: true}, {Title: "severity"}}
	if !narrow {
		columns = append(columns, term.Column{Title: "risk", Right: true}, term.Column{Title: "kind"})
	}
	columns = append(columns, term.Column{Title: "status"}, term.Column{Title: "notes", Flex: true})
	if full {
		columns = append(columns, term.Column{Title: "index", Flex: true})
	}
	t := term.NewTable(width, columns...)
	for _, row := range rows {
		id, notes, index := row.ID, row.notes(), strings.Join(row.Index, ", ")
		if !full {
			id = id[:min(8, len(id))]
		}
		if width <= 0 {
			notes, index = term.Shorten(notes, shownList), term.Shorten(index, shownList)
		}
		cells := []string{id, cmp.Or(row.Name, row.Path), a.out.Severity(row.Severity)}
		if !narrow {
			cells = append(cells, row.risk(), row.kind())
		}
		cells = append(cells, a.status(row), notes)
		if full {
			cells = append(cells, index)
		}
		t.Row(cells...)
	}
	if err := t.Write(a.stdout); err != nil {
		return err
	}
	f := tallyFiles(c.Files)
	text := fmt.Sprintf("%s: %s can run, %d with errors, %s",
		count(len(rows), "file"), count(len(c.Rules), "rule"), f.errors, f.left())
	if width > 0 {
		text = strings.Join(term.Wrap(text, width), "\n")
	}
	_, err := fmt.Fprintf(a.stdout, "\n%s\n", text)
	return err
}

func (l *listed) risk() string {
	if l.Severity == "" {
		return ""
	}
	return strconv.Itoa(l.RiskScore)
}

func (l *listed) kind() string {
	if l.Kind == "sequence" || l.Kind == "sample" {
		return fmt.Sprintf("%s of %d", l.Kind, l.Stages)
	}
	return l.Kind
}

func (l *listed) notes() string {
	var notes []string
	if l.Replaced {
		notes = append(notes, "another file has this id")
	}
	if l.Rekey {
		notes = append(notes, "re-key")
	}
	if l.Status == rules.StatusSkipped && l.Type != "" {
		notes = append(notes, "type "+l.Type)
	}
	if len(l.NotHonoured) > 0 {
		notes = append(notes, "not honoured: "+strings.Join(l.NotHonoured, ", "))
	}
	return strings.Join(notes, "; ")
}

func (a *app) status(l listed) string {
	switch {
	case l.Status == rules.StatusError:
		return a.out.Red("error")
	case l.Status == rules.StatusSkipped:
		return a.out.Faint("skipped")
	case l.Replaced:
		return a.out.Yellow("replaced")
	default:
		return string(l.Status)
	}
}
