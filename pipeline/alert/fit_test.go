package alert_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/fuzzseed"
	"github.com/weir-eql/weir/pipeline/alert"
)

func sources(t *testing.T, body []byte) (kept []bool) {
	t.Helper()
	events, _ := at(fields(t, body), "weir.events").([]any)
	for _, e := range events {
		o, _ := e.(map[string]any)
		_, ok := o["source"]
		if ok == (o["truncated"] == true) {
			t.Errorf("source present: %v, truncated: %v", ok, o["truncated"])
		}
		kept = append(kept, ok)
	}
	return kept
}

func TestLargestSourcesGoFirst(t *testing.T) {
	m := alert.Match{Rule: netcatRule()}
	for i, size := range []int{1000, 9000, 2000, 5000} {
		m.Events = append(m.Events, alert.Event{
			Topic: "t", Offset: int64(i), Time: execTime,
			Source: fmt.Appendf(nil, `{"host":{"id":"h"},"n%d":%q}`, i, strings.Repeat("x", size)),
		})
	}
	full := len(build(t, alert.Options{}, m).Body)
	cases := []struct {
		max  int
		want []bool
	}{
		{full, []bool{true, true, true, true}},
		{full - 1, []bool{true, false, true, true}},
		{full - 9100, []bool{true, false, true, false}},
		{full - 15000, []bool{true, false, false, false}},
	}
	for _, c := range cases {
		body := build(t, alert.Options{MaxBytes: c.max}, m).Body
		if diff := cmp.Diff(c.want, sources(t, body)); diff != "" {
			t.Errorf("limit %d of %d (-want +got):\n%s", c.max, full, diff)
		}
		if len(body) > c.max {
			t.Errorf("limit %d: body has %d bytes", c.max, len(body))
		}
		if got := at(fields(t, body), "host.id"); got != "h" {
			t.Errorf("limit %d: host.id = %v", c.max, got)
		}
	}
}

// Whatever is large in a match, the document fits and still says which rule matched and what its id is.
func TestAlwaysFits(t *testing.T) {
	long := strings.Repeat("\"é\x01", 100_000)
	quoted, err := json.Marshal(long)
	if err != nil {
		t.Fatal(err)
	}
	grow := map[string]func(*alert.Match){
		"common field": func(m *alert.Match) {
			m.Events[0].Source = fmt.Appendf(nil, `{"host":{"id":"h"},"process":{"command_line":%s}}`, quoted)
		},
		"many common fields": func(m *alert.Match) {
			var b strings.Builder
			for i := range 20_000 {
				fmt.Fprintf(&b, `"f%d":%d,`, i, i)
			}
			m.Events[0].Source = []byte("{" + b.String() + `"z":1}`)
		},
		"categories": func(m *alert.Match) {
			m.Events[0].Source = fmt.Appendf(nil, `{"event":{"category":[%s"x"]}}`, strings.Repeat(`"y",`, 5)+string(quoted)+",")
		},
		"event id":  func(m *alert.Match) { m.Events[0].ID = long },
		"topic":     func(m *alert.Match) { m.Events[0].Topic = long },
		"note":      func(m *alert.Match) { m.Rule.Note = long },
		"rule name": func(m *alert.Match) { m.Rule.Name = long },
		"rule id":   func(m *alert.Match) { m.Rule.ID = long },
		"hash":      func(m *alert.Match) { m.Rule.Hash = long },
		"severity":  func(m *alert.Match) { m.Rule.Severity = long },
		"join keys": func(m *alert.Match) { m.JoinKeys = []event.Value{event.StringValue(long)} },
		"stages": func(m *alert.Match) {
			for range 300 {
				m.Events = append(m.Events, execEvent(), alert.Event{Missing: true})
			}
		},
	}
	for name, f := range grow {
		t.Run(name, func(t *testing.T) {
			m := single()
			f(&m)
			for _, limit := range []int{1, alert.MinBytes, 10_000} {
				doc := build(t, alert.Options{MaxBytes: limit}, m)
				if want := max(limit, alert.MinBytes); len(doc.Body) > want {
					t.Errorf("limit %d: body has %d bytes", limit, len(doc.Body))
				}
				f := fields(t, doc.Body)
				if got := at(f, "event.id"); got != doc.ID {
					t.Errorf("event.id = %v, want %s", got, doc.ID)
				}
				if at(f, "rule.id") == nil || at(f, "weir.rule.severity") == nil {
					t.Errorf("no rule id or severity in %s", doc.Body)
				}
				if again := build(t, alert.Options{MaxBytes: limit}, m); !bytes.Equal(again.Body, doc.Body) {
					t.Errorf("two builds differ:\n%s\n%s", doc.Body, again.Body)
				}
			}
		})
	}
}

// One large field doesn't take with it what an alert is found by, nor its neighbours.
func TestLargeField(t *testing.T) {
	const small = `"host":{"id":"h1","name":"node","os":{"type":"linux"}%s},"container":{"id":"c1","image":{"name":"nginx"%s}},` +
		`"user":{"name":"root","id":"0"},"process":{"name":"nc","executable":"/bin/nc","pid":7%s},"note":"x"`
	large := strings.Repeat("x", 20_000)
	var many strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&many, `,"f%d":%d`, i, i)
	}
	cases := []struct {
		name                   string
		host, image, process   string // fields that are added to small
		leftOut                []any
		osType, imageName, pid any
		missing                string
	}{
		{
			name: "child", host: `,"blob":"` + large + `"`, leftOut: []any{"host.blob"},
			osType: "linux", imageName: "nginx", pid: 7.0, missing: "host.blob",
		},
		{
			name: "grandchild", image: `,"layers":"` + large + `"`, leftOut: []any{"container.image.layers"},
			osType: "linux", imageName: "nginx", pid: 7.0, missing: "container.image.layers",
		},
		{
			name: "many children", process: many.String(), leftOut: []any{"process.*"},
			osType: "linux", imageName: "nginx", missing: "process.f0",
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := alert.Match{Rule: netcatRule(), Events: []alert.Event{{
				ID: "e", Topic: "t", Time: execTime, Source: []byte("{" + fmt.Sprintf(small, c.host, c.image, c.process) + "}"),
			}}}
			body := build(t, alert.Options{MaxBytes: 5000}, m).Body
			f := fields(t, body)
			want := map[string]any{
				"host.id": "h1", "host.name": "node", "container.id": "c1", "user.name": "root",
				"process.name": "nc", "process.executable": "/bin/nc", "note": "x",
				"host.os.type": c.osType, "container.image.name": c.imageName, "process.pid": c.pid,
				"weir.left_out": c.leftOut, "weir.rule.hash": "f00d", c.missing: nil,
			}
			got := map[string]any{}
			for path := range want {
				got[path] = at(f, path)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeepSource(t *testing.T) {
	for _, depth := range []int{50, 10_000} {
		source := `{"a":` + strings.Repeat(`{"b.c":`, depth) + "1" + strings.Repeat("}", depth) + "}"
		m := alert.Match{Rule: netcatRule(), Events: []alert.Event{{Topic: "t", Source: []byte(source)}}}
		kept := sources(t, build(t, alert.Options{}, m).Body)
		if diff := cmp.Diff([]bool{depth == 50}, kept); diff != "" {
			t.Errorf("depth %d (-want +got):\n%s", depth, diff)
		}
	}
}

func FuzzBuild(f *testing.F) {
	for _, s := range []string{execSource, netSource, `{}`, `[1]`, `{"a":1e999}`, `{"a":"\ud800"}`, "{\"\xff\":1}", `{"a":1}x`, `{"a":.5}`, `{"a.b":1,"a":[2,{"b":3}]}`} {
		f.Add([]byte(s), []byte(netSource), uint16(5000))
	}
	events, err := fuzzseed.Events()
	if err != nil {
		f.Fatal(err)
	}
	for i, e := range events[1:] {
		f.Add(e, events[i], uint16(i*100))
	}
	f.Fuzz(func(t *testing.T, a, b []byte, limit uint16) {
		m := pair()
		m.Events[0].Source, m.Events[1].Source = a, b
		o := alert.Options{MaxBytes: int(limit)}
		doc := build(t, o, m)
		if !json.Valid(doc.Body) {
			t.Fatalf("not JSON: %q", doc.Body)
		}
		if limit > 0 && len(doc.Body) > max(int(limit), alert.MinBytes) {
			t.Fatalf("limit %d: %d bytes", limit, len(doc.Body))
		}
		if again := build(t, o, m); !bytes.Equal(doc.Body, again.Body) {
			t.Fatalf("two builds differ:\n%s\n%s", doc.Body, again.Body)
		}
		if _, err := alert.Summarise(doc.Body); err != nil {
			t.Fatalf("Summarise: %v\n%s", err, doc.Body)
		}
	})
}
