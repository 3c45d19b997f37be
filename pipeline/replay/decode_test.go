package replay_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/pipeline/replay"
)

// TestDecodeReadsWhatABacktestReads compares the decoder alone with a backtest of the same file and rules: it reads the
// same records on any number of goroutines, and finds all fields of the rules.
func TestDecodeReadsWhatABacktestReads(t *testing.T) {
	set := shipped(t)
	lines := bytes.Join(spoiled(2000, 5), []byte("\n")) // several chunks
	array := append(append([]byte("[ "), bytes.Join(events(250, 3), []byte(" ,\n"))...), ']')
	for name, data := range map[string][]byte{
		"lines": lines, "array": array, "gz": zip(t, lines), "zst": zst(t, lines), "empty": nil, "blank": []byte("\n \n"),
	} {
		t.Run(name, func(t *testing.T) {
			path := writeFile(t, name, data)
			src, err := replay.OpenFiles([]string{path}, nil)
			if err != nil {
				t.Fatal(err)
			}
			backtest := replayAll(t, set, src, replay.Options{}, true)
			want := replay.Decoded{Records: backtest.Records, Bytes: backtest.Bytes}
			want.Rejected, want.Fields = decodeAll(t, set.Schema(), path)
			for _, ahead := range []int{0, 1, 2, 4} {
				file, err := replay.OpenFile(path, nil)
				if err != nil {
					t.Fatal(err)
				}
				got, err := replay.Decode(t.Context(), file, set.Schema(), ahead)
				if err := errors.Join(err, file.Close()); err != nil || got != want {
					t.Errorf("%d goroutines: %+v, %v, want %+v", ahead, got, err, want)
				}
			}
		})
	}
}

// decodeAll decodes a file record by record.
func decodeAll(t *testing.T, schema *event.Schema, path string) (rejected, fields uint64) {
	t.Helper()
	src, err := replay.OpenFiles([]string{path}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	decoder, ev := event.NewDecoder(schema), event.New(schema)
	for {
		r, err := src.Next()
		if err != nil {
			return rejected, fields
		}
		if decoder.Decode(r.Value, ev) != nil {
			rejected++
			continue
		}
		fields += uint64(len(ev.Touched()))
	}
}

// TestDecodeReportsWhatIsWrong pins that a file that is cut off isn't measured as if it were whole, and that decoding ends with its context.
func TestDecodeReportsWhatIsWrong(t *testing.T) {
	set := shipped(t)
	zipped := zip(t, bytes.Join(events(2000, 3), []byte("\n")))
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for name, ctx := range map[string]context.Context{"cut": t.Context(), "cancelled": cancelled} {
		data := zipped
		if name == "cut" {
			data = zipped[:len(zipped)/2]
		}
		file, err := replay.OpenFile(writeFile(t, name, data), nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := replay.Decode(ctx, file, set.Schema(), 2); err == nil {
			t.Errorf("%s: %+v and no error", name, got)
		}
		_ = file.Close()
	}
}
