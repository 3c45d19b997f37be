package event

import "math/bits"

const (
	ones  = 0x0101010101010101
	lows  = 0x7F7F7F7F7F7F7F7F
	highs = 0x8080808080808080
)

// keepMarks is how many bytes of bitmaps one large document may leave behind in a decoder's memory.
const keepMarks = 1 << 20

// marks are bitmaps of a document, a bit for each byte, which are made before its grammar is read: 64 bytes at a
// time, without a branch that depends on the text unless there are backslashes. They end with eight bytes of zeros
// or more, so that a window never reads beyond them.
type marks struct {
	quotes   []byte // quotes that no backslash escapes
	specials []byte // backslashes that begin an escape, and control characters
	buf      []byte
}

// make marks a document.
func (m *marks) make(doc []byte) {
	full := len(doc) / 64
	size := full*8 + 16
	if len(m.buf) < 3*size || len(m.buf) > keepMarks {
		m.buf = make([]byte, max(4*size, 4096))
	}
	m.quotes, m.specials = m.buf[:size:size], m.buf[size:2*size:2*size]
	slashes := m.buf[2*size : 3*size : 3*size]
	found := markBlocks(m.quotes, slashes, m.specials, doc[:full*64])
	last := [64]byte{}
	for i := copy(last[:], doc[full*64:]); i < len(last); i++ {
		last[i] = ' '
	}
	found |= markBlocks(m.quotes[full*8:], slashes[full*8:], m.specials[full*8:], last[:])
	store(m.quotes, size-8, 0)
	store(m.specials, size-8, 0)
	if found != 0 {
		m.unescape(slashes[:size-8])
	}
}

// unescape takes the quotes and the backslashes that a backslash escapes away.
func (m *marks) unescape(slashes []byte) {
	var carry uint64 // 1 where the last byte of the word before escapes what follows
	for b := 0; b <= len(slashes)-8; b += 8 {
		all := load(slashes, b)
		if all|carry == 0 {
			continue
		}
		// A run of backslashes escapes every second of its bytes, and what follows it where its length is odd. The
		// sum carries each run that begins on an odd bit over its end, which turns the pattern of even bits there.
		const even = 0x5555555555555555
		free := all &^ carry
		follows := free<<1 | carry
		var runs uint64
		runs, carry = bits.Add64(free&^even&^follows, free, 0)
		escaped := (even ^ runs<<1) & follows
		store(m.quotes, b, load(m.quotes, b)&^escaped)
		store(m.specials, b, load(m.specials, b)&^(all&escaped))
	}
}

// quote returns the first quote from i on that isn't escaped, -1 where there is none.
func (m *marks) quote(i int) int {
	if w := window(m.quotes, i); w != 0 {
		return i + bits.TrailingZeros64(w)
	}
	for b := i>>6<<3 + 8; b <= len(m.quotes)-8; b += 8 {
		if w := load(m.quotes, b); w != 0 {
			return b<<3 + bits.TrailingZeros64(w)
		}
	}
	return -1
}

// special returns the first backslash that begins an escape or control character in i to end, end where there is
// none.
func (m *marks) special(i, end int) int {
	for i < end {
		if w := window(m.specials, i); w != 0 {
			return min(i+bits.TrailingZeros64(w), end)
		}
		i += 57
	}
	return end
}

// markBlocksPortable does what markBlocks does, eight bytes at a time.
func markBlocksPortable(quotes, slashes, specials, doc []byte) (found uint64) {
	for at := 0; at <= len(doc)-64; at += 64 {
		var q, special uint64
		for i := 0; i < 64; i += 16 {
			a, b := load(doc, at+i), load(doc, at+i+8)
			q |= (gather(equal(a, '"')) | gather(equal(b, '"'))<<8) << i
			special |= ((a-ones*' ')|((a^ones*'\\')-ones))&^a | ((b-ones*' ')|((b^ones*'\\')-ones))&^b
		}
		store(quotes, at>>3, q)
		var s, c uint64
		if special&highs != 0 { // most blocks have none
			for i := 0; i < 64; i += 8 {
				w := load(doc, at+i)
				s |= gather(equal(w, '\\')) << i
				c |= gather(^((w&lows)+ones*(0x80-' ')|w)&highs) << i
			}
		}
		store(slashes, at>>3, s)
		store(specials, at>>3, s|c)
		found |= s | c
	}
	return found
}

// equal marks the bytes of w that are c in their highest bits.
func equal(w uint64, c byte) uint64 {
	w ^= ones * uint64(c)
	return ^((w & lows) + lows | w) & highs
}

// gather makes one byte of the highest bits of eight.
func gather(marks uint64) uint64 { return marks * 0x0002040810204081 >> 56 }
