package replay_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/weir-eql/weir/pipeline/replay"
)

func writeFile(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func compressed(t *testing.T, text string, open func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var b bytes.Buffer
	w := open(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// readAll returns the documents of a file with their offsets.
func readAll(t *testing.T, path string, stdin io.Reader) (docs []string, offsets []int64, err error) {
	t.Helper()
	f, err := replay.OpenFile(path, stdin)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	for {
		d, err := f.Next()
		if errors.Is(err, io.EOF) {
			return docs, offsets, nil
		}
		if err != nil {
			return docs, offsets, err
		}
		docs = append(docs, string(d.Data))
		offsets = append(offsets, d.Offset)
	}
}

func TestFileForms(t *testing.T) {
	const lines = "{\"a\":1}\n{\"b\":2}\n"
	long := `{"x":"` + strings.Repeat("x", 3<<20) + `"}`
	zst := func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	cases := map[string]struct {
		data    []byte
		docs    []string
		offsets []int64
	}{
		"lines":               {[]byte(lines), []string{`{"a":1}`, `{"b":2}`}, []int64{0, 1}},
		"no last line end":    {[]byte(lines[:len(lines)-1]), []string{`{"a":1}`, `{"b":2}`}, []int64{0, 1}},
		"Windows line ends":   {[]byte("{\"a\":1}\r\n\r\n{\"b\":2}\r\n"), []string{`{"a":1}`, `{"b":2}`}, []int64{0, 2}},
		"blank lines count":   {[]byte("\n\n{\"a\":1}\n\n{\"b\":2}"), []string{`{"a":1}`, `{"b":2}`}, []int64{2, 4}},
		"byte order mark":     {[]byte("\xef\xbb\xbf" + lines), []string{`{"a":1}`, `{"b":2}`}, []int64{0, 1}},
		"a line of 3 MiB":     {[]byte(long + "\n{}"), []string{long, `{}`}, []int64{0, 1}},
		"array":               {[]byte(" [ {\"a\":1} , {\"b\":2} ] \n"), []string{`{"a":1}`, `{"b":2}`}, []int64{0, 1}},
		"array behind a mark": {[]byte("\xef\xbb\xbf[{\"a\":1}]"), []string{`{"a":1}`}, []int64{0}},
		"empty array":         {[]byte("[]"), nil, nil},
		"empty file":          {nil, nil, nil},
		"gzip":                {compressed(t, lines, func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }), []string{`{"a":1}`, `{"b":2}`}, []int64{0, 1}},
		"zstd":                {compressed(t, lines, zst), []string{`{"a":1}`, `{"b":2}`}, []int64{0, 1}},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			docs, offsets, err := readAll(t, writeFile(t, "events", c.data), nil)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(docs, c.docs) || !slices.Equal(offsets, c.offsets) {
				t.Errorf("got %.80q at %v, want %.80q at %v", docs, offsets, c.docs, c.offsets)
			}
			docs, _, err = readAll(t, "-", bytes.NewReader(c.data))
			if err != nil || !slices.Equal(docs, c.docs) {
				t.Errorf("from standard input: %.80q, %v", docs, err)
			}
		})
	}
}

func TestBrokenFilesAreErrors(t *testing.T) {
	whole := compressed(t, "{\"a\":1}\n{\"b\":2}\n", func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
	for name, data := range map[string][]byte{
		"an array without end":    []byte(`[{"a":1},{"b":2}`),
		"an array cut at a comma": []byte(`[{"a":1},`),
		"an array cut in half":    []byte(`[{"a":1},{"b`),
		"text behind an array":    []byte(`[{"a":1}] {"b":2}`),
		"a gzip file cut in half": whole[:len(whole)-10],
		"not quite a gzip file":   []byte("\x1f\x8b nothing"),
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, "events", data)
			_, _, err := readAll(t, path, nil)
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one that names the file", err)
			}
		})
	}
}

// TestCutFiles reads compressed files that are cut off within their second part: what is whole comes out, half a line doesn't, and one error
// says where they are cut.
func TestCutFiles(t *testing.T) {
	gz := func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }
	zst := func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		if err != nil {
			t.Fatal(err)
		}
		return z
	}
	for name, open := range map[string]func(io.Writer) io.WriteCloser{"gzip": gz, "zstd": zst} {
		second := compressed(t, ":2}\n{\"c\":3}\n", open)
		for _, c := range []struct{ form, first, want string }{
			{"lines", "{\"a\":1}\n{\"b\"", ":2: "},
			{"array", "[{\"a\":1},{\"b\"", ": element 2: "},
		} {
			path := writeFile(t, "events", append(compressed(t, c.first, open), second[:12]...))
			want := "events: " + path + c.want + "the compressed file is cut off here: fetch it again"
			docs, _, err := readAll(t, path, nil)
			if !slices.Equal(docs, []string{`{"a":1}`}) || err == nil || err.Error() != want {
				t.Errorf("%s, %s: %q, error %v, want %s", name, c.form, docs, err, want)
			}
		}
	}
}

func TestExpand(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"b.ndjson", "a.jsonl.gz", "sub/c.ndjson.zst", "d.json", "e.json.gz", "notes.txt", ".hidden", "sub/f.bz2"} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, skipped, err := replay.Expand([]string{"-", dir})
	if err != nil {
		t.Fatal(err)
	}
	in := func(names ...string) (paths []string) {
		for _, name := range names {
			paths = append(paths, filepath.Join(dir, name))
		}
		return paths
	}
	if want := append([]string{"-"}, in("a.jsonl.gz", "b.ndjson", "d.json", "e.json.gz", "sub/c.ndjson.zst")...); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if want := in("notes.txt", "sub/f.bz2"); !slices.Equal(skipped, want) {
		t.Errorf("skipped %v, want %v", skipped, want)
	}
	for name, paths := range map[string][]string{
		"a file that isn't there": {filepath.Join(dir, "nothing")},
		"a file given twice":      {filepath.Join(dir, "b.ndjson"), dir},
		"a folder without events": {t.TempDir()},
	} {
		if _, _, err := replay.Expand(paths); err == nil {
			t.Errorf("%s is no error", name)
		}
	}
}

func TestSeveralFilesAreMergedByTime(t *testing.T) {
	dir := t.TempDir()
	files := map[string]string{
		"a.ndjson": `{"@timestamp":"2026-01-01T00:00:01Z","n":"a0"}
{"@timestamp":"2026-01-01T00:00:04Z","n":"a1"}
{"@timestamp":"2026-01-01T00:00:02Z","n":"a2"}
`,
		"b.ndjson": `{"@timestamp":"2026-01-01T00:00:00Z","event":{"ingested":"2026-01-01T00:00:03Z"},"n":"b0"}
not an event
{"@timestamp":"2026-01-01T00:00:05Z","n":"b2"}
`,
	}
	var paths []string
	for _, name := range []string{"a.ndjson", "b.ndjson"} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(files[name]), 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	open := map[string]func() (replay.Source, error){
		"a0 b0 b1 a1 a2 b2": func() (replay.Source, error) { return replay.OpenFiles(paths, nil) },
		"a0 a1 a2 b0 b1 b2": func() (replay.Source, error) { return replay.Concat(paths, nil) },
		"b0 b1 a0 a2 a1 b2": func() (replay.Source, error) {
			src, err := replay.OpenFiles([]string{paths[1], paths[0]}, nil)
			if err != nil {
				return nil, err
			}
			return replay.Sorted(src)
		},
	}
	for want, f := range open {
		src, err := f()
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for {
			r, err := src.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, strings.TrimSuffix(filepath.Base(r.Topic), ".ndjson")+string(rune('0'+r.Offset)))
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
		if strings.Join(got, " ") != want {
			t.Errorf("got %s, want %s", strings.Join(got, " "), want)
		}
	}
}
