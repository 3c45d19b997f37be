// Package ruletest reads and runs the test cases that stand beside a rule: foo_test.toml beside foo.toml. It
// knows the cases' format and compares matches; how events become matches is the Runner's business.
package ruletest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// MissingStage is the position that stands for a missing stage in a match.
const MissingStage = -1

// Case is one test of a rule.
type Case struct {
	Name string
	Note string
	// Line is where the case begins in its file, from 1.
	Line int
	// Events are the documents in order, one JSON object each, every one with an @timestamp.
	Events [][]byte
	// Matches holds the positions of the events of each match that must be found, in stage order.
	Matches [][]int
}

// File is a file of test cases.
type File struct {
	// RuleID is the id of the rule that the file says it tests; it may be empty.
	RuleID string
	Cases  []Case
}

// Error is what is wrong with a file of cases. Line is 0 where the whole file is meant.
type Error struct {
	Line int
	Msg  string
}

// Error returns the line and the message.
func (e *Error) Error() string {
	if e.Line == 0 {
		return e.Msg
	}
	return "line " + strconv.Itoa(e.Line) + ": " + e.Msg
}

// Path returns the name of the file of cases that belongs to a rule file.
func Path(rulePath string) string { return strings.TrimSuffix(rulePath, ".toml") + "_test.toml" }

// Read reads the file of cases beside a rule file. It returns nil without an error where there is none.
func Read(fsys fs.FS, rulePath string) (*File, error) {
	src, err := fs.ReadFile(fsys, Path(rulePath))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil //nolint:nilnil // no file is no fault
	}
	if err != nil {
		return nil, fmt.Errorf("ruletest: %w", err)
	}
	return Parse(src)
}

// table is the file as it is written.
type table struct {
	RuleID string    `toml:"rule_id"`
	Case   []rawCase `toml:"case"`
}

type rawCase struct {
	Name    string   `toml:"name"`
	Note    string   `toml:"note"`
	Events  any      `toml:"events"`
	Matches *[][]int `toml:"matches"`
}

// Parse reads a file of cases. The error is an *Error, or several joined.
func Parse(src []byte) (*File, error) {
	var t table
	if err := toml.NewDecoder(bytes.NewReader(src)).DisallowUnknownFields().Decode(&t); err != nil {
		return nil, tomlError(err)
	}
	lines := caseLines(src)
	f := &File{RuleID: t.RuleID}
	var errs []error
	names := map[string]bool{}
	for i, raw := range t.Case {
		line := 0
		if i < len(lines) { // inline tables have no header
			line = lines[i]
		}
		c, faults := raw.parse(line)
		if names[c.Name] {
			faults = append(faults, errors.New("there are two cases of this name"))
		}
		names[c.Name] = true
		for _, fault := range faults {
			errs = append(errs, &Error{Line: line, Msg: fmt.Sprintf("case %q: %v", c.Name, fault)})
		}
		f.Cases = append(f.Cases, c)
	}
	if len(t.Case) == 0 {
		errs = append(errs, &Error{Msg: "there is no [[case]]"})
	}
	return f, errors.Join(errs...)
}

// parse checks a case and decodes its events.
func (raw rawCase) parse(line int) (c Case, faults []error) {
	c = Case{Name: raw.Name, Note: raw.Note, Line: line}
	if c.Name == "" {
		faults = append(faults, errors.New("name is missing"))
	}
	docs, err := documents(raw.Events)
	if err != nil {
		faults = append(faults, err)
	}
	for n, doc := range docs {
		ev, err := withTimestamp(doc, n)
		if err != nil {
			faults = append(faults, fmt.Errorf("event %d: %w", n, err))
		}
		c.Events = append(c.Events, ev)
	}
	if raw.Matches == nil {
		return c, append(faults, errors.New("matches is missing; write matches = [] where nothing may match"))
	}
	c.Matches = *raw.Matches
	if err := checkMatches(c.Matches, len(c.Events)); err != nil {
		faults = append(faults, err)
	}
	return c, faults
}

func tomlError(err error) error {
	if unknown, ok := errors.AsType[*toml.StrictMissingError](err); ok {
		var errs []error
		for i := range unknown.Errors {
			line, _ := unknown.Errors[i].Position()
			errs = append(errs, &Error{Line: line, Msg: "unknown key " + strings.Join(unknown.Errors[i].Key(), ".")})
		}
		return errors.Join(errs...)
	}
	if de, ok := errors.AsType[*toml.DecodeError](err); ok {
		line, _ := de.Position()
		return &Error{Line: line, Msg: strings.TrimPrefix(de.Error(), "toml: ")}
	}
	return &Error{Msg: err.Error()}
}

// caseLines returns the lines of the [[case]] headers.
func caseLines(src []byte) []int {
	var lines []int
	var p unstable.Parser
	p.Reset(src)
	for p.NextExpression() {
		node := p.Expression()
		if node.Kind != unstable.ArrayTable {
			continue
		}
		if key := node.Child(); key != nil && string(key.Data) == "case" {
			lines = append(lines, p.Shape(key.Raw).Start.Line)
		}
	}
	return lines
}

// documents returns the events as they are written: a block of lines or a list of strings.
func documents(v any) ([]string, error) {
	switch v := v.(type) {
	case nil:
		return nil, errors.New("events is missing")
	case string:
		var docs []string
		for line := range strings.Lines(v) {
			line = strings.TrimSpace(line)
			if line != "" && !strings.HasPrefix(line, "#") {
				docs = append(docs, line)
			}
		}
		return docs, nil
	case []any:
		docs := make([]string, 0, len(v))
		for i, e := range v {
			s, ok := e.(string)
			if !ok {
				return nil, fmt.Errorf("event %d is not a string of JSON", i)
			}
			docs = append(docs, s)
		}
		return docs, nil
	default:
		return nil, errors.New("events is neither a string with one JSON object a line nor a list of such strings")
	}
}

// withTimestamp returns an event's document, with an @timestamp n seconds after the start of 2026 where it has none of its own.
func withTimestamp(doc string, n int) ([]byte, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal([]byte(doc), &fields); err != nil {
		return nil, fmt.Errorf("not a JSON object: %w", err)
	}
	if fields == nil {
		return nil, errors.New("not a JSON object")
	}
	if _, ok := fields["@timestamp"]; ok {
		return []byte(doc), nil
	}
	stamp := time.Date(2026, 1, 1, 0, 0, n, 0, time.UTC).Format(time.RFC3339)
	rest := strings.TrimPrefix(strings.TrimSpace(doc), "{")
	comma := ","
	if len(fields) == 0 {
		comma = ""
	}
	return []byte(`{"@timestamp":"` + stamp + `"` + comma + rest), nil
}

func checkMatches(matches [][]int, events int) error {
	for _, m := range matches {
		if !slices.ContainsFunc(m, func(n int) bool { return n != MissingStage }) {
			return errors.New("a match without events")
		}
		for _, n := range m {
			if n < MissingStage || n >= events {
				return fmt.Errorf("matches name event %d, but there are %d events, counted from 0", n, events)
			}
		}
	}
	return nil
}
