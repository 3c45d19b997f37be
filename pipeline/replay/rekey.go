package replay

import (
	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/rekey"
)

// Partitioned is a source whose records are of several partitions. Rules that join events of any host then join those of all of them, as
// by way of the re-key topic.
type Partitioned interface {
	// Partitions returns the partitions that have records.
	Partitions() []int32
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
		report := rekey.Report{Progress: []rekey.Progress{p}}
		add(report.Append(nil))
	}
	if err := b.target.ProcessRekeyed(records); err != nil {
		return err
	}
	return b.reportOutput(b.target) // its batch has to end too: it lists everything that came
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
