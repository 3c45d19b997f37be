package replay_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"

	"github.com/weir-eql/weir/internal/demo"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/rules/detections"
)

// oneByOne hides what a source is, so that its records are taken from Next, one after the other.
type oneByOne struct{ replay.Source }

// found is all that a replay hands out, in its order.
type found struct {
	Alerts      []string
	DeadLetters []string
	Rules       []string
	Records     uint64
	Bytes       uint64
	Err         string
}

func shipped(t *testing.T) *rules.Set {
	t.Helper()
	c, err := rules.LoadFS(detections.FS(), "", rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.NewSet(c.Rules, rules.SetOptions{AnyIndex: true})
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// replayAll replays src and returns what came out. Without a builder alerts have whole documents.
func replayAll(t *testing.T, set *rules.Set, src replay.Source, o replay.Options, bare bool) found {
	t.Helper()
	o.Config = &pipeline.Config{Set: set, Alerts: alert.NewECS(alert.Options{}), Limits: replay.NoCaps()}
	if bare {
		o.Config.Alerts, o.Config.NoEvidence = alert.NewBare(), true
	}
	return replayWith(t, src, o)
}

// replayMeasured does so with whole documents and metrics.
func replayMeasured(t *testing.T, set *rules.Set, src replay.Source, o replay.Options, m *pipeline.Metrics) found {
	t.Helper()
	o.Config = &pipeline.Config{Set: set, Alerts: alert.NewECS(alert.Options{}), Limits: replay.NoCaps(), Metrics: m}
	return replayWith(t, src, o)
}

func replayWith(t *testing.T, src replay.Source, o replay.Options) found {
	t.Helper()
	var f found
	o.Config.Limits.EventBytes = 60_000
	o.Alert = func(a pipeline.Alert) error {
		var places []string
		for _, e := range a.Match {
			places = append(places, fmt.Sprint(e.Ref.Topic, e.Ref.Offset))
		}
		f.Alerts = append(f.Alerts, fmt.Sprintf("%s %s %s %v %s", a.ID, a.Rule.Rule.ID, a.Key, places, a.Body))
		return nil
	}
	o.DeadLetter = func(d pipeline.DeadLetter) error {
		f.DeadLetters = append(f.DeadLetters, fmt.Sprintf("%s:%d %s %s %.50s", d.Topic, d.Offset, d.Reason, d.Detail, d.Value))
		return nil
	}
	res, err := replay.Backtest(t.Context(), src, o)
	if err != nil {
		f.Err = err.Error()
	}
	if closed := src.Close(); closed != nil && err == nil { // a file that is cut says so again
		t.Fatal(closed)
	}
	for _, r := range res.Rules {
		f.Rules = append(f.Rules, fmt.Sprint(r.Rule.Rule.ID, r.Matches, len(r.Hosts), r.First, r.Last))
	}
	f.Records, f.Bytes = res.Records, res.Bytes
	return f
}

// spoiled returns the demo's events as lines, attacks among them, and between them lines that are no events.
func spoiled(n int, seed uint64) [][]byte {
	g := demo.New(demo.Options{Seed: seed})
	var lines [][]byte
	for i := range n {
		_, doc, _ := g.Next()
		lines = append(lines, doc)
		switch i % 97 {
		case 3:
			lines = append(lines, nil, []byte("  \t"))
		case 41:
			lines = append(lines, doc[:len(doc)/2])
		case 55:
			lines = append(lines, []byte(`{"event":{"id":"no time"}}`), []byte(`[1]`))
		case 60:
			lines = append(lines, []byte(`{"@timestamp":"2020-01-01T00:00:00Z","x":"`+strings.Repeat("x", 70_000)+`"}`))
		}
	}
	return lines
}

// TestAheadChangesNothing replays the same files with any number of goroutines ahead of the workers and chunks of any
// size, and record by record: all that is handed out, and its order, is the same.
func TestAheadChangesNothing(t *testing.T) {
	set := shipped(t)
	lines := bytes.Join(spoiled(800, 5), []byte("\n"))
	other := bytes.Join(spoiled(400, 9), []byte("\r\n"))
	array := append(append([]byte("\n [ "), bytes.Join(events(250, 3), []byte(" ,\n"))...), ']')
	cutArray := array[:len(array)-20]
	zipped := zip(t, lines)
	paths := map[string]string{}
	for name, data := range map[string][]byte{
		"lines": lines, "other": append([]byte("\xef\xbb\xbf\n"), other...), "array": array, "cut array": cutArray,
		"gz": zipped, "cut gz": zipped[:len(zipped)*2/3], "zst": zst(t, lines), "empty": nil, "blank": []byte("\n\n"),
	} {
		paths[name] = writeFile(t, name, data)
	}
	for _, names := range [][]string{
		{"lines"},
		{"other"},
		{"array"},
		{"gz"},
		{"zst"},
		{"empty"},
		{"blank"},
		{"lines", "other"},
		{"other", "array", "empty", "gz", "lines"},
		{"cut gz"},
		{"cut array"},
	} {
		t.Run(strings.Join(names, "+"), func(t *testing.T) {
			open := func() replay.Source {
				var files []string
				for _, n := range names {
					files = append(files, paths[n])
				}
				src, err := replay.OpenFiles(files, nil)
				if err != nil {
					t.Fatal(err)
				}
				return src
			}
			want := replayAll(t, set, oneByOne{open()}, replay.Options{Ahead: 1}, false)
			broken := strings.HasPrefix(names[0], "cut")
			if (want.Err != "") != broken {
				t.Fatalf("record by record: %s", want.Err)
			}
			if !broken && len(names[0]) > 2 && want.Records > 100 && len(want.Alerts) == 0 {
				t.Fatal("nothing was found: the test compares nothing")
			}
			for _, o := range []replay.Options{
				{}, {Ahead: 1, ChunkBytes: 1}, {Ahead: 3, ChunkBytes: 700}, {Ahead: 7, ChunkBytes: 10_000}, {Ahead: 2, ChunkBytes: 1 << 20},
			} {
				got := replayAll(t, set, open(), o, false)
				if broken { // what comes before the fault may or may not be handed out before it
					got.Alerts, got.DeadLetters, got.Rules, got.Records, got.Bytes = want.Alerts, want.DeadLetters, want.Rules, want.Records, want.Bytes
				}
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("%d goroutines, chunks of %d bytes (-want +got):\n%.2000s", o.Ahead, o.ChunkBytes, diff)
				}
			}
		})
	}
}

// TestBareFindsTheSame pins that a replay whose alerts are only counted counts the same ones.
func TestBareFindsTheSame(t *testing.T) {
	set := shipped(t)
	path := writeFile(t, "events", bytes.Join(spoiled(2500, 11), []byte("\n")))
	var results [2]found
	for i, bare := range []bool{false, true} {
		src, err := replay.OpenFiles([]string{path}, nil)
		if err != nil {
			t.Fatal(err)
		}
		results[i] = replayAll(t, set, src, replay.Options{}, bare)
		for j, a := range results[i].Alerts {
			results[i].Alerts[j], _, _ = strings.Cut(a, "] ") // all but the document
		}
	}
	if len(results[0].Alerts) == 0 {
		t.Fatal("nothing was found")
	}
	if diff := cmp.Diff(results[0], results[1]); diff != "" {
		t.Errorf("(-documents +bare):\n%.2000s", diff)
	}
}

// TestAheadEndsWithTheContext pins that a replay that is cancelled ends, and so do its goroutines.
func TestAheadEndsWithTheContext(t *testing.T) {
	path := writeFile(t, "events", bytes.Join(events(3000, 1), []byte("\n")))
	src, err := replay.OpenFiles([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	ctx, cancel := context.WithCancel(t.Context())
	o := replay.Options{
		Config:     &pipeline.Config{Set: shipped(t), Alerts: alert.NewBare()},
		ChunkBytes: 4096, Progress: func(uint64, uint64) { cancel() },
		Alert: func(pipeline.Alert) error { cancel(); return nil },
	}
	cancel()
	if _, err := replay.Backtest(ctx, src, o); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want that it was cancelled", err)
	}
}

func events(n int, seed uint64) [][]byte {
	g := demo.New(demo.Options{Seed: seed})
	lines := make([][]byte, n)
	for i := range lines {
		_, lines[i], _ = g.Next()
	}
	return lines
}

func zip(t *testing.T, data []byte) []byte {
	t.Helper()
	return compressed(t, string(data), func(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) })
}

func zst(t *testing.T, data []byte) []byte {
	t.Helper()
	return compressed(t, string(data), func(w io.Writer) io.WriteCloser {
		z, err := zstd.NewWriter(w)
		if err != nil {
			t.Fatal(err)
		}
		return z
	})
}
