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
	c := newCompressor()
	c.Compress(new(bytes.Buffer), partialsText(500))
	table := <-c.free
	c.free <- table
	for range 3 {
		runtime.GC()
		runtime.GC()
		c.Compress(new(bytes.Buffer), partialsText(500))
		if n := len(c.free); n != 1 {
			t.Fatalf("%d tables are kept, want one", n)
		}
		again := <-c.free
		c.free <- again
		if again != table {
			t.Fatal("another table was made, though one is kept")
		}
	}
}
