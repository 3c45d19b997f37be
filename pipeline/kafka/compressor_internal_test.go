package kafka

import (
	"bytes"
	"fmt"
	"runtime"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

func partialsText(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, "p/%08d/host-%d/partial of a sequence;", i, i%31)
	}
	return b.Bytes()
}

// What the compressor makes is what the client's own reader takes, from many goroutines at once.
func TestCompressor(t *testing.T) {
	c, reader := newCompressor(), kgo.DefaultDecompressor()
	var wait sync.WaitGroup
	for i := range 3 * maxTables {
		wait.Go(func() {
			for n := range 5 {
				content := partialsText(1 + 397*n*(i+1))
				frame, codec := c.Compress(new(bytes.Buffer), content)
				if codec != kgo.CodecLz4 {
					t.Errorf("codec %d", codec)
				}
				got, err := reader.Decompress(frame, codec)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d bytes became %d: %v", len(content), len(got), err)
				}
			}
		})
	}
	wait.Wait()
}

// Collections leave the tables alone: a commit between two of them doesn't allocate anew.
func TestCompressorKeepsItsTables(t *testing.T) {
	c, content, out := newCompressor(), partialsText(500), new(bytes.Buffer)
	out.Grow(1 << 20)
	c.Compress(out, content)
	allocated := testing.AllocsPerRun(5, func() {
		runtime.GC()
		runtime.GC()
		out.Reset()
		c.Compress(out, content)
	})
	if allocated >= 1 {
		t.Errorf("%v allocations per batch", allocated)
	}
}
