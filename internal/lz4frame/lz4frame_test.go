package lz4frame_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pierrec/lz4/v4"

	"github.com/weir-eql/weir/internal/lz4frame"
)

// heap is buffers without a pool.
type heap struct{ grown int }

func (h *heap) Grow(b []byte, n int) []byte {
	h.grown++
	return slices.Grow(b, n)
}

const limit = 64 << 20

func decode(src []byte) ([]byte, error) { return lz4frame.Decode(src, new(heap), nil, limit) }

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func same(t testing.TB, want, got []byte) {
	t.Helper()
	if !bytes.Equal(want, got) {
		t.Fatalf("%d bytes of other content than the %d wanted", len(got), len(want))
	}
}

func wantError(t testing.TB, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error %v, want %v", err, want)
	}
}

func compress(t testing.TB, content []byte, options ...lz4.Option) []byte {
	t.Helper()
	var out bytes.Buffer
	w := lz4.NewWriter(&out)
	check(t, w.Apply(options...))
	_, err := w.Write(content)
	check(t, err)
	check(t, w.Close())
	return out.Bytes()
}

func noise(n int) []byte {
	r := rand.New(rand.NewPCG(1, 2))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func TestDecode(t *testing.T) {
	events := []byte(strings.Repeat(`{"host":{"id":"h-17"},"event":{"category":["process"],"type":["start"]}}`, 30_000))
	contents := map[string][]byte{
		"one byte": []byte("x"), "an event": events[:73], "a block and a byte": events[:64<<10+1], "many": events,
		"noise": noise(300_000), "zeros": make([]byte, 8<<20), "noise, then events": append(noise(70_000), events...),
	}
	options := map[string][]lz4.Option{
		"as kgo": nil,
		"as Java": {
			lz4.BlockSizeOption(lz4.Block64Kb), lz4.ChecksumOption(false),
		},
		"block checksums": {lz4.BlockChecksumOption(true), lz4.BlockSizeOption(lz4.Block256Kb)},
		"best":            {lz4.CompressionLevelOption(lz4.Level9), lz4.BlockSizeOption(lz4.Block1Mb)},
	}
	for name, content := range contents {
		for kind, o := range options {
			t.Run(name+"/"+kind, func(t *testing.T) {
				got, err := decode(compress(t, content, o...))
				check(t, err)
				same(t, content, got)
				sized, err := decode(compress(t, content, append(slices.Clone(o), lz4.SizeOption(uint64(len(content))))...))
				check(t, err)
				same(t, content, sized)
			})
		}
	}
}

func TestDecodeEmptyFrame(t *testing.T) {
	got, err := decode(compress(t, nil))
	check(t, err)
	same(t, nil, got)
}

// linked is a frame whose second block refers to the first, as some producers write them: the library writes none.
func linked(first []byte, back, length int) []byte {
	var f []byte
	f = binary.LittleEndian.AppendUint32(f, 0x184D2204)
	f = append(f, 0x40, 0x40, 0) // blocks that depend on each other, of 64 KiB; the descriptor's checksum isn't looked at
	f = binary.LittleEndian.AppendUint32(f, uint32(len(first))|1<<31)
	f = append(f, first...)
	block := []byte{0x0F, byte(back), byte(back >> 8)} // no literals, then a match of 4+15+…
	for n := length - 4 - 15; ; n -= 255 {
		block = append(block, byte(min(n, 255)))
		if n < 255 {
			break
		}
	}
	block = append(block, 0x50, 'a', 'b', 'c', 'd', 'e') // the last five are literals
	f = binary.LittleEndian.AppendUint32(f, uint32(len(block)))
	f = append(f, block...)
	return binary.LittleEndian.AppendUint32(f, 0)
}

func TestDecodeLinkedBlocks(t *testing.T) {
	first := noise(60_000)
	for _, c := range []struct{ back, length int }{{60_000, 100}, {100, 1_000}, {59_999, 30_000}, {1, 500}} {
		got, err := decode(linked(first, c.back, c.length))
		check(t, err)
		want := slices.Clone(first)
		for range c.length {
			want = append(want, want[len(want)-c.back])
		}
		same(t, append(want, "abcde"...), got)
	}
}

func TestDecodeAppends(t *testing.T) {
	h := new(heap)
	dst := append(make([]byte, 0, 100), "before"...)
	dst, err := lz4frame.Decode(compress(t, []byte("content")), h, dst, limit)
	check(t, err)
	same(t, []byte("beforecontent"), dst)
	if h.grown > 0 {
		t.Fatal("there was room")
	}
}

func TestDecodeRefuses(t *testing.T) {
	good := compress(t, []byte(strings.Repeat("weir ", 50_000)))
	alter := func(change func(f []byte) []byte) []byte { return change(slices.Clone(good)) }
	for _, c := range []struct {
		name string
		src  []byte
	}{
		{"nothing", nil},
		{"another magic number", alter(func(f []byte) []byte { f[0]++; return f })},
		{"version 2", alter(func(f []byte) []byte { f[4] = f[4]&^0xC0 | 0x80; return f })},
		{"a dictionary", alter(func(f []byte) []byte { f[4] |= 1; return f })},
		{"blocks of an unknown size", alter(func(f []byte) []byte { f[5] = 0x30; return f })},
		{"a byte behind it", alter(func(f []byte) []byte { return append(f, 0) })},
		{"two frames", append(slices.Clone(good), good...)},
		{"a damaged block", alter(func(f []byte) []byte { f[11] = 0xFF; return f })},
		{"the wrong size", alter(func([]byte) []byte {
			f := compress(t, []byte("four"), lz4.SizeOption(4))
			f[6] = 5
			return f
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := decode(c.src)
			wantError(t, err, lz4frame.ErrFrame)
		})
	}
	for n := range good {
		_, err := decode(good[:n])
		wantError(t, err, lz4frame.ErrFrame)
	}
}

func TestDecodeLimit(t *testing.T) {
	content := make([]byte, 1<<20)
	for _, src := range [][]byte{compress(t, content), compress(t, content, lz4.SizeOption(1<<20))} {
		_, err := lz4frame.Decode(src, new(heap), nil, 1<<20)
		check(t, err)
		_, err = lz4frame.Decode(src, new(heap), nil, 1<<20-1)
		wantError(t, err, lz4frame.ErrTooLarge)
	}
	_, err := decode(append(compress(t, content, lz4.SizeOption(1<<20))[:6], 255, 255, 255, 255, 255, 255, 255, 255, 0))
	wantError(t, err, lz4frame.ErrTooLarge)
}

// FuzzDecode compares with the library's reader: whatever it takes, this package takes with the same content, or
// leaves to it.
func FuzzDecode(f *testing.F) {
	for _, content := range []string{"", "x", strings.Repeat("abc", 1000), strings.Repeat("0123456789", 10_000)} {
		f.Add(compress(f, []byte(content)))
		f.Add(compress(f, []byte(content), lz4.BlockSizeOption(lz4.Block64Kb), lz4.BlockChecksumOption(true), lz4.ChecksumOption(false)))
		f.Add(compress(f, []byte(content), lz4.SizeOption(uint64(len(content)))))
	}
	f.Add(linked([]byte("something to refer to"), 10, 300))
	f.Fuzz(func(t *testing.T, src []byte) {
		got, err := lz4frame.Decode(src, new(heap), nil, 1<<20)
		if err != nil {
			if !errors.Is(err, lz4frame.ErrFrame) && !errors.Is(err, lz4frame.ErrTooLarge) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		if len(got) > 1<<20 {
			t.Fatalf("%d bytes", len(got))
		}
		want, err := io.ReadAll(io.LimitReader(lz4.NewReader(bytes.NewReader(src)), 2<<20))
		if err == nil && !bytes.Equal(got, want) {
			t.Fatalf("%d bytes, the library has %d", len(got), len(want))
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	content := []byte(strings.Repeat(`{"host":{"id":"h-17"},"event":{"category":["process"],"type":["start"]}}`, 10_000))
	src := compress(b, content)
	b.Run("frame", func(b *testing.B) {
		dst := make([]byte, 0, len(content))
		b.SetBytes(int64(len(content)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := lz4frame.Decode(src, new(heap), dst, limit); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("library", func(b *testing.B) {
		r, dst := lz4.NewReader(nil), bytes.NewBuffer(make([]byte, 0, len(content)+bytes.MinRead))
		b.SetBytes(int64(len(content)))
		b.ReportAllocs()
		for b.Loop() {
			r.Reset(bytes.NewReader(src))
			dst.Reset()
			if _, err := dst.ReadFrom(r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
