package kafka

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestProgress: rate and time left come from what was restored since a partition's restore began, and the log is due now and then.
func TestProgress(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	p := newProgress()
	if p.note(1, 1000, now) || p.note(0, 0, now) {
		t.Error("the log is due at the beginning")
	}
	want := []RestoreProgress{{Partition: 0}, {Partition: 1, Total: 1000, Seconds: -1}}
	if diff := cmp.Diff(want, p.at(now)); diff != "" {
		t.Errorf("at the beginning (-want +got):\n%s", diff)
	}
	now = now.Add(4 * time.Second)
	if p.note(1, 600, now) {
		t.Error("the log is due after 4 s")
	}
	now = now.Add(time.Second)
	if !p.note(1, 500, now) || p.note(1, 500, now) {
		t.Error("the log isn't due after 5 s, or is due twice")
	}
	p.end(0)
	want = []RestoreProgress{{Partition: 1, Restored: 500, Total: 1000, Rate: 100, Seconds: 5}}
	got := p.at(now)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("half way (-want +got):\n%s", diff)
	}
	if got, want := got[0].String(), "partition 1: 500 of 1000 changelog records restored, 100/s, about 5s left"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.note(1, 0, now)
	if got, want := p.at(now)[0].String(), "partition 1: 1000 of 1000 changelog records restored, its state is being read"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	p.clear()
	if got := p.at(now); len(got) > 0 {
		t.Errorf("%v are left", got)
	}
}
