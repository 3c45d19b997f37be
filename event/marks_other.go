//go:build !amd64 || purego

package event

const wide = false

func markWide(stops, doc []byte) { markNarrow(stops, doc) }

func markBlocks(stops, doc []byte, carry uint64) uint64 {
	return markBlocksPortable(stops, doc, carry)
}
