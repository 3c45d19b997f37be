package kafka

import (
	"maps"
	"strings"
	"testing"
)

func TestMisfits(t *testing.T) {
	c := &Config{
		Brokers: []string{"b:9092"}, AlertTopic: "alerts", DeadLetterTopic: "dead", ChangelogTopic: "changelog", RekeyTopic: "rekey",
		MaxMessageBytes: 8 << 20, AtLeastOnce: true,
	}
	owned := map[string]ownedTopic{}
	for _, o := range c.ownedTopics(4) {
		owned[o.name] = o
		if found := o.misfits(c, o.settings); len(found) > 0 {
			t.Errorf("%s as Weir makes it: %+v", o.name, found)
		}
		if found := o.misfits(c, map[string]string{"cleanup.policy": o.settings["cleanup.policy"]}); len(found) > 0 {
			t.Errorf("%s of a broker that tells little: %+v", o.name, found)
		}
	}
	for _, tt := range []struct {
		topic, setting, value string
		want                  string // the setting that is found; empty: none
		fatal                 bool
	}{
		{"changelog", "cleanup.policy", "delete", "cleanup.policy", true},
		{"changelog", "cleanup.policy", "compact,delete", "cleanup.policy", true},
		{"changelog", "delete.retention.ms", "1000", "delete.retention.ms", true},
		{"changelog", "delete.retention.ms", "9000000000", "", false},
		{"changelog", "min.compaction.lag.ms", "0", "min.compaction.lag.ms", false},
		{"changelog", "max.message.bytes", "1048588", "max.message.bytes", false},
		{"changelog", "segment.bytes", "1073741824", "", false}, // closed by their age
		{"rekey", "cleanup.policy", "compact", "cleanup.policy", true},
		{"rekey", "retention.ms", "60000", "retention.ms", false},
		{"rekey", "retention.ms", "-1", "", false},
		{"alerts", "max.message.bytes", "1048588", "max.message.bytes", false},
		{"alerts", "cleanup.policy", "compact", "", false},
		{"dead", "max.message.bytes", "nonsense", "", false},
	} {
		t.Run(tt.topic+" "+tt.setting+"="+tt.value, func(t *testing.T) {
			of := map[string]string{"cleanup.policy": "delete"}
			maps.Copy(of, owned[tt.topic].settings)
			of[tt.setting] = tt.value
			found := owned[tt.topic].misfits(c, of)
			if tt.want == "" {
				if len(found) > 0 {
					t.Fatalf("found %+v", found)
				}
				return
			}
			if len(found) != 1 || found[0].setting != tt.want || found[0].fatal != tt.fatal || found[0].value != tt.value {
				t.Fatalf("found %+v", found)
			}
			if alter := found[0].alter(c, tt.topic); !strings.HasSuffix(alter, "--entity-name "+tt.topic+" --add-config "+tt.setting+"="+found[0].want) {
				t.Error(alter)
			}
		})
	}
	slow := map[string]string{"cleanup.policy": "compact", "segment.bytes": "1073741824", "segment.ms": "604800000"}
	if found := owned["changelog"].misfits(c, slow); len(found) != 1 || found[0].setting != "segment.bytes" || found[0].fatal {
		t.Errorf("Kafka's own segments: %+v", found)
	}
}

// TestRemarks: what is found at each look is new once, and again after it was right meanwhile.
func TestRemarks(t *testing.T) {
	var r remarks
	for i, step := range []struct {
		found []string
		new   int
	}{
		{[]string{"a", "b"}, 2}, {[]string{"a", "b"}, 0}, {[]string{"b", "c"}, 1}, {nil, 0}, {[]string{"c"}, 1}, {[]string{"c"}, 0},
	} {
		fresh := 0
		for _, what := range step.found {
			if r.begin(what) {
				fresh++
			}
		}
		r.end()
		if fresh != step.new {
			t.Errorf("look %d: %d are new, want %d", i, fresh, step.new)
		}
	}
}
