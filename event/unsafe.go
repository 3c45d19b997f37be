package event

import (
	"encoding/binary"
	"unsafe"
)

// This file holds what the decoder does without bounds checks. Each of these functions runs several times per value
// of a document, where the check would be a good part of its cost; each says what its caller has to know.

// alias returns b as a string that shares its memory.
func alias(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// text returns doc[i:end] as a string that shares its memory, where 0 <= i <= end <= len(doc).
func text(doc []byte, i, end int) string {
	return unsafe.String((*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(doc)), i)), end-i)
}

// byteAt returns doc[i], where 0 <= i < len(doc).
func byteAt(doc []byte, i int) byte {
	return *(*byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(doc)), i))
}

// load reads the eight bytes of b at i, where 0 <= i <= len(b)-8.
func load(b []byte, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))[:])
}

// loadString is load of a string.
func loadString(s string, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.StringData(s)), i))[:])
}

// store writes the eight bytes of w to b at i, where 0 <= i <= len(b)-8.
func store(b []byte, i int, w uint64) {
	binary.LittleEndian.PutUint64((*[8]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(b)), i))[:], w)
}

// copy16 copies sixteen bytes of src at i to dst at n, where both have that many.
func copy16(dst []byte, n int, src []byte, i int) {
	*(*[16]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(dst)), n)) = *(*[16]byte)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(src)), i))
}

// window returns the bits of a bitmap from i on, 57 or more, where 0 <= i < 8*(len(bitmap)-8).
func window(bitmap []byte, i int) uint64 { return load(bitmap, i>>3) >> (i & 7) }

// edgeAt returns &table[i], where 0 <= i < len(table).
func edgeAt(table []edge, i uint64) *edge {
	return (*edge)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(table)), uintptr(i)*unsafe.Sizeof(edge{})))
}

// stepAt returns &known[s], where 0 <= s < len(known).
func stepAt(known []step, s int32) *step {
	return (*step)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(known)), uintptr(s)*unsafe.Sizeof(step{})))
}

// loadAt reads the eight bytes that stand at i behind text, which has that many.
func loadAt(text *byte, i int) uint64 {
	return binary.LittleEndian.Uint64((*[8]byte)(unsafe.Add(unsafe.Pointer(text), i))[:])
}
