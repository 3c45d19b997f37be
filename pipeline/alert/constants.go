package alert

import (
	"cmp"

	json "github.com/goccy/go-json"
)

// constants is what each alert of a rule says of the rule, encoded. It is made with the first alert: of hundreds of rules few alert.
type constants struct {
	rule     json.RawMessage // rule.*
	weirRule json.RawMessage // weir.rule.*
	threat   json.RawMessage // where the events have none; nil where the rule has none either
	tags     json.RawMessage // the same
}

// constants returns those of the rule. Two goroutines may make them at the same time; they are equal.
func (r *Rule) constants() (*constants, error) {
	if c := r.encoded.Load(); c != nil {
		return c, nil
	}
	c, d := &constants{}, draft{m: &Match{Rule: r}}
	var err error
	if c.rule, err = encode(d.rule()); err != nil {
		return nil, err
	}
	if c.weirRule, err = encode(d.weirRule()); err != nil {
		return nil, err
	}
	if o := threat(r.Threat, nil); len(o) > 0 {
		if c.threat, err = encode(o); err != nil {
			return nil, err
		}
	}
	if tags := union(r.Tags, nil); len(tags) > 0 {
		if c.tags, err = encode(tags); err != nil {
			return nil, err
		}
	}
	r.encoded.Store(c)
	return c, nil
}

// ofRule sets what the document says of the rule, from what is encoded already as far as that is the same for this one.
func (d *draft) ofRule(doc object) {
	r, c := d.m.Rule, cmp.Or(d.constants, &constants{})
	tags := texts(d.common, "tags")
	_, threatened := doc["threat"].(object)
	if c.rule != nil {
		doc["rule"] = c.rule
	} else {
		doc["rule"] = d.rule()
	}
	if c.threat != nil && !threatened {
		doc["threat"] = c.threat
	} else {
		d.set(doc, "threat", threat(r.Threat, doc["threat"]))
	}
	if c.tags != nil && len(tags) == 0 {
		doc["tags"] = c.tags
	} else {
		d.set(doc, "tags", union(r.Tags, tags))
	}
}
