package conformance

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/weir-eql/weir/pipeline/replay"
)

// dataSet is the documents that queries are about, and the field that holds the number by which the cases know an event.
type dataSet struct {
	path       string
	docs       [][]byte
	ids        []int
	fields     map[string]bool // the names that occur at the top of a document: false where all are null
	categories map[string]bool
	options    replay.QueryOptions
}

// idFields are the fields that may hold the number of an event, the likeliest first.
var idFields = [...]string{"serial_event_id", "sequence", "event_id", "id"}

// readDocuments reads an array of documents. Endgame's have no @timestamp, but a time in hundreds of nanoseconds since 1601.
func readDocuments(path string) (*dataSet, error) {
	data, err := readAll(path)
	if err != nil {
		return nil, err
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return nil, err
	}
	d := &dataSet{path: path, fields: map[string]bool{}, categories: map[string]bool{}}
	members := make([]map[string]any, len(raw))
	for i, doc := range raw {
		if err := json.Unmarshal(doc, &members[i]); err != nil {
			return nil, err
		}
		for name, v := range members[i] {
			d.fields[name] = d.fields[name] || v != nil
		}
	}
	id := idField(members)
	if id == "" {
		return nil, fmt.Errorf("no field numbers the documents: one of %s", strings.Join(idFields[:], ", "))
	}
	category := "event.category"
	if d.fields["event_type"] {
		category = "event_type"
	}
	d.options = replay.QueryOptions{EventCategoryField: category, TiebreakerField: id}
	for i, doc := range raw {
		n, _ := members[i][id].(float64)
		d.ids = append(d.ids, int(n))
		if name, ok := members[i][category].(string); ok {
			d.categories[name] = true
		}
		if members[i]["@timestamp"] == nil {
			doc = withTime(doc)
		}
		d.docs = append(d.docs, doc)
	}
	return d, nil
}

// withTime puts an event time into a document that has one in its field timestamp only.
func withTime(doc []byte) []byte {
	const epoch, perMilli, early = 116_444_736_000_000_000, 10_000, 10_000_000_000_000_000
	var at struct {
		Timestamp *int64 `json:"timestamp"`
	}
	if json.Unmarshal(doc, &at) != nil || at.Timestamp == nil {
		return doc
	}
	ms := *at.Timestamp
	if ms > early { // no milliseconds of our times
		ms = (ms - epoch) / perMilli
	}
	i := slices.Index(doc, '{') + 1
	return slices.Concat(doc[:i], []byte(`"@timestamp":`+strconv.FormatInt(ms, 10)+`,`), doc[i:])
}

// idField returns the field that is a number in every document.
func idField(docs []map[string]any) string {
	for _, name := range idFields {
		if !slices.ContainsFunc(docs, func(m map[string]any) bool { _, ok := m[name].(float64); return !ok }) {
			return name
		}
	}
	return ""
}

// absent reports whether no document has a field.
func (d *dataSet) absent(field string) bool {
	_, ok := d.fields[field]
	return !ok
}

// fits says how well the documents fit the cases: by the numbers of their events and their categories.
func (d *dataSet) fits(cases []querySpec) int {
	known := map[int]bool{-1: true}
	for _, id := range d.ids {
		known[id] = true
	}
	score := 0
	for i := range cases {
		all := true
		for _, ids := range cases[i].want {
			for _, id := range ids {
				all = all && known[id]
			}
		}
		if all {
			score++
		}
		tokens := scan(cases[i].Query)
		all = true
		for j := range max(0, len(tokens)-1) {
			name := strings.Trim(tokens[j].text, `"`)
			if tokens[j+1].text == "where" && name != "any" && !d.categories[name] {
				all = false
			}
		}
		if all {
			score++
		}
	}
	return score
}

// documentsFor returns the documents that queries are about: of those that were given or lie in the suite's folder or in one
// beside it, the best fit; of two that fit equally, the one whose name is more like the suite's.
func (s *session) documentsFor(f *file, cases []querySpec) (*dataSet, error) {
	var candidates []string
	for _, other := range s.files {
		if other.documents {
			candidates = append(candidates, other.path)
		}
	}
	dir := filepath.Dir(f.path)
	for _, pattern := range [...]string{filepath.Join(dir, "*.json*"), filepath.Join(dir, "..", "*", "*.json*")} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, found...)
	}
	var best *dataSet
	bestFit, bestLike := -1, 0
	var errs []error
	seen := map[string]bool{}
	for _, path := range candidates {
		if seen[path] {
			continue
		}
		seen[path] = true
		d, err := s.documents(path)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", path, err))
			continue
		}
		if d == nil {
			continue
		}
		fit, like := d.fits(cases), likeness(f.path, path)
		if fit > bestFit || fit == bestFit && like > bestLike {
			best, bestFit, bestLike = d, fit, like
		}
	}
	if best == nil {
		errs = append(errs, errors.New("the documents of its queries are neither given nor beside it: name the file that holds them, an array, too"))
		return nil, errors.Join(errs...)
	}
	return best, nil
}

// documents reads a file of documents once; nil for another file.
func (s *session) documents(path string) (*dataSet, error) {
	if d, ok := s.sets[path]; ok {
		return d, nil
	}
	f, err := recognise(path)
	if err != nil || !f.documents {
		return nil, err
	}
	d, err := readDocuments(path)
	if err == nil {
		d.options.Fields = s.o.Fields
		s.sets[path] = d
	}
	return d, err
}

// likeness counts the words that the names of two files share.
func likeness(a, b string) int {
	words := func(path string) map[string]bool {
		out := map[string]bool{}
		for w := range strings.FieldsFuncSeq(filepath.Base(path), func(r rune) bool { return strings.ContainsRune("._- ", r) }) {
			out[strings.ToLower(w)] = true
		}
		return out
	}
	n := 0
	theirs := words(b)
	for w := range maps.Keys(words(a)) {
		if theirs[w] {
			n++
		}
	}
	return n
}
