// Package replay runs the engine over events that lie still: files, or a range of a topic. It uses the same
// workers as the live pipeline, with a state that is thrown away at the end. It also runs single queries over
// files, as Elasticsearch's EQL search does.
package replay

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/goccy/go-json"
)

// maxLine bounds the memory that one line of a file may take.
const maxLine = 256 << 20

// readBuffer is smaller than a chunk, so that chunks are read into their own memory.
const readBuffer = 128 << 10

// Doc is one event of a file.
type Doc struct {
	Topic  string // the file's name as it was given
	Offset int64  // 0-based line, or position in an array of documents
	Data   []byte // valid until the next call of Next, unless the reader says otherwise
}

// File reads the events of one file: NDJSON, or one array of documents; plain, .gz or .zst.
type File struct {
	name    string
	closers []io.Closer
	r       *bufio.Reader
	packed  *unpacker // of a compressed file
	line    int64
	passed  int64       // bytes before the first event that were passed over
	plain   io.ReaderAt // the file where it lies on a disk and isn't compressed: it can be read again; else nil
	buf     []byte
	array   *json.Decoder
	started bool
	ended   bool
}

// Expand returns the files behind paths: a folder stands for the event files in it, sorted by name, and "-" for
// standard input. skipped are the other files of folders.
func Expand(paths []string) (files, skipped []string, err error) {
	for _, p := range paths {
		if p == "-" {
			files = append(files, p)
			continue
		}
		info, err := os.Stat(p)
		if err != nil {
			return nil, nil, fmt.Errorf("events: %w", err)
		}
		if !info.IsDir() {
			files = append(files, p)
			continue
		}
		found, others, err := eventFiles(p)
		if err != nil {
			return nil, nil, err
		}
		files, skipped = append(files, found...), append(skipped, others...)
	}
	for i, p := range files {
		if slices.Contains(files[:i], p) {
			return nil, nil, fmt.Errorf("events: %s is given twice", p)
		}
	}
	return files, skipped, nil
}

// eventFiles finds the event files of a folder and those below it: *.ndjson, *.jsonl and *.json, also .gz and .zst; and what else is there,
// but for hidden files.
func eventFiles(dir string) (found, others []string, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		base := strings.TrimSuffix(strings.TrimSuffix(path, ".gz"), ".zst")
		switch ext := filepath.Ext(base); {
		case ext == ".ndjson" || ext == ".jsonl" || ext == ".json":
			found = append(found, path)
		case !strings.HasPrefix(d.Name(), "."):
			others = append(others, path)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("events: %w", err)
	}
	if len(found) == 0 { // say so rather than replay nothing
		return nil, nil, fmt.Errorf("events: no .ndjson, .jsonl or .json file (plain, .gz or .zst) in folder %s", dir)
	}
	slices.Sort(found)
	return found, others, nil
}

// OpenFile opens a file of events; "-" reads stdin.
func OpenFile(path string, stdin io.Reader) (*File, error) {
	f := &File{name: path}
	in := stdin
	var again io.ReaderAt
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("events: %w", err)
		}
		f.closers = append(f.closers, file)
		in = file
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			again = file
		}
	}
	br := bufio.NewReaderSize(in, readBuffer)
	plain, err := f.decompress(br)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("events: %s: %w", path, err), f.Close())
	}
	f.r = plain
	if plain == br {
		f.plain = again
	}
	return f, nil
}

// decompress looks at the first bytes rather than the name, so that standard input may be compressed too.
func (f *File) decompress(br *bufio.Reader) (*bufio.Reader, error) {
	magic, err := br.Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f.packed = unpack(br, magic)
	if f.packed == nil {
		return br, nil
	}
	f.closers = append(f.closers, f.packed)
	return bufio.NewReaderSize(f.packed, readBuffer), nil
}

// Close closes the file.
func (f *File) Close() error {
	var errs []error
	for _, c := range slices.Backward(f.closers) {
		errs = append(errs, c.Close())
	}
	return errors.Join(errs...)
}

// Next returns the next event, io.EOF at the end. Blank lines are passed over but counted as lines.
func (f *File) Next() (Doc, error) {
	if err := f.start(); err != nil {
		return Doc{}, err
	}
	if f.array != nil {
		return f.nextElement()
	}
	for {
		line, err := f.readLine()
		if len(line) == 0 && err != nil {
			if errors.Is(err, io.EOF) {
				return Doc{}, io.EOF
			}
			return Doc{}, f.lineError(f.line, err)
		}
		at := f.line
		f.line++
		if line = bytes.TrimSpace(line); len(line) > 0 {
			return Doc{Topic: f.name, Offset: at, Data: line}, nil
		}
	}
}

// start looks at what the file begins with, once.
func (f *File) start() error {
	if f.started {
		return nil
	}
	f.started = true
	return f.detectArray()
}

// lineError says which line couldn't be read.
func (f *File) lineError(line int64, err error) error {
	return fmt.Errorf("events: %s:%d: %w", f.name, line+1, err)
}

var errLongLine = errors.New("the line is longer than 256 MiB")

// readLine returns one line without its end; it is valid until the next call.
func (f *File) readLine() ([]byte, error) {
	part, err := f.r.ReadSlice('\n')
	if err == nil {
		return part, nil
	}
	f.buf = append(f.buf[:0], part...)
	for errors.Is(err, bufio.ErrBufferFull) {
		if len(f.buf) > maxLine {
			return nil, errLongLine
		}
		part, err = f.r.ReadSlice('\n')
		f.buf = append(f.buf, part...)
	}
	switch {
	case err == nil || errors.Is(err, io.EOF) && len(f.buf) > 0:
		return f.buf, nil
	default: // half a line is none
		return nil, err
	}
}

// detectArray sees whether the file is an array of documents: its first character is a bracket. A byte order mark
// before it is passed over.
func (f *File) detectArray() error {
	if mark, err := f.r.Peek(3); err == nil && string(mark) == "\xef\xbb\xbf" {
		if _, err := f.r.Discard(3); err != nil {
			return err
		}
		f.passed = 3
	}
	for {
		b, err := f.r.Peek(1)
		if err != nil {
			return nil //nolint:nilerr // an empty or broken file: Next reports it
		}
		switch b[0] {
		case ' ', '\t', '\r', '\n':
			if b[0] == '\n' {
				f.line++
			}
			if _, err := f.r.Discard(1); err != nil {
				return err
			}
			f.passed++
		case '[':
			f.line = 0
			f.array = json.NewDecoder(f.r)
			_, err := f.array.Token()
			return err
		default:
			return nil
		}
	}
}

var errAfterArray = errors.New("there is something behind the array")

// endArray makes sure that the file ends with its array.
func (f *File) endArray() error {
	if _, err := f.array.Token(); err != nil {
		if f.packed != nil && f.packed.err != nil {
			return f.elementError(f.packed.err)
		}
		return fmt.Errorf("events: %s: the array has no end: %w", f.name, io.ErrUnexpectedEOF)
	}
	f.ended = true
	if _, err := f.array.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("events: %s: %w", f.name, errAfterArray)
	}
	return io.EOF
}

// elementError says which element of the array couldn't be read.
func (f *File) elementError(err error) error {
	return fmt.Errorf("events: %s: element %d: %w", f.name, f.line+1, err)
}

func (f *File) nextElement() (Doc, error) {
	if f.ended {
		return Doc{}, io.EOF
	}
	if !f.array.More() {
		return Doc{}, f.endArray()
	}
	var raw json.RawMessage
	if err := f.array.Decode(&raw); err != nil {
		switch {
		case f.packed != nil && f.packed.err != nil: // the decoder says something else of it
			err = f.packed.err
		case errors.Is(err, io.EOF): // the end of the file is not the end of the array
			err = io.ErrUnexpectedEOF
		}
		return Doc{}, f.elementError(err)
	}
	at := f.line
	f.line++
	return Doc{Topic: f.name, Offset: at, Data: raw}, nil
}
