//go:build unix

package chaos

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// Result is what came of a run.
type Result struct {
	Seed       uint64         `json:"seed"`
	Settings   string         `json:"settings"`
	Verdict    Verdict        `json:"verdict"`
	Events     int            `json:"events"`
	Expected   int            `json:"expected"`
	Published  int            `json:"published"`
	Lost       []string       `json:"lost,omitempty"`       // expected, and not on the topic
	Doubled    []string       `json:"doubled,omitempty"`    // on the topic more than once, and nothing explains it
	Repeated   int            `json:"repeated,omitempty"`   // alerts that delivery at least once had to write again for a fault
	Unexpected []string       `json:"unexpected,omitempty"` // on the topic, and not expected
	Counters   []string       `json:"counters,omitempty"`   // alarming ones that nothing explains
	Troubles   []string       `json:"troubles,omitempty"`   // what must not happen whatever the faults are
	Stall      float64        `json:"longest_stall_seconds"`
	Behind     float64        `json:"feed_behind_seconds"` // the longest that an event was behind its time on the topic
	Faults     map[string]int `json:"faults"`
	Seconds    float64        `json:"seconds"`
	Dir        string         `json:"dir"` // of logs; removed where the run passed
}

// Verdict is the outcome of a run.
type Verdict string

// The verdicts.
const (
	Passed Verdict = "passed"
	Failed Verdict = "failed"
	// Void is a run in which events came later than order.lateness, because this machine stood still: what was expected
	// doesn't hold then. It says nothing and is to be run again.
	Void Verdict = "void"
)

// compare holds what is on the topic against what has to be there.
func (r *run) compare(want []wanted, got []published) *Result {
	r.mu.Lock()
	defer r.mu.Unlock()
	res := &Result{
		Seed: r.settings.seed, Settings: r.settings.String(), Events: len(r.script.events), Expected: len(want), Published: len(got),
		Counters: r.counters.unexplained(r.explained()), Troubles: r.troubles, Behind: r.feed.oldest().Seconds(), Faults: r.faults,
		Dir: r.dir,
	}
	due := map[string]time.Time{}
	for _, w := range want {
		due[w.line] = w.due
	}
	seen := map[string][]published{}
	for _, p := range got {
		seen[p.line] = append(seen[p.line], p)
		at, ok := due[p.line]
		if !ok {
			res.Unexpected = append(res.Unexpected, p.line+" at "+p.from)
			continue
		}
		res.Stall = max(res.Stall, p.at.Sub(at).Seconds())
	}
	for _, w := range want {
		if seen[w.line] == nil {
			res.Lost = append(res.Lost, w.line)
		}
	}
	for line, copies := range seen {
		switch {
		case len(copies) == 1:
		case r.explains(copies):
			res.Repeated++
		default:
			res.Doubled = append(res.Doubled, line+" at "+places(copies))
		}
	}
	slices.Sort(res.Lost)
	slices.Sort(res.Doubled)
	slices.Sort(res.Unexpected)
	res.Seconds = time.Since(r.began).Seconds()
	res.judge(r.settings)
	return res
}

// explains reports whether an alert may be on the topic as often as it is: with delivery at least once, under one id, where a fault of
// a member lies between each time and the next.
func (r *run) explains(copies []published) bool {
	if !r.settings.atLeastOnce {
		return false
	}
	copies = slices.Clone(copies)
	slices.SortStableFunc(copies, func(a, b published) int { return a.at.Compare(b.at) })
	for i := range copies[1:] {
		first, second := &copies[i], &copies[i+1]
		if first.id != second.id || !r.upsets.explain(first, second, r.settings.session, r.settings.transaction/2) {
			return false
		}
	}
	return true
}

// places says where an alert is, and who wrote it.
func places(copies []published) string {
	var out []string
	for _, c := range copies {
		out = append(out, fmt.Sprintf("%s (seen %s, written by start %d of member %d)", c.from, c.at.Format("15:04:05.000"),
			c.writer.start, c.writer.member))
	}
	return strings.Join(out, ", ")
}

// explained are the alarming counters that may be above zero, with the most that they may be.
func (r *run) explained() map[string]float64 {
	out := map[string]float64{}
	for _, e := range r.script.events {
		if e.copyOf != nil { // it may complete again what the event itself completed, of any rule
			out["weir_alerts_deduplicated_total"]++
		}
		if r.settings.joins == joinsAnyKey && e.port == 4444 { // of the rule that each reload changes
			out["weir_rekey_dropped_total"]++
			out["weir_reorder_buffer_discarded_total"]++
		}
	}
	if r.faults[refusal] > 0 {
		out["weir_sink_errors_total"] = math.Inf(1)
	}
	return out
}

func (res *Result) judge(s settings) {
	switch {
	case res.Behind >= (s.lateness - s.drift()).Seconds():
		res.Verdict = Void
	case len(res.Lost)+len(res.Doubled)+len(res.Unexpected)+len(res.Counters)+len(res.Troubles) > 0:
		res.Verdict = Failed
	default:
		res.Verdict = Passed
	}
}

// Line is the result in one line.
func (res *Result) Line() string {
	repeated := ""
	if res.Repeated > 0 {
		repeated = fmt.Sprintf(", %d repeated for a fault", res.Repeated)
	}
	return fmt.Sprintf("%-6s seed %-5d %5d events, expected %4d, published %4d, lost %d, doubled %d, unexpected %d%s, longest stall %4.1f s, %d faults, %2.0f s",
		res.Verdict, res.Seed, res.Events, res.Expected, res.Published, len(res.Lost), len(res.Doubled), len(res.Unexpected), repeated, res.Stall,
		res.FaultCount(), res.Seconds)
}

// FaultCount is the number of faults that were injected.
func (res *Result) FaultCount() int {
	n := 0
	for kind, times := range res.Faults {
		if !strings.Contains(kind, "points not") && !strings.Contains(kind, "themselves") {
			n += times
		}
	}
	return n
}

// FaultText lists the faults that were injected.
func (res *Result) FaultText() string { return faultText(res.Faults) }

func faultText(faults map[string]int) string {
	var parts []string
	for _, kind := range slices.Sorted(maps.Keys(faults)) {
		parts = append(parts, fmt.Sprintf("%s ×%d", kind, faults[kind]))
	}
	return strings.Join(parts, ", ")
}

// Details says what is wrong, a line for each thing.
func (res *Result) Details() string {
	var b strings.Builder
	for _, part := range []struct {
		what  string
		lines []string
	}{
		{"lost", res.Lost},
		{"doubled", res.Doubled},
		{"unexpected", res.Unexpected},
		{"counter that nothing explains", res.Counters},
		{"trouble", res.Troubles},
	} {
		for _, line := range part.lines[:min(len(part.lines), 20)] {
			fmt.Fprintf(&b, "  %s: %s\n", part.what, line)
		}
		if more := len(part.lines) - 20; more > 0 {
			fmt.Fprintf(&b, "  and %d more\n", more)
		}
	}
	if res.Verdict == Void {
		fmt.Fprintf(&b, "  an event was %.1f s behind its time on the topic, more than order.lateness: the machine stood still\n", res.Behind)
	}
	return b.String()
}

// Keep writes the details beside the logs of a run that didn't pass, and removes the logs of one that did.
func (res *Result) Keep() error {
	if res.Verdict == Passed {
		return os.RemoveAll(res.Dir)
	}
	text := res.Line() + "\n" + res.Details() + "  faults: " + res.FaultText() + "\n  " + res.Settings + "\n"
	return os.WriteFile(filepath.Join(res.Dir, "result"), []byte(text), 0o600)
}
