package event_test

import (
	"testing"

	"github.com/weir-eql/weir/event"
)

func TestMeta(t *testing.T) {
	type reading struct {
		MS         int64
		Sub        int32
		HasTime    bool
		Host, ID   string
		Seq        int64
		HasSeq     bool
		Type, Data string
		Space      string
	}
	for _, tt := range []struct {
		name, doc string
		types     func(string) event.Type
		opts      event.MetaOptions
		want      reading
	}{
		{
			"all there",
			`{"@timestamp":"1970-01-01T00:00:01.0005Z","event":{"id":"e1","sequence":7},"host":{"id":"h","name":"n"},"agent":{"id":"a"},"data_stream":{"type":"logs","dataset":"d","namespace":"s"}}`,
			event.MetaTypes,
			event.MetaOptions{},
			reading{1000, 500_000, true, "h", "e1", 7, true, "logs", "d", "s"},
		},
		{"nothing there", `{}`, event.MetaTypes, event.MetaOptions{}, reading{}},
		{
			"agent for host, numbers",
			`{"@timestamp":1500,"event.id":12,"host":{"name":"n","id":""},"agent.id":"a"}`,
			event.MetaTypes,
			event.MetaOptions{},
			reading{MS: 1500, HasTime: true, Host: "a", ID: "12"},
		},
		{
			"host name, no types",
			`{"@timestamp":"2000","event.sequence":"9","host.name":"n"}`,
			nil,
			event.MetaOptions{},
			reading{MS: 946_684_800_000, HasTime: true, Host: "n", Seq: 9, HasSeq: true},
		},
		{
			"other fields",
			`{"when":1500.75,"order":3,"@timestamp":1,"event.sequence":2}`,
			nil,
			event.MetaOptions{Timestamp: "when", Tiebreaker: "order"},
			reading{MS: 1500, HasTime: true, Seq: 3, HasSeq: true},
		},
		{"no usable time", `{"@timestamp":"soon"}`, event.MetaTypes, event.MetaOptions{}, reading{}},
		{"time of another kind", `{"@timestamp":true}`, nil, event.MetaOptions{}, reading{}},
		{"time out of range", `{"@timestamp":9e300,"event.sequence":true}`, nil, event.MetaOptions{}, reading{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := event.NewSchema(tt.types)
			m := event.AddMeta(s, tt.opts)
			d, ev := event.NewDecoder(s), event.New(s)
			if err := d.Decode([]byte(tt.doc), ev); err != nil {
				t.Fatal(err)
			}
			var got reading
			got.MS, got.Sub, got.HasTime = m.Time(ev)
			got.Host, got.ID = m.Host(ev), m.ID(ev)
			got.Seq, got.HasSeq = m.Sequence(ev)
			got.Type, got.Data, got.Space = m.DataStream(ev)
			if got != tt.want {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
		})
	}
}
