// Package lz4frame decodes and encodes LZ4 frames as Kafka's producers write them: whole in memory, straight into the caller's
// buffer. The blocks are decoded by github.com/pierrec/lz4; what is saved is that package's way through readers, which
// copies each block twice, and the checksums of blocks and content: a record batch has a checksum of its own,
// over the compressed bytes. See docs/performance.md for what that gains.
package lz4frame

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pierrec/lz4/v4"
)

// ErrFrame is wrapped by the errors about frames that this package doesn't decode: they are damaged, or of a kind that no
// producer of Kafka's writes (dictionaries, the legacy format, several frames). The library's reader tells which.
var ErrFrame = errors.New("lz4frame: not one plain frame")

// ErrTooLarge is returned for a frame that would decode to more than is allowed.
var ErrTooLarge = errors.New("lz4frame: decodes to more than is allowed")

const (
	magic = 0x184D2204

	// Bits of the descriptor's first byte, from the frame format's description.
	versionMask    = 0xC0
	version        = 0x40
	independent    = 0x20
	blockChecksums = 0x10
	contentSize    = 0x08
	contentSum     = 0x04
	reserved       = 0x02
	dictionary     = 0x01

	rawBlock = 1 << 31  // of a block's size: it is not compressed
	window   = 64 << 10 // how far back a block may refer to what was decoded before it
)

// Buffers gives memory to decode into.
type Buffers interface {
	// Grow returns a buffer with the content of b and room for at least n bytes more. It takes b over.
	Grow(b []byte, n int) []byte
}

// frame is what is known of the one that is being decoded.
type frame struct {
	flags    byte
	blockMax int
	size     int // of the content; -1 where the frame doesn't tell
	left     []byte
}

// Decode returns what the frame src holds, in memory from buffers, at most limit bytes. The memory is the caller's also
// when there is an error: dst is what was in use then.
func Decode(src []byte, buffers Buffers, dst []byte, limit int) ([]byte, error) {
	f, err := header(src)
	if err != nil {
		return dst, err
	}
	if f.size > limit {
		return dst, ErrTooLarge
	}
	if f.size > cap(dst)-len(dst) && f.size <= 255*len(src) { // no block decodes to more than that
		dst = buffers.Grow(dst, f.size)
	}
	start := len(dst)
	for {
		block, raw, err := f.next()
		if err != nil {
			return dst, err
		}
		if block == nil {
			break
		}
		if dst, err = f.block(dst, start, block, raw, buffers); err != nil {
			return dst, err
		}
		if len(dst)-start > limit {
			return dst, ErrTooLarge
		}
	}
	if f.size >= 0 && f.size != len(dst)-start {
		return dst, fmt.Errorf("%w: %d bytes of content in place of %d", ErrFrame, len(dst)-start, f.size)
	}
	if len(f.left) > 0 {
		return dst, fmt.Errorf("%w: %d bytes behind it", ErrFrame, len(f.left))
	}
	return dst, nil
}

func header(src []byte) (f frame, err error) {
	if len(src) < 7 || binary.LittleEndian.Uint32(src) != magic {
		return f, fmt.Errorf("%w: another magic number", ErrFrame)
	}
	f.flags, f.size = src[4], -1
	if f.flags&versionMask != version || f.flags&(reserved|dictionary) != 0 {
		return f, fmt.Errorf("%w: flags %#x", ErrFrame, f.flags)
	}
	code := src[5] >> 4 // 4 to 7: 64 KiB to 4 MiB
	if code < 4 || code > 7 || src[5]&0x0F != 0 {
		return f, fmt.Errorf("%w: block size %#x", ErrFrame, src[5])
	}
	f.blockMax = 1 << (8 + 2*code)
	rest := src[6:]
	if f.flags&contentSize != 0 {
		if len(rest) < 9 {
			return f, fmt.Errorf("%w: ends within its descriptor", ErrFrame)
		}
		size := binary.LittleEndian.Uint64(rest)
		if size > 1<<40 {
			return f, ErrTooLarge
		}
		f.size, rest = int(size), rest[8:]
	}
	f.left = rest[1:] // behind the descriptor's checksum
	return f, nil
}

// next returns the next block, nil at the end of the frame.
func (f *frame) next() (block []byte, raw bool, err error) {
	size, err := f.word()
	if err != nil {
		return nil, false, err
	}
	if size == 0 { // the end
		if f.flags&contentSum != 0 {
			_, err = f.word()
		}
		return nil, false, err
	}
	raw = size&rawBlock != 0
	n := int(size &^ rawBlock)
	if n == 0 || n > f.blockMax || n > len(f.left) {
		return nil, false, fmt.Errorf("%w: a block of %d bytes, %d are left", ErrFrame, n, len(f.left))
	}
	block, f.left = f.left[:n], f.left[n:]
	if f.flags&blockChecksums != 0 {
		_, err = f.word()
	}
	return block, raw, err
}

func (f *frame) word() (uint32, error) {
	if len(f.left) < 4 {
		return 0, fmt.Errorf("%w: ends within a block", ErrFrame)
	}
	w := binary.LittleEndian.Uint32(f.left)
	f.left = f.left[4:]
	return w, nil
}

// block decodes one block behind dst, whose frame begins at start.
func (f *frame) block(dst []byte, start int, block []byte, raw bool, buffers Buffers) ([]byte, error) {
	if raw {
		if len(block) > cap(dst)-len(dst) {
			dst = buffers.Grow(dst, len(block))
		}
		return append(dst, block...), nil
	}
	// How much comes out is known when it is out: the buffer grows until it fits, which it does the first time as a rule.
	for room := min(f.blockMax, 2*len(block)); ; room = min(f.blockMax, 2*room) {
		if cap(dst)-len(dst) < room {
			dst = buffers.Grow(dst, room)
		}
		out := dst[len(dst):min(cap(dst), len(dst)+f.blockMax)]
		room = max(room, len(out))
		var dict []byte
		if f.flags&independent == 0 {
			dict = dst[max(start, len(dst)-window):]
		}
		n, err := lz4.UncompressBlockWithDict(block, out, dict)
		if err == nil {
			return dst[:len(dst)+n], nil
		}
		if room >= f.blockMax {
			return dst, fmt.Errorf("%w: %w", ErrFrame, err)
		}
	}
}
