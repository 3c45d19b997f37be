package event

import "math/bits"

const (
	ones  = 0x0101010101010101
	lows  = 0x7F7F7F7F7F7F7F7F
	highs = 0x8080808080808080
)

// keepMarks is how many bytes of bitmap one large document may leave behind in a decoder's memory.
const keepMarks = 1 << 20

// marks is a bitmap of a document, a bit for each byte, which is made before its grammar is read: 64 bytes at a
// time, without a branch that depends on the text unless there are backslashes. Marked is what plain text stops at: quotes, backslashes and
// control characters, but for what a backslash before it escapes. The bitmap ends with eight bytes of zeros or more, so that a window never reads
// beyond it.
type marks struct {
	stops []byte
	buf   []byte
}

// make marks a document.
func (m *marks) make(doc []byte) {
	size := len(doc)/64*8 + 16
	if len(m.buf) < size || len(m.buf) > keepMarks {
		m.buf = make([]byte, max(size+size/2, 1024))
	}
	m.stops = m.buf[:size:size]
	if wide {
		markWide(m.stops, doc)
	} else {
		markNarrow(m.stops, doc)
	}
}

// markNarrow marks a document by markBlocks. The bitmap is as long as make makes it.
func markNarrow(stops, doc []byte) {
	full := len(doc) / 64
	carry := markBlocks(stops, doc[:full*64], 0)
	last := [64]byte([]byte("                                                                "))
	copy(last[:], doc[full*64:])
	markBlocks(stops[full*8:], last[:], carry)
	store(stops, len(stops)-8, 0)
}

// stop returns the first stop from i on, -1 where there is none.
func (m *marks) stop(i int) int {
	b := i >> 6 << 3
	if w := load(m.stops, b) >> (i & 63); w != 0 {
		return i + bits.TrailingZeros64(w)
	}
	for b += 8; b <= len(m.stops)-8; b += 8 {
		if w := load(m.stops, b); w != 0 {
			return b<<3 + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// markBlocksPortable does what markBlocks does, eight bytes at a time.
func markBlocksPortable(stops, doc []byte, carry uint64) uint64 {
	for at := 0; at <= len(doc)-64; at += 64 {
		var q, special uint64
		for i := 0; i < 64; i += 16 {
			a, b := load(doc, at+i), load(doc, at+i+8)
			q |= (gather(equal(a, '"')) | gather(equal(b, '"'))<<8) << i
			special |= ((a-ones*' ')|((a^ones*'\\')-ones))&^a | ((b-ones*' ')|((b^ones*'\\')-ones))&^b
		}
		if special&highs|carry != 0 { // most blocks have none
			var slashes uint64
			for i := 0; i < 64; i += 8 {
				w := load(doc, at+i)
				slashes |= gather(equal(w, '\\')) << i
				q |= gather(^((w&lows)+ones*(0x80-' ')|w)&highs) << i
			}
			var escaped uint64
			escaped, carry = escapes(slashes, carry)
			q = (q | slashes) &^ escaped
		}
		store(stops, at>>3, q)
	}
	return carry
}

// escapes returns what the backslashes of a block escape. carry is 1 where the last byte of the block before escapes what follows; so is what
// is returned.
//
// A run of backslashes escapes every second of its bytes, and what follows it where its length is odd. The sum carries
// each run that begins on an odd bit over its end, which turns the pattern of even bits there.
func escapes(slashes, carry uint64) (escaped, carried uint64) {
	const even = 0x5555555555555555
	free := slashes &^ carry
	follows := free<<1 | carry
	runs, carried := bits.Add64(free&^even&^follows, free, 0)
	return (even ^ runs<<1) & follows, carried
}

// equal marks the bytes of w that are c in their highest bits.
func equal(w uint64, c byte) uint64 {
	w ^= ones * uint64(c)
	return ^((w & lows) + lows | w) & highs
}

// gather makes one byte of the highest bits of eight.
func gather(marks uint64) uint64 { return marks * 0x0002040810204081 >> 56 }
