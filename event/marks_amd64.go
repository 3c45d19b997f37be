//go:build !purego

package event

// markBlocks marks the stops in the blocks of 64 bytes that doc is made of. carry is 1 where a backslash before doc escapes its first byte, and
// what is returned says so of the byte after it. The bitmap has a byte for eight of doc. It is written in assembly because that is what
// makes this way of reading pay: in Go it takes three times as long, which is a third of the whole decoder's time. SSE2 is all it uses: every amd64
// processor has it.
//
//go:noescape
func markBlocks(stops, doc []byte, carry uint64) uint64
