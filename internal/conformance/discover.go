package conformance

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pelletier/go-toml/v2"
)

// maxText bounds the size of a suite in TOML or of drawings, which are read as a whole.
const maxText = 64 << 20

// file is a file that was found.
type file struct {
	path      string
	format    format
	documents bool  // an array of events, which some suite may be about
	fault     error // why its JSON can't be read, where that is what keeps it from being either
}

// discover returns the files behind a path that are suites or documents, sorted by name, and path itself whatever it is. A file that
// can't be read is an error beside the others.
func discover(path string) ([]*file, error) {
	var out []*file
	var broken []error
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name != path && strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		f, err := recognise(name)
		if err != nil {
			broken = append(broken, fmt.Errorf("suite %s: %w", name, err))
			return nil
		}
		if f.format != noSuite || f.documents || name == path {
			out = append(out, f)
		}
		return nil
	})
	return out, errors.Join(append(broken, err)...)
}

// recognise looks into a file.
func recognise(path string) (*file, error) {
	f := &file{path: path}
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() {
		return f, err
	}
	in, err := open(path)
	if err != nil {
		return f, err
	}
	defer in.Close() //nolint:errcheck // the file was only read
	first, err := firstByte(in.Reader)
	switch {
	case errors.Is(err, io.EOF):
		return f, nil // empty: no suite
	case err != nil:
		return f, err
	case first == '{':
		f.recogniseObject(json.NewDecoder(in))
		if in.packed && errors.Is(f.fault, io.ErrUnexpectedEOF) {
			return f, f.fault // cut off: nobody packs half a document
		}
	case first == '[' && f.recogniseArray(path):
	default:
		err = f.recogniseText(in)
	}
	return f, err
}

// firstByte returns the first byte that isn't white space; a byte order mark is passed over. The byte is not consumed.
func firstByte(r *bufio.Reader) (byte, error) {
	if mark, err := r.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
		if _, err := r.Discard(3); err != nil {
			return 0, err
		}
	}
	for {
		b, err := r.ReadByte()
		if err != nil {
			return 0, err
		}
		if b > ' ' {
			return b, r.UnreadByte()
		}
	}
}

// recogniseObject decides by the keys of the first document.
func (f *file) recogniseObject(d *json.Decoder) {
	var doc map[string]json.RawMessage
	if f.fault = d.Decode(&doc); f.fault != nil {
		return
	}
	f.format = formatOf(doc)
	var lines map[string][][]int
	if f.format != noSuite || d.More() || !asMatches(doc, &lines) {
		return
	}
	if _, err := eventsBeside(f.path); err == nil || len(doc) > 0 { // an empty object could be anything
		f.format = matchesFormat
	}
}

// asMatches reads the members of a document as the matches of rules.
func asMatches(doc map[string]json.RawMessage, out *map[string][][]int) bool {
	*out = map[string][][]int{}
	for id, raw := range doc {
		var matches [][]int
		if json.Unmarshal(raw, &matches) != nil {
			return false
		}
		(*out)[id] = matches
	}
	return true
}

// formatOf returns the format of a line by its keys, noSuite for no case.
func formatOf(doc map[string]json.RawMessage) format {
	has := func(keys ...string) bool {
		for _, k := range keys {
			if doc[k] == nil {
				return false
			}
		}
		return true
	}
	switch {
	case has("query", "events", "expect"):
		return generatedFormat
	case has("regex", "inputs", "match"), has("regex", "error"):
		return regexFormat
	default:
		return noSuite
	}
}

// recogniseArray looks at the first element of an array; it reports false where the file isn't JSON, since TOML may begin
// with a bracket too.
func (f *file) recogniseArray(path string) bool {
	in, err := open(path)
	if err != nil {
		return false
	}
	defer in.Close() //nolint:errcheck // the file was only read
	if _, err := firstByte(in.Reader); err != nil {
		return false
	}
	d := json.NewDecoder(in)
	var doc map[string]json.RawMessage
	if _, err := d.Token(); err != nil || d.Decode(&doc) != nil {
		return false
	}
	if f.format = formatOf(doc); f.format == noSuite {
		f.documents = true
	}
	return true
}

// recogniseText knows suites in TOML, and drawings of sequences. TOML that is broken is an error where the file's name says that
// it is TOML.
func (f *file) recogniseText(in io.Reader) error {
	data, err := io.ReadAll(io.LimitReader(in, maxText))
	if err != nil {
		return err
	}
	if len(data) == maxText || bytes.IndexByte(data, 0) >= 0 {
		return nil // no text, or too much of it: no suite
	}
	var doc map[string]any
	if err := toml.Unmarshal(data, &doc); err != nil {
		if isSeries(data) {
			f.format = seriesFormat
			return nil
		}
		base := strings.TrimSuffix(strings.TrimSuffix(f.path, ".gz"), ".zst")
		if filepath.Ext(base) == ".toml" {
			return tomlError(err)
		}
		return nil
	}
	if queries, ok := doc["queries"].([]any); ok && len(queries) > 0 {
		f.format = pythonFormat
		for _, q := range queries {
			if c, ok := q.(map[string]any); ok && c["name"] != nil {
				f.format = queryFormat
			}
		}
		return nil
	}
	for _, group := range doc {
		if g, ok := group.(map[string]any); ok && g["fold"] != nil {
			f.format = expressionFormat
		}
	}
	return nil
}

// tomlError puts the line and column before an error of the TOML parser.
func tomlError(err error) error {
	var at *toml.DecodeError
	if !errors.As(err, &at) {
		return err
	}
	line, column := at.Position()
	return fmt.Errorf("line %d, column %d: %w", line, column, err)
}

// opened is a file that is read, unpacked.
type opened struct {
	*bufio.Reader

	packed  bool
	closers []io.Closer
}

// Close closes the file.
func (o *opened) Close() error {
	var errs []error
	for _, c := range slices.Backward(o.closers) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// open opens a file, which may be packed whatever its name is.
func open(path string) (*opened, error) {
	in, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	o := &opened{Reader: bufio.NewReaderSize(in, 1<<16), closers: []io.Closer{in}}
	magic, err := o.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(err, o.Close())
	}
	switch {
	case bytes.HasPrefix(magic, []byte{0x1f, 0x8b}):
		z, err := gzip.NewReader(o.Reader)
		if err != nil {
			return nil, errors.Join(err, o.Close())
		}
		o.packed = true
		o.Reader, o.closers = bufio.NewReaderSize(z, 1<<16), append(o.closers, z)
	case bytes.Equal(magic, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		z, err := zstd.NewReader(o.Reader)
		if err != nil {
			return nil, errors.Join(err, o.Close())
		}
		o.packed = true
		o.Reader, o.closers = bufio.NewReaderSize(z, 1<<16), append(o.closers, z.IOReadCloser())
	}
	return o, nil
}

// readAll reads a suite that is read as a whole.
func readAll(path string) ([]byte, error) {
	in, err := open(path)
	if err != nil {
		return nil, err
	}
	defer in.Close() //nolint:errcheck // the file was only read
	data, err := io.ReadAll(io.LimitReader(in, maxText))
	if err == nil && len(data) == maxText {
		err = errors.New("the file is larger than 64 MiB")
	}
	return bytes.TrimPrefix(data, []byte("\xef\xbb\xbf")), err
}
