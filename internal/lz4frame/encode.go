package lz4frame

import (
	"bytes"
	"encoding/binary"

	"github.com/pierrec/lz4/v4"
)

// The descriptors of the frames that Encode writes: the magic number, version 1 with independent blocks and without checksums
// of blocks or content, as Kafka's own producer writes them and as its reader wants them, the size of the blocks, and the
// checksum of these two bytes. A block is compressed from the caller's memory, so its size costs the writer nothing; but a reader takes
// a buffer of that size for any frame.
const (
	smallBlock = 64 << 10
	largeBlock = 256 << 10

	smallHeader = "\x04\x22\x4D\x18\x60\x40\x82"
	largeHeader = "\x04\x22\x4D\x18\x60\x50\xFB"
)

// Encode appends the frame of src to dst: whole from memory, in blocks of 64 KiB, or of 256 KiB where src is larger than one of those. The compressor may be
// used again, by one goroutine at a time; what it was used for before changes nothing. Blocks that don't become smaller are stored as
// they are, so that a frame is larger than src by 11 bytes and 4 for each block at most.
func Encode(dst *bytes.Buffer, src []byte, c *lz4.Compressor) {
	size, head := smallBlock, smallHeader
	if len(src) > smallBlock {
		size, head = largeBlock, largeHeader
	}
	dst.WriteString(head)
	for len(src) > 0 {
		n := min(size, len(src))
		encodeBlock(dst, src[:n], c)
		src = src[n:]
	}
	dst.Write([]byte{0, 0, 0, 0}) // the end
}

func encodeBlock(dst *bytes.Buffer, block []byte, c *lz4.Compressor) {
	dst.Grow(4 + len(block))
	out := dst.AvailableBuffer()[:4+len(block)]
	n, err := c.CompressBlock(block, out[4:]) // an error says that there wasn't room enough
	if err != nil || n == 0 || n >= len(block) {
		n = copy(out[4:], block)
		binary.LittleEndian.PutUint32(out, uint32(n)|rawBlock)
	} else {
		binary.LittleEndian.PutUint32(out, uint32(n))
	}
	dst.Write(out[:4+n]) // which is there already
}
