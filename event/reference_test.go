package event_test

import (
	"bufio"
	"compress/gzip"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// eachLine calls do for up to limit lines of an NDJSON file, plain or gzipped.
func eachLine(tb testing.TB, path string, limit int, do func(line []byte)) {
	tb.Helper()
	file, err := os.Open(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			tb.Fatal(err)
		}
	}
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 16<<20)
	for n := 0; n < limit && lines.Scan(); n++ {
		do(lines.Bytes())
	}
	if err := lines.Err(); err != nil {
		tb.Fatal(err)
	}
}

// TestDecodeRealEvents compares with the reference on real documents, whole and cut off.
func TestDecodeRealEvents(t *testing.T) {
	var paths []string
	for _, pattern := range []string{"samples/*.ndjson", "attack/*.gz"} {
		found, err := filepath.Glob("../../shared/events/" + pattern)
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	if len(paths) == 0 {
		t.Skip("../shared/events isn't here: it holds the real events that this test reads")
	}
	limit := 2000
	if testing.Short() {
		limit = 100
	}
	for _, path := range paths {
		t.Run(filepath.Base(path), func(t *testing.T) {
			eachLine(t, path, limit, func(line []byte) {
				checkDecode(t, line, uint64(len(line)%7))
				checkDecode(t, line[:len(line)*2/3], 0)
			})
		})
	}
}
