package pipeline

import "testing"

// observation is one record as the clock sees it.
type observation struct {
	t    int64
	src  ClockSource
	host string
}

func TestRecordClock(t *testing.T) {
	create := func(t int64, host string) observation { return observation{t, ClockCreate, host} }
	log := func(t int64) observation { return observation{t, ClockLogAppend, ""} }
	repeat := func(n int, o observation) []observation {
		var out []observation
		for range n {
			out = append(out, o)
		}
		return out
	}
	cases := map[string]struct {
		seen []observation
		want int64
	}{
		"the first record sets it":                        {[]observation{log(100)}, 100},
		"it never goes back":                              {[]observation{log(100), log(50)}, 100},
		"the broker's time is believed at once":           {[]observation{log(100), log(10_000_000)}, 10_000_000},
		"a small step of a producer is believed":          {[]observation{create(100, "a"), create(9_000, "a")}, 9_000},
		"one producer far ahead is not":                   {[]observation{create(100, "a"), create(1_000_000, "b")}, 100},
		"a second host confirms, the smaller time counts": {[]observation{create(100, "a"), create(1_000_000, "b"), create(900_000, "c")}, 900_000},
		"the same host confirms by repetition":            {append([]observation{create(100, "a")}, repeat(16, create(1_000_000, "a"))...), 1_000_000},
		"ordinary records in between deny": {
			append(append([]observation{create(100, "a")}, repeat(15, create(1_000_000, "b"))...),
				append([]observation{create(200, "a")}, repeat(15, create(1_000_000, "b"))...)...), 200,
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			var clock recordClock
			for _, o := range c.seen {
				clock.observe(o.t, o.src, o.host)
				var restored recordClock
				if err := restored.decode(clock.value()); err != nil {
					t.Fatal(err)
				}
				if restored != clock {
					t.Fatalf("restored %+v, want %+v", restored, clock)
				}
			}
			if clock.now != c.want {
				t.Errorf("clock %d, want %d", clock.now, c.want)
			}
		})
	}
}

// TestClockMovedPastAJump: a jump that waits for confirmation, and whose time the wall clock has passed meanwhile, is over: what
// is far ahead then is another one, and the clock doesn't go back to the first.
func TestClockMovedPastAJump(t *testing.T) {
	var clock recordClock
	for range createConfirmations {
		clock.observe(100, ClockCreate, "a")
	}
	clock.observe(50_000, ClockCreate, "a")
	clock.advance(200_000)
	for _, step := range []struct {
		t    int64
		host string
		want int64
	}{{400_000, "b", 200_000}, {390_000, "c", 390_000}} {
		if clock.observe(step.t, ClockCreate, step.host); clock.now != step.want {
			t.Errorf("clock %d after a record of %d, want %d", clock.now, step.t, step.want)
		}
	}
	clock.observe(900_000, ClockCreate, "b")
	clock.advance(880_000) // the wall clock hasn't come to it: it is confirmed as ever
	if clock.observe(895_000, ClockCreate, "c"); clock.now != 895_000 {
		t.Errorf("clock %d after a confirmed jump, want 895000", clock.now)
	}
}

func TestHostWatermark(t *testing.T) {
	const lateness = 2000
	h := &host{mark: minMark}
	h.observe(10_000, 50_000, lateness) // the host's clock is 40 s behind the broker's
	if want := int64(7_999); h.mark != want {
		t.Errorf("after the first event: watermark %d, want %d", h.mark, want)
	}
	h.advance(53_000, lateness) // 3 s of silence
	if want := int64(10_999); h.mark != want {
		t.Errorf("after silence: watermark %d, want %d", h.mark, want)
	}
	h.observe(10_500, 53_000, lateness)
	h.advance(53_000, lateness)
	if want := int64(10_999); h.mark != want {
		t.Errorf("an older event moved the watermark to %d, want %d", h.mark, want)
	}
	if got, want := h.clockFor(11_000, lateness), int64(53_000+1-0); got < want {
		t.Errorf("due at clock %d, before the watermark can be there", got)
	}
}
