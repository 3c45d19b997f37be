package kafka

import (
	"bytes"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/internal/lz4frame"
)

// compressor makes LZ4 frames of the batches that are produced. The client's own takes two blocks of 4 MB for each batch that it compresses
// at a time, from a pool that each second collection empties: of little commits nearly every one allocated them. Here a batch
// is compressed from where it lies to where it goes, with a table of 140 KB, which is kept. Safe for concurrent use.
type compressor struct {
	free chan *lz4.Compressor
}

// maxTables is how many tables are kept: batches for as many brokers are compressed at a time without a new one.
const maxTables = 4

var _ kgo.Compressor = compressor{}

func newCompressor() compressor { return compressor{make(chan *lz4.Compressor, maxTables)} }

// Compress implements kgo.Compressor. The client sends a batch as it is where that is smaller.
func (c compressor) Compress(dst *bytes.Buffer, src []byte, _ ...kgo.CompressFlag) ([]byte, kgo.CompressionCodecType) {
	var table *lz4.Compressor
	select {
	case table = <-c.free:
	default:
		table = new(lz4.Compressor)
	}
	lz4frame.Encode(dst, src, table)
	select {
	case c.free <- table:
	default:
	}
	return dst.Bytes(), kgo.CodecLz4
}
