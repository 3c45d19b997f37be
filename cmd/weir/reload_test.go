package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/rules"
)

// reloading is a reloader on a folder of rules, looked at by hand.
type reloading struct {
	*reloader
	t       *testing.T
	dir     string
	reg     *prometheus.Registry
	swapped []string // the rules of each swap
	refuse  error    // what the service says to the next swap
}

func newReloading(t *testing.T) *reloading {
	t.Helper()
	r := &reloading{t: t, dir: t.TempDir(), reg: prometheus.NewRegistry()}
	r.write("a", `process where process.name == "a"`)
	r.write("b", `sequence by host.id with maxspan=1m [process where true] [network where true]`)
	cfg := &config.Config{Rules: config.Rules{Paths: []string{r.dir}}}
	loaded, err := loadRules(cfg)
	if err != nil {
		t.Fatal(err)
	}
	r.reloader = newReloader(cfg, loaded, newRuleMetrics(r.reg), slog.New(slog.DiscardHandler), func() time.Time { return time.Unix(1_790_000_000, 0) })
	r.swap = func(_ context.Context, set *rules.Set) error {
		if r.refuse != nil {
			return r.refuse
		}
		var ids []string
		for _, c := range set.Rules() {
			ids = append(ids, c.Rule.ID)
		}
		r.swapped = append(r.swapped, strings.Join(ids, " "))
		return nil
	}
	return r
}

func (r *reloading) write(id, query string) {
	r.t.Helper()
	text := fmt.Sprintf("[rule]\nrule_id = %q\nname = %q\nseverity = \"low\"\nrisk_score = 21\ntype = \"eql\"\nlanguage = \"eql\"\nquery = '''%s'''\n", id, id, query)
	if err := os.WriteFile(filepath.Join(r.dir, id+".toml"), []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// expect looks at the files some times, and says what came of it: swaps since the last time, failures so far, and how the note for
// /readyz begins after its time.
func (r *reloading) expect(looks int, swapped []string, failures float64, note string) {
	r.t.Helper()
	for range looks {
		r.look(r.t.Context())
	}
	if got, want := strings.Join(r.swapped, "; "), strings.Join(swapped, "; "); got != want {
		r.t.Errorf("swapped %q, want %q", got, want)
	}
	r.swapped = nil
	if got := r.value("weir_rules_reload_failures_total"); got != failures {
		r.t.Errorf("%v failures, want %v", got, failures)
	}
	if got, want := r.value("weir_rules_last_reload_successful") == 1, note == ""; got != want {
		r.t.Errorf("last reload successful %v, want %v", got, want)
	}
	const prefix = "rules not reloaded, older ones run: 2026-09-21T14:13:20Z: "
	const broken = "rules of broken files don't run, what they had is kept: "
	if got := strings.TrimPrefix(strings.TrimPrefix(r.note(), prefix), broken); !strings.HasPrefix(got, note) || (note == "") != (got == "") {
		r.t.Errorf("note %q, want %q", got, note)
	}
}

func (r *reloading) value(name string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue() + f.GetMetric()[0].GetCounter().GetValue()
		}
	}
	r.t.Fatalf("no metric %s", name)
	return 0
}

// TestReloader follows a folder of rules through changes and slips.
func TestReloader(t *testing.T) {
	r := newReloading(t)
	r.expect(3, nil, 0, "")

	r.write("c", `any where true`)
	r.expect(1, nil, 0, "") // it may not be written to its end
	r.expect(3, []string{"a b c"}, 0, "")
	if got := r.value("weir_rules"); got != 3 {
		t.Errorf("weir_rules = %v, want 3", got)
	}

	r.write("a", `process where wildcrd(process.name, "a")`)
	r.expect(4, nil, 1, "1 rule file with errors: "+filepath.Join(r.dir, "a.toml"))
	r.reload(t.Context()) // as SIGHUP does: it is tried again
	r.expect(2, nil, 2, "1 rule file with errors")
	r.write("a", `process where process.name == "a"`) // as it was when it was loaded: there is nothing to swap
	r.expect(3, nil, 2, "")

	if err := os.Remove(filepath.Join(r.dir, "b.toml")); err != nil {
		t.Fatal(err)
	}
	r.refuse = errors.New("rule set: no")
	r.expect(3, nil, 3, "rule set: no")
	r.refuse = nil
	r.reload(t.Context())
	r.expect(1, []string{"a c"}, 3, "")

	for _, name := range []string{"a.toml", "c.toml"} { // as a volume that isn't mounted
		if err := os.Remove(filepath.Join(r.dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	r.expect(3, nil, 4, "no rule files")
	r.reload(t.Context())
	r.expect(0, nil, 5, "no rule files")
}

// TestReloadWithAFileThatWasFaulty: a file that was left out at the start doesn't keep others from being reloaded, and is shown until it is mended.
func TestReloadWithAFileThatWasFaulty(t *testing.T) {
	r := newReloading(t)
	r.write("0", `process where`)
	loaded, err := loadRules(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	swap := r.swap
	r.reg = prometheus.NewRegistry()
	r.reloader = newReloader(r.cfg, loaded, newRuleMetrics(r.reg), r.log, r.now)
	r.swap = swap
	broken := "1 rule file with errors: " + filepath.Join(r.dir, "0.toml")
	if !loaded.set.Incomplete() {
		t.Error("the set doesn't say that a rule is missing")
	}
	r.expect(0, nil, 0, broken)
	r.write("0", `process where process.`)
	r.write("c", `any where true`)
	r.expect(2, []string{"a b c"}, 0, broken)
	r.write("0", `any where true`)
	r.expect(2, []string{"0 a b c"}, 0, "")
	if r.running.set.Incomplete() {
		t.Error("the set says that a rule is missing")
	}
	r.write("0", `process where`)
	r.expect(2, nil, 1, "1 rule file with errors")
}

func TestCompareSets(t *testing.T) {
	r := newReloading(t)
	old := r.running.set
	r.write("b", "sequence by host.id with maxspan=1m   // as before\n [process where true] [network where true]")
	r.write("c", `any where true`)
	same, err := loadRules(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(compareSets(old, same.set)), "{[] [b] [c] [] 1}"; got != want { // b by its comment
		t.Errorf("changed, edited, added, removed, unchanged: %s, want %s", got, want)
	}
	name := filepath.Join(r.dir, "a.toml")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, bytes.Replace(text, []byte(`name = "a"`), []byte(`name = "another"`), 1), 0o600); err != nil {
		t.Fatal(err)
	}
	renamed, err := loadRules(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(compareSets(same.set, renamed.set)), "{[] [a] [] [] 2}"; got != want {
		t.Errorf("changed, edited, added, removed, unchanged: %s, want %s", got, want)
	}
	r.write("b", "sequence by host.id with maxspan=61s [process where true] [network where true]")
	if err := os.Remove(filepath.Join(r.dir, "a.toml")); err != nil {
		t.Fatal(err)
	}
	other, err := loadRules(r.cfg)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := fmt.Sprint(compareSets(same.set, other.set)), "{[b] [] [] [a] 1}"; got != want {
		t.Errorf("changed, edited, added, removed, unchanged: %s, want %s", got, want)
	}
}

// The types of declared fields decide what rules mean: a change of their files is one of the rules.
func TestReloadFields(t *testing.T) {
	r := newReloading(t)
	file := filepath.Join(t.TempDir(), "fields.yaml")
	declare := func(typ string) {
		if err := os.WriteFile(file, []byte("job.code: "+typ+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	declare("long")
	r.cfg.FieldsFiles = []string{file}
	r.write("a", `process where job.code == 7`)
	r.expect(3, []string{"a b"}, 0, "")
	declare("keyword")
	r.expect(3, []string{"a b"}, 0, "")
	declare("lnog")
	r.expect(3, nil, 1, "fields: ")
}
