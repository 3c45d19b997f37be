package alert

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	json "github.com/goccy/go-json"
)

// object is a decoded JSON object in nested form: no key of it has a dot that could have been nested.
type object = map[string]any

// maxDepth is how deep a source may nest to be part of an alert. Elasticsearch takes 20 levels by default.
const maxDepth = 200

// maxDots is how many dots a key may have to be read as a path.
const maxDots = 32

func decode(raw []byte) (object, error) {
	var tree object
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	if err := dec.Decode(&tree); err != nil {
		return nil, fmt.Errorf("decode JSON object: %w", err)
	}
	return tree, nil
}

// encode writes a document with sorted keys.
func encode(v any) ([]byte, error) {
	b, err := json.MarshalWithOption(v, json.DisableHTMLEscape())
	if err != nil {
		return nil, fmt.Errorf("encode alert: %w", err)
	}
	return b, nil
}

// unify brings an object into nested form: a.b beside {"a":{…}} is one field with the values of both.
// changed reports whether that took a new object.
func unify(o object) (unified object, changed bool) {
	dotted := false
	for k, v := range o {
		if u, changed := unifyValue(v); changed {
			o[k] = u
		}
		dotted = dotted || isPath(k)
	}
	if !dotted {
		return o, false
	}
	out := make(object, len(o))
	for _, k := range slices.Sorted(maps.Keys(o)) { // sorted, so that clashes end the same way every time
		if isPath(k) {
			put(out, strings.Split(k, "."), o[k])
		} else {
			put(out, []string{k}, o[k])
		}
	}
	return out, true
}

// unifyValue unifies the objects in v and reports whether the caller must store what it returns.
func unifyValue(v any) (unified any, changed bool) {
	switch v := v.(type) {
	case object:
		return unify(v)
	case []any:
		for i := range v {
			if u, ok := unifyValue(v[i]); ok {
				v[i] = u
			}
		}
	}
	return v, false
}

func isPath(k string) bool {
	if strings.IndexByte(k, '.') < 0 {
		return false
	}
	return k[0] != '.' && k[len(k)-1] != '.' && !strings.Contains(k, "..") && strings.Count(k, ".") <= maxDots
}

func put(o object, path []string, v any) {
	k := path[0]
	if len(path) == 1 {
		o[k] = join(o[k], v)
		return
	}
	child, ok := o[k].(object)
	if !ok {
		child = object{} // an object wins over a scalar: Elasticsearch would refuse the document
		if objects := objectsIn(nil, list(o[k])); len(objects) > 0 {
			child = merger{}.members(objects)
		}
		o[k] = child
	}
	put(child, path[1:], v)
}

// join returns the values of two spellings of one field.
func join(a, b any) any {
	if a == nil {
		return b
	}
	if b == nil {
		return a
	}
	return merger{}.join([]any{a, b})
}

// intersect returns what two objects have in common: objects are recursed into, arrays intersected, and
// scalars that differ left out.
func intersect(a, b object) object {
	out := object{}
	for k, av := range a {
		bv, ok := b[k]
		if !ok {
			continue
		}
		if v, ok := intersectValue(av, bv); ok {
			out[k] = v
		}
	}
	return out
}

func intersectValue(a, b any) (any, bool) {
	ao, aok := a.(object)
	bo, bok := b.(object)
	if aok && bok {
		out := intersect(ao, bo)
		return out, len(out) > 0
	}
	if aok || bok {
		return nil, false
	}
	_, aList := a.([]any)
	_, bList := b.([]any)
	if !aList && !bList {
		return a, a == b
	}
	in := make(map[string]bool)
	for _, v := range list(b) {
		in[canonical(v)] = true
	}
	var out []any
	for _, v := range list(a) {
		if c := canonical(v); in[c] {
			out = append(out, v)
			delete(in, c) // once, however often it stands in a
		}
	}
	return out, len(out) > 0
}

// list returns the values of a field: JSON has a value and an array of it for the same thing.
func list(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	default:
		return []any{v}
	}
}

// canonical returns text that is equal for equal values only.
func canonical(v any) string {
	switch v := v.(type) {
	case string:
		return `"` + v
	case json.Number:
		return "#" + v.String()
	}
	b, err := encode(v)
	if err != nil {
		return ""
	}
	return string(b)
}

// lookup returns the value at a path, nil where there is none.
func lookup(o object, path ...string) any {
	for i, k := range path {
		v, ok := o[k]
		if !ok {
			return nil
		}
		if i == len(path)-1 {
			return v
		}
		if o, ok = v.(object); !ok {
			return nil
		}
	}
	return nil
}

// text returns the first scalar at a path as text, empty where there is none.
func text(o object, path ...string) string {
	for _, v := range list(lookup(o, path...)) {
		if s, ok := scalarText(v); ok {
			return s
		}
	}
	return ""
}

func scalarText(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, v != ""
	case json.Number:
		return v.String(), true
	case bool:
		return strconv.FormatBool(v), true
	default:
		return "", false
	}
}

// texts returns all scalars at a path as text.
func texts(o object, path ...string) []string {
	var out []string
	for _, v := range list(lookup(o, path...)) {
		if s, ok := scalarText(v); ok {
			out = append(out, s)
		}
	}
	return out
}
