package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/weir-eql/weir/pipeline/replay"
)

// eachCase decodes the JSON documents of a file, one after the other or in one array, and calls fn with their number. An error of fn
// ends it.
func eachCase[T any](path string, fn func(number int, v *T) error) error {
	in, err := open(path)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // the file was only read
	first, err := firstByte(in.Reader)
	if err != nil {
		return err
	}
	d := json.NewDecoder(in)
	if first == '[' {
		if _, err := d.Token(); err != nil {
			return err
		}
	}
	for n := 1; first != '[' || d.More(); n++ {
		v := new(T)
		err := d.Decode(v)
		if errors.Is(err, io.EOF) && first != '[' {
			return nil
		}
		if err == nil {
			err = fn(n, v)
		}
		if err != nil {
			return fmt.Errorf("case %d: %w", n, err)
		}
	}
	_, err = d.Token()
	return err
}

// generatedCase is a query that was made at random, with the answer of an independent program.
type generatedCase struct {
	Query  string            `json:"query"`
	Events []json.RawMessage `json:"events"`
	Expect []struct {
		JoinKeys []json.RawMessage `json:"join_keys"`
		Events   []int             `json:"events"`
	} `json:"expect"`
}

// runGenerated runs queries that were made at random. All of them apply.
func runGenerated(s *session, f *file, r *Result) error {
	return eachCase(f.path, func(number int, c *generatedCase) error {
		if c.Expect == nil { // a misspelt key must not count as a case without matches
			return errors.New("it has no expect")
		}
		r.note("#"+strconv.Itoa(number), c.Query, c.check(replay.QueryOptions{Fields: s.o.Fields}))
		return nil
	})
}

func (c *generatedCase) check(o replay.QueryOptions) outcome {
	var want []match
	for _, e := range c.Expect {
		m := match{ids: e.Events}
		for _, k := range e.JoinKeys {
			m.keys = append(m.keys, plainText(k))
		}
		want = append(want, m)
	}
	docs := make([][]byte, len(c.Events))
	for i, e := range c.Events {
		docs[i] = e
	}
	res, err := runQuery(c.Query, docs, o)
	if err != nil {
		return failed(err, untied(c.Query, want))
	}
	var got []match
	for _, m := range res.Matches {
		var found match
		for _, e := range m.Events {
			if e.Missing {
				found.ids = append(found.ids, -1)
			} else {
				found.ids = append(found.ids, e.Index)
			}
		}
		for _, k := range m.JoinKeys {
			found.keys = append(found.keys, keyText(k))
		}
		got = append(got, found)
	}
	return outcome{untied(c.Query, got), untied(c.Query, want)}
}

// plainText returns a key of an expectation as text. Numbers keep all their digits.
func plainText(raw json.RawMessage) string {
	var v any
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	if d.Decode(&v) != nil {
		return string(raw)
	}
	switch v := v.(type) {
	case nil:
		return "null"
	case string:
		return v
	case json.Number:
		if strings.ContainsAny(v.String(), ".eE") {
			if f, err := v.Float64(); err == nil {
				return strconv.FormatFloat(f, 'f', -1, 64)
			}
		}
		return v.String()
	default:
		return fmt.Sprint(v)
	}
}

// regexCase is a pattern with texts and what Lucene says about each.
type regexCase struct {
	Regex      string   `json:"regex"`
	IgnoreCase bool     `json:"ignore_case"`
	Inputs     []string `json:"inputs"`
	Match      []bool   `json:"match"`
	Error      bool     `json:"error"`
}

// runRegex runs patterns as conditions of queries over events that hold the texts. A pattern that Lucene
// refuses must be refused.
func runRegex(f *file, r *Result) error {
	return eachCase(f.path, func(number int, c *regexCase) error {
		if !c.Error && len(c.Match) != len(c.Inputs) {
			return fmt.Errorf("it has %d inputs and %d answers in match", len(c.Inputs), len(c.Match))
		}
		name := "#" + strconv.Itoa(number)
		query := "any where text regex " + literal(c.Regex)
		if c.IgnoreCase {
			query = "any where text regex~ " + literal(c.Regex)
		}
		r.note(name, query, c.check(query))
		return nil
	})
}

func (c *regexCase) check(query string) outcome {
	want := make([]string, 0, len(c.Inputs))
	docs := make([][]byte, len(c.Inputs))
	for i, text := range c.Inputs {
		doc, err := json.Marshal(map[string]any{"@timestamp": i + 1, "text": text})
		if err != nil {
			return failed(err, "")
		}
		docs[i] = doc
		if i < len(c.Match) && c.Match[i] {
			want = append(want, strconv.Quote(text))
		}
	}
	expected := "matches " + strings.Join(want, ", ")
	if c.Error {
		expected = "an error"
	}
	res, err := runQuery(query, docs, replay.QueryOptions{})
	switch {
	case err != nil && c.Error:
		return outcome{expected, expected}
	case err != nil:
		return failed(err, expected)
	}
	got := make([]string, len(res.Matches))
	for i, m := range res.Matches {
		got[i] = strconv.Quote(c.Inputs[m.Events[0].Index])
	}
	return outcome{"matches " + strings.Join(got, ", "), expected}
}

// literal returns text as a string of EQL.
func literal(text string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, c := range text {
		switch {
		case c == '"' || c == '\\':
			b.WriteByte('\\')
			b.WriteRune(c)
		case c < ' ' || c == 0x7f:
			fmt.Fprintf(&b, `\u{%02x}`, c)
		default:
			b.WriteRune(c)
		}
	}
	b.WriteByte('"')
	return b.String()
}
