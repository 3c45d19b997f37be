//go:build !purego

package event

// markBlocks marks the blocks of 64 bytes that doc is made of: quotes, backslashes, and backslashes or control
// characters. It returns something else than 0 where it found any of the latter. Each bitmap has a byte for eight of
// doc. It is written in assembly because that is what makes this way of reading pay: in Go it takes three times as
// long, which is a third of the whole decoder's time. SSE2 is all it uses: every amd64 processor has it.
//
//go:noescape
func markBlocks(quotes, slashes, specials, doc []byte) (found uint64)
