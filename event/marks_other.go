//go:build !amd64 || purego

package event

func markBlocks(stops, doc []byte, carry uint64) uint64 {
	return markBlocksPortable(stops, doc, carry)
}
