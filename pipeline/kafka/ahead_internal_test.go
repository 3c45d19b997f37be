package kafka

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// hotRules are a single-event rule and a sequence.
func hotRules(t *testing.T) *pipeline.Config {
	t.Helper()
	dir := t.TempDir()
	for name, query := range map[string]string{
		"single":   "process where process.pid == 7",
		"sequence": "sequence by host.id with maxspan=1h [process where process.pid == 1] [process where process.pid == 2]",
	} {
		text := fmt.Sprintf("[rule]\nname = %q\nrule_id = %q\nrisk_score = 1\nseverity = \"low\"\ntype = \"eql\"\nlanguage = \"eql\"\nquery = '''\n%s\n'''\n",
			name, name, query)
		if err := os.WriteFile(filepath.Join(dir, name+".toml"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	c, err := rules.Load([]string{dir}, rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.NewSet(c.Rules, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := &pipeline.Config{Set: set, Alerts: alert.NewECS(alert.Options{})}
	cfg.EnsureDefaults()
	return cfg
}

// TestPreparedAheadAsAlone runs the records of one partition on one goroutine and on several: the alerts are the same, in the
// same order, and so are dead letters.
func TestPreparedAheadAsAlone(t *testing.T) {
	cfg := hotRules(t)
	var records []pipeline.Record
	for i := range 2000 {
		value := fmt.Appendf(nil, `{"@timestamp":%d,"event":{"category":"process","id":"e%d"},"host":{"id":"h%d"},"process":{"pid":%d}}`,
			1_790_000_000_000+int64(i)*10, i, i%5, i%11)
		if i%97 == 0 {
			value = value[:20]
		}
		records = append(records, pipeline.Record{
			Topic: "events", Offset: int64(i), Value: value, Time: 1_790_000_000_000 + int64(i)*10, Clock: pipeline.ClockCreate,
		})
	}
	run := func(goroutines, poll int) (alerts []string, letters []int64) {
		w, err := pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Reload(); err != nil {
			t.Fatal(err)
		}
		p := newPreparers(cfg, goroutines)
		defer p.stop()
		for from := 0; from < len(records); from += poll {
			if err := p.process(w, records[from:min(from+poll, len(records))]); err != nil {
				t.Fatal(err)
			}
			p.report()
		}
		for _, a := range w.Output().Alerts {
			alerts = append(alerts, a.RuleID+" "+a.ID)
		}
		for _, d := range w.Output().DeadLetters {
			letters = append(letters, d.Offset)
		}
		return alerts, letters
	}
	wantAlerts, wantLetters := run(1, 1000)
	if len(wantAlerts) < 150 || len(wantLetters) != 21 {
		t.Fatalf("%d alerts and %d dead letters: the records are no test", len(wantAlerts), len(wantLetters))
	}
	for _, goroutines := range []int{2, 5} {
		for _, poll := range []int{33, 129, 5000} {
			alerts, letters := run(goroutines, poll)
			if diff := cmp.Diff(wantAlerts, alerts); diff != "" {
				t.Errorf("%d goroutines, %d records at a time: alerts (-want +got):\n%s", goroutines, poll, diff)
			}
			if diff := cmp.Diff(wantLetters, letters); diff != "" {
				t.Errorf("%d goroutines, %d records at a time: dead letters (-want +got):\n%s", goroutines, poll, diff)
			}
		}
	}
}
