package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/weir-eql/weir/internal/term"
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/replay"
)

const eventsHelp = `Events are read from NDJSON files, one document a line, or files with one array of documents: plain, .gz or .zst.
"-" is standard input, a folder stands for the files in it, and below, that end in .ndjson, .jsonl or .json, also with .gz or .zst.`

func eventsFlag(cmd *cobra.Command) *[]string {
	return cmd.Flags().StringArray("events", nil, "event file or folder, - for standard input; repeat it, or name files without it")
}

// eventFiles returns the files behind --events and those that are named without it, and says what it leaves out of folders.
func (a *app) eventFiles(events, more []string) ([]string, error) {
	if len(events)+len(more) == 0 {
		return nil, errors.New("no events: name files with --events FILE")
	}
	for _, p := range more {
		if strings.HasSuffix(p, ".toml") {
			return nil, fmt.Errorf("%s looks like a rule but stands among the event files: repeat the flag, --rules A --rules B", p)
		}
	}
	files, skipped, err := replay.Expand(append(append([]string(nil), events...), more...))
	if err != nil {
		return nil, err
	}
	if n := len(skipped); n > 0 {
		others := ""
		if n > shownSkipped {
			others = fmt.Sprintf(" and %d more", n-shownSkipped)
		}
		a.warn("%s skipped, by the ends of their names: %s%s", count(n, "file"), strings.Join(skipped[:min(n, shownSkipped)], ", "), others)
	}
	if len(files) == 0 {
		return nil, errors.New("no event files found")
	}
	return files, nil
}

// shownSkipped is the number of skipped files that are named.
const shownSkipped = 5

// totalSize returns the size of files together, 0 where it says nothing of the size of what is in them.
func totalSize(files []string) int64 {
	var total int64
	for _, f := range files {
		info, err := os.Stat(f)
		if err != nil || !info.Mode().IsRegular() || strings.HasSuffix(f, ".gz") || strings.HasSuffix(f, ".zst") {
			return 0
		}
		total += info.Size()
	}
	return total
}

// watched is a source that shows how far it is read and ends with the context.
type watched struct {
	replay.Source

	cancelled func() error
	bar       *term.Progress
	bytes     int64
	records   int
}

func watch(ctx context.Context, src replay.Source, bar *term.Progress) *watched {
	return &watched{Source: src, cancelled: ctx.Err, bar: bar}
}

// Next returns the next record of the source.
func (w *watched) Next() (pipeline.Record, error) {
	if w.records++; w.records%512 == 0 {
		if err := w.cancelled(); err != nil {
			return pipeline.Record{}, err
		}
		w.bar.Set(w.bytes)
	}
	r, err := w.Source.Next()
	w.bytes += int64(len(r.Value)) + 1
	if err != nil {
		w.bar.Done()
	}
	return r, err
}

// Partitions returns the partitions of the source, none where it doesn't tell.
func (w *watched) Partitions() []int32 {
	if p, ok := w.Source.(replay.Partitioned); ok {
		return p.Partitions()
	}
	return nil
}

// placer returns what says where a record of src stands in its file.
func placer(src replay.Source) func(name string, offset int64) string {
	if p, ok := src.(replay.Placer); ok {
		return p.Place
	}
	return func(name string, offset int64) string { return fmt.Sprintf("%s:%d", name, offset+1) }
}
