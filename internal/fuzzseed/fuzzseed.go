// Package fuzzseed gives the seeds of fuzz targets: queries, events, patterns and files of the rules that ship. It is
// imported by tests only, and knows the rule files no further than a seed needs.
package fuzzseed

import (
	"bytes"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/parser"
	"github.com/weir-eql/weir/rules/detections"
)

// Files returns the rule files.
func Files() ([][]byte, error) { return read(false) }

// Queries returns the queries of the rules.
func Queries() ([]string, error) {
	files, err := Files()
	if err != nil {
		return nil, err
	}
	var queries []string
	for _, src := range files {
		var doc struct {
			Rule struct {
				Query string `toml:"query"`
			} `toml:"rule"`
		}
		if err := toml.Unmarshal(src, &doc); err != nil {
			return nil, fmt.Errorf("fuzzseed: read a rule: %w", err)
		}
		queries = append(queries, doc.Rule.Query)
	}
	return queries, nil
}

// Events returns the documents of the rules' own tests, one JSON object each, without repetitions.
func Events() ([][]byte, error) {
	files, err := read(true)
	if err != nil {
		return nil, err
	}
	var events [][]byte
	seen := map[string]bool{}
	for _, src := range files {
		var doc struct {
			Case []struct {
				Events string `toml:"events"`
			} `toml:"case"`
		}
		if err := toml.Unmarshal(src, &doc); err != nil {
			return nil, fmt.Errorf("fuzzseed: read a rule's tests: %w", err)
		}
		for _, c := range doc.Case {
			for line := range bytes.Lines([]byte(c.Events)) {
				if line = bytes.TrimSpace(line); len(line) > 0 && !seen[string(line)] {
					seen[string(line)] = true
					events = append(events, line)
				}
			}
		}
	}
	return events, nil
}

// Patterns returns the wildcard patterns and the regular expressions of the queries, each once.
func Patterns() (wildcards, regexes []string, err error) {
	queries, err := Queries()
	if err != nil {
		return nil, nil, err
	}
	for _, q := range queries {
		stmt, err := parser.Parse(q)
		if err != nil {
			return nil, nil, fmt.Errorf("fuzzseed: parse a rule's query: %w", err)
		}
		for _, f := range filters(stmt) {
			walk(f.Where, func(m *ast.Match) {
				for _, x := range m.List {
					s, ok := x.(*ast.String)
					switch {
					case !ok:
					case m.Op == ast.Regex || m.Op == ast.RegexFold:
						regexes = append(regexes, s.Value)
					case strings.ContainsAny(s.Value, "*?"):
						wildcards = append(wildcards, s.Value)
					}
				}
			})
		}
	}
	slices.Sort(wildcards)
	slices.Sort(regexes)
	return slices.Compact(wildcards), slices.Compact(regexes), nil
}

func filters(stmt ast.Statement) []ast.Filter {
	var out []ast.Filter
	switch s := stmt.(type) {
	case *ast.EventQuery:
		out = append(out, s.Filter)
	case *ast.Sequence:
		for _, stage := range s.Stages {
			out = append(out, stage.Filter)
		}
		if s.Until != nil {
			out = append(out, s.Until.Filter)
		}
	case *ast.Sample:
		for _, stage := range s.Stages {
			out = append(out, stage.Filter)
		}
	}
	return out
}

func walk(e ast.Expr, visit func(*ast.Match)) {
	switch e := e.(type) {
	case *ast.Binary:
		walk(e.Left, visit)
		walk(e.Right, visit)
	case *ast.Unary:
		walk(e.X, visit)
	case *ast.Match:
		visit(e)
		walk(e.X, visit)
	case *ast.Call:
		for _, x := range e.Args {
			walk(x, visit)
		}
	}
}

// read returns the rule files, or with tests set those of their tests.
func read(tests bool) ([][]byte, error) {
	fsys := detections.FS()
	names, err := fs.Glob(fsys, "*.toml")
	if err != nil {
		return nil, fmt.Errorf("fuzzseed: %w", err)
	}
	var files [][]byte
	for _, name := range names {
		if strings.HasSuffix(name, "_test.toml") != tests {
			continue
		}
		src, err := fs.ReadFile(fsys, name)
		if err != nil {
			return nil, fmt.Errorf("fuzzseed: %w", err)
		}
		files = append(files, src)
	}
	return files, nil
}
