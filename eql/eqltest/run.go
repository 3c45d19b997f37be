package eqltest

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// Engine runs a query over events that are all there, and returns its matches in the order of completion. The
// error is that of a query that is refused, or of a type that there isn't.
type Engine func(query string, types []FieldType, events []Event) ([]Match, error)

// Stream is an engine that takes events one by one. It is used by one goroutine.
type Stream interface {
	// Event takes the next event.
	Event(e Event) error
	// Advance lets time pass without an event, counted from the newest event or the end of the last Advance.
	Advance(d time.Duration) error
	// Restart stops the engine and starts it again from its stored state.
	Restart() error
	// Settle decides everything up to the time of the newest event, or to the time that was advanced to, and
	// returns the matches that were found since the last call, in the order of completion.
	Settle() ([]Match, error)
	// Finish ends the input, decides everything, and returns as Settle does.
	Finish() ([]Match, error)
}

// Opener starts a Stream for a query. The error is that of a query that is refused, or of a type that there isn't.
type Opener func(query string, types []FieldType) (Stream, error)

// Batch runs the case over all its events at once, and compares all matches with all expectations. Steps that
// only a stream has are passed over. The error says what differs; it is nil for a case that is for streams only.
func (c *Case) Batch(run Engine) error {
	if c.Mode == StreamOnly {
		return nil
	}
	got, err := run(c.Query, c.Types, c.Events())
	if done, err := c.refused(err); done {
		return err
	}
	var want []Match
	line := c.Line
	for _, s := range c.Steps {
		if s.Kind == StepExpect {
			want = append(want, s.Want...)
			line = s.Line
		}
	}
	return c.compare(line, got, want)
}

// refused compares the error of a query that didn't compile with the expectation. done means that there is
// nothing to run.
func (c *Case) refused(err error) (done bool, problem error) {
	switch {
	case err == nil && c.WantError == "":
		return false, nil
	case err == nil:
		return true, c.errorf(c.Line, "the query compiles, an error with %q was expected", c.WantError)
	case c.WantError == "":
		return true, c.errorf(c.Line, "%v", err)
	case !strings.Contains(err.Error(), c.WantError):
		return true, c.errorf(c.Line, "got the error %q, want one with %q", err.Error(), c.WantError)
	default:
		return true, nil
	}
}

// Stream runs the case step by step. The input ends with the last expectation; those before it see what is decided up to the
// newest event. The error says what differs; it is nil for a case that is for batches only.
func (c *Case) Stream(open Opener) error {
	if c.Mode == BatchOnly {
		return nil
	}
	s, err := open(c.Query, c.Types)
	if done, err := c.refused(err); done {
		return err
	}
	for i, step := range c.Steps {
		switch step.Kind {
		case StepEvent:
			err = s.Event(step.Event)
		case StepAdvance:
			err = s.Advance(step.Advance)
		case StepRestart:
			err = s.Restart()
		case StepExpect:
			var got []Match
			if i == len(c.Steps)-1 {
				got, err = s.Finish()
			} else {
				got, err = s.Settle()
			}
			if err == nil {
				err = c.compare(step.Line, got, step.Want)
				if err != nil {
					return err
				}
			}
		}
		if err != nil {
			return c.errorf(step.Line, "%v", err)
		}
	}
	return nil
}

func (c *Case) compare(line int, got, want []Match) error {
	if slices.EqualFunc(got, want, slices.Equal) {
		return nil
	}
	return c.errorf(line, "%s\ngot  %s\nwant %s", c.Query, list(got), list(want))
}

func list(ms []Match) string {
	if len(ms) == 0 {
		return "none"
	}
	parts := make([]string, len(ms))
	for i, m := range ms {
		parts[i] = "(" + m.String() + ")"
	}
	return strings.Join(parts, " ")
}

func (c *Case) errorf(line int, format string, args ...any) error {
	return fmt.Errorf("%s:%d: %s", c.File, line, fmt.Sprintf(format, args...))
}
