package replay

import (
	"maps"
	"slices"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/rekey"
)

// Partitioned is a source whose records are of several partitions. Rules that join events of any host then join those of all of them, as
// by way of the re-key topic.
type Partitioned interface {
	// Partitions returns the partitions that have records.
	Partitions() []int32
	// Ended returns the partitions of which Next has returned the last record since the last call.
	Ended() []int32
}

// targetNumber is the number of the worker that joins the events of all partitions. No partition has it.
const targetNumber = -1

// joined returns the configuration for a source, changed where events of several partitions have to be joined.
func joined(cfg *pipeline.Config, src Source) *pipeline.Config {
	p, ok := src.(Partitioned)
	if !ok || !cfg.Shares() {
		return cfg
	}
	sources := p.Partitions()
	if len(sources) < 2 {
		return cfg
	}
	own := *cfg
	own.Rekey.Partitions, own.Rekey.Sources = 1, sources
	return &own
}

// pass hands what a partition's worker has for the joining worker over to it, with how far the partition is.
func (b *backtest) pass(n int32) error {
	if b.o.Config.Rekey.Partitions == 0 {
		return nil
	}
	if b.target == nil {
		var err error
		if b.target, err = pipeline.NewWorker(b.o.Config, b.store.Partition(targetNumber), targetNumber); err != nil {
			return err
		}
	}
	var records []pipeline.Record
	add := func(value []byte) {
		records = append(records, pipeline.Record{Partition: targetNumber, Offset: b.passed, Value: value})
		b.passed++
	}
	w := b.workers[n]
	for _, r := range w.Output().Rekeyed {
		add(r.Value)
	}
	if p, settled := w.Progress(); settled && !p.Empty {
		report := rekey.Report{Progress: []rekey.Progress{p}, Delays: w.Delays(p.Clock)}
		add(report.Append(nil))
	}
	if err := b.target.ProcessRekeyed(records); err != nil {
		return err
	}
	return b.reportOutput(b.target) // its batch has to end too: it lists everything that came
}

// passEnded tells the joining worker that partitions have ended, so that it doesn't hold the others' events until all have:
// an ended one is as far as the one that is furthest.
func (b *backtest) passEnded(partitions []int32) error {
	for _, n := range partitions {
		b.ended[n] = true
	}
	if b.target == nil || len(b.ended) == 0 {
		return nil
	}
	var newest int64
	for n, w := range b.workers {
		if p, settled := w.Progress(); (settled || b.ended[n]) && !p.Empty {
			newest = max(newest, p.Clock)
		}
	}
	if newest == 0 {
		return nil
	}
	var report rekey.Report
	for _, n := range slices.Sorted(maps.Keys(b.ended)) {
		p := rekey.Progress{Source: n, Empty: true}
		if w := b.workers[n]; w != nil {
			p, _ = w.Progress()
			report.Progress = append(report.Progress, p) // it may have been unsettled up to its end
			report.Delays = append(report.Delays, w.Delays(p.Clock)...)
		}
		p.Clock = max(p.Clock, newest)
		report.Progress = append(report.Progress, p)
	}
	record := pipeline.Record{Partition: targetNumber, Offset: b.passed, Value: report.Append(nil)}
	b.passed++
	return b.target.ProcessRekeyed([]pipeline.Record{record})
}

// finishJoined ends the input of the joining worker.
func (b *backtest) finishJoined() error {
	if b.target == nil {
		return nil
	}
	if err := b.target.Finish(); err != nil {
		return err
	}
	return b.reportOutput(b.target)
}
