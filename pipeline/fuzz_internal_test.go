package pipeline

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
)

// FuzzValues sees that no bytes make a decoder of state values panic, and that what is decoded is encoded to a value which
// decodes to the same.
func FuzzValues(f *testing.F) {
	h := host{name: "h", newest: 5, clockAt: -6, mark: 7}
	f.Add(h.value())
	b := buffered{host: &h, field: "f", ref: sequence.Ref{Ordinal: sequence.Ordinal{Topic: "t", Time: 9, SubMillis: 3}}}
	f.Add(b.value())
	f.Add(append(b.value(), 1, 2, 3, 4, 5, 6, 7, 8))
	set, err := rules.NewSet([]*rules.Rule{
		{ID: "a", Name: "a", Query: "sequence by host.id with maxspan=1m [any where true] [any where true]"},
		{ID: "b", Name: "b", Query: "sample by host.id [any where true] [any where true]"},
	}, rules.SetOptions{})
	if err != nil {
		f.Fatal(err)
	}
	for _, rule := range set.Rules() {
		f.Add((&storedPartial{rule: rule, host: "h", join: "j", begun: 1, at: 2}).value())
	}
	f.Add((&recordClock{now: 1, jump: 2, jumpHost: "h", jumpCount: 3, young: 4}).value())
	f.Fuzz(func(t *testing.T, value []byte) {
		var h, again host
		if h.decode(value) == nil {
			if err := again.decode(h.value()); err != nil || !cmp.Equal(h.value(), again.value()) {
				t.Errorf("host %+v became %+v: %v", h, again, err)
			}
		}
		var c, clock recordClock
		if c.decode(value) == nil {
			if err := clock.decode(c.value()); err != nil || !cmp.Equal(c.value(), clock.value()) {
				t.Errorf("record clock %+v became %+v: %v", c, clock, err)
			}
		}
		var b, event buffered
		if name, _, err := b.decode(value); err == nil {
			b.host = &host{name: name}
			got, _, err := event.decode(b.value())
			if err != nil || got != name || event.ref != b.ref || event.field != b.field {
				t.Errorf("buffered event %+v of %q became %+v of %q: %v", b, name, event, got, err)
			}
		}
		for _, rule := range set.Rules() {
			p, other := storedPartial{rule: rule}, storedPartial{rule: rule}
			if p.decode(value) != nil {
				continue
			}
			if err := other.decode(p.value()); err != nil || !cmp.Equal(p.value(), other.value()) {
				t.Errorf("partial of %q became one of %q: %v", p.host, other.host, err)
			}
		}
	})
}
