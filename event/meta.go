package event

// MetaOptions names the fields that a deployment may keep elsewhere. The zero value is ECS.
type MetaOptions struct {
	Timestamp  string // event time; "@timestamp" where empty
	Tiebreaker string // order among equal event times; "event.sequence" where empty
	Category   string // the event category; "event.category" where empty
}

// Meta holds the slots of the fields that every rule set reads whatever its rules are: what places an event in
// time, on a host, in a data stream. It is immutable and may be shared.
type Meta struct {
	Timestamp  Slot
	Tiebreaker Slot
	Ingested   Slot
	EventID    Slot
	Category   Slot
	HostID     Slot
	AgentID    Slot
	HostName   Slot
	StreamType Slot
	Dataset    Slot
	Namespace  Slot
}

// AddMeta adds the fields of Meta to s.
func AddMeta(s *Schema, opts MetaOptions) Meta {
	or := func(path, fallback string) Slot {
		if path == "" {
			path = fallback
		}
		return s.Add(path)
	}
	return Meta{
		Timestamp:  or(opts.Timestamp, "@timestamp"),
		Tiebreaker: or(opts.Tiebreaker, "event.sequence"),
		Ingested:   s.Add("event.ingested"),
		EventID:    s.Add("event.id"),
		Category:   or(opts.Category, "event.category"),
		HostID:     s.Add("host.id"),
		AgentID:    s.Add("agent.id"),
		HostName:   s.Add("host.name"),
		StreamType: s.Add("data_stream.type"),
		Dataset:    s.Add("data_stream.dataset"),
		Namespace:  s.Add("data_stream.namespace"),
	}
}

// MetaTypes returns the type that Weir needs a field of Meta to have, Unknown for all other fields. It serves
// where there is no field table.
func MetaTypes(path string) Type {
	switch path {
	case "@timestamp", "event.ingested":
		return Date
	case "event.sequence":
		return Long
	case "event.id", "event.category", "host.id", "agent.id", "host.name",
		"data_stream.type", "data_stream.dataset", "data_stream.namespace":
		return Keyword
	default:
		return Unknown
	}
}

// Time returns the event time: milliseconds since the epoch and the nanoseconds below. ok is false where
// there is none that is usable.
func (m Meta) Time(ev *Event) (ms int64, sub int32, ok bool) { return firstTime(ev, m.Timestamp) }

// IngestTime returns event.ingested, as Time does.
func (m Meta) IngestTime(ev *Event) (ms int64, sub int32, ok bool) {
	return firstTime(ev, m.Ingested)
}

// firstTime is TimeOf of a field's first value, which isn't copied where it is a time: it is asked for twice for each event.
func firstTime(ev *Event, slot Slot) (ms int64, sub int32, ok bool) {
	values := ev.Values(slot)
	if len(values) == 0 {
		return 0, 0, false
	}
	if v := &values[0]; v.kind == Time {
		return v.Millis(), v.sub, true
	}
	return TimeOf(values[0])
}

// firstText returns the text of a field's first value, "" without one. As firstTime does, it copies none of the usual kind.
func firstText(ev *Event, slot Slot) string {
	values := ev.Values(slot)
	if len(values) == 0 {
		return ""
	}
	if v := &values[0]; v.kind == String {
		return v.str
	}
	return values[0].Text()
}

// TimeOf reads a value as a time. Fields of another type than Date count as well: numbers are milliseconds
// since the epoch, text is what ParseTime reads.
func TimeOf(v Value) (ms int64, sub int32, ok bool) {
	switch v.kind {
	case Time:
		return v.Millis(), v.sub, true
	case Int:
		ms = v.Int()
	case Float:
		f := v.Float()
		if f < minMillis || f > maxMillis {
			return 0, 0, false
		}
		ms = int64(f)
	case String:
		return ParseTime(v.str)
	default:
		return 0, 0, false
	}
	return ms, 0, ms >= minMillis && ms <= maxMillis
}

// Host returns what tells the event's host from others: host.id, else agent.id, else host.name, else "". The text may alias
// the record, as that of every Value does; the same holds for ID and DataStream.
func (m Meta) Host(ev *Event) string {
	for _, slot := range [...]Slot{m.HostID, m.AgentID, m.HostName} {
		if id := firstText(ev, slot); id != "" {
			return id
		}
	}
	return ""
}

// ID returns event.id, "" where the event has none.
func (m Meta) ID(ev *Event) string { return firstText(ev, m.EventID) }

// Sequence returns the tiebreaker, event.sequence by default: the number that orders events of equal time; ok is false where there is none, and such
// events come last.
func (m Meta) Sequence(ev *Event) (n int64, ok bool) {
	switch v := ev.First(m.Tiebreaker); v.kind {
	case Int:
		return v.Int(), true
	case Time:
		return v.Millis(), true
	case String:
		return parseLong(v.str)
	default:
		return 0, false
	}
}

// DataStream returns the parts of the name of the event's data stream, "" for each that it doesn't say.
func (m Meta) DataStream(ev *Event) (typ, dataset, namespace string) {
	return ev.First(m.StreamType).Text(), ev.First(m.Dataset).Text(), ev.First(m.Namespace).Text()
}
