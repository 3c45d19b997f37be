// Command chart draws columns of a CSV file as an SVG, one panel below the other, each from zero and over the same axis.
//
//	chart -in soak.csv -out soak.svg -x partials -title "…" "rss_mb=resident memory, MB" "lsm_mb=on disk, MB"
package main

import (
	"encoding/csv"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/go-analyze/charts"
)

const (
	width       = 900
	panelHeight = 190
	titleHeight = 40
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "chart:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	f := flag.NewFlagSet("chart", flag.ContinueOnError)
	in := f.String("in", "", "CSV file with a header")
	out := f.String("out", "", "SVG file")
	x := f.String("x", "", "column of the axis, numbers")
	title := f.String("title", "", "line above the panels")
	if err := f.Parse(args); err != nil {
		return err
	}
	if *in == "" || *out == "" || *x == "" || f.NArg() == 0 {
		return errors.New("-in, -out, -x and a panel COLUMN=TITLE are needed")
	}
	columns, err := read(*in)
	if err != nil {
		return err
	}
	axis, ok := columns[*x]
	if !ok || len(axis) == 0 {
		return fmt.Errorf("%s has no column %q, or no lines", *in, *x)
	}
	var panels []panel
	for _, arg := range f.Args() {
		name, text, _ := strings.Cut(arg, "=")
		values, ok := columns[name]
		if !ok {
			return fmt.Errorf("%s has no column %q", *in, name)
		}
		panels = append(panels, panel{title: text, values: values})
	}
	svg, err := draw(*title, axis, panels)
	if err != nil {
		return err
	}
	return os.WriteFile(*out, svg, 0o644) //nolint:gosec // it is to be read
}

// read returns the columns of a CSV file by their names.
func read(path string) (map[string][]float64, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	lines, err := csv.NewReader(file).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(lines) < 2 {
		return nil, fmt.Errorf("%s has no lines", path)
	}
	columns := map[string][]float64{}
	for i, line := range lines[1:] {
		for k, text := range line {
			v, err := strconv.ParseFloat(text, 64)
			if err != nil {
				return nil, fmt.Errorf("%s: line %d: %w", path, i+2, err)
			}
			columns[lines[0][k]] = append(columns[lines[0][k]], v)
		}
	}
	return columns, nil
}

// panel is one chart.
type panel struct {
	title  string
	values []float64
}

func draw(title string, axis []float64, panels []panel) ([]byte, error) {
	p := charts.NewPainter(charts.PainterOptions{
		OutputFormat: charts.ChartOutputSVG, Width: width, Height: titleHeight + panelHeight*len(panels),
	})
	p.FilledRect(0, 0, p.Width(), p.Height(), charts.ColorWhite, charts.ColorWhite, 0)
	p.Text(title, 20, 26, 0, charts.FontStyle{FontSize: 13, FontColor: charts.ColorBlack})
	labels := make([]string, len(axis))
	for i, v := range axis {
		labels[i] = short(v)
	}
	for i, of := range panels {
		o := charts.NewLineChartOptionWithData([][]float64{of.values})
		o.Title = charts.TitleOption{Text: of.title, FontStyle: charts.NewFontStyleWithSize(10)}
		o.XAxis = charts.XAxisOption{Labels: labels, LabelCount: 11, BoundaryGap: new(false)}
		o.YAxis = []charts.YAxisOption{{
			Min: new(0.0), Max: new(intervals * step(slices.Max(of.values))), LabelCount: intervals + 1,
			ValueFormatter: short,
		}}
		o.Symbol = charts.Symbol{Shape: charts.SymbolNone}
		o.Padding = charts.NewBox(20, 10, 30, 5)
		top := titleHeight + i*panelHeight
		child := p.Child(charts.PainterBoxOption(charts.NewBox(0, top, width, top+panelHeight)))
		if err := child.LineChart(o); err != nil {
			return nil, fmt.Errorf("panel %q: %w", of.title, err)
		}
	}
	return p.Bytes()
}

// intervals is the number of parts into which the lines of a panel divide it.
const intervals = 4

// step returns the distance of a panel's lines, a round number, so that the largest value is below the uppermost line.
func step(largest float64) float64 {
	least := max(largest, 1e-9) / intervals
	power := math.Pow(10, math.Floor(math.Log10(least)))
	for _, times := range []float64{1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10} {
		if times*power >= least {
			return times * power
		}
	}
	return 10 * power
}

// short writes a number with three digits that count, thousands as k and millions as M.
func short(v float64) string {
	unit := ""
	switch {
	case v >= 1e6:
		v, unit = v/1e6, " M"
	case v >= 1e4:
		v, unit = v/1e3, " k"
	}
	if v >= 1000 {
		return strconv.FormatFloat(v, 'f', 0, 64) + unit
	}
	return strconv.FormatFloat(v, 'g', 3, 64) + unit
}
