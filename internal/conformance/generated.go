package conformance

import (
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/pipeline/replay"
)

// eachLine decodes the lines of a compressed file of JSON documents, one after the other, and calls fn with their number.
func eachLine[T any](fsys fs.FS, name string, fn func(number int, v *T)) error {
	f, err := fsys.Open(name)
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // the file was only read
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	d := json.NewDecoder(z)
	for n := 1; ; n++ {
		v := new(T)
		err := d.Decode(v)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		fn(n, v)
	}
}

// generatedCase is a query that was made at random, with the answer of an independent program.
type generatedCase struct {
	Query  string            `json:"query"`
	Events []json.RawMessage `json:"events"`
	Expect []struct {
		JoinKeys []any `json:"join_keys"`
		Events   []int `json:"events"`
	} `json:"expect"`
}

// generated runs queries that were made at random. All of them apply. Matches that one event completes may come in
// any order among themselves: Elasticsearch's own depends on how it pages.
func generated(fsys fs.FS, name string, r *Result) error {
	return eachLine(fsys, name, func(number int, c *generatedCase) {
		r.note("#"+strconv.Itoa(number), c.Query, c.check())
	})
}

func (c *generatedCase) check() string {
	docs := make([][]byte, len(c.Events))
	for i, e := range c.Events {
		docs[i] = e
	}
	res, err := runQuery(c.Query, docs, replay.QueryOptions{})
	if err != nil {
		return err.Error()
	}
	var got, want []answer
	for _, m := range res.Matches {
		var events []int
		for _, e := range m.Events {
			if e.Missing {
				events = append(events, -1)
			} else {
				events = append(events, e.Index)
			}
		}
		keys := make([]string, len(m.JoinKeys))
		for i, k := range m.JoinKeys {
			keys[i] = keyText(k)
		}
		got = append(got, answer{slices.Max(events), fmt.Sprint(events, keys)})
	}
	for _, e := range c.Expect {
		keys := make([]string, len(e.JoinKeys))
		for i, k := range e.JoinKeys {
			keys[i] = plainText(k)
		}
		want = append(want, answer{slices.Max(e.Events), fmt.Sprint(e.Events, keys)})
	}
	if !slices.Equal(untied(got), untied(want)) {
		return fmt.Sprintf("got %v, want %v", got, want)
	}
	return ""
}

// answer is one match: the position of its last event, which completed it, and its events and keys as text.
type answer struct {
	completed int
	text      string
}

// untied sorts the matches of each completing event among themselves.
func untied(answers []answer) []answer {
	for i := 0; i < len(answers); {
		j := i + 1
		for j < len(answers) && answers[j].completed == answers[i].completed {
			j++
		}
		slices.SortFunc(answers[i:j], func(a, b answer) int { return strings.Compare(a.text, b.text) })
		i = j
	}
	return answers
}

func keyText(v event.Value) string {
	if v.IsMissing() {
		return "null"
	}
	return v.Text()
}

// plainText returns a key of an expectation as text.
func plainText(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
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

// luceneRegex runs patterns as conditions of queries over events that hold the texts. A pattern that Lucene
// refuses must be refused. What Lucene accepts applies but for the empty language repeated, which should be the empty text and
// is not in Lucene 9.12.
func luceneRegex(fsys fs.FS, name string, r *Result) error {
	return eachLine(fsys, name, func(number int, c *regexCase) {
		if !c.Error && strings.Contains(c.Regex, "#*") {
			r.skip("the empty language repeated (#*) is a quirk of Lucene")
			return
		}
		query := "any where text regex " + literal(c.Regex)
		if c.IgnoreCase {
			query = "any where text regex~ " + literal(c.Regex)
		}
		r.note("#"+strconv.Itoa(number), query, c.check(query))
	})
}

func (c *regexCase) check(query string) string {
	docs := make([][]byte, len(c.Inputs))
	for i, text := range c.Inputs {
		doc, err := json.Marshal(map[string]any{"@timestamp": i + 1, "text": text})
		if err != nil {
			return err.Error()
		}
		docs[i] = doc
	}
	res, err := runQuery(query, docs, replay.QueryOptions{})
	if (err != nil) != c.Error {
		return fmt.Sprintf("got error %v, want one: %v", err, c.Error)
	}
	if err != nil {
		return ""
	}
	got := make([]bool, len(docs))
	for _, m := range res.Matches {
		got[m.Events[0].Index] = true
	}
	for i, want := range c.Match {
		if got[i] != want {
			return fmt.Sprintf("on %q: got %v, want %v", c.Inputs[i], got[i], want)
		}
	}
	return ""
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
