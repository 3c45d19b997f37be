package event_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-eql/weir/event"
)

// TestValues compares an event with a list per field, for fields that come again after others, and pins that what Values returned
// stays as it is until Reset.
func TestValues(t *testing.T) {
	s := event.NewSchema(nil)
	for _, path := range []string{"a", "b", "c", "d"} {
		s.Add(path)
	}
	rapid.Check(t, func(t *rapid.T) {
		ev := event.New(s)
		for range rapid.IntRange(1, 4).Draw(t, "records") {
			if rapid.IntRange(0, 3).Draw(t, "counting begins anew") == 0 {
				ev.Reset(s)
				event.CountOn(ev)
			}
			ev.Reset(s)
			want := make([][]event.Value, s.Len())
			var touched []event.Slot
			seen := map[event.Slot][]event.Value{}
			for n := range rapid.SampledFrom([]int{0, 5, 40, 3000}).Draw(t, "values") {
				slot := event.Slot(rapid.IntRange(0, s.Len()-1).Draw(t, "slot"))
				v := event.IntValue(int64(n))
				want[slot] = append(want[slot], v)
				ev.Add(slot, v)
				if n == 20 {
					seen[slot] = ev.Values(slot)
				}
			}
			for slot := range want {
				if len(want[slot]) > 0 {
					touched = append(touched, event.Slot(slot))
				}
				if got := ev.Values(event.Slot(slot)); !slices.Equal(got, want[slot]) {
					t.Fatalf("slot %d: got %v, want %v", slot, got, want[slot])
				}
			}
			if !slices.Equal(ev.Touched(), touched) {
				t.Fatalf("got touched %v, want %v", ev.Touched(), touched)
			}
			for slot, values := range seen {
				if !slices.Equal(values, want[slot][:len(values)]) {
					t.Fatalf("slot %d: what was returned has become %v", slot, values)
				}
			}
		}
	})
}
