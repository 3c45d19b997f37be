//go:build !amd64 || purego

package event

func markBlocks(quotes, slashes, specials, doc []byte) (found uint64) {
	return markBlocksPortable(quotes, slashes, specials, doc)
}
