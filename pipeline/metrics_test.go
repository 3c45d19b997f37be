package pipeline_test

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// expectMetric compares the sum of a metric over its labels.
func expectMetric(t *testing.T, reg *prometheus.Registry, name string, want float64) {
	t.Helper()
	if got := sumMetric(t, reg, name, ""); got != want {
		t.Errorf("%s is %v, want %v", name, got, want)
	}
}

// sumMetric sums a metric over its labels; with a label value only the series that have it.
func sumMetric(t testing.TB, reg *prometheus.Registry, name, label string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			labelled := label == ""
			for _, l := range m.GetLabel() {
				labelled = labelled || l.GetValue() == label
			}
			if labelled {
				found = true
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	if !found {
		t.Fatalf("no metric %s with label %q", name, label)
	}
	return sum
}
