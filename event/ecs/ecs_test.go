package ecs_test

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

func TestTypeOf(t *testing.T) {
	for _, tt := range []struct {
		path  string
		want  event.Type
		known bool
	}{
		{"@timestamp", event.Date, true},
		{"event.category", event.Keyword, true},
		{"event.sequence", event.Long, true},
		{"data_stream.dataset", event.Keyword, true}, // constant_keyword
		{"process.command_line", event.Keyword, true},
		{"process.command_line.text", event.Keyword, true},
		{"process.name.caseless", event.Keyword, true},
		{"process.name.other", event.Unknown, false},
		{"process.pid", event.Long, true},
		{"process.pid.text", event.Unknown, false},
		{"process.interactive", event.Boolean, true},
		{"process.Ext.relative_file_creation_time", event.Double, true},
		{"process.Ext.api.parameters.address", event.Unsigned, true},
		{"process.Ext.token.integrity_level_name", event.Keyword, true},
		{"file.Ext.windows.zone_identifier", event.Long, true}, // keyword in Elastic Defend's mapping, but rules compare it with numbers
		{"file.Ext.entropy", event.Double, true},
		{"problemchild.prediction_probability", event.Double, true}, // long in the rules' own list: 0.99 would be 0
		{"kibana.alert.risk_score", event.Double, true},
		{"source.ip", event.IP, true},
		{"message", event.Keyword, true},
		{"labels.anything.below", event.Keyword, true},
		{"winlog.event_data.Unheard", event.Keyword, true},
		{"winlog.event_data.IntegrityLevel", event.Keyword, true},
		{"source.geo.location", event.Unknown, true},
		{"okta.event_type", event.Keyword, true},
		{"o365.audit.UserType", event.Keyword, true}, // numbers in the events, text in the mapping
		{"o365.audit.Parameters.ForwardTo", event.Keyword, true},
		{"azure.signinlogs.properties.device_detail.is_managed", event.Boolean, true},
		{"azure.signinlogs.properties.status.error_code", event.Long, true},
		{"winlog.process.pid", event.Long, true},
		{"cloud_defend.package_policy_revision", event.Long, true},
		{"kubernetes.audit.annotations.authorization_k8s_io/decision", event.Keyword, true},
		{"", event.Unknown, false},
		{"\x00", event.Unknown, false},
		{"\xff", event.Unknown, false},
		{"zzz", event.Unknown, false},
		{"process", event.Unknown, false},
		{"process.nam", event.Unknown, false},
		{"Process.name", event.Unknown, false},
	} {
		if got := ecs.TypeOf(tt.path); got != tt.want {
			t.Errorf("TypeOf(%q) = %v, want %v", tt.path, got, tt.want)
		}
		if got := ecs.Known(tt.path); got != tt.known {
			t.Errorf("Known(%q) = %v, want %v", tt.path, got, tt.known)
		}
	}
}

// TestTypeOfMeta shows that the fields that Weir itself needs have the types that it needs.
func TestTypeOfMeta(t *testing.T) {
	s := event.NewSchema(ecs.TypeOf)
	event.AddMeta(s, event.MetaOptions{})
	for i := range s.Len() {
		f := s.Field(event.Slot(i))
		if want := event.MetaTypes(f.Path); f.Type != want {
			t.Errorf("%s: got %v, want %v", f.Path, f.Type, want)
		}
	}
}

func TestUnusable(t *testing.T) {
	for _, tt := range []struct{ path, why, hint string }{
		{"process.name", "", ""},
		{"process.nmae", "", ""},
		{"process.Ext.api.parameters.address", "", ""},
		{"labels.team", "", ""},
		{"source.geo.location", "", ""},
		{"process.name.text", "is an index of process.name", "use process.name;"},
		{"file.path.caseless", "is an index of file.path", "use file.path;"},
		{"process.code_signature", "is an object", "such as process.code_signature.digest_algorithm"},
		{"process", "is an object", "such as process."},
		{"dns.answers", "is an object", "such as dns.answers.class"},
		{"labels", "is an object", "one of its members"},
		{"", "", ""},
	} {
		why, hint := ecs.Unusable(tt.path)
		if !strings.HasPrefix(why, tt.why) || !strings.Contains(hint, tt.hint) || (why == "") != (tt.why == "") {
			t.Errorf("Unusable(%q) = %q, %q, want %q, %q", tt.path, why, hint, tt.why, tt.hint)
		}
	}
}

func TestNearest(t *testing.T) {
	for _, tt := range []struct{ path, want string }{
		{"proces.name", "process.name"},
		{"process.comand_line", "process.command_line"},
		{"Process.Name", "process.name"},
		{"event.catgory", "event.category"},
		{"host.os.typ", "host.os.type"},
		{"completely.else", ""},
		{"", ""},
		{"x", ""},
	} {
		if got := ecs.Nearest(tt.path); got != tt.want {
			t.Errorf("Nearest(%q) = %q, want %q", tt.path, got, tt.want)
		}
	}
}

// TestTypeOfSources finds every ECS field of the source in the table.
func TestTypeOfSources(t *testing.T) {
	data, err := os.ReadFile("../../../shared/ecs/ecs_9.5.0_types.json")
	if os.IsNotExist(err) {
		t.Skip("../shared/ecs isn't here: it holds the definitions that the table was made from")
	}
	if err != nil {
		t.Fatal(err)
	}
	var fields map[string]struct{ Type string }
	if err := json.Unmarshal(data, &fields); err != nil {
		t.Fatal(err)
	}
	simple := map[string]event.Type{
		"keyword": event.Keyword, "flattened": event.Keyword, "long": event.Long, "date": event.Date,
		"boolean": event.Boolean, "ip": event.IP, "float": event.Double, "nested": event.Unknown,
	}
	for path, f := range fields {
		want, ok := simple[f.Type]
		if got := ecs.TypeOf(path); ok && got != want {
			t.Errorf("TypeOf(%q) = %v, want %v", path, got, want)
		}
		if !ecs.Known(path) {
			t.Errorf("Known(%q) = false", path)
		}
	}
}

func BenchmarkTypeOf(b *testing.B) {
	for b.Loop() {
		if ecs.TypeOf("process.parent.command_line") != event.Keyword {
			b.Fatal("wrong type")
		}
	}
}

func TestSingle(t *testing.T) {
	for path, want := range map[string]bool{
		"process.name": true, "process.pid": true, "source.ip": true, "host.os.type": true, "user.id": true,
		"process.args": false, "event.type": false, "host.ip": false, // arrays of ECS
		"dns.answers.name": false, "email.attachments.file.name": false, // inside arrays of objects
		"process.Ext.ancestry": false, "winlog.event_id": false, "no.such.field": false, // nothing of ECS
		"process.name.text": false,
	} {
		if got := ecs.Single(path); got != want {
			t.Errorf("%s: got %t", path, got)
		}
	}
}

func TestValues(t *testing.T) {
	for _, path := range []string{"event.kind", "event.category", "event.type", "event.outcome", "host.os.type"} {
		values := ecs.Values(path)
		if len(values) < 3 || !slices.IsSorted(values) || !ecs.LowerCase(path) {
			t.Errorf("%s: %v", path, values)
		}
		for _, v := range values {
			if v != strings.ToLower(v) {
				t.Errorf("%s: %s", path, v)
			}
		}
	}
	if ecs.Values("process.name") != nil || ecs.LowerCase("process.name") || !ecs.LowerCase("network.transport") {
		t.Error("process.name may have any value, network.transport is in lower case")
	}
}

func TestDefendLacks(t *testing.T) {
	for _, tc := range []struct {
		stream, path string
		want         bool
	}{
		{"process", "registry.path", true},
		{"registry", "registry.path", false},
		{"process", "dns.question.name", true},
		{"network", "dns.question.name", false},
		{"network", "process.entity_id", false},
		{"registry", "process.parent.name", true},
		{"file", "file.path.text", false},
		{"process", "file.path.caseless", true},
		{"process", "some.field", false},     // in no table: may be anyone's
		{"process", "event.duration", false}, // pipelines may add it
		{"alerts", "registry.path", false},   // not one of the streams
	} {
		if got := ecs.DefendLacks(tc.stream, tc.path); got != tc.want {
			t.Errorf("%s %s: got %t", tc.stream, tc.path, got)
		}
	}
}
