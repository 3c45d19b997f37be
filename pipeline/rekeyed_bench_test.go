package pipeline_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/rekey"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// BenchmarkRekey measures events of which each is a candidate of one rule that joins events of any host: on a worker that sees all events,
// and handed out by a source and taken in by a target, with a commit of 1,000 events to a store in memory.
func BenchmarkRekey(b *testing.B) {
	set := compileQueries(b, rules.SetOptions{}, map[string]string{"across": queries["across"]}, nil)
	const batch = 1000
	var records []pipeline.Record
	for i := range batch {
		records = append(records, pipeline.Record{Topic: "events", Value: fmt.Appendf(nil,
			`{"@timestamp":"0000000000000","event":{"id":"e%d","category":"process"},"host":{"id":"h%d"},"tag":%q,"n":%d,"message":%q}`,
			i, i%100, "A", i, strings.Repeat("x", 1500)), Clock: pipeline.ClockLogAppend})
	}
	at := t0
	next := func(turn int) {
		for i := range records {
			at++
			records[i].Offset, records[i].Time = int64(turn*batch+i), at
			copy(records[i].Value[len(`{"@timestamp":"`):], strconv.FormatInt(at, 10))
		}
	}
	commit := func(w *pipeline.Worker) {
		w.Changes()
		if err := w.Committed(state.Checkpoint{}); err != nil {
			b.Fatal(err)
		}
	}
	newOne := func(partitions int32) *pipeline.Worker {
		cfg := config(set)
		cfg.Rekey.Partitions = partitions
		w, err := pipeline.NewWorker(cfg, state.OpenMemory().Partition(0), 0)
		if err != nil {
			b.Fatal(err)
		}
		return w
	}
	b.Run("one worker", func(b *testing.B) {
		w := newOne(0)
		for turn := range b.N {
			next(turn)
			if err := w.Process(records); err != nil {
				b.Fatal(err)
			}
			commit(w)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/event")
	})
	b.Run("source and target", func(b *testing.B) {
		source, target := newOne(1), newOne(1)
		for turn := range b.N {
			next(turn)
			if err := source.Process(records); err != nil {
				b.Fatal(err)
			}
			var sent []pipeline.Record
			for i, r := range source.Output().Rekeyed {
				sent = append(sent, pipeline.Record{Topic: rekeyTopic, Offset: int64(turn*batch + i), Value: r.Value})
			}
			p, _ := source.Progress()
			report := rekey.Report{Progress: []rekey.Progress{p}}
			sent = append(sent, pipeline.Record{Topic: rekeyTopic, Offset: -1, Value: report.Append(nil)})
			commit(source)
			if err := target.ProcessRekeyed(sent); err != nil {
				b.Fatal(err)
			}
			commit(target)
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*batch), "ns/event")
	})
}
