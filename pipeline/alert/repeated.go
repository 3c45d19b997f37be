package alert

// repeated is the values of a key that an object has more than once, in the order in which they stand there. Only trees that a
// collecting reader makes have any, and they are gathered before they are merged: one by one, each would be compared with all before it.
type repeated struct{ values []any }

// collect adds a member to an object that may have one of its name.
func collect(o object, k string, v any) {
	old, ok := o[k]
	if !ok {
		o[k] = v
	} else if r, ok := old.(*repeated); ok {
		r.values = append(r.values, v)
	} else {
		o[k] = &repeated{[]any{old, v}}
	}
}

// merger makes a copy of a tree in which no key is repeated. Each value is looked at once for each object or array that it is in.
type merger struct {
	whole bool // keep what no object of the fields could hold: beside an object, a value that is none
}

func (m merger) value(v any) any {
	switch v := v.(type) {
	case object:
		return m.object(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = m.value(v[i])
		}
		return out
	case *repeated:
		return m.join(v.values)
	}
	return v
}

func (m merger) object(o object) object {
	out := make(object, len(o))
	for k, v := range o {
		out[k] = m.value(v)
	}
	return out
}

// join returns what several spellings of one field have together: the members of objects, also of those in arrays beside an object,
// else each value once. An object wins over values that are none: Elasticsearch would refuse the document. The whole of them is an array
// where not all are objects.
func (m merger) join(values []any) any {
	present, objects := values[:0:0], 0
	for _, v := range values {
		if v != nil {
			present = append(present, v)
		}
		if _, ok := v.(object); ok {
			objects++
		}
	}
	switch {
	case len(present) == 0:
		return nil
	case len(present) == 1:
		return m.value(present[0])
	case objects == len(present) || objects > 0 && !m.whole:
		return m.members(objectsIn(nil, present))
	}
	out := []any{}
	for _, v := range present {
		out = append(out, list(m.value(v))...)
	}
	if m.whole {
		return out
	}
	return distinct(out)
}

// members returns an object with the members of all.
func (m merger) members(objects []object) object {
	all := make(map[string]*repeated, len(objects[0]))
	for _, o := range objects {
		for k, v := range o {
			r := all[k]
			if r == nil {
				r = &repeated{}
				all[k] = r
			}
			if inner, ok := v.(*repeated); ok {
				r.values = append(r.values, inner.values...)
			} else {
				r.values = append(r.values, v)
			}
		}
	}
	out := make(object, len(all))
	for k, r := range all {
		out[k] = m.join(r.values)
	}
	return out
}

// objectsIn appends the objects among values, and in arrays among them.
func objectsIn(dst []object, values []any) []object {
	for _, v := range values {
		switch v := v.(type) {
		case object:
			dst = append(dst, v)
		case []any:
			dst = objectsIn(dst, v)
		}
	}
	return dst
}

// distinct returns each value once; the value itself where there is but one.
func distinct(values []any) any {
	seen := make(map[string]bool, len(values))
	out := values[:0]
	for _, v := range values {
		if c := canonical(v); !seen[c] {
			seen[c] = true
			out = append(out, v)
		}
	}
	if len(out) == 1 {
		return out[0]
	}
	return out
}
