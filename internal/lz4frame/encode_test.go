package lz4frame_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"

	"github.com/weir-eql/weir/internal/lz4frame"
)

func encode(src []byte) []byte {
	var out bytes.Buffer
	lz4frame.Encode(&out, src, new(lz4.Compressor))
	return out.Bytes()
}

// events are documents as alike as a host's are.
func events(n int) []byte {
	var b bytes.Buffer
	for i := range n {
		fmt.Fprintf(&b, `{"host":{"id":"h-%d"},"event":{"category":["process"],"id":"%x"},"process":{"pid":%d,"name":"cmd.exe"}}`, i%17, i*7919, i)
	}
	return b.Bytes()
}

func TestEncode(t *testing.T) {
	many := events(30_000)
	contents := map[string][]byte{
		"nothing": {}, "one byte": []byte("x"), "an event": many[:100], "one block": many[:64<<10], "a byte more": many[:64<<10+1],
		"one large block": many[:256<<10], "a byte more than that": many[:256<<10+1], "many": many, "little noise": noise(100), "noise": noise(600_000), "zeros": make([]byte, 8<<20),
		"noise, then events": append(noise(300_000), many...), "events, then noise": append(bytes.Clone(many), noise(300_000)...),
	}
	for name, content := range contents {
		t.Run(name, func(t *testing.T) {
			frame := encode(content)
			// The library's reader checks the descriptor's checksum, too.
			got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(frame)))
			check(t, err)
			same(t, content, got)
			got, err = decode(frame)
			check(t, err)
			same(t, content, got)
			javaReads(t, frame, content)
			if limit := len(content) + 11 + 4*(len(content)/(256<<10)+1); len(frame) > limit {
				t.Errorf("%d bytes became %d, want at most %d", len(content), len(frame), limit)
			}
		})
	}
}

// javaReads reads a frame the way Kafka's KafkaLZ4BlockInputStream does and demands what it demands: version 1, independent blocks,
// no reserved bits, a block size of 64 KiB to 4 MiB that no block is larger than, and an end mark.
func javaReads(t *testing.T, frame, content []byte) {
	t.Helper()
	if binary.LittleEndian.Uint32(frame) != 0x184D2204 || frame[4]&0b1110_0011 != 0b0110_0000 || frame[5]&0b1000_1111 != 0 || frame[5]>>4 < 4 {
		t.Fatalf("descriptor % x", frame[:7])
	}
	if frame[4]&0b1_1100 != 0 { // sums of blocks and of the content, and its size: it reads over them, but no producer of Kafka's has them
		t.Fatalf("flags %#x", frame[4])
	}
	largest := 1 << (8 + 2*(frame[5]>>4))
	if len(content) <= 64<<10 && largest != 64<<10 {
		t.Errorf("blocks of %d bytes for %d bytes", largest, len(content))
	}
	buffer, left := make([]byte, largest), frame[7:]
	for {
		size := binary.LittleEndian.Uint32(left)
		left = left[4:]
		if size == 0 {
			break
		}
		raw := size>>31 != 0
		block := left[:size&^(1<<31)]
		left = left[len(block):]
		if len(block) > largest {
			t.Fatalf("a block of %d bytes, at most %d", len(block), largest)
		}
		n := copy(buffer, block)
		if !raw {
			var err error
			n, err = lz4.UncompressBlock(block, buffer)
			check(t, err)
		}
		same(t, content[:n], buffer[:n])
		content = content[n:]
	}
	if len(left)+len(content) > 0 {
		t.Fatalf("%d bytes behind the frame, %d bytes missing", len(left), len(content))
	}
}

func TestEncodeAppends(t *testing.T) {
	out := bytes.NewBufferString("before")
	lz4frame.Encode(out, events(5_000), new(lz4.Compressor))
	got, found := bytes.CutPrefix(out.Bytes(), []byte("before"))
	if !found {
		t.Fatal("what stood before is gone")
	}
	same(t, encode(events(5_000)), got)
}

// The same content gives the same frame, whatever the compressor saw before.
func TestEncodeTwice(t *testing.T) {
	c := new(lz4.Compressor)
	for _, content := range [][]byte{events(900), noise(10_000), events(4_000), events(10), events(900)} {
		var out bytes.Buffer
		lz4frame.Encode(&out, content, c)
		same(t, encode(content), out.Bytes())
	}
}

// Smaller blocks cost little in size: a block can't refer to what was before it.
func TestEncodeSize(t *testing.T) {
	content := events(9_000)
	if ours, usual := len(encode(content)), len(compress(t, content)); ours > usual+usual/20 {
		t.Errorf("%d bytes, %d by the library in one block", ours, usual)
	}
}

func TestEncodeAllocatesNothing(t *testing.T) {
	content, c, out := events(9_000), new(lz4.Compressor), new(bytes.Buffer)
	lz4frame.Encode(out, content, c)
	if n := testing.AllocsPerRun(10, func() {
		out.Reset()
		lz4frame.Encode(out, content, c)
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzEncode(f *testing.F) {
	f.Add([]byte("x"), 1)
	f.Add([]byte(strings.Repeat("event", 100)), 300)
	f.Add(noise(1000), 70)
	f.Fuzz(func(t *testing.T, content []byte, times int) {
		content = bytes.Repeat(content, min(max(times, 0), 300<<10/(len(content)+1)))
		frame := encode(content)
		got, err := io.ReadAll(lz4.NewReader(bytes.NewReader(frame)))
		check(t, err)
		same(t, content, got)
		got, err = decode(frame)
		check(t, err)
		same(t, content, got)
	})
}

func BenchmarkEncode(b *testing.B) {
	content := events(9_000)
	b.Run("frame", func(b *testing.B) {
		c, out := new(lz4.Compressor), new(bytes.Buffer)
		b.SetBytes(int64(len(content)))
		b.ReportAllocs()
		for b.Loop() {
			out.Reset()
			lz4frame.Encode(out, content, c)
		}
	})
	b.Run("library", func(b *testing.B) {
		w, out := lz4.NewWriter(nil), new(bytes.Buffer)
		b.SetBytes(int64(len(content)))
		b.ReportAllocs()
		for b.Loop() {
			out.Reset()
			w.Reset(out)
			_, err := w.Write(content)
			check(b, err)
			check(b, w.Close())
		}
	})
}
