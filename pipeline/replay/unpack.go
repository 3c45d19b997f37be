package replay

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
)

// unpacker decompresses a file and says of what it can't read what a user can do about it.
type unpacker struct {
	r     io.Reader // nil where the file is broken from its beginning
	close func()
	err   error // what ended it; nil at the end of a whole file
}

// unpack returns what decompresses in, which begins with the bytes of magic; nil where it isn't compressed.
func unpack(in io.Reader, magic []byte) *unpacker {
	u := &unpacker{close: func() {}}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		gz, err := gzip.NewReader(in)
		if err != nil {
			u.err = unpackError(err)
			return u
		}
		u.r = gz
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		zr, err := zstd.NewReader(in)
		if err != nil {
			u.err = unpackError(err)
			return u
		}
		u.r, u.close = zr, zr.Close
	default:
		return nil
	}
	return u
}

// Read reads what was compressed.
func (u *unpacker) Read(p []byte) (int, error) {
	if u.err != nil {
		return 0, u.err
	}
	n, err := u.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = unpackError(err)
		u.err = err
	}
	return n, err
}

// Close lets the decompressor go. What gzip says then was said by Read.
func (u *unpacker) Close() error {
	u.close()
	return nil
}

func unpackError(err error) error {
	if _, ok := errors.AsType[*fs.PathError](err); ok { // the disk's, not the data's
		return err
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return errCut
	}
	return fmt.Errorf("the compressed file is damaged here: fetch it again (%w)", err)
}

var errCut = errors.New("the compressed file is cut off here: fetch it again")
