// Package ecs knows the types of the fields of Elastic Common Schema, of Elastic Defend, and of the other
// integrations that detection rules read. The table is generated from published field definitions and holds
// names and types only; the package knows nothing of documents or rules.
package ecs

import (
	"cmp"
	"strings"

	"github.com/agnivade/levenshtein"

	"github.com/weir-eql/weir/event"
)

//go:generate go run ./internal/gen -out table.go -streams streamtable.go ../../../shared/ecs

// TypeOf returns the type of the field at a dotted path; Unknown for objects, for fields whose type no source
// tells, and for paths that aren't in the table. Members of flattened fields and the text variants of keyword
// fields (process.command_line.text) are keywords.
func TypeOf(path string) event.Type {
	letter, _ := find(path)
	switch letter {
	case 'k', 'K':
		return event.Keyword
	case 'l':
		return event.Long
	case 'u':
		return event.Unsigned
	case 'f':
		return event.Double
	case 'b':
		return event.Boolean
	case 'd':
		return event.Date
	case 'i':
		return event.IP
	case 'v':
		return event.Version
	default:
		return event.Unknown
	}
}

// Known reports whether the table has a field at path, though perhaps without a type.
func Known(path string) bool {
	_, ok := find(path)
	return ok
}

// Single reports whether ECS gives the field at path one value: it isn't normalised to an array, and no object around it
// is. Fields that ECS doesn't have may have any number.
func Single(path string) bool {
	start, end, ok := search(path)
	return ok && table[start:end][end-start-2] == '='
}

// Nearest returns the field whose path is most like path, for a hint in an error, or "" where none is close.
// It compares with the whole table: it is no part of a hot path.
func Nearest(path string) string {
	lower := strings.ToLower(path)
	limit := max(1, len(path)/5)
	best, nearest := limit+1, ""
	for line := range strings.Lines(table[1:]) {
		candidate := line[:len(line)-len(" k\n")]
		if diff := len(candidate) - len(path); diff > limit || -diff > limit {
			continue
		}
		if distance := levenshtein.ComputeDistance(lower, strings.ToLower(candidate)); distance < best {
			best, nearest = distance, candidate
		}
	}
	return nearest
}

// Unusable tells why no document has a value at path though there is a field: a multi-field is a second index of its
// field (process.name.text, process.name.caseless), an object has values in its members only. why is "" for all others.
func Unusable(path string) (why, hint string) {
	for _, suffix := range [...]string{".text", ".caseless"} {
		if parent, found := strings.CutSuffix(path, suffix); found {
			if letter, _ := line(parent); letter == 'k' {
				return "is an index of " + parent + " for searching, which EQL can't read", "use " + parent + "; `:` in place of == ignores case"
			}
		}
	}
	letter, _ := line(path)
	member := firstBelow(path)
	switch {
	case letter == 'K':
		return "is an object, which has no value of its own", "name one of its members"
	case member != "" && (letter == 0 || letter == '-'):
		return "is an object, which has no value of its own", "name one of its fields, such as " + member + "; if it is a value in your events, declare its type"
	default:
		return "", ""
	}
}

// firstBelow returns the first field with a type whose path begins with path and a dot, "" where there is none.
func firstBelow(path string) string {
	prefix := path + "."
	start, _, _ := search(prefix) // no line is that, so it is where those that begin with it start
	for rest := table[start:]; strings.HasPrefix(rest, prefix); {
		var member string
		member, rest, _ = strings.Cut(rest, "\n")
		if !strings.HasSuffix(member, "-") {
			return member[:len(member)-len(" k")]
		}
	}
	return ""
}

// Table is the table as a value, for those who take any table of fields. It has no state.
type Table struct{}

// Known is Known.
func (Table) Known(path string) bool { return Known(path) }

// Nearest is Nearest.
func (Table) Nearest(path string) string { return Nearest(path) }

// Single is Single.
func (Table) Single(path string) bool { return Single(path) }

// Unusable is Unusable.
func (Table) Unusable(path string) (why, hint string) { return Unusable(path) }

// find returns the letter of the type of path, from its own line or from what its parents say.
func find(path string) (letter byte, ok bool) {
	if letter, ok = line(path); ok && letter != '-' {
		return letter, true
	}
	for parent := path; ; {
		dot := strings.LastIndexByte(parent, '.')
		if dot < 0 {
			return letter, ok
		}
		suffix := path[dot:]
		parent = path[:dot]
		switch above, _ := line(parent); {
		case above == 'K':
			return 'k', true
		case above == 'k' && (suffix == ".text" || suffix == ".caseless"):
			return 'k', true
		}
	}
}

// line returns the letter in the line of path.
func line(path string) (letter byte, ok bool) {
	if _, end, ok := search(path); ok {
		return table[end-1], true
	}
	return 0, false
}

// search returns where the line of path stands, by binary search over the bytes of the table; where there is none, start is
// where it would stand.
func search(path string) (start, end int, ok bool) {
	low, high := 1, len(table) // both at the start of a line
	for low < high {
		mid := low + (high-low)/2
		start := strings.LastIndexByte(table[:mid], '\n') + 1
		end := start + strings.IndexByte(table[start:], '\n')
		switch cmp.Compare(path, table[start:end-2]) {
		case 0:
			return start, end, true
		case -1:
			high = start
		default:
			low = end + 1
		}
	}
	return low, low, false
}
