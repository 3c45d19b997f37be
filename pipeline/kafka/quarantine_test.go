package kafka_test

import (
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline"
)

// TestQuarantineIsTakenOver: a rule that one member put in quarantine rests with the member that takes its partition over, with local state
// and without, in both modes of delivery.
func TestQuarantineIsTakenOver(t *testing.T) {
	for _, leastOnce := range []bool{false, true} {
		c := fakeCluster(t, 1)
		set := compiledRules(t, map[string]string{
			"greedy": `sequence by user.name, host.id with maxspan=1h [process where process.name == "login"] [process where process.name == "sudo"]`,
		})
		var q *pipeline.Quarantine
		c.pipeline = func() *pipeline.Config {
			p := pipelineConfig(t)
			q = pipeline.NewQuarantine(pipeline.QuarantineOptions{Partials: 1, Hold: time.Hour, Now: time.Now}, prometheus.NewRegistry())
			p.Set, p.Quarantine = set, q
			return p
		}
		cfg := c.config()
		cfg.AtLeastOnce = leastOnce
		tell := func(id string) {
			var records []*kgo.Record
			for _, user := range []string{"u1", "u2"} {
				for i, process := range []string{"login", "sudo"} {
					doc := userDoc("h", user, id+user+process, process, int64(i))
					records = append(records, &kgo.Record{Topic: c.input, Key: []byte("h"), Value: []byte(doc)})
				}
			}
			c.send(t, records...)
			c.awaitRead(t, c.input)
		}
		dir := t.TempDir()
		m := c.start(t, cfg, dir)
		c.send(t, &kgo.Record{Topic: c.input, Key: []byte("h"), Value: []byte(userDoc("h", "a", "1", "login", 0))},
			&kgo.Record{Topic: c.input, Key: []byte("h"), Value: []byte(userDoc("h", "b", "2", "login", 1))})
		until(t, "the rule rests", func() bool { return len(q.Notes()) == 1 })
		for _, dir := range []string{dir, t.TempDir()} {
			tell("before")
			m.stop()
			m = c.start(t, cfg, dir)
			m.awaitReady(t)
			if notes := q.Notes(); len(notes) != 1 || !strings.Contains(notes[0], "on partition 0") {
				t.Fatalf("at least once %v: notes %q", leastOnce, notes)
			}
			tell("after")
		}
		if alerts := c.alerts(t); len(alerts) > 0 {
			t.Errorf("at least once %v: alerts of a rule in quarantine: %v", leastOnce, alerts)
		}
		m.stop()
	}
}
