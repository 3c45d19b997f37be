package pipeline_test

import (
	"strings"
	"testing"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// TestNoDocumentOfWhatMustBeMissing: an event that hits only missing stages or an until waits without its document, is spilled
// nowhere, and still decides after a restart.
func TestNoDocumentOfWhatMustBeMissing(t *testing.T) {
	set := compileQueries(t, rules.SetOptions{}, map[string]string{
		"absent": `sequence by host.id with maxspan=10s [any where tag == "A"] ![any where tag in ("B", "C")]`,
		"until":  `sequence by host.id with maxspan=10s [any where tag == "A"] [any where tag == "C"] until [any where tag == "D"]`,
	}, nil)
	store := state.OpenMemory()
	tight := func(l *pipeline.Limits) { l.BufferedBytes = 1 }
	tests := []struct {
		host, tag string
		evidence  int    // events whose documents are referred to, this one included
		stored    string // e: documents in the store
	}{
		{"quiet", "A", 1, "e1"}, // spilled, as there is room for no document
		{"loud", "A", 2, "e2"},
		{"ended", "A", 3, "e3"},
		{"loud", "B", 3, "e3"},
		{"ended", "D", 3, "e3"},
		{"ended", "C", 4, "e4"}, // missing in one rule, the end of the other
		{"quiet", "C", 5, "e5"},
	}
	var log []pipeline.Record
	for i, tt := range tests {
		w := workerOf(t, set, store, tight, log...)
		r := of(tt.host, tt.tag, int64(i), int64(i))
		log = append(log, r)
		process(t, w, r)
		if n := w.Evidence(); n != tt.evidence {
			t.Errorf("%s of %s: %d events referred to, want %d", tt.tag, tt.host, n, tt.evidence)
		}
		commit(t, w)
		if got := strings.Fields(stored(t, store))[1]; got != tt.stored {
			t.Errorf("%s of %s: stored %s, want %s", tt.tag, tt.host, got, tt.stored)
		}
	}
	w := workerOf(t, set, store, tight, log...)
	process(t, w, of("silent", "A", 7, 8), of("other", "X", 8, 60_000))
	wantMatches(t, w, "until", "A0 C6")
	wantMatches(t, w, "absent", "A7 -")
}
