package config

import (
	"cmp"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Where is file:line:column, an environment variable or a flag.
	Where string
	// Path is the setting, such as topics.input; empty where none is meant.
	Path    string
	Message string
	Hint    string

	line, column int // in the file, 0 elsewhere
}

// String returns the problem in a line.
func (p Problem) String() string {
	var b strings.Builder
	for _, part := range []string{p.Where, p.Path} {
		if part != "" {
			b.WriteString(part + ": ")
		}
	}
	b.WriteString(p.Message)
	if p.Hint != "" {
		b.WriteString(" (" + p.Hint + ")")
	}
	return b.String()
}

// Errors is the error of Load: all that is wrong.
type Errors []Problem

// Error returns all problems, one a line.
func (ps Errors) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// nearest returns the name among known that name was likely meant to be, "" where none is near.
func nearest(name string, known []string) string {
	best, distance := "", max(2, len(name)/3)+1
	for _, k := range slices.Sorted(slices.Values(known)) {
		if d := levenshtein.ComputeDistance(name, k); d < distance {
			best, distance = k, d
		}
	}
	return best
}

// suggest turns a name into a hint.
func suggest(name string) string {
	if name == "" {
		return ""
	}
	return "did you mean " + name + "?"
}

// origin is where a setting was written.
type origin struct {
	where        string
	line, column int
}

// sortProblems puts those with a line in the file first, in its order, then the others as they were found.
func sortProblems(ps []Problem) {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(unplaced(a), unplaced(b)), cmp.Compare(a.line, b.line), cmp.Compare(a.column, b.column))
	})
}

func unplaced(p Problem) int {
	if p.line > 0 {
		return 0
	}
	return 1
}
