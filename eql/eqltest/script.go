// Package eqltest is a script language for what EQL means: events with times and names, a query, and the matches
// that are expected of it. A script knows no engine. It is run by whoever has one, over all events at once or one
// by one with restarts in between, so that two engines are held to the same words. README.md describes the
// language; Scripts returns the scripts that come with the package.
package eqltest

import (
	"embed"
	"fmt"
	"io/fs"
	"strings"
	"time"
)

//go:embed testdata/*.test
var testdata embed.FS

// Scripts returns the scripts that come with the package, as *.test files.
func Scripts() fs.FS {
	sub, err := fs.Sub(testdata, "testdata")
	if err != nil {
		panic("BUG: the embedded folder has another name: " + err.Error())
	}
	return sub
}

// Missing stands in a Match for a stage of which no event is there.
const Missing = "!"

// Match is one match: the names of its events in the order of the stages, Missing for a missing stage.
type Match []string

// String returns the match as a script has it.
func (m Match) String() string { return strings.Join(m, " ") }

// Event is one event of a script.
type Event struct {
	Name string
	// At is the event's time, counted from the script's beginning, in whole milliseconds.
	At time.Duration
	// Doc is the whole document; its @timestamp is Epoch plus At unless the script gave another one.
	Doc  []byte
	Line int
}

// Epoch is the time that offset 0s of every script stands for.
func Epoch() time.Time { return time.Date(2025, time.January, 1, 0, 0, 0, 0, time.UTC) }

// StepKind tells what a Step does.
type StepKind uint8

// The kinds of steps.
const (
	StepEvent   StepKind = iota // an event arrives
	StepAdvance                 // time passes without events
	StepRestart                 // the engine is stopped and started again from its stored state
	StepExpect                  // the matches since the last such step are compared
)

// Step is one step of a Case.
type Step struct {
	Kind    StepKind
	Line    int
	Event   Event         // of a StepEvent
	Advance time.Duration // of a StepAdvance
	Want    []Match       // of a StepExpect; empty where none are expected
}

// Mode says which engines a Case is for.
type Mode uint8

// The modes.
const (
	Both Mode = iota
	BatchOnly
	StreamOnly
)

// FieldType is what a case declares of a field, as a mapping of Elasticsearch would.
type FieldType struct {
	Path string
	Type string // by the name that Elasticsearch has for it
	// Null is the null_value: the text that stands for an explicit null. It counts where HasNull is set.
	Null    string
	HasNull bool
}

// Case is one query with what happens and what is expected of it.
type Case struct {
	File  string
	Line  int // of the query
	Query string
	Types []FieldType // of fields that have another type than ECS gives them, or none there
	Mode  Mode
	Steps []Step
	// WantError is a part of the message with which the query is refused; empty for a query that compiles. A
	// case with WantError has no steps.
	WantError string
}

// Name returns the place of the case, as file:line.
func (c *Case) Name() string { return fmt.Sprintf("%s:%d", c.File, c.Line) }

// Events returns the events of the case in the order in which they arrive.
func (c *Case) Events() []Event {
	var out []Event
	for _, s := range c.Steps {
		if s.Kind == StepEvent {
			out = append(out, s.Event)
		}
	}
	return out
}

// Script is a parsed script.
type Script struct {
	Name  string
	Cases []Case
}

// Error is a fault of a script: where it is and what is wrong. Line and Col count from 1, Col in bytes.
type Error struct {
	File      string
	Line, Col int
	Msg       string
}

// Error returns file:line:col: message.
func (e *Error) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.File, e.Line, e.Col, e.Msg)
}
