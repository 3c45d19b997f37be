package term

import (
	"io"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// Column is a column of a table.
type Column struct {
	Title string
	// Right aligns numbers.
	Right bool
	// Max is the width at which the column's text is broken into lines, 0 for never.
	Max int
}

// Table collects rows and writes them aligned, without a frame.
type Table struct {
	w table.Writer
}

// NewTable returns an empty table.
func NewTable(columns ...Column) *Table {
	t := &Table{w: table.NewWriter()}
	var header table.Row
	configs := make([]table.ColumnConfig, 0, len(columns))
	for i, c := range columns {
		header = append(header, c.Title)
		cfg := table.ColumnConfig{Number: i + 1, WidthMax: c.Max, WidthMaxEnforcer: text.WrapSoft}
		if c.Right {
			cfg.Align, cfg.AlignHeader = text.AlignRight, text.AlignRight
		}
		configs = append(configs, cfg)
	}
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	style.Format.Header = text.FormatDefault
	t.w.SetStyle(style)
	t.w.AppendHeader(header)
	t.w.SetColumnConfigs(configs)
	t.w.SuppressTrailingSpaces()
	return t
}

// Row adds a row: one text per column.
func (t *Table) Row(cells ...string) {
	row := make(table.Row, 0, len(cells))
	for _, c := range cells {
		row = append(row, c)
	}
	t.w.AppendRow(row)
}

// Write writes the table and a line end.
func (t *Table) Write(w io.Writer) error {
	_, err := io.WriteString(w, t.w.Render()+"\n")
	return err
}
