package alert

import (
	"net/netip"
	"slices"
)

// related collects the values by which an analyst looks for more: ECS related.*.
type related struct {
	user, hosts, ip, hash map[string]bool
}

func newRelated() *related {
	return &related{user: map[string]bool{}, hosts: map[string]bool{}, ip: map[string]bool{}, hash: map[string]bool{}}
}

// collect adds the values of one event.
func (r *related) collect(tree object) {
	addAll(r.user, texts(tree, "related", "user"))
	addAll(r.hosts, texts(tree, "related", "hosts"))
	addAll(r.hash, texts(tree, "related", "hash"))
	for _, ip := range texts(tree, "related", "ip") {
		r.addIP(ip)
	}
	r.walk(tree)
}

func (r *related) walk(o object) {
	for k, v := range o {
		r.leaf(k, v)
		switch v := v.(type) {
		case object:
			if k == "related" {
				continue
			}
			r.named(k, v)
			r.walk(v)
		case []any:
			for _, e := range v {
				if e, ok := e.(object); ok {
					r.walk(e)
				}
			}
		}
	}
}

// leaf adds the values of fields that are known by the last part of their path.
func (r *related) leaf(k string, v any) {
	switch k {
	case "ip", "resolved_ip":
		for _, e := range list(v) {
			if s, ok := e.(string); ok {
				r.addIP(s)
			}
		}
	case "imphash":
		if s, ok := v.(string); ok && s != "" {
			r.hash[s] = true
		}
	}
}

// named adds the values of objects that are known by the object's name.
func (r *related) named(k string, o object) {
	switch k {
	case "user", "real_user", "saved_user", "attested_user":
		names := texts(o, "name")
		for _, role := range []string{"effective", "target", "changes"} {
			names = append(names, texts(o, role, "name")...)
		}
		if len(names) == 0 {
			names = texts(o, "id")
		}
		addAll(r.user, names)
	case "host":
		names := append(texts(o, "name"), texts(o, "hostname")...)
		if len(names) == 0 {
			names = texts(o, "id")
		}
		addAll(r.hosts, names)
	case "source", "destination", "client", "server", "url":
		addAll(r.hosts, texts(o, "domain"))
	case "question":
		addAll(r.hosts, texts(o, "name"))
	case "hash":
		for _, v := range o {
			if s, ok := v.(string); ok && s != "" {
				r.hash[s] = true
			}
		}
	}
}

// addIP adds an address. What isn't one is left out: the field is of type ip, and one bad value would make
// Elasticsearch refuse the whole alert.
func (r *related) addIP(s string) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		r.ip[a.Unmap().String()] = true
	}
}

// object returns the collected values, sorted, nil where there are none.
func (r *related) object() object {
	out := object{}
	for k, set := range map[string]map[string]bool{"user": r.user, "hosts": r.hosts, "ip": r.ip, "hash": r.hash} {
		if len(set) == 0 {
			continue
		}
		values := make([]string, 0, len(set))
		for s := range set {
			values = append(values, s)
		}
		slices.Sort(values)
		out[k] = values
	}
	if len(out) == 0 {
		return nil
	}
	return out
}

func addAll(set map[string]bool, values []string) {
	for _, s := range values {
		set[s] = true
	}
}
