package docstest_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/internal/config"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/kafka"
)

var update = flag.Bool("update", false, "write the generated tables into the documents")

// root is the root of the repository.
var root = filepath.Join("..", "..")

func TestConfigurationTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("| setting | environment | default | meaning |\n| --- | --- | --- | --- |\n")
	for _, s := range config.Settings() {
		value := ""
		if s.Default != "" {
			value = "`" + s.Default + "`"
		}
		fmt.Fprintf(&b, "| `%s` | `%s` | %s | %s |\n", s.Path, s.Env, value, s.Doc)
	}
	compare(t, filepath.Join(root, "docs", "configuration.md"), "settings", b.String())
}

func TestMetricsTable(t *testing.T) {
	var b strings.Builder
	b.WriteString("| metric | type | labels | meaning |\n| --- | --- | --- | --- |\n")
	for _, m := range metrics(t) {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", m.name, m.kind, m.labels, m.help)
	}
	compare(t, filepath.Join(root, "docs", "metrics.md"), "metrics", b.String())
}

// TestDashboardsUseMetricsThatExist guards the dashboard, the alarms and the documents against renamed metrics.
func TestDashboardsUseMetricsThatExist(t *testing.T) {
	known := map[string]bool{}
	for _, m := range metrics(t) {
		known[m.name] = true
		if m.kind == "histogram" {
			for _, suffix := range []string{"_bucket", "_count", "_sum"} {
				known[m.name+suffix] = true
			}
		}
	}
	for _, m := range commandMetrics(t) {
		known[m] = true
	}
	name := regexp.MustCompile(`\bweir_[a-z_]+\b`)
	for _, file := range []string{
		"deploy/grafana/weir.json", "deploy/prometheus/alarms.yml", "docs/operations.md", "docs/delivery.md", "docs/metrics.md",
	} {
		text := read(t, filepath.Join(root, file))
		found := name.FindAllString(text, -1)
		if len(found) == 0 {
			t.Errorf("%s names no metric", file)
		}
		slices.Sort(found)
		for _, m := range slices.Compact(found) {
			if !known[m] {
				t.Errorf("%s: no metric is called %s", file, m)
			}
		}
	}
}

// commandMetrics returns the names of the metrics that the command itself sets, from its source: they can't be
// registered without running it.
func commandMetrics(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, "cmd", "weir", "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`Name:\s*"(weir_[a-z_]+)"`)
	var out []string
	for _, file := range files {
		for _, m := range name.FindAllStringSubmatch(read(t, file), -1) {
			out = append(out, m[1])
		}
	}
	return out
}

// compare holds the generated table against the part of the file between the two markers with its name.
func compare(t *testing.T, file, name, want string) {
	t.Helper()
	begin, end := fmt.Sprintf("<!-- begin generated: %s -->\n", name), fmt.Sprintf("<!-- end generated: %s -->\n", name)
	text := read(t, file)
	before, rest, ok := strings.Cut(text, begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no part between %q and %q", file, begin, end)
	}
	if *update {
		if err := os.WriteFile(file, []byte(before+begin+want+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s is out of date: go test ./internal/docstest -update (-want +got):\n%s", file, diff)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

type metric struct{ name, kind, labels, help string }

// recorder notes what is registered; a registry only shows vectors that have been used.
type recorder struct{ collectors []prometheus.Collector }

func (r *recorder) Register(c prometheus.Collector) error {
	r.collectors = append(r.collectors, c)
	return nil
}

func (r *recorder) MustRegister(cs ...prometheus.Collector) {
	r.collectors = append(r.collectors, cs...)
}
func (r *recorder) Unregister(prometheus.Collector) bool { return false }

// metrics returns all metrics of weir, by name.
func metrics(t *testing.T) []metric {
	t.Helper()
	var r recorder
	pipeline.NewMetrics(&r)
	kafka.NewMetrics(&r)
	pipeline.NewQuarantine(pipeline.QuarantineOptions{Now: time.Now}, &r)
	desc := regexp.MustCompile(`^Desc\{fqName: "([^"]+)", help: "(.*?)", (?:unit: "[^"]*", )?constLabels: \{\}, variableLabels: \{([^}]*)\}\}$`)
	var out []metric
	for _, c := range r.collectors {
		kind := ""
		switch c.(type) {
		case prometheus.Histogram, *prometheus.HistogramVec:
			kind = "histogram"
		case *prometheus.CounterVec:
			kind = "counter"
		case *prometheus.GaugeVec:
			kind = "gauge"
		case prometheus.Gauge: // before Counter: a gauge has a counter's methods too
			kind = "gauge"
		case prometheus.Counter:
			kind = "counter"
		default:
			t.Fatalf("a collector of unknown type %T", c)
		}
		ch := make(chan *prometheus.Desc, 1)
		c.Describe(ch)
		text := (<-ch).String()
		m := desc.FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("can't read the description %s", text)
		}
		labels := strings.ReplaceAll(m[3], ",", ", ")
		out = append(out, metric{name: m[1], kind: kind, labels: labels, help: m[2]})
	}
	slices.SortFunc(out, func(a, b metric) int { return strings.Compare(a.name, b.name) })
	return out
}
