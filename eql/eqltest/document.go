package eqltest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"time"
)

// timestampLayout is how a document has its time: milliseconds, UTC.
const timestampLayout = "2006-01-02T15:04:05.000Z"

// document reads what is left of an event statement: a JSON object, or a category and field=value pairs.
func (c *cursor) document(at time.Duration) ([]byte, error) {
	c.skip()
	if strings.HasPrefix(c.st.text[c.pos:], "{") {
		return c.object(at)
	}
	doc := newDocument(at)
	first := true
	for {
		c.skip()
		start := c.pos
		if start == len(c.st.text) {
			return doc.end(), nil
		}
		name := c.field()
		switch {
		case name == "":
			return nil, c.errorf(start, "a field has no name")
		case c.pos < len(c.st.text) && c.st.text[c.pos] == '=':
			c.pos++
			value, err := c.value()
			if err != nil {
				return nil, err
			}
			doc.member(name, value)
		case first:
			doc.member("event.category", quote(name))
		default:
			return nil, c.errorf(start, "field=value expected, not %q", name)
		}
		first = false
	}
}

// field reads up to the next equals sign or blank.
func (c *cursor) field() string {
	start := c.pos
	if n := strings.IndexAny(c.st.text[start:], "="+blanks); n >= 0 {
		c.pos = start + n
	} else {
		c.pos = len(c.st.text)
	}
	return c.st.text[start:c.pos]
}

// value reads a JSON value, or a bare word that stands for itself as text.
func (c *cursor) value() (json.RawMessage, error) {
	start := c.pos
	text := c.st.text[start:]
	if text == "" || strings.ContainsAny(text[:1], blanks) {
		return nil, c.errorf(start, `a field has no value: write "" for the empty text`)
	}
	if strings.ContainsAny(text[:1], `"[{`) {
		d := json.NewDecoder(strings.NewReader(text))
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, c.errorf(start, "malformed JSON value: %v", plain(err))
		}
		c.pos = start + int(d.InputOffset())
		if c.pos < len(c.st.text) && !strings.ContainsAny(c.st.text[c.pos:c.pos+1], blanks) {
			return nil, c.errorf(c.pos, "a blank is expected after a value")
		}
		return v, nil
	}
	word, _ := c.word()
	if json.Valid([]byte(word)) { // a number, true, false or null
		return json.RawMessage(word), nil
	}
	return quote(word), nil
}

// object reads a JSON object and puts the time into it unless it has one.
func (c *cursor) object(at time.Duration) ([]byte, error) {
	text, start := c.rest()
	d := json.NewDecoder(strings.NewReader(text))
	var members map[string]json.RawMessage
	if err := d.Decode(&members); err != nil {
		return nil, c.errorf(start, "malformed JSON object: %v", plain(err))
	}
	if rest := strings.TrimLeft(text[d.InputOffset():], blanks); rest != "" {
		return nil, c.errorf(len(c.st.text)-len(rest), "text after the JSON object")
	}
	if _, ok := members["@timestamp"]; ok {
		return []byte(text), nil
	}
	doc := newDocument(at)
	if len(members) > 0 {
		doc.WriteByte(',')
	}
	doc.WriteString(text[1:])
	return doc.Bytes(), nil
}

// plain says in words that the text ended too early.
func plain(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errors.New("it doesn't end")
	}
	return err
}

// document is a JSON object under construction. Members may occur twice, as they may in a real event.
type document struct{ bytes.Buffer }

func newDocument(at time.Duration) *document {
	d := &document{}
	d.WriteString(`{"@timestamp":"` + Epoch().Add(at).Format(timestampLayout) + `"`)
	return d
}

func (d *document) member(name string, value json.RawMessage) {
	d.WriteByte(',')
	d.Write(quote(name))
	d.WriteByte(':')
	d.Write(value)
}

func (d *document) end() []byte {
	d.WriteByte('}')
	return d.Bytes()
}

// quote returns s as a JSON string.
func quote(s string) json.RawMessage {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: a string has no JSON form: " + err.Error())
	}
	return b
}
