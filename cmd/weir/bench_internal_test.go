package main

import (
	"testing"
	"time"
)

// TestUsualCommit: latency is measured with the commit interval that weir run has by default, throughput with one of a second.
func TestUsualCommit(t *testing.T) {
	if got := (&benchFlags{rate: 20_000}).usualCommit(); got != 100*time.Millisecond {
		t.Errorf("with a rate %v", got)
	}
	if got := (&benchFlags{}).usualCommit(); got != time.Second {
		t.Errorf("without one %v", got)
	}
}
