package kafka

import (
	"context"
	"errors"
	"math/bits"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/internal/lz4frame"
	"github.com/weir-eql/weir/pipeline/kafka/answers"
)

// buffers is the memory that fetched batches are decompressed into, and their records. It is used again once all records of
// a batch were recycled; what is never recycled is left to the garbage collector. It is the client's decompressor, too. Safe for concurrent use.
//
// The client would zero a buffer before it gave it back, all 2 KB per event, in memory that left the caches long ago. So it knows of
// the records only, and buffers keeps account of what it lends; see loans.
type buffers struct {
	usual   kgo.Decompressor
	bytes   [classes]sync.Pool // of *[]byte, by how much they hold at least
	records sync.Pool          // of *[]kgo.Record
	shells  sync.Pool          // *[]byte that hold nothing: what is put into a pool is a pointer
	ratio   atomic.Int64       // how many bytes became of 1,024 compressed ones, lately
	loans   loans
	answers *answers.Memory // what the batches are before they are decompressed
}

// errAnswerGone is that of a batch of an answer which the client has taken too long to look at. It fetches it again: what polls passes over the error.
var errAnswerGone = errors.New("the answer's memory was given up")

// Buffers of 1 KiB to 4 MiB are kept. Batches are 1 MB at most by default, before or after compression, by the producer. Of a
// producer that doesn't wait for more a batch is one event: many of them are fetched at once, so each must not take much more than it holds.
// So there are four sizes from one power of two to the next: of powers of two alone, a batch of 1 MB took 2 MiB.
const (
	minBytes = 1 << 10
	maxBytes = 1 << 22
	classes  = 4*12 + 1
	// fallbacks is how many larger sizes are looked at before a buffer is made: what batches will become differs by a little.
	fallbacks = 2
	// maxBatchBytes is what a batch may decompress to: what the client has by default.
	maxBatchBytes = 1 << 30
)

var (
	_ kgo.Decompressor        = (*buffers)(nil)
	_ kgo.PoolRecords         = (*buffers)(nil)
	_ kgo.PoolDecompressBytes = usualBuffers{}
)

// usualBuffers are the buffers as the client's own decompressor takes them.
type usualBuffers struct{ *buffers }

func newBuffers() *buffers {
	b := &buffers{answers: answers.New()}
	b.usual = kgo.DefaultDecompressor(usualBuffers{b})
	b.ratio.Store(5 << 10)
	return b
}

// Decompress is called by the client for each batch. LZ4 is decoded here, several times faster than by the client;
// the rest, and frames of an unusual kind, is the client's. The memory is lent until the batch's records were recycled.
func (b *buffers) Decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if batch, ok := b.answers.Records(src); ok {
		if src = batch.Records; src == nil {
			return nil, errAnswerGone
		}
		defer batch.Done()
	}
	out, err := b.decompress(src, codec)
	if err == nil && codec != kgo.CodecNone {
		b.learn(len(src), len(out))
		b.loans.lend(out)
	}
	return out, err
}

func (b *buffers) decompress(src []byte, codec kgo.CompressionCodecType) ([]byte, error) {
	if codec != kgo.CodecLz4 {
		return b.usual.Decompress(src, codec)
	}
	out, err := lz4frame.Decode(src, b, b.guess(src), maxBatchBytes)
	if err == nil {
		return out, nil
	}
	b.put(out)
	if errors.Is(err, lz4frame.ErrTooLarge) {
		return nil, kgo.ErrMaxDecompress
	}
	return b.usual.Decompress(src, codec)
}

// learn notes how large a batch became, so that the next ones get a buffer that fits.
func (b *buffers) learn(compressed, decompressed int) {
	if compressed < 1<<10 {
		return
	}
	old := b.ratio.Load()
	b.ratio.Store(old + (int64(decompressed)<<10/int64(compressed)-old)/8) // two at the same time may lose one: it is a guess
}

// guess returns an empty buffer that most likely has room for what is decompressed, but none larger than those that are
// kept: what the batches before became says little of a single large one.
func (b *buffers) guess(compressed []byte) []byte {
	guess := int(int64(len(compressed)) * b.ratio.Load() >> 10)
	return b.get(min(guess+guess/8, maxBytes))
}

// GetDecompressBytes returns what guess does.
func (b usualBuffers) GetDecompressBytes(compressed []byte, _ kgo.CompressionCodecType) []byte {
	return b.guess(compressed)
}

// PutDecompressBytes takes a buffer back that nothing was decompressed into.
func (b usualBuffers) PutDecompressBytes(buf []byte) { b.put(buf) }

// sizeOf returns how much the buffers of a class hold at least.
func sizeOf(class int) int { return (4 + class%4) << (class / 4) * (minBytes / 4) }

// classOf returns the largest class whose buffers hold n bytes at most, n being no less than minBytes.
func classOf(n int) int {
	double := bits.Len(uint(n/minBytes)) - 1
	return 4*double + n>>double*4/minBytes - 4
}

// get returns an empty buffer with room for n bytes.
func (b *buffers) get(n int) []byte {
	if n > maxBytes {
		return make([]byte, 0, n)
	}
	class := classOf(max(n, minBytes))
	if sizeOf(class) < n {
		class++
	}
	for c := class; c <= min(class+fallbacks, classes-1); c++ {
		if shell, ok := b.bytes[c].Get().(*[]byte); ok {
			buf := *shell
			*shell = nil
			b.shells.Put(shell)
			return buf[:0]
		}
	}
	return make([]byte, 0, sizeOf(class))
}

// put takes a buffer back that nothing points into any more.
func (b *buffers) put(buf []byte) {
	if cap(buf) < minBytes || cap(buf) >= 2*maxBytes {
		return
	}
	shell, ok := b.shells.Get().(*[]byte)
	if !ok {
		shell = new([]byte)
	}
	*shell = buf
	b.bytes[min(classOf(cap(buf)), classes-1)].Put(shell)
}

// Grow returns what buf has in a buffer with room for n bytes more, and takes buf back. It adds half of what is there at least, so
// that a batch of many blocks isn't copied with each of them.
func (b *buffers) Grow(buf []byte, n int) []byte {
	larger := append(b.get(len(buf)+max(n, len(buf)/2)), buf...)
	b.put(buf)
	return larger
}

// GetRecords returns records for a batch.
func (b *buffers) GetRecords(n int) []kgo.Record {
	if p, ok := b.records.Get().(*[]kgo.Record); ok && cap(*p) >= n {
		return *p
	}
	return make([]kgo.Record, n)
}

// PutRecords takes the records of a batch back. The client calls it while the last of them is recycled, and for a batch that it keeps no record of.
func (b *buffers) PutRecords(records []kgo.Record) {
	if buf := b.loans.back(records); buf != nil {
		b.put(buf)
	}
	if cap(records) >= 64 { // a batch of fewer isn't worth it
		b.records.Put(&records)
	}
}

// recycle gives the memory of records back. Nothing points to their keys and values any more: what is kept of a
// record is a copy, see pipeline.Batch. It is called by one goroutine at a time.
func (b *buffers) recycle(records []*kgo.Record) {
	var batch context.Context // the client makes one for each batch
	for _, r := range records {
		if r.Context != batch {
			batch = r.Context //nolint:fatcontext // nothing is nested
			b.loans.giving(r)
		}
		r.Recycle()
	}
	b.loans.giving(nil)
}
