package event

import (
	"bytes"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// randomText is of bytes that matter to the index, in mixtures that make some of them rare.
func randomText(rng *rand.Rand, size int) []byte {
	alphabets := []string{`"\`, `"\a` + "\n", `"aaaaaaaaaaaaaaaa` + "\xff\xa2\xdc", `\` + "\x00\x1f\x80\x9f !#[]\"}", "aaaaaaaaaaaaaaaaaaaaaaaa\"\\"}
	alphabet := alphabets[rng.IntN(len(alphabets))]
	text := make([]byte, size)
	for i := range text {
		text[i] = alphabet[rng.IntN(len(alphabet))]
	}
	return text
}

func randomBytes(rng *rand.Rand, b []byte) {
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
}

// markWays are the ways to mark a document that this processor has. Where it hasn't AVX-512 that is said.
func markWays(t *testing.T) map[string]func(stops, doc []byte) {
	t.Helper()
	ways := map[string]func(stops, doc []byte){"narrow": markNarrow}
	if wide {
		ways["wide"] = markWide
	} else {
		t.Log("markWide isn't tested")
	}
	return ways
}

// TestMarks compares the bitmap with a loop over the bytes, for documents one after the other in the same memory, and sees that nothing behind it is
// written.
func TestMarks(t *testing.T) {
	for name, mark := range markWays(t) {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(3, 4))
			var m marks
			for range 20_000 {
				doc := randomText(rng, rng.IntN(300))
				if rng.IntN(4) == 0 {
					randomBytes(rng, doc)
				}
				var want, got []int
				escaped := false
				for i, c := range doc {
					stops := !escaped && (c == '"' || c == '\\' || c < ' ')
					if stops {
						want = append(want, i)
					}
					escaped = stops && c == '\\'
				}
				m.make(nil)
				size := len(doc)/64*8 + 16
				m.stops = m.buf[:size:size]
				m.buf[size] = 0x5A
				mark(m.stops, doc)
				for i := m.stop(0); i >= 0; i = m.stop(i + 1) {
					got = append(got, i)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("%q: got %v, want %v", doc, got, want)
				}
				if m.buf[size] != 0x5A || load(m.stops, size-8) != 0 {
					t.Fatalf("%q: the bitmap doesn't end as it should", doc)
				}
			}
		})
	}
}

// TestMarksKeepsLittle sees that one large document leaves no more memory behind than the bound, and that documents
// larger than that are read.
func TestMarksKeepsLittle(t *testing.T) {
	var m marks
	for _, size := range []int{8 << 20, 100, 8 << 20, 3 << 20, 1000} {
		doc := bytes.Repeat([]byte("x"), size)
		doc[size-1] = '"'
		m.make(doc)
		if got := m.stop(0); got != size-1 {
			t.Errorf("%d bytes: the first stop is at %d", size, got)
		}
	}
	if len(m.buf) > keepMarks {
		t.Errorf("%d bytes are kept, want %d at most", len(m.buf), keepMarks)
	}
}

// TestMarkBlocks compares the two ways to mark blocks; where only one is built they are the same.
func TestMarkBlocks(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 5000 {
		doc := randomText(rng, 64*rng.IntN(5))
		if rng.IntN(2) == 0 {
			randomBytes(rng, doc)
		}
		size := len(doc) / 8
		got, want := make([]byte, size), make([]byte, size)
		carry := uint64(rng.IntN(2))
		a := markBlocks(got, doc, carry)
		b := markBlocksPortable(want, doc, carry)
		if !bytes.Equal(got, want) || a != b {
			t.Fatalf("%q:\n got %x, %x\nwant %x, %x", doc, got, a, want, b)
		}
	}
}

// TestOnePass compares strings that are read in one pass with the other way, and sees that nothing is written beyond the event's memory.
func TestOnePass(t *testing.T) {
	rng := rand.New(rand.NewPCG(15, 16))
	pieces := []string{`C:\\`, `\"`, `\n\t`, "Windows", "a", strings.Repeat("long ", 20), `\/\b\f\r`, `\u0041`, `\x`, "\n"}
	taken := 0
	for range 100_000 {
		var doc []byte
		most := rng.IntN(len(pieces)) + 1
		for range rng.IntN(12) {
			doc = append(doc, pieces[rng.IntN(most)]...)
		}
		doc = append(doc, '"')
		doc = append(doc, "          ,          "[:rng.IntN(20)]...)
		memory := bytes.Repeat([]byte{0x5A}, 400)
		used, room := rng.IntN(100), rng.IntN(300)
		d := &Decoder{doc: doc, ev: &Event{scratch: memory[: used : used+room]}}
		d.marks.make(doc)
		end, s := d.onePass(0)
		if !allAre(memory[:used], 0x5A) || !allAre(memory[used+room:], 0x5A) {
			t.Fatalf("%q: other memory was written", doc)
		}
		if end < 0 {
			if len(d.ev.scratch) != used {
				t.Fatalf("%q: %d bytes were used for nothing", doc, len(d.ev.scratch)-used)
			}
			continue
		}
		taken++
		wantEnd, escaped := d.oddString(0)
		if end != wantEnd || s != string(appendUnescaped(nil, doc[:end])) {
			t.Fatalf("%q: got %q, which ends at %d, want %d", doc, s, end, wantEnd)
		}
		if size := len(d.ev.scratch) - used; escaped && size != len(s) || !escaped && size != 0 {
			t.Fatalf("%q: took %d bytes of memory", doc, size)
		}
	}
	if taken < 20_000 {
		t.Errorf("%d strings were read in one pass", taken)
	}
}

func allAre(b []byte, c byte) bool { return len(bytes.Trim(b, string(rune(c)))) == 0 }

// TestProjectionFind looks every key up, the same keys with a byte changed, and all that their nodes don't have, among
// keys that agree in size, first and last bytes.
func TestProjectionFind(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	word := func() string {
		b := make([]byte, rng.IntN(12))
		for i := range b {
			b[i] = "ab\x00"[rng.IntN(3)]
		}
		return string(b)
	}
	s := NewSchema(nil)
	for range 3000 {
		s.Add("process." + word() + word() + ".end_of_it")
		s.Add(word() + "." + word())
		s.Add(word())
	}
	root := newProjection(s)
	for i := range s.Len() {
		path := s.Field(Slot(i)).Path
		if n := root.find(path); n == nil || n.slot != Slot(i) {
			t.Fatalf("%q leads to %+v", path, n)
		}
		doc := []byte(path + "12345678")
		if len(path) > 0 {
			head, tail := words(doc, 0, len(path))
			if a, b := wordsOf(path); a != head || b != tail {
				t.Fatalf("words of %q: %x %x within a document, %x %x alone", path, head, tail, a, b)
			}
			other := []byte(path)
			other[rng.IntN(len(other))] ^= 3
			if n, slot := root.find(string(other)), s.Lookup(string(other)); (n == nil || n.slot < 0) != (slot < 0) || n != nil && n.slot != slot {
				t.Fatalf("%q leads to %+v, the schema has it in slot %d", other, n, slot)
			}
		}
	}
}

// TestParseZulu compares the short way to read the usual date with the long one, on dates with bytes changed.
func TestParseZulu(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 10))
	short := 0
	for range 300_000 {
		text := []byte("2024-02-29T23:59:59.123456789Z")
		if n := rng.IntN(12); n < 11 {
			text = append(text[:19+n], 'Z')
		}
		for range rng.IntN(3) {
			text[rng.IntN(len(text))] = "0123456789-:TZ.\x00\xff/"[rng.IntN(18)]
		}
		ms, sub, ok := parseZulu(string(text))
		if !ok {
			continue
		}
		short++
		if wantMS, wantSub, ok := parseDate(string(text)); !ok || ms != wantMS || sub != wantSub {
			t.Fatalf("%q: got %d %d, want %d %d %v", text, ms, sub, wantMS, wantSub, ok)
		}
	}
	if short < 50_000 {
		t.Errorf("the short way took %d dates", short)
	}
}

// TestMinute compares dates, most of them of the minute of the one before, with the long way to read them.
func TestMinute(t *testing.T) {
	rng := rand.New(rand.NewPCG(13, 14))
	minutes := []string{"2024-02-29T23:59", "2024-02-29T23:58", "1970-01-01T00:00", "1969-12-31T23:59", "0000-01-01T00:00", "9999-12-31T23:59", "2023-02-29T00:00"}
	m, inMinute := epoch(), 0
	check := func(text string) {
		known := len(text) > 16 && m.text == [2]uint64{loadString(text, 0), loadString(text, 8)}
		ms, sub, ok := m.parse(text)
		wantMS, wantSub, wantOK := parseDate(text)
		if ok != wantOK || ok && (ms != wantMS || sub != wantSub) {
			t.Fatalf("%q: got %d %d %v, want %d %d %v", text, ms, sub, ok, wantMS, wantSub, wantOK)
		}
		if known && ok {
			inMinute++
		}
	}
	check(string(make([]byte, 16)) + ":00Z")
	for range 300_000 {
		text := append([]byte(minutes[rng.IntN(rng.IntN(len(minutes))+1)]), ":59.123456789Z"...)
		if n := rng.IntN(12); n < 11 {
			text = append(text[:19+n], 'Z')
		}
		for i := 17; i < len(text); i++ {
			if text[i] <= '9' && text[i] >= '0' && rng.IntN(8) == 0 {
				text[i] = '0' + byte(rng.IntN(10))
			}
		}
		for range max(0, rng.IntN(4)-2) {
			text[rng.IntN(len(text))] = "0123456789-:TZ.,+\x00\xff/"[rng.IntN(20)]
		}
		check(string(text))
	}
	if inMinute < 50_000 {
		t.Errorf("%d dates were in the minute of the one before", inMinute)
	}
}

// TestCanonicalV6 shows that what is taken as canonical is, and that netip's own texts nearly always are taken.
func TestCanonicalV6(t *testing.T) {
	rng := rand.New(rand.NewPCG(11, 12))
	taken, all := 0, 0
	check := func(text string) {
		all++
		if !isCanonicalV6(text) {
			return
		}
		taken++
		if a, err := netip.ParseAddr(text); err != nil || a.Unmap().String() != text {
			t.Fatalf("%q is taken as canonical: %v %v", text, a, err)
		}
	}
	for range 100_000 {
		var b [16]byte
		for i := range b {
			if rng.IntN(3) > 0 {
				b[i] = byte(rng.Uint32())
			}
			if rng.IntN(8) == 0 {
				clear(b[:i])
			}
		}
		check(netip.AddrFrom16(b).String())
	}
	if taken < all/2 {
		t.Errorf("%d of %d canonical addresses are taken", taken, all)
	}
	for range 300_000 {
		text := make([]byte, rng.IntN(24))
		for i := range text {
			text[i] = "0:f1a:.:F%"[rng.IntN(10)]
		}
		check(string(text))
	}
	for _, text := range []string{"::ffff:102:304", "::ffff:1.2.3.4", "1::2:0:0:3", "::", "::1", "fe80::1", "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:::2"} {
		check(text)
	}
	for _, text := range []string{"::", "::1", "fe80::42:acff:fe11:2", "2001:db8:1:2:3:4:5:6"} {
		if !isCanonicalV6(text) {
			t.Errorf("%q isn't taken as canonical", text)
		}
	}
}
