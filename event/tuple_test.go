package event_test

import (
	"bytes"
	"math"
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/event"
)

var tupleValues = []event.Value{
	{},
	event.StringValue(""),
	event.StringValue("512"),
	event.StringValue("51"),
	event.IntValue(512),
	event.IntValue(-1),
	event.UintValue(math.MaxUint64),
	event.FloatValue(512),
	event.FloatValue(-0.5),
	event.BoolValue(true),
	event.BoolValue(false),
	event.TimeValue(512, 0),
	event.AddrValue(netip.MustParseAddr("10.0.0.1")),
	event.StringValue("10.0.0.1"),
}

func TestTupleRoundTrip(t *testing.T) {
	var all []byte
	for i, v := range tupleValues {
		all = event.AppendTuple(all, v)
		for j, w := range tupleValues {
			same := bytes.Equal(event.AppendTuple(nil, v), event.AppendTuple(nil, w))
			if same != (i == j) {
				t.Errorf("%s and %s: equal encodings: %v", describe(v), describe(w), same)
			}
		}
	}
	got, err := event.DecodeTuple(all)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(tupleValues, got, cmp.Comparer(func(a, b event.Value) bool { return a == b })); diff != "" {
		t.Error(diff)
	}
}

func TestTupleEqualValues(t *testing.T) {
	for _, tt := range []struct{ a, b event.Value }{
		{event.FloatValue(0), event.FloatValue(math.Copysign(0, -1))},
		{event.UintValue(7), event.IntValue(7)},
		{event.AddrValue(netip.MustParseAddr("::ffff:10.0.0.1")), event.AddrValue(netip.MustParseAddr("10.0.0.1"))},
	} {
		if !bytes.Equal(event.AppendTuple(nil, tt.a), event.AppendTuple(nil, tt.b)) {
			t.Errorf("%s and %s have different encodings", describe(tt.a), describe(tt.b))
		}
	}
}

func TestDecodeTupleMalformed(t *testing.T) {
	whole := event.AppendTuple(nil, event.StringValue("abc"))
	whole = event.AppendTuple(whole, event.IntValue(1))
	for cut := 1; cut < len(whole); cut++ {
		if cut == len(event.AppendTuple(nil, event.StringValue("abc"))) {
			continue // a whole value
		}
		if _, err := event.DecodeTuple(whole[:cut]); err == nil {
			t.Errorf("cut at %d: no error", cut)
		}
	}
	if _, err := event.DecodeTuple([]byte{200}); err == nil {
		t.Error("unknown kind: no error")
	}
	if _, err := event.DecodeTuple([]byte{byte(event.Bool)}); err == nil {
		t.Error("bool without a value: no error")
	}
}
