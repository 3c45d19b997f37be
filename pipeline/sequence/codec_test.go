package sequence_test

import (
	"bytes"
	"encoding/hex"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/pipeline/sequence"
)

func itoa(n int64) string { return strconv.FormatInt(n, 10) }

// encoded is a state with everything in it: shared events, a doomed partial, hits at both ends, pending sequences.
func encoded(tb testing.TB) []byte {
	tb.Helper()
	s := parseShape(tb, "!L A B !M C !N", 90)
	m, err := sequence.New(s.spec)
	if err != nil {
		tb.Fatal(err)
	}
	var st sequence.State
	for i, word := range strings.Fields("L1 A2#x B3@7#y C4#z L5 L6 A7 AB8 M9 A10") {
		letters, ref := parseEvent(tb, word, i)
		ref.SubMillis = int32(i)
		m.Advance(&st, s.hits(letters), ref, nil)
	}
	return st.Append(nil)
}

// TestDecodeStable pins the layouts of both versions: what was stored yesterday has to be read tomorrow.
func TestDecodeStable(t *testing.T) {
	const (
		version1 = "010306140012017400120205000c000c0202000e000e020100040302010206060502000101030a050002000201" +
			"780b020e04000401790a0200060006017aae01"
		version2 = "020174030214001200120205000c000c0202000e000e020100040302010206060502000101030a050002000201" +
			"780b020e04000401790a0200060006017aae01"
	)
	if got := hex.EncodeToString(encoded(t)); got != version2 {
		t.Errorf("got  %s\nwant %s", got, version2)
	}
	old, err := hex.DecodeString(version1)
	if err != nil {
		t.Fatal(err)
	}
	st, err := sequence.DecodeState(old)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(st.Append(nil)); got != version2 {
		t.Errorf("version 1 became %s\nwant %s", got, version2)
	}
}

func TestDecodeState(t *testing.T) {
	if _, err := sequence.DecodeState((&sequence.State{}).Append(nil)); err != nil {
		t.Errorf("decode the empty state: %v", err)
	}
	whole := encoded(t)
	tests := []struct {
		name string
		b    []byte
		want string
	}{
		{"nothing", nil, "the end is missing"},
		{"another version", []byte{9}, "version 9 is unknown"},
		{"more than there is", append(bytes.Clone(whole), 0), "trailing bytes"},
		{"an event of no partial", []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 0}, "an event is held by no partial"},
		{"a place outside of the table", []byte{1, 0, 1, 1, 5, 0, 0, 0}, "a partial holds an event that isn't there"},
		{"an empty partial", []byte{1, 0, 1, 0, 0, 0, 0}, "partials are out of order"},
		{"three leading hits", []byte{1, 0, 0, 3, 2, 2, 2, 0}, "too many leading hits"},
		{"leading hits in order", []byte{1, 0, 0, 2, 2, 2, 0}, "leading hits are out of order"},
		{"an empty pending sequence", []byte{1, 0, 0, 0, 1, 0}, "a pending sequence is empty"},
		{"a partition beyond 32 bits", []byte{1, 1, 0, 0, 0, 0x80, 0x80, 0x80, 0x80, 0x80, 1, 0}, "a number is too large"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := sequence.DecodeState(tt.b)
			if want := "decode sequence state: " + tt.want; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
	for n := range whole {
		if _, err := sequence.DecodeState(whole[:n]); err == nil {
			t.Errorf("the first %d of %d bytes decode", n, len(whole))
		}
	}
}

// TestForeignState runs a state under a machine that is another than the one it came from: nothing sensible can
// come of it, but a match of the wrong length or a crash must not.
func TestForeignState(t *testing.T) {
	for _, text := range []string{"A", "A B", "A !M", "!L A B !M", "A B C D E F"} {
		s := parseShape(t, text, 90)
		m, err := sequence.New(s.spec)
		if err != nil {
			t.Fatal(err)
		}
		st, err := sequence.DecodeState(encoded(t))
		if err != nil {
			t.Fatal(err)
		}
		var matches []sequence.Match
		for i, word := range strings.Fields("LM9 A20 B21 C22 D23 E24 LM25 F26") {
			letters, ref := parseEvent(t, word, 100+i)
			matches = m.Advance(&st, s.hits(letters), ref, matches)
		}
		matches = m.Tick(&st, 1000, matches)
		if !st.Empty() {
			t.Errorf("%s: %d are left", text, st.Len())
		}
		for _, match := range matches {
			if len(match.Events) != len(s.spec.Stages) {
				t.Errorf("%s: a match of %d events", text, len(match.Events))
			}
		}
	}
}

func FuzzDecodeState(f *testing.F) {
	f.Add(encoded(f))
	f.Add((&sequence.State{}).Append(nil))
	f.Fuzz(func(t *testing.T, b []byte) {
		st, err := sequence.DecodeState(b)
		if err != nil {
			return
		}
		first := st.Append(nil)
		again, err := sequence.DecodeState(first)
		if err != nil {
			t.Fatalf("decode what was encoded: %v", err)
		}
		if diff := cmp.Diff(first, again.Append(nil)); diff != "" {
			t.Errorf("encoded twice (-first +second):\n%s", diff)
		}
		// Whatever was decoded can be worked with.
		s := parseShape(t, "!L A !M B B !N U", 50)
		m, err := sequence.New(s.spec)
		if err != nil {
			t.Fatal(err)
		}
		for i, word := range []string{"A1", "LMN2", "B3", "AB9", "MU60"} {
			letters, ref := parseEvent(t, word, i)
			m.Advance(&st, s.hits(letters), ref, nil)
		}
		m.Deadline(&st)
		st.Oldest()
		m.Tick(&st, 70, nil)
		if m.Finish(&st, nil); !st.Empty() {
			t.Error("the state isn't empty after Finish")
		}
	})
}
