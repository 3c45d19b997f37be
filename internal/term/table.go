package term

import (
	"io"
	"strings"

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
	// Flex is set where the column may be narrowed further for the table to fit.
	Flex bool
}

// Table collects rows and writes them aligned, without a frame.
type Table struct {
	columns []Column
	width   int
	rows    [][]string
}

// gap stands between two columns, and narrowest is the least width of a flexible column that is narrowed.
const (
	gap       = 2
	narrowest = 10
)

// NewTable returns an empty table that is to be at most width columns wide, 0 for no limit. What doesn't fit even with
// narrow flexible columns is wider.
func NewTable(width int, columns ...Column) *Table { return &Table{columns: columns, width: width} }

// Row adds a row: one text per column.
func (t *Table) Row(cells ...string) { t.rows = append(t.rows, cells) }

// Write writes the table and a line end.
func (t *Table) Write(w io.Writer) error {
	limits := t.limits()
	out := table.NewWriter()
	header := make(table.Row, 0, len(t.columns))
	configs := make([]table.ColumnConfig, 0, len(t.columns))
	for i, c := range t.columns {
		header = append(header, c.Title)
		cfg := table.ColumnConfig{Number: i + 1, WidthMax: limits[i], WidthMaxEnforcer: text.WrapSoft}
		if c.Right {
			cfg.Align, cfg.AlignHeader = text.AlignRight, text.AlignRight
		}
		configs = append(configs, cfg)
	}
	style := table.StyleLight
	style.Options = table.Options{SeparateHeader: true}
	style.Box.PaddingLeft, style.Box.PaddingRight = "", strings.Repeat(" ", gap)
	style.Format.Header = text.FormatDefault
	out.SetStyle(style)
	out.AppendHeader(header)
	out.SetColumnConfigs(configs)
	out.SuppressTrailingSpaces()
	for _, cells := range t.rows {
		row := make(table.Row, 0, len(cells))
		for _, c := range cells {
			row = append(row, c)
		}
		out.AppendRow(row)
	}
	_, err := io.WriteString(w, out.Render()+"\n")
	return err
}

// limits returns the greatest width of each column, 0 for none.
func (t *Table) limits() []int {
	limits := make([]int, len(t.columns))
	natural := make([]int, len(t.columns))
	total := gap * len(t.columns) // the last has one behind it too
	for i, c := range t.columns {
		limits[i] = c.Max
		natural[i] = text.StringWidthWithoutEscSequences(c.Title)
		for _, row := range t.rows {
			if i < len(row) {
				natural[i] = max(natural[i], text.LongestLineLen(row[i]))
			}
		}
		if c.Max > 0 {
			natural[i] = min(natural[i], c.Max)
		}
		total += natural[i]
	}
	for over := total - t.width; t.width > 0 && over > 0; over-- {
		widest := -1
		for i, c := range t.columns {
			if c.Flex && natural[i] > narrowest && (widest < 0 || natural[i] > natural[widest]) {
				widest = i
			}
		}
		if widest < 0 {
			break
		}
		natural[widest]--
		limits[widest] = natural[widest]
	}
	return limits
}
