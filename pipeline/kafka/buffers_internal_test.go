package kafka

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kgo"
)

func lz4Frame(t *testing.T, content []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func TestBuffersDecompress(t *testing.T) {
	content := []byte(strings.Repeat(`{"host":{"id":"a"},"@timestamp":"2026-01-01T00:00:00Z"}`, 20_000))
	frame := lz4Frame(t, content)
	for _, c := range []struct {
		name  string
		codec kgo.CompressionCodecType
		src   []byte
		want  []byte // nil: an error
	}{
		{"lz4", kgo.CodecLz4, frame, content},
		{"several frames, as the library takes them or not", kgo.CodecLz4, append(bytes.Clone(frame), 1, 2), nil},
		{"damaged", kgo.CodecLz4, frame[:len(frame)/2], nil},
		{"not lz4", kgo.CodecLz4, content, nil},
		{"none", kgo.CodecNone, content, content},
		{"not gzip", kgo.CodecGzip, content, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBuffers()
			for range 3 { // the second time in used memory
				usual, usualErr := kgo.DefaultDecompressor().Decompress(c.src, c.codec)
				got, err := b.Decompress(c.src, c.codec)
				switch {
				case (err == nil) != (usualErr == nil):
					t.Fatalf("error %v, the client's %v", err, usualErr)
				case err == nil && !bytes.Equal(got, usual):
					t.Fatalf("%d bytes, the client has %d", len(got), len(usual))
				case c.want != nil && !bytes.Equal(got, c.want):
					t.Fatalf("%d bytes, want %d", len(got), len(c.want))
				}
				if err == nil && c.codec != kgo.CodecNone {
					clear(got)
					b.put(got)
				}
			}
		})
	}
}

// TestBuffersLearn checks that batches of one kind soon get a buffer at once in which they fit, and not one that is far larger.
func TestBuffersLearn(t *testing.T) {
	for _, repeat := range []int{1, 4, 40} {
		var text strings.Builder
		for i := range 8_000 {
			fmt.Fprintf(&text, "%x %s\n", i*i*7919, strings.Repeat("x", repeat))
		}
		content := []byte(text.String())
		frame, b := lz4Frame(t, content), newBuffers()
		for range 50 {
			if _, err := b.Decompress(frame, kgo.CodecLz4); err != nil {
				t.Fatal(err)
			}
		}
		room := cap(b.guess(frame))
		if room < len(content) || room > max(minBytes, 3*len(content)/2) {
			t.Errorf("%d bytes of room for %d", room, len(content))
		}
	}
}

// TestBuffersOfSmallBatches: batches of one event each, of which a poll brings thousands, take hardly more memory than they hold.
func TestBuffersOfSmallBatches(t *testing.T) {
	content := []byte(strings.Repeat(`{"host":{"id":"a"}}`, 100))
	frame, b := lz4Frame(t, content), newBuffers()
	taken := 0
	const batches = 1000
	for range batches {
		got, err := b.Decompress(frame, kgo.CodecLz4)
		if err != nil {
			t.Fatal(err)
		}
		taken += cap(got)
	}
	if most := 4 * batches * len(content); taken > most {
		t.Errorf("%d batches of %d bytes take %d bytes, want %d at most", batches, len(content), taken, most)
	}
}

// TestBuffersGrow: a batch that becomes far larger than others is copied a few times, not once for each of its blocks.
func TestBuffersGrow(t *testing.T) {
	const block = 64 << 10
	b, buf, copied := newBuffers(), []byte(nil), 0
	for len(buf) < 64<<20 {
		if cap(buf)-len(buf) < block {
			copied += len(buf)
			buf = b.Grow(buf, block)
		}
		buf = buf[:len(buf)+block]
	}
	if most := 4 * len(buf); copied > most {
		t.Errorf("%d bytes were copied for %d, want %d at most", copied, len(buf), most)
	}
	b = newBuffers() // what was given back above may be larger, and is there to be used again
	for range 20 {
		b.learn(1<<20, 200<<20)
	}
	if room := cap(b.guess(make([]byte, 1<<20))); room > maxBytes {
		t.Errorf("%d bytes of room were taken by a guess", room)
	}
}

// TestBufferSizes: a buffer takes a quarter more than is asked for at most, and is found again by what it holds.
func TestBufferSizes(t *testing.T) {
	if sizeOf(0) != minBytes || sizeOf(classes-1) != maxBytes {
		t.Fatalf("sizes from %d to %d", sizeOf(0), sizeOf(classes-1))
	}
	for class := range classes {
		n := sizeOf(class)
		if classOf(n) != class || class > 0 && classOf(n-1) != class-1 {
			t.Errorf("%d bytes are of class %d, one byte less of %d, want %d and one less", n, classOf(n), classOf(n-1), class)
		}
		if got := cap(newBuffers().get(n)); got != n {
			t.Errorf("%d bytes for %d", got, n)
		}
		if class+1 < classes {
			if got := cap(newBuffers().get(n + 1)); got != sizeOf(class+1) || got > n+n/4 {
				t.Errorf("%d bytes for %d", got, n+1)
			}
		}
	}
}

func TestBuffersClasses(t *testing.T) {
	b := newBuffers()
	for _, n := range []int{0, 1, minBytes, minBytes + 1, 100_000, maxBytes, maxBytes + 1, 20 << 20} {
		buf := b.get(n)
		if len(buf) != 0 || cap(buf) < n {
			t.Fatalf("get(%d): len %d, cap %d", n, len(buf), cap(buf))
		}
		b.put(buf)
		if again := b.get(n); len(again) != 0 || cap(again) < n {
			t.Fatalf("get(%d) again: len %d, cap %d", n, len(again), cap(again))
		}
		b.put(make([]byte, n)) // of somebody else's
	}
	for _, n := range []int{1, 63, 64, 5_000} {
		b.PutRecords(make([]kgo.Record, n))
		if r := b.GetRecords(n); cap(r) < n {
			t.Fatalf("%d records, want %d", cap(r), n)
		}
	}
}

// TestBuffersAtOnce is for the race detector: fetches of several brokers decompress at the same time.
func TestBuffersAtOnce(t *testing.T) {
	b := newBuffers()
	var wg sync.WaitGroup
	for i := range 4 {
		content := bytes.Repeat([]byte{byte('a' + i)}, 50_000*(i+1))
		frame := lz4Frame(t, content)
		wg.Go(func() {
			for range 100 {
				got, err := b.Decompress(frame, kgo.CodecLz4)
				if err != nil || !bytes.Equal(got, content) {
					t.Errorf("%d: %d bytes, %v", i, len(got), err)
					return
				}
				clear(got)
				b.put(got)
			}
		})
	}
	wg.Wait()
}
