package alert

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"
)

// fit encodes the document within maxBytes (0 for no limit). What goes first is what can be had elsewhere:
// sources, which topic, partition and offset still point to, then fields in common, then texts of the rule.
func (d *draft) fit(maxBytes int) ([]byte, error) {
	body, err := d.encode(d.build())
	if err != nil || maxBytes <= 0 || len(body) <= maxBytes {
		return body, err
	}
	d.leftOut, d.cut, d.constants = map[string]bool{}, map[string]bool{}, nil
	cuts := []func(excess int) bool{
		d.cutSources, d.cutCommon, d.cutRule, d.cutMiddle,
		func(int) bool { d.maxText = 256; return false },
		func(int) bool { d.keepEvents = min(d.keepEvents, 2); return false },
	}
	for _, cut := range cuts {
		for more := true; more; {
			more = cut(len(body) - maxBytes)
			if body, err = d.encode(d.build()); err != nil || len(body) <= maxBytes {
				return body, err
			}
		}
	}
	return d.encode(d.skeleton())
}

// cutSources turns the largest sources into references until excess bytes are saved. It reports whether
// there is more to cut.
func (d *draft) cutSources(excess int) bool {
	order := make([]int, 0, len(d.stages))
	for i := range d.stages {
		if len(d.stages[i].raw) > 2*len(`,"truncated":true`) {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(i, j int) int {
		return cmp.Compare(len(d.stages[j].raw), len(d.stages[i].raw))
	})
	for n, i := range order {
		s := &d.stages[i]
		excess -= len(s.raw) + len(`"source":,`)
		if !s.truncated {
			excess += len(`"truncated":true,`)
		}
		s.raw, s.truncated = nil, true
		if excess <= 0 {
			return n+1 < len(order)
		}
	}
	return false
}

// cutCommon leaves the largest of the fields in common out until excess bytes are saved. It reports whether
// there may be more to cut.
func (d *draft) cutCommon(excess int) bool {
	var parts []part
	common := d.trim(d.common, "")
	for _, k := range slices.Sorted(maps.Keys(common)) {
		if indispensable(k) {
			continue
		}
		if p, ok := largestPart(k, common[k], 0); ok {
			parts = append(parts, p)
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(b.saves, a.saves) })
	for _, p := range parts {
		if whole, all := strings.CutSuffix(p.path, "*"); all {
			maps.DeleteFunc(d.cut, func(path string, _ bool) bool { return strings.HasPrefix(path, whole) })
		}
		d.cut[p.path] = true
		if excess -= p.saves; excess <= 0 {
			break
		}
	}
	return len(parts) > 0
}

// part is something among the fields in common that can be left out: a field, an object, or with an asterisk
// what is dispensable of an object.
type part struct {
	path  string
	saves int // bytes
}

// indispensable reports whether a field stays until the last: an alert is found by it, or the alert has its own.
func indispensable(path string) bool {
	switch path {
	case "host.id", "host.name", "container.id", "user.name", "process.name", "process.executable",
		"@timestamp", "message", "rule", "weir", "tags", "threat", "related",
		"event.kind", "event.id", "event.action", "event.severity", "event.risk_score", "event.dataset",
		"event.start", "event.end", "event.category":
		return true
	}
	return false
}

// maxCutDepth is how deep a part may lie below the top.
const maxCutDepth = 4

// largestPart returns what to leave out of a value: one child, however deep, that makes more than half of it, else
// the whole of it but for what is indispensable. ok is false where nothing would be saved.
func largestPart(path string, v any, depth int) (p part, ok bool) {
	body, err := encode(v)
	if err != nil {
		return part{}, false
	}
	whole := part{path, len(body) + 1}
	o, isObject := v.(object)
	if !isObject {
		return whole, true
	}
	var largest string
	size, rest, holds := 0, 0, false
	for _, k := range slices.Sorted(maps.Keys(o)) {
		if indispensable(path + "." + k) {
			holds = true
			continue
		}
		child, err := encode(o[k])
		if err != nil {
			return part{}, false
		}
		rest += len(k) + len(child) + len(`"":,`)
		if len(child) > size {
			largest, size = k, len(child)
		}
	}
	if size > len(body)/2 && depth < maxCutDepth && (holds || len(o) > 1) {
		return largestPart(path+"."+largest, o[largest], depth+1)
	}
	if holds {
		p = part{path + ".*", rest - len(path) - len(`".*",`)}
		return p, p.saves > 0
	}
	return whole, true
}

// trim returns the fields in common without those that had to go for size.
func (d *draft) trim(o object, prefix string) object {
	if len(d.cut) == 0 {
		return o
	}
	all := prefix != "" && d.cut[prefix+"*"]
	out := make(object, len(o))
	for k, v := range o {
		path := prefix + k
		if !indispensable(path) {
			if all || d.cut[path] {
				continue
			}
			if child, ok := v.(object); ok && len(child) > 0 {
				if child = d.trim(child, path+"."); len(child) == 0 {
					continue
				}
				v = child
			}
		}
		out[k] = v
	}
	return out
}

// cutRule leaves out what the rule's file says too, one part at a time.
func (d *draft) cutRule(int) bool {
	parts := []string{"note", "related", "false_positives", "description", "reference", "tags", "threat", "author", "join_keys", "join_fields", "category"}
	for _, p := range parts {
		if !d.leftOut[p] {
			d.leftOut[p] = true
			return p != parts[len(parts)-1]
		}
	}
	return false
}

// cutMiddle leaves out stages from the middle of a long sequence.
func (d *draft) cutMiddle(int) bool {
	if d.keepEvents <= 2 {
		return false
	}
	d.keepEvents = max(2, d.keepEvents/2)
	return d.keepEvents > 2
}

// skeleton is the least that an alert can be: below MinBytes whatever its parts are.
func (d *draft) skeleton() object {
	r := d.m.Rule
	return object{
		"@timestamp": cutText(d.stages[d.completed].stamp, 64),
		"event": object{
			"kind": "alert", "id": d.id, "dataset": Dataset,
			"severity": severity(r), "risk_score": r.RiskScore, "action": cutText(plain(r.Name), 256),
		},
		"message": cutText(d.message, 256),
		"rule":    object{"id": cutText(plain(r.ID), 256), "name": cutText(plain(r.Name), 256)},
		"weir": object{
			"rule":            object{"severity": cutText(plain(r.Severity), 64), "risk_score": r.RiskScore},
			"detected_at":     formatMillis(d.detected),
			"latency_ms":      d.detected.UnixMilli() - d.m.Events[d.completed].Time,
			"events_left_out": len(d.stages),
			"left_out":        []string{"*"},
		},
	}
}

// cutTexts returns a copy of the document whose texts have at most n bytes each.
func cutTexts(o object, n int) object {
	out := make(object, len(o))
	for k, v := range o {
		out[cutText(k, n)] = cutValue(v, n)
	}
	return out
}

func cutValue(v any, n int) any {
	switch v := v.(type) {
	case string:
		return cutText(v, n)
	case object:
		return cutTexts(v, n)
	case []string:
		out := make([]string, len(v))
		for i, s := range v {
			out[i] = cutText(s, n)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = cutValue(e, n)
		}
		return out
	default:
		return v
	}
}

// cutText shortens s to at most n bytes, with an ellipsis in the place of what went.
func cutText(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n - len("…")
	for end > 0 && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
