package state_test

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-eql/weir/state"
)

// names are texts that lengths, separators and orders could trip over.
func names() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.String(),
		rapid.SampledFrom([]string{"", "\x00", "\x00\x00", "\xff", "host-1", "host-10", strings.Repeat("x", state.MaxNameBytes)}),
	)
}

func TestBufferedKeyRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := buffered(t)
		got, err := state.ParseBufferedKey(want.Append([]byte("prefix"))[len("prefix"):])
		if err != nil || got != want {
			t.Fatalf("got %+v, %v, want %+v", got, err, want)
		}
		if f, ok := state.FamilyOf(want.Append(nil)); !ok || f != state.FamilyBuffered {
			t.Fatalf("family %q, %v", f, ok)
		}
	})
}

func buffered(t *rapid.T) state.BufferedKey {
	return state.BufferedKey{
		Host:      names().Draw(t, "host"),
		Time:      rapid.Int64().Draw(t, "time"),
		Topic:     names().Draw(t, "topic"),
		Partition: rapid.Int32().Draw(t, "partition"),
		Offset:    rapid.Int64().Draw(t, "offset"),
	}
}

// The buffered candidates of a host lie together, in the order of their times and then of their places.
func TestBufferedKeyOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := buffered(t), buffered(t)
		b.Host, b.Topic = a.Host, a.Topic
		if rapid.Bool().Draw(t, "same time") {
			b.Time = a.Time
		}
		if rapid.Bool().Draw(t, "same partition") {
			b.Partition = a.Partition
		}
		want := cmp.Or(cmp.Compare(a.Time, b.Time), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
		if got := bytes.Compare(a.Append(nil), b.Append(nil)); got != want {
			t.Fatalf("%+v against %+v: got %d, want %d", a, b, got, want)
		}
		other := names().Draw(t, "other")
		if got, want := bytes.HasPrefix(a.Append(nil), state.BufferedPrefix(nil, other)), other == a.Host; got != want {
			t.Fatalf("a key of host %q has the prefix of host %q: %v", a.Host, other, got)
		}
	})
}

func TestOtherKeysRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := state.PartialKey{Rule: rapid.Uint64().Draw(t, "rule"), Join: names().Draw(t, "join")}
		if got, err := state.ParsePartialKey(p.Append(nil)); err != nil || got != p {
			t.Fatalf("got %+v, %v, want %+v", got, err, p)
		}
		if !bytes.HasPrefix(p.Append(nil), state.PartialPrefix(nil, p.Rule)) {
			t.Fatalf("%+v lacks its prefix", p)
		}
		a := state.AlertKey(rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "alert"))
		if got, err := state.ParseAlertKey(a.Append(nil)); err != nil || got != a {
			t.Fatalf("got %x, %v, want %x", got, err, a)
		}
		if f, ok := state.FamilyOf(a.Append(nil)); !ok || f != state.FamilyAlert {
			t.Fatalf("family %q, %v", f, ok)
		}
		if _, err := state.ParseAlertKey(a.Append(nil)[:16]); !errors.Is(err, state.ErrKey) {
			t.Fatalf("error %v of a key that is too short", err)
		}
		e := state.EvidenceKey{
			Topic:     names().Draw(t, "topic"),
			Partition: rapid.Int32().Draw(t, "partition"),
			Offset:    rapid.Int64().Draw(t, "offset"),
		}
		if got, err := state.ParseEvidenceKey(e.Append(nil)); err != nil || got != e {
			t.Fatalf("got %+v, %v, want %+v", got, err, e)
		}
		h := state.HostKey{Host: names().Draw(t, "host")}
		if got, err := state.ParseHostKey(h.Append(nil)); err != nil || got != h {
			t.Fatalf("got %+v, %v, want %+v", got, err, h)
		}
	})
}

func TestFold(t *testing.T) {
	long := strings.Repeat("a", state.MaxNameBytes)
	if got := state.Fold(long); got != long {
		t.Error("a name of the greatest length is changed")
	}
	a, b := state.Fold(long+"b"), state.Fold(long+"c")
	if a == b || len(a) != state.MaxNameBytes+1 || len(b) != len(a) {
		t.Errorf("folded: %d and %d bytes, equal: %v", len(a), len(b), a == b)
	}
	if again := state.Fold(long + "b"); again != a {
		t.Error("folding differs from time to time")
	}
	huge := strings.Repeat("h", 10<<20)
	key := state.BufferedKey{Host: huge, Topic: huge, Time: math.MinInt64}.Append(nil)
	if len(key) > state.MaxKeyBytes {
		t.Errorf("key of %d bytes", len(key))
	}
	if got, err := state.ParseBufferedKey(key); err != nil || got.Host != state.Fold(huge) {
		t.Errorf("parse: %v", err)
	}
}

func TestParseRefuses(t *testing.T) {
	key := state.BufferedKey{Host: "h", Topic: "t"}.Append(nil)
	evidence := state.EvidenceKey{Topic: "t"}.Append(nil)
	parse := map[string]func([]byte) error{
		"buffered": func(b []byte) error { _, err := state.ParseBufferedKey(b); return err },
		"evidence": func(b []byte) error { _, err := state.ParseEvidenceKey(b); return err },
		"partial":  func(b []byte) error { _, err := state.ParsePartialKey(b); return err },
		"host":     func(b []byte) error { _, err := state.ParseHostKey(b); return err },
	}
	for _, test := range []struct {
		parser string
		key    []byte
	}{
		{"buffered", nil},
		{"buffered", evidence},
		{"buffered", key[:len(key)-1]},
		{"buffered", append(slices.Clone(key), 0)},
		{"buffered", []byte{'b', 0xff, 0xff, 'x'}},
		{"evidence", key},
		{"evidence", evidence[:3]},
		{"partial", []byte("p1234567")},
		{"partial", []byte("x12345678")},
		{"host", nil},
		{"host", key},
	} {
		if err := parse[test.parser](test.key); !errors.Is(err, state.ErrKey) {
			t.Errorf("%s %q: got %v, want ErrKey", test.parser, test.key, err)
		}
	}
	for _, b := range [][]byte{nil, {}, []byte("z"), {0}} {
		if f, ok := state.FamilyOf(b); ok {
			t.Errorf("%q is of family %q", b, f)
		}
	}
	if f, ok := state.FamilyOf(state.AppendClockKey(nil)); !ok || f != state.FamilyClock {
		t.Errorf("clock key: %q, %v", f, ok)
	}
}

func TestPayload(t *testing.T) {
	value := append(state.AppendVersion(nil), "abc"...)
	if got, err := state.Payload(value); err != nil || string(got) != "abc" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, bad := range [][]byte{nil, {}, {state.CodecVersion + 1, 'a'}} {
		if _, err := state.Payload(bad); !errors.Is(err, state.ErrVersion) {
			t.Errorf("%v: got %v, want ErrVersion", bad, err)
		}
	}
}
