package conformance

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/pelletier/go-toml/v2"

	"github.com/weir-eql/weir/pipeline/replay"
)

// querySpec is a case of the suites in TOML.
type querySpec struct {
	Name            string   `toml:"name"`
	Query           string   `toml:"query"`
	Want            []int    `toml:"expected_event_ids"`
	JoinKeys        []string `toml:"join_keys"`
	CaseInsensitive bool     `toml:"case_insensitive"`
	CaseSensitive   bool     `toml:"case_sensitive"`
}

// readQueries reads the cases of a file; those without a name get their number.
func readQueries(fsys fs.FS, name string) ([]querySpec, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	var file struct {
		Queries []querySpec `toml:"queries"`
	}
	if err := toml.Unmarshal(data, &file); err != nil {
		return nil, err
	}
	for i := range file.Queries {
		if file.Queries[i].Name == "" {
			file.Queries[i].Name = "#" + strconv.Itoa(i+1)
		}
	}
	return file.Queries, nil
}

// dataSet is the documents of a suite, and the field that holds the number by which the cases know an event.
type dataSet struct {
	docs    [][]byte
	ids     []int
	fields  map[string]bool // the names that occur at the top of a document
	options replay.QueryOptions
}

// readDocuments reads an array of documents.
func readDocuments(fsys fs.FS, name, idField string) (*dataSet, error) {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	d := &dataSet{
		fields:  map[string]bool{},
		options: replay.QueryOptions{EventCategoryField: "event_type", TiebreakerField: idField},
	}
	for _, doc := range raw {
		var members map[string]any
		if err := json.Unmarshal(doc, &members); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		id, ok := members[idField].(float64)
		if !ok {
			return nil, fmt.Errorf("%s: a document has no %s", name, idField)
		}
		d.docs = append(d.docs, doc)
		d.ids = append(d.ids, int(id))
		for field := range members {
			d.fields[field] = true
		}
	}
	return d, nil
}

// absent reports whether no document has a field.
func (d *dataSet) absent(field string) bool { return !d.fields[field] }

// answer runs a query and returns the numbers of all matched events, -1 for a missing stage, and the join keys as text.
func (d *dataSet) answer(query string) (ids []int, keys []string, err error) {
	res, err := runQuery(query, d.docs, d.options)
	if err != nil {
		return nil, nil, err
	}
	for _, m := range res.Matches {
		for _, e := range m.Events {
			if e.Missing {
				ids = append(ids, -1)
			} else {
				ids = append(ids, d.ids[e.Index])
			}
		}
		for _, k := range m.JoinKeys {
			if k.IsMissing() {
				keys = append(keys, "null")
			} else {
				keys = append(keys, k.Text())
			}
		}
	}
	return ids, keys, nil
}

// check runs a case and says what differs. Join keys are compared where the case has some.
func (d *dataSet) check(query string, c *querySpec) string {
	ids, keys, err := d.answer(query)
	switch {
	case err != nil:
		return err.Error()
	case !slices.Equal(ids, c.Want):
		return fmt.Sprintf("got events %v, want %v", ids, c.Want)
	case len(c.JoinKeys) > 0 && !slices.Equal(keys, c.JoinKeys):
		return fmt.Sprintf("got join keys %q, want %q", keys, c.JoinKeys)
	default:
		return ""
	}
}

// missingEvents runs queries with missing stages as they stand.
func missingEvents(fsys fs.FS, name string, r *Result) error {
	cases, err := readQueries(fsys, name)
	if err != nil {
		return err
	}
	data, err := readDocuments(fsys, path.Join(path.Dir(name), "missing-events.json"), "sequence")
	if err != nil {
		return err
	}
	for i := range cases {
		r.note(cases[i].Name, cases[i].Query, data.check(cases[i].Query, &cases[i]))
	}
	return nil
}

// The mapping of the extra suite's index, as far as it says more than the documents do.
const (
	versionField   = "version"                     // of the type version: ordered as versions are
	nullValueField = "optional_field_default_null" // a null in it is indexed as the text NULL
)

// extra runs queries about join keys, optional fields and until. A query applies unless its answer depends on a
// mapping that a search over files doesn't have: a null_value, or the order of a field of type version.
func extra(fsys fs.FS, name string, r *Result) error {
	cases, err := readQueries(fsys, name)
	if err != nil {
		return err
	}
	data, err := readDocuments(fsys, path.Join(path.Dir(name), "extra.json"), "sequence")
	if err != nil {
		return err
	}
	for i := range cases {
		c := &cases[i]
		tokens := scan(c.Query)
		switch {
		case mentions(tokens, nullValueField):
			r.skip("the field's mapping has a null_value")
		case orders(tokens, versionField):
			r.skip("the field's mapping is of type version")
		default:
			r.note(c.Name, c.Query, data.check(c.Query, c))
		}
	}
	return nil
}

// mentions reports whether the query reads a field.
func mentions(tokens []token, field string) bool {
	return slices.ContainsFunc(tokens, func(t token) bool { return t.kind == word && t.text == field })
}

// orders reports whether the query compares a field by order.
func orders(tokens []token, field string) bool {
	for i, t := range tokens[:max(0, len(tokens)-1)] {
		if t.kind == word && t.text == field && strings.ContainsAny(tokens[i+1].text, "<>") {
			return true
		}
	}
	return false
}

// seriesSpec runs the drawings of sequences: a line for each stage, with its events at the times that they have.
// They become a query with one bracket for each line, and events that carry the number of their line.
func seriesSpec(fsys fs.FS, name string, r *Result) error {
	data, err := fs.ReadFile(fsys, name)
	if err != nil {
		return err
	}
	var spec series
	part := 0
	lines := bufio.NewScanner(bytes.NewReader(data))
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		switch {
		case line == "" || strings.HasPrefix(line, "//"):
		case line == ";":
			if part == 2 {
				r.note(spec.name, spec.query(), spec.check())
				spec, part = series{}, 0
			} else {
				part = 2
			}
		case part == 0:
			spec.name, part = line, 1
		case part == 1:
			if err := spec.stage(line); err != nil {
				return err
			}
		default:
			spec.want = append(spec.want, strings.Join(strings.Fields(line), " "))
		}
	}
	return lines.Err()
}

// series is one drawing.
type series struct {
	name   string
	stages int
	events []seriesEvent
	keyed  bool
	want   []string
}

type seriesEvent struct {
	name string // as the drawing has it: r|W2
	Time int    `json:"@timestamp"`
	Step int    `json:"step"` // the number of its line
	Key  string `json:"key,omitempty"`
}

// stage reads the events of one line. They belong to the line's stage whatever their letter is.
func (s *series) stage(line string) error {
	s.stages++
	for name := range strings.FieldsSeq(line) {
		key, rest, keyed := strings.Cut(name, "|")
		if !keyed {
			key, rest = "", name
		}
		if rest == "" {
			return fmt.Errorf("%s: event %q has no letter", s.name, name)
		}
		at, err := strconv.Atoi(rest[1:])
		if err != nil {
			return fmt.Errorf("%s: event %q: %w", s.name, name, err)
		}
		s.keyed = s.keyed || keyed
		s.events = append(s.events, seriesEvent{name: name, Time: at, Step: s.stages, Key: key})
	}
	return nil
}

func (s *series) query() string {
	var b strings.Builder
	b.WriteString("sequence")
	if s.keyed {
		b.WriteString(" by key")
	}
	for n := range s.stages {
		fmt.Fprintf(&b, " [any where step == %d]", n+1)
	}
	return b.String()
}

func (s *series) check() string {
	slices.SortFunc(s.events, func(a, b seriesEvent) int { return cmp.Compare(a.Time, b.Time) })
	docs := make([][]byte, len(s.events))
	for i, e := range s.events {
		doc, err := json.Marshal(e)
		if err != nil {
			return err.Error()
		}
		docs[i] = doc
	}
	res, err := runQuery(s.query(), docs, replay.QueryOptions{})
	if err != nil {
		return err.Error()
	}
	var got []string
	for _, m := range res.Matches {
		var names []string
		for i, e := range m.Events {
			names = append(names, s.shown(e.Index, i == 0))
		}
		got = append(got, strings.Join(names, " "))
	}
	if !slices.Equal(got, s.want) {
		return fmt.Sprintf("got %q, want %q", got, s.want)
	}
	return ""
}

// shown returns an event as an expectation has it: only the first of a match says its key.
func (s *series) shown(index int, first bool) string {
	name := s.events[index].name
	if _, rest, keyed := strings.Cut(name, "|"); keyed && !first {
		return rest
	}
	return name
}
