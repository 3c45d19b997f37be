//go:build !purego

package event

import "golang.org/x/sys/cpu"

// wide says whether documents are marked by markWide. Of VBMI2 it needs nothing, but processors without it slow down for vectors of 512 bits.
var wide = cpu.X86.HasAVX512BW && cpu.X86.HasAVX512VBMI2 && cpu.X86.HasBMI1 && cpu.X86.HasBMI2

// markBlocks marks the stops in the blocks of 64 bytes that doc is made of. carry is 1 where a backslash before doc escapes its first byte, and
// what is returned says so of the byte after it. The bitmap has a byte for eight of doc. It is written in assembly because that is what
// makes this way of reading pay: in Go it takes three times as long, which is a third of the whole decoder's time. SSE2 is all it uses: every amd64
// processor has it, and those that have AVX-512 take markWide.
//
//go:noescape
func markBlocks(stops, doc []byte, carry uint64) uint64

// markWide does what markNarrow does with AVX-512BW, which compares 64 bytes at once, in less than half of the time.
//
//go:noescape
func markWide(stops, doc []byte)
