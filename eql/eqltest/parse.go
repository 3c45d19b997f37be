package eqltest

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Parse reads a script. The error is an *Error, that of the first fault.
func Parse(name string, src []byte) (*Script, error) {
	p := &scriptParser{script: &Script{Name: name}}
	for _, st := range statements(src) {
		if err := p.statement(st); err != nil {
			return nil, err
		}
	}
	if err := p.endCase(); err != nil {
		return nil, err
	}
	return p.script, nil
}

// statement is a line of a script together with the indented lines that continue it. A comment among those
// is left empty, so that positions stay right.
type statement struct {
	line int
	text string
}

func statements(src []byte) []statement {
	var out []statement
	for i, line := range strings.Split(string(src), "\n") {
		line = strings.TrimRight(line, " \t\r")
		body := strings.TrimLeft(line, " \t")
		indented := len(body) < len(line)
		comment := strings.HasPrefix(body, "#")
		switch {
		case indented && len(out) > 0:
			last := &out[len(out)-1]
			gap := i + 1 - (last.line + strings.Count(last.text, "\n"))
			last.text += strings.Repeat("\n", gap)
			if !comment {
				last.text += line
			}
		case body == "" || comment:
		default:
			out = append(out, statement{line: i + 1, text: line})
		}
	}
	for i := range out {
		out[i].text = strings.TrimRight(out[i].text, "\n")
	}
	return out
}

// scriptParser gathers the cases of a script.
type scriptParser struct {
	script *Script
	open   *Case
	names  map[string]bool
}

// cursor reads the words of a statement.
type cursor struct {
	file string
	st   statement
	pos  int
}

const blanks = " \t\n"

func (c *cursor) skip() {
	c.pos = len(c.st.text) - len(strings.TrimLeft(c.st.text[c.pos:], blanks))
}

// word returns the next word and where it begins; it is empty at the end of the statement.
func (c *cursor) word() (word string, at int) {
	c.skip()
	at = c.pos
	if n := strings.IndexAny(c.st.text[at:], blanks); n >= 0 {
		c.pos = at + n
	} else {
		c.pos = len(c.st.text)
	}
	return c.st.text[at:c.pos], at
}

// rest returns what is left of the statement and where it begins.
func (c *cursor) rest() (text string, at int) {
	c.skip()
	at = c.pos
	c.pos = len(c.st.text)
	return c.st.text[at:], at
}

// errorf returns the fault at an offset of the statement.
func (c *cursor) errorf(at int, format string, args ...any) error {
	before := c.st.text[:at]
	line := c.st.line + strings.Count(before, "\n")
	col := at - (strings.LastIndexByte(before, '\n') + 1) + 1
	return &Error{File: c.file, Line: line, Col: col, Msg: fmt.Sprintf(format, args...)}
}

// end reports text where the statement should end.
func (c *cursor) end() error {
	if text, at := c.rest(); text != "" {
		return c.errorf(at, "unexpected %q at the end of the statement", text)
	}
	return nil
}

func (p *scriptParser) statement(st statement) error {
	c := &cursor{file: p.script.Name, st: st}
	verb, at := c.word()
	if verb == "rule" {
		return p.rule(c, st.line)
	}
	if p.open == nil {
		if !isVerb(verb) {
			return c.errorf(at, "unknown statement %q: rule, only, type, event, advance, restart or expect", verb)
		}
		return c.errorf(at, "%s comes before the first rule", verb)
	}
	if p.open.WantError != "" {
		return c.errorf(at, "%s after expect error: a query that is refused has nothing else", verb)
	}
	switch verb {
	case "only":
		return p.only(c)
	case "type":
		return p.fieldType(c)
	case "event":
		return p.event(c)
	case "advance":
		return p.advance(c)
	case "restart":
		p.open.Steps = append(p.open.Steps, Step{Kind: StepRestart, Line: st.line})
		return c.end()
	case "expect":
		return p.expect(c)
	default:
		return c.errorf(at, "unknown statement %q: rule, only, type, event, advance, restart or expect", verb)
	}
}

func isVerb(s string) bool {
	switch s {
	case "only", "type", "event", "advance", "restart", "expect":
		return true
	default:
		return false
	}
}

func (p *scriptParser) rule(c *cursor, line int) error {
	if err := p.endCase(); err != nil {
		return err
	}
	query, at := c.rest()
	if query == "" {
		return c.errorf(at, "the rule has no query")
	}
	p.open = &Case{File: p.script.Name, Line: line, Query: query}
	p.names = map[string]bool{}
	return nil
}

// endCase takes the case that is open into the script.
func (p *scriptParser) endCase() error {
	if p.open == nil {
		return nil
	}
	last := len(p.open.Steps) - 1
	switch {
	case p.open.WantError != "":
	case last < 0:
		return &Error{File: p.open.File, Line: p.open.Line, Col: 1, Msg: "the rule has neither events nor an expect"}
	case p.open.Steps[last].Kind != StepExpect:
		return &Error{File: p.open.File, Line: p.open.Steps[last].Line, Col: 1, Msg: "nothing is expected after this step"}
	}
	p.script.Cases = append(p.script.Cases, *p.open)
	p.open = nil
	return nil
}

func (p *scriptParser) only(c *cursor) error {
	mode, at := c.word()
	switch {
	case len(p.open.Steps) > 0:
		return c.errorf(0, "only stands before the first event")
	case mode == "batch":
		p.open.Mode = BatchOnly
	case mode == "stream":
		p.open.Mode = StreamOnly
	default:
		return c.errorf(at, "only batch or only stream, not %q", mode)
	}
	return c.end()
}

// fieldType reads the declaration of a field's type: a path, a type, and null=VALUE.
func (p *scriptParser) fieldType(c *cursor) error {
	if len(p.open.Steps) > 0 {
		return c.errorf(0, "type only stands before the first event")
	}
	path, at := c.word()
	if path == "" {
		return c.errorf(at, "type needs the path of a field and its type")
	}
	f := FieldType{Path: path}
	if f.Type, at = c.word(); f.Type == "" {
		return c.errorf(at, "the field %s needs a type", path)
	}
	if word, at := c.word(); word != "" {
		null, ok := strings.CutPrefix(word, "null=")
		if !ok {
			return c.errorf(at, "only null=VALUE may follow the type, not %q", word)
		}
		f.Null, f.HasNull = null, true
	}
	p.open.Types = append(p.open.Types, f)
	return c.end()
}

// duration reads a time of whole milliseconds.
func (c *cursor) duration() (time.Duration, error) {
	word, at := c.word()
	d, err := time.ParseDuration(word)
	if err != nil {
		return 0, c.errorf(at, "%q is no duration such as 2.9s or 10m", word)
	}
	if d%time.Millisecond != 0 {
		return 0, c.errorf(at, "%s is finer than a millisecond", word)
	}
	return d, nil
}

func (p *scriptParser) advance(c *cursor) error {
	c.skip()
	at := c.pos
	d, err := c.duration()
	if err != nil {
		return err
	}
	if d <= 0 {
		return c.errorf(at, "time doesn't go back: advance by more than nothing")
	}
	p.open.Steps = append(p.open.Steps, Step{Kind: StepAdvance, Line: c.st.line, Advance: d})
	return c.end()
}

func (p *scriptParser) event(c *cursor) error {
	at, err := c.duration()
	if err != nil {
		return err
	}
	name, pos := c.word()
	switch {
	case !validName(name):
		return c.errorf(pos, "the event needs a name of letters, digits, _ and -, not %q", name)
	case p.names[name]:
		return c.errorf(pos, "there is an event %s already", name)
	}
	p.names[name] = true
	doc, err := c.document(at)
	if err != nil {
		return err
	}
	e := Event{Name: name, At: at, Doc: doc, Line: c.st.line}
	p.open.Steps = append(p.open.Steps, Step{Kind: StepEvent, Line: c.st.line, Event: e})
	return nil
}

func validName(s string) bool {
	return s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

func (p *scriptParser) expect(c *cursor) error {
	what, at := c.word()
	switch what {
	case "error":
		return p.expectError(c)
	case "none":
		if s := p.newestExpect(); s != nil {
			return c.errorf(at, "none contradicts the expectation before it")
		}
		p.open.Steps = append(p.open.Steps, Step{Kind: StepExpect, Line: c.st.line})
		return c.end()
	case "match":
		return p.expectMatch(c, at)
	default:
		return c.errorf(at, "expect match, expect none or expect error, not %q", what)
	}
}

// newestExpect returns the newest step where it is an expectation: lines that follow each other are one.
func (p *scriptParser) newestExpect() *Step {
	if n := len(p.open.Steps); n > 0 && p.open.Steps[n-1].Kind == StepExpect {
		return &p.open.Steps[n-1]
	}
	return nil
}

func (p *scriptParser) expectError(c *cursor) error {
	text, at := c.rest()
	want, err := strconv.Unquote(text)
	switch {
	case err != nil:
		return c.errorf(at, "expect error needs a part of the message in quotes, not %q", text)
	case want == "":
		return c.errorf(at, "expect error needs a part of the message")
	case len(p.open.Steps) > 0:
		return c.errorf(0, "a query that is refused has no events")
	}
	p.open.WantError = want
	return nil
}

func (p *scriptParser) expectMatch(c *cursor, at int) error {
	var m Match
	named := false
	for {
		name, pos := c.word()
		if name == "" {
			break
		}
		if name != Missing {
			if !p.names[name] {
				return c.errorf(pos, "there is no event %s before this line", name)
			}
			named = true
		}
		m = append(m, name)
	}
	if !named {
		return c.errorf(at, "a match names at least one event")
	}
	s := p.newestExpect()
	if s == nil {
		p.open.Steps = append(p.open.Steps, Step{Kind: StepExpect, Line: c.st.line})
		s = p.newestExpect()
	} else if len(s.Want) == 0 {
		return c.errorf(at, "match contradicts the expect none before it")
	}
	s.Want = append(s.Want, m)
	return nil
}
