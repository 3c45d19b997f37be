package state_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/state"
)

// Each line is a row of calls on an empty overlay, p (put), c (create) and d (delete) of a key, with what must be
// left, in order.
func TestOverlay(t *testing.T) {
	f := func(calls, want string) {
		t.Helper()
		var o state.Overlay
		size := 0
		for range 2 { // the second time after Reset
			o.Reset()
			for call := range strings.FieldsSeq(calls) {
				key, value, _ := strings.Cut(call[1:], "=")
				switch call[0] {
				case 'p':
					o.Put([]byte(key), []byte(value))
				case 'c':
					o.Create([]byte(key), []byte(value))
				case 'd':
					o.Delete([]byte(key))
				}
			}
			var got []string
			size = 0
			for key, value := range o.All() {
				size += len(key) + len(value)
				v, presence := o.Get(key)
				if value == nil {
					got = append(got, "-"+string(key))
				} else {
					got = append(got, string(key)+"="+string(value))
				}
				if !bytes.Equal(v, value) || (presence == state.Deleted) != (value == nil) {
					t.Errorf("%s: get %q: %q, %v", calls, key, v, presence)
				}
			}
			if joined := strings.Join(got, " "); joined != want {
				t.Errorf("%s: got %q, want %q", calls, joined, want)
			}
			if o.Len() != len(got) || o.Bytes() != size {
				t.Errorf("%s: Len %d, Bytes %d, want %d and %d", calls, o.Len(), o.Bytes(), len(got), size)
			}
		}
	}
	f("", "")
	f("pb=1 pa=2", "a=2 b=1")
	f("pa=1 pa=2", "a=2")
	f("pa=longer pa=", "a=")
	f("pa= pa=longer", "a=longer")
	f("da", "-a")
	f("pa=1 da", "-a")
	f("da pa=1", "a=1")
	f("da da", "-a")
	// What begins and ends in a batch leaves nothing.
	f("ca=1 da", "")
	f("ca=1 pa=22 da", "")
	f("ca=1 cb=2 da pc=3", "b=2 c=3")
	f("ca=1 da ca=2", "a=2")
	f("ca=1 da pa=2 da", "-a")
	// A key that is known from before is not fresh, whatever is said of it later.
	f("da ca=1 da", "-a")
	f("pa=1 ca=2 da", "-a")
	f("ca=1 da da", "-a")
}

func TestOverlayUnknown(t *testing.T) {
	var o state.Overlay
	if v, p := o.Get([]byte("a")); v != nil || p != state.Unknown {
		t.Errorf("empty: %q, %v", v, p)
	}
	o.Delete([]byte("never")) // on the zero value
	o.Create([]byte("a"), nil)
	if v, p := o.Get([]byte("a")); v == nil || p != state.Present {
		t.Errorf("a nil value was put: got %v, %v, want an empty one", v, p)
	}
	o.Reset()
	if _, p := o.Get([]byte("a")); p != state.Unknown || o.Len() != 0 || o.Bytes() != 0 {
		t.Errorf("after reset: %v, %d, %d", p, o.Len(), o.Bytes())
	}
}

// What is put may be overwritten by the caller at once.
func TestOverlayCopies(t *testing.T) {
	var o state.Overlay
	key, value := []byte("k0"), []byte("value 0")
	want := map[string]string{}
	for i := range 10 {
		key[1], value[6] = byte('0'+i), byte('0'+i)
		o.Put(key, value)
		want[string(key)] = string(value)
	}
	got := map[string]string{}
	for k, v := range o.All() {
		got[string(k)] = string(v)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// After one large batch, small ones must not pay for its size again.
func TestOverlayShrinks(t *testing.T) {
	var o state.Overlay
	for i := range 50_000 {
		o.Put(fmt.Appendf(nil, "%d", i), []byte("v"))
	}
	for round := range 3 {
		o.Reset()
		o.Put([]byte("a"), []byte{byte(round)})
		if v, p := o.Get([]byte("a")); o.Len() != 1 || p != state.Present || v[0] != byte(round) {
			t.Errorf("round %d: %d, %v, %v", round, o.Len(), v, p)
		}
	}
	allocs := testing.AllocsPerRun(100, func() {
		o.Reset()
		for i := range 100 {
			o.Create([]byte{byte(i)}, []byte("value"))
		}
	})
	if allocs > 110 { // one per key, for the index
		t.Errorf("a batch of 100 allocates %v times", allocs)
	}
}
