package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/weir-eql/weir/internal/bench"
)

// writeEvents writes generated events to a file. Where it is interrupted there is none.
func (a *app) writeEvents(ctx context.Context, f *benchFlags) error {
	if err := notAnInput("--write", f.write, []string{f.events}, f.rules.paths, *f.rules.fields); err != nil {
		return err
	}
	out, err := createOut(f.write)
	if err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	size, err := a.generate(ctx, f, bufio.NewWriterSize(out, 1<<20))
	if err != nil {
		return errors.Join(err, out.Close(), out.remove())
	}
	if err := out.finish(); err != nil {
		return fmt.Errorf("bench: %w", err)
	}
	_, _ = fmt.Fprintf(a.stderr, "%s, %s, written to %s\n", count(f.n, "event"), bytesText(size), f.write)
	return nil
}

// generate writes the events, and returns how many bytes they are.
func (a *app) generate(ctx context.Context, f *benchFlags, w *bufio.Writer) (size int64, err error) {
	g := bench.NewGenerator(f.options)
	step := time.Second / fillRate
	at := a.now().Add(-time.Duration(f.n) * step)
	for i := range f.n {
		if i%512 == 0 && ctx.Err() != nil {
			return size, ctx.Err()
		}
		doc := g.Next(at).Doc
		size += int64(len(doc)) + 1
		_, _ = w.Write(doc)
		if err := w.WriteByte('\n'); err != nil {
			return size, fmt.Errorf("bench: %w", err)
		}
		at = at.Add(step)
	}
	if err := w.Flush(); err != nil {
		return size, fmt.Errorf("bench: %w", err)
	}
	return size, nil
}

// bytesText writes a size for people.
func bytesText(n int64) string {
	if n >= 1e9 {
		return fmt.Sprintf("%.1f GB", float64(n)/1e9)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}
