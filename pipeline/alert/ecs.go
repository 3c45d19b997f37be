package alert

import (
	"errors"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	json "github.com/goccy/go-json"

	"github.com/weir-eql/weir/event"
)

// Dataset is the event.dataset of every alert.
const Dataset = "weir.alert"

// MinBytes is the smallest limit that a document can always be made to fit.
const MinBytes = 4096

// Options are the settings of NewECS.
type Options struct {
	// MaxBytes is the largest size of a body; 0 means no limit, and less than MinBytes means MinBytes.
	MaxBytes int
}

// NewECS returns a Builder of ECS documents. Their fields are listed in docs/alert.md.
func NewECS(o Options) Builder {
	if o.MaxBytes > 0 {
		o.MaxBytes = max(o.MaxBytes, MinBytes)
	}
	return ecsBuilder{maxBytes: o.MaxBytes, encoders: &encoders{}}
}

type ecsBuilder struct {
	maxBytes int
	encoders *encoders
}

var (
	errNoRule  = errors.New("match without a rule")
	errNoEvent = errors.New("match without an event")
)

// Build implements Builder.
func (b ecsBuilder) Build(m Match, detectedAt time.Time) (Document, error) {
	if m.Rule == nil {
		return Document{}, errNoRule
	}
	d, err := newDraft(&m, detectedAt)
	if err != nil {
		return Document{}, err
	}
	d.encode = b.encoders.encode
	if d.constants, err = m.Rule.constants(); err != nil {
		return Document{}, err
	}
	body, err := d.fit(b.maxBytes)
	if err != nil {
		return Document{}, err
	}
	doc := Document{
		ID:       d.id,
		RuleID:   m.Rule.ID,
		Severity: m.Rule.Severity,
		Time:     m.Events[d.completed].Time,
		Body:     body,
	}
	if host := d.host(); host != "" {
		doc.Key = []byte(host)
	}
	return doc, nil
}

// draft is a document in the making: its parts, each of which can still be left out for size.
type draft struct {
	m         *Match
	id        string
	completed int // the stage whose event completed the match
	detected  time.Time
	encode    func(object) ([]byte, error)
	constants *constants // nil where parts of the rule had to go for size

	stages  []stage
	common  object // what all events have in common, nested; never changed after newDraft
	message string
	related object

	maxText    int             // texts longer than this many bytes are cut; 0 means none
	keepEvents int             // weir.events[] keeps this many; the rest of the middle is left out
	leftOut    map[string]bool // parts that had to go for size, other than fields in common
	cut        map[string]bool // paths of fields in common that had to go for size; a.* is all of a that is dispensable
}

// stage is one entry of weir.events[].
type stage struct {
	raw       json.RawMessage // compacted source, nil where it is not in the document
	tree      object          // the source in nested form, nil where there is none
	stamp     string          // "@timestamp" as it stood in the source
	truncated bool
}

func newDraft(m *Match, detectedAt time.Time) (*draft, error) {
	d := &draft{m: m, completed: -1, detected: detectedAt.UTC(), stages: make([]stage, len(m.Events)), keepEvents: len(m.Events)}
	identities := make([]string, len(m.Events))
	rel := newRelated()
	for i := range m.Events {
		e, s := &m.Events[i], &d.stages[i]
		identities[i] = e.identity()
		if e.Missing {
			continue
		}
		if d.completed < 0 || e.Time >= m.Events[d.completed].Time { // of a sequence the last, of a sample the newest
			d.completed = i
		}
		raw, tree, ok := readSource(e.Source)
		s.raw, s.tree, s.truncated = raw, tree, e.Truncated || !ok
		s.stamp = timestamp(e, tree)
		if !ok {
			continue
		}
		rel.collect(tree)
		if d.common == nil {
			d.common = tree
		} else {
			d.common = intersect(d.common, tree)
		}
	}
	if d.completed < 0 {
		return nil, errNoEvent
	}
	d.id = ID(m.Rule.ID, m.JoinKeys, identities)
	d.related = rel.object()
	d.message = d.sentence()
	return d, nil
}

// maxStamp is the length of the longest timestamp in RFC 3339 with nanoseconds.
const maxStamp = len("2006-01-02T15:04:05.000000000+07:00")

// timestamp returns the source's own text of the event time, where it is a date that ECS takes and is
// indeed the event time (a rule may read its time from another field), else the event time in RFC 3339.
func timestamp(e *Event, tree object) string {
	if s, ok := lookup(tree, "@timestamp").(string); ok && len(s) <= maxStamp && !strings.Contains(s, ",") {
		if t, err := time.Parse(time.RFC3339Nano, s); err == nil && t.UnixMilli() == e.Time {
			return s
		}
	}
	t := time.UnixMilli(e.Time).UTC().Add(time.Duration(e.SubMillis))
	if e.SubMillis != 0 {
		return t.Format("2006-01-02T15:04:05.000000000Z07:00")
	}
	return formatMillis(t)
}

func formatMillis(t time.Time) string { return t.Format("2006-01-02T15:04:05.000Z07:00") }

func (d *draft) host() string {
	tree := d.stages[d.completed].tree
	if several := len(list(lookup(tree, "host", "id"))) > 1; several && d.m.Host != "" { // the pipeline says which it takes
		return d.m.Host
	}
	if id := text(tree, "host", "id"); id != "" {
		return id
	}
	if d.m.Host != "" {
		return d.m.Host
	}
	if id := text(tree, "agent", "id"); id != "" {
		return id
	}
	return text(tree, "host", "name")
}

// build assembles the document from the parts that are still in it.
func (d *draft) build() object {
	common := d.trim(d.common, "")
	doc := make(object, len(common)+8)
	maps.Copy(doc, common)
	doc["@timestamp"] = d.stages[d.completed].stamp
	doc["event"] = d.event(common)
	doc["message"] = d.message
	d.ofRule(doc)
	d.set(doc, "related", d.related)
	doc["weir"] = d.weir()
	if d.maxText > 0 {
		return cutTexts(doc, d.maxText)
	}
	return doc
}

// set stores a part of the document, unless it is empty or had to go for size.
func (d *draft) set(o object, k string, v any) {
	empty := v == nil
	switch v := v.(type) {
	case object:
		empty = len(v) == 0
	case []string:
		empty = len(v) == 0
	case string:
		empty = v == ""
	}
	if empty || d.leftOut[k] {
		delete(o, k)
		return
	}
	o[k] = v
}

func (d *draft) event(common object) object {
	out := object{}
	if o, ok := common["event"].(object); ok {
		out = maps.Clone(o)
	}
	r := d.m.Rule
	out["kind"] = "alert"
	out["id"] = d.id
	out["action"] = r.Name
	out["severity"] = severity(r)
	out["risk_score"] = r.RiskScore
	out["dataset"] = Dataset
	first, last := d.completed, d.completed
	var categories []string
	for i := range d.stages {
		if d.m.Events[i].Missing {
			continue
		}
		if d.before(i, first) {
			first = i
		}
		if d.before(last, i) {
			last = i
		}
		categories = union(categories, texts(d.stages[i].tree, "event", "category"))
	}
	out["start"] = d.stages[first].stamp
	out["end"] = d.stages[last].stamp
	d.set(out, "category", categories)
	return out
}

func (d *draft) before(i, j int) bool {
	a, b := &d.m.Events[i], &d.m.Events[j]
	return a.Time < b.Time || a.Time == b.Time && a.SubMillis < b.SubMillis
}

// severity returns the number that Elastic's rules use for a severity, the risk score where it is another word.
func severity(r *Rule) int {
	switch r.Severity {
	case "low":
		return 21
	case "medium":
		return 47
	case "high":
		return 73
	case "critical":
		return 99
	default:
		return int(r.RiskScore)
	}
}

func (d *draft) rule() object {
	r := d.m.Rule
	out := object{"id": r.ID, "name": r.Name}
	if r.Version != 0 {
		out["version"] = strconv.Itoa(r.Version)
	}
	d.set(out, "description", tidy(r.Description))
	d.set(out, "reference", r.References)
	d.set(out, "ruleset", r.Ruleset)
	d.set(out, "license", r.License)
	d.set(out, "author", r.Author)
	return out
}

func (d *draft) weirRule() object {
	r := d.m.Rule
	out := object{"severity": r.Severity, "risk_score": r.RiskScore}
	d.set(out, "false_positives", tidyAll(r.FalsePositives))
	d.set(out, "note", tidy(r.Note))
	d.set(out, "hash", r.Hash)
	d.set(out, "building_block", r.BuildingBlock)
	return out
}

func (d *draft) weir() object {
	out := object{
		"events":      d.events(),
		"detected_at": formatMillis(d.detected),
		"latency_ms":  d.detected.UnixMilli() - d.m.Events[d.completed].Time,
	}
	if d.constants != nil {
		out["rule"] = d.constants.weirRule
	} else {
		out["rule"] = d.weirRule()
	}
	if !d.leftOut["join_keys"] {
		keys := make([]any, len(d.m.JoinKeys))
		for i, v := range d.m.JoinKeys {
			keys[i] = keyValue(v)
		}
		out["join_keys"] = keys
	}
	d.set(out, "join_fields", d.m.JoinFields)
	if d.m.OpenEnd {
		out["open_end"] = true
	}
	if n := len(d.stages) - d.keepEvents; n > 0 {
		out["events_left_out"] = n
	}
	if len(d.leftOut)+len(d.cut) > 0 {
		names := slices.AppendSeq(slices.Collect(maps.Keys(d.leftOut)), maps.Keys(d.cut))
		slices.Sort(names)
		out["left_out"] = slices.Compact(names)
	}
	return out
}

func (d *draft) events() []any {
	out := make([]any, 0, d.keepEvents)
	head := (d.keepEvents + 1) / 2
	for i := range d.stages {
		if i >= head && i < len(d.stages)-(d.keepEvents-head) {
			continue
		}
		e, s := &d.m.Events[i], &d.stages[i]
		if e.Missing {
			out = append(out, object{"stage": i, "missing": true})
			continue
		}
		entry := object{
			"id": e.identity(), "stage": i, "@timestamp": s.stamp,
			"topic": e.Topic, "partition": e.Partition, "offset": e.Offset,
		}
		if s.raw != nil {
			entry["source"] = s.raw
		}
		if s.truncated {
			entry["truncated"] = true
		}
		out = append(out, entry)
	}
	return out
}

// keyValue returns a join key as the JSON value that it was.
func keyValue(v event.Value) any {
	switch v.Kind() {
	case event.Int:
		return v.Int()
	case event.Uint:
		return v.Uint()
	case event.Float:
		return v.Float()
	case event.Bool:
		return v.Bool()
	case event.Missing:
		return nil
	default:
		return v.Text()
	}
}

// threat returns ECS threat.* of a rule's mapping: parallel arrays without duplicates. What the events
// themselves say of threats other than tactic and technique (indicators, say) stays.
func threat(threats []Threat, common any) object {
	out := object{}
	if o, ok := common.(object); ok {
		out = maps.Clone(o)
	}
	if len(threats) == 0 {
		return out
	}
	delete(out, "framework")
	delete(out, "tactic")
	delete(out, "technique")
	var frameworks []string
	var tactics, techniques, subtechniques triples
	for _, t := range threats {
		if t.Framework != "" {
			frameworks = union(frameworks, []string{t.Framework})
		}
		tactics.add(t.Tactic)
		for _, te := range t.Techniques {
			techniques.add(Tactic{te.ID, te.Name, te.Reference})
			for _, s := range te.Subtechniques {
				subtechniques.add(Tactic(s))
			}
		}
	}
	switch len(frameworks) {
	case 0:
	case 1:
		out["framework"] = frameworks[0]
	default:
		out["framework"] = frameworks
	}
	if o := tactics.object(); o != nil {
		out["tactic"] = o
	}
	technique := techniques.object()
	if o := subtechniques.object(); o != nil {
		if technique == nil {
			technique = object{}
		}
		technique["subtechnique"] = o
	}
	if technique != nil {
		out["technique"] = technique
	}
	return out
}

// triples are id, name and reference of tactics or techniques, once each.
type triples []Tactic

func (t *triples) add(v Tactic) {
	if v != (Tactic{}) && !slices.Contains(*t, v) {
		*t = append(*t, v)
	}
}

func (t *triples) object() object {
	n := len(*t)
	if n == 0 {
		return nil
	}
	ids, names, refs := make([]string, n), make([]string, n), make([]string, n)
	for i, v := range *t {
		ids[i], names[i], refs[i] = v.ID, v.Name, v.Reference
	}
	return object{"id": ids, "name": names, "reference": refs}
}

// union returns the values of a and b in order, once each.
func union(a, b []string) []string {
	out := slices.Clone(a)
	for _, s := range b {
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}
