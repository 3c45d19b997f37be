// Package fields reads what users declare about the fields of their own events: the types that an Elasticsearch mapping
// gives them. Where nothing is declared, the table of event/ecs decides.
package fields

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/agnivade/levenshtein"
	"github.com/goccy/go-yaml"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// Table is declared fields over those of event/ecs: what is declared wins. A nil Table declares nothing. It is filled by
// one goroutine and may then be shared.
type Table struct {
	declared map[string]declaration
}

type declaration struct {
	typ     event.Type
	members bool // of a flattened field: what lies below it is keyword text
	null    string
	hasNull bool
}

// types are the types of Elasticsearch's mappings that EQL can compare, by name.
var types = map[string]event.Type{
	"keyword": event.Keyword, "constant_keyword": event.Keyword, "wildcard": event.Keyword, "text": event.Keyword,
	"match_only_text": event.Keyword, "flattened": event.Keyword,
	"long": event.Long, "integer": event.Long, "short": event.Long, "byte": event.Long, "unsigned_long": event.Unsigned,
	"double": event.Double, "float": event.Double, "half_float": event.Double, "scaled_float": event.Double,
	"boolean": event.Boolean, "date": event.Date, "date_nanos": event.Date, "ip": event.IP, "version": event.Version,
}

// Read adds the declarations of a file: see Parse. The error names the file.
func (t *Table) Read(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("fields: %w", err)
	}
	if err := t.Parse(data); err != nil {
		return fmt.Errorf("fields: %s: %w", path, err)
	}
	return nil
}

// Parse adds the declarations of a document in YAML or JSON. It maps dotted paths to types, or to type and null_value:
//
//	process.pid: long
//	build.state: {type: keyword, null_value: none}
//
// or is a mapping as Elasticsearch's API returns it, with "properties" at its top, below "mappings", or below the name of an
// index. Types that EQL can't compare, such as geo_point, are an error in the first form and passed over in the second.
// All problems are in the error.
func (t *Table) Parse(data []byte) error {
	var doc map[string]any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return err
	}
	if indices := mappings(doc); len(indices) > 0 {
		var errs []error
		for _, properties := range indices {
			errs = append(errs, t.properties("", properties))
		}
		return errors.Join(errs...)
	}
	var errs []error
	for _, path := range slices.Sorted(maps.Keys(doc)) {
		errs = append(errs, t.declare(path, doc[path]))
	}
	return errors.Join(errs...)
}

// Add declares the type of one field, replacing what was declared before. The error says which types there are.
func (t *Table) Add(path, typ string) error { return t.declare(path, typ) }

// SetNull gives a declared field a null_value: the text that stands for an explicit null. It does nothing for others.
func (t *Table) SetNull(path, text string) {
	if d, ok := t.declared[path]; ok {
		d.null, d.hasNull = text, true
		t.declared[path] = d
	}
}

// declare takes the short form of a declaration.
func (t *Table) declare(path string, v any) error {
	switch v := v.(type) {
	case string:
		return t.add(path, v, nil)
	case map[string]any:
		name, ok := v["type"].(string)
		if !ok {
			return fmt.Errorf("%s: has no type: write its full path with dots, and a type: %s.name: keyword", path, path)
		}
		for key := range v {
			if key != "type" && key != "null_value" {
				return fmt.Errorf("%s: unknown key %s: a declaration has type and null_value, and paths are written with dots", path, key)
			}
		}
		return t.add(path, name, v["null_value"])
	default:
		return fmt.Errorf("%s: must be a type such as keyword, or type and null_value, not %v", path, v)
	}
}

func (t *Table) add(path, name string, null any) error {
	typ, ok := types[name]
	if !ok {
		return fmt.Errorf("%s: unknown type %q%s", path, name, nearestType(name))
	}
	if path == "" || strings.HasPrefix(path, ".") || strings.HasSuffix(path, ".") || strings.Contains(path, "..") {
		return fmt.Errorf("%q is no path of a field: write names joined with dots", path)
	}
	d := declaration{typ: typ, members: name == "flattened"}
	if null != nil {
		d.null, d.hasNull = fmt.Sprint(null), true
	}
	if t.declared == nil {
		t.declared = map[string]declaration{}
	}
	t.declared[path] = d
	return nil
}

// nearestType ends the message about an unknown type.
func nearestType(name string) string {
	names := slices.Sorted(maps.Keys(types))
	best, nearest := 3, ""
	for _, candidate := range names {
		if d := levenshtein.ComputeDistance(strings.ToLower(name), candidate); d < best {
			best, nearest = d, candidate
		}
	}
	if nearest != "" {
		return ": did you mean " + nearest + "?"
	}
	return ": there are " + strings.Join(names, ", ")
}

// mappings returns the properties of the indices that a document describes, nothing where it is no mapping.
func mappings(doc map[string]any) []map[string]any {
	if p := properties(doc); p != nil {
		return []map[string]any{p}
	}
	var out []map[string]any
	for _, index := range slices.Sorted(maps.Keys(doc)) {
		body, ok := doc[index].(map[string]any)
		if !ok {
			return nil
		}
		p := properties(body)
		if p == nil {
			return nil
		}
		out = append(out, p)
	}
	return out
}

func properties(doc map[string]any) map[string]any {
	if inner, ok := doc["mappings"].(map[string]any); ok {
		doc = inner
	}
	p, ok := doc["properties"].(map[string]any)
	if !ok {
		return nil
	}
	return p
}

// properties adds the fields of a mapping below a prefix.
func (t *Table) properties(prefix string, ps map[string]any) error {
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(ps)) {
		path := prefix + name
		p, ok := ps[name].(map[string]any)
		if !ok {
			errs = append(errs, fmt.Errorf("%s: must be an object with a type or with properties", path))
			continue
		}
		if typ, ok := p["type"].(string); ok && types[typ] != event.Unknown {
			errs = append(errs, t.add(path, typ, p["null_value"]))
		}
		for _, below := range [...]string{"properties", "fields"} {
			if inner, ok := p[below].(map[string]any); ok {
				errs = append(errs, t.properties(path+".", inner))
			}
		}
	}
	return errors.Join(errs...)
}

// find returns the declaration that holds for path.
func (t *Table) find(path string) (d declaration, ok bool) {
	if t == nil {
		return declaration{}, false
	}
	if d, ok = t.declared[path]; ok {
		return d, true
	}
	for parent := path; ; {
		dot := strings.LastIndexByte(parent, '.')
		if dot < 0 {
			return declaration{}, false
		}
		parent = parent[:dot]
		if above, ok := t.declared[parent]; ok && above.members {
			return declaration{typ: event.Keyword}, true
		}
	}
}

// TypeOf returns the declared type of the field at a dotted path, else that of ecs.TypeOf.
func (t *Table) TypeOf(path string) event.Type {
	if d, ok := t.find(path); ok {
		return d.typ
	}
	return ecs.TypeOf(path)
}

// Null returns the text that stands for an explicit null of the field, ok is false where a null is no value.
func (t *Table) Null(path string) (text string, ok bool) {
	d, _ := t.find(path)
	return d.null, d.hasNull
}

// Known reports whether the field is declared or in the table of event/ecs.
func (t *Table) Known(path string) bool {
	_, ok := t.find(path)
	return ok || ecs.Known(path)
}

// Unusable is ecs.Unusable for fields that aren't declared.
func (t *Table) Unusable(path string) (why, hint string) {
	if _, declared := t.find(path); declared {
		return "", ""
	}
	return ecs.Unusable(path)
}

// Nearest returns the known field that is most like path, "" where none is close.
func (t *Table) Nearest(path string) string {
	nearest := ecs.Nearest(path)
	if t == nil {
		return nearest
	}
	best := max(1, len(path)/5) + 1
	if nearest != "" {
		best = levenshtein.ComputeDistance(strings.ToLower(path), strings.ToLower(nearest))
	}
	for _, candidate := range slices.Sorted(maps.Keys(t.declared)) {
		if d := levenshtein.ComputeDistance(strings.ToLower(path), strings.ToLower(candidate)); d < best {
			best, nearest = d, candidate
		}
	}
	return nearest
}
