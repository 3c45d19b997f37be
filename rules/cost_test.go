package rules_test

import (
	"testing"
	"time"

	"github.com/weir-eql/weir/rules"
)

// TestMeter measures with a clock that goes on by a microsecond whenever it is read, so that the figures are certain: each
// reading pair times as many evaluations as the meter repeats.
func TestMeter(t *testing.T) {
	s := newSet(t, []*rules.Rule{
		rule("name", `process where process.name == "nc" and process.args : "-l"`),
		rule("seq", `sequence by host.id with maxspan=3s [process where process.pid > 0] [file where file.name : "*x*"]`),
	}, rules.SetOptions{})
	clock := time.Duration(0)
	m := rules.NewMeter(s, func() time.Duration { clock += time.Microsecond; return clock })
	reader := newMatcher(s)
	for _, doc := range []string{
		`{"event.category":"process","process":{"name":"nc","args":["-l"],"pid":1}}`,
		`{"event.category":"process","process":{"name":"nc","args":["-v"]}}`,
		`{"event.category":"file","file.name":"ab"}`,
		`{"event.category":"network"}`,
	} {
		if err := reader.dec.Decode([]byte(doc), reader.ev); err != nil {
			t.Fatal(err)
		}
		m.Observe(reader.ev, "")
	}
	got := map[string]rules.StageCost{}
	for _, c := range m.Costs() {
		got[c.ID+" "+c.Stage] = c
	}
	for name, want := range map[string][3]uint64{"name query": {2, 2, 1}, "seq stage 1": {1, 1, 1}, "seq stage 2": {1, 1, 0}} {
		c, ok := got[name]
		if !ok || [3]uint64{c.Candidates, c.Evaluations, c.Matches} != want {
			t.Errorf("%s: got %d candidates, %d evaluations, %d matches, want %d", name, c.Candidates, c.Evaluations, c.Matches, want)
		}
		if c.NanosPerEvaluation != 125 { // a microsecond for 8 evaluations
			t.Errorf("%s: got %v ns per evaluation, want 125", name, c.NanosPerEvaluation)
		}
		if c.NanosPerEvent != 125*float64(want[1])/4 {
			t.Errorf("%s: got %v ns per event", name, c.NanosPerEvent)
		}
	}
	conditions := got["name query"].Conditions
	if len(conditions) != 3 || conditions[1].Text != `process.name == "nc"` || conditions[2].Evaluations != 2 || conditions[2].Holds != 1 {
		t.Errorf("got conditions %+v", conditions)
	}
	if m.Events() != 4 {
		t.Errorf("got %d events, want 4", m.Events())
	}
}
