package kafka

import (
	"runtime"
	"sync"

	"github.com/weir-eql/weir/pipeline"
)

// Decoding and matching depend on nothing but the record, so they are done ahead of the workers, on as many goroutines as
// there are cores: those of one partition that has more records than the others, too. See docs/adr/0007.

// chunk is some records of one partition, in order.
type chunk struct {
	batch pipeline.Batch
	ready chan struct{} // has a token when the batch is prepared
}

// chunkRecords is the number of records of a chunk: few enough for two cores to share what one partition has, and to stay in
// the second cache; many enough for handing them over to cost nothing.
const chunkRecords = 128

// preparers are the goroutines that prepare chunks for the workers of one rule set.
type preparers struct {
	cfg   *pipeline.Config
	todo  chan *chunk
	wait  sync.WaitGroup
	chunk sync.Pool

	mu   []sync.Mutex // each held by a goroutine while it prepares
	each []*pipeline.Preparer
}

// newPreparers starts goroutines, none where there is one core only: then the workers prepare for themselves. The caller ends with stop.
func newPreparers(cfg *pipeline.Config, goroutines int) *preparers {
	p := &preparers{cfg: cfg, chunk: sync.Pool{New: func() any { return &chunk{ready: make(chan struct{}, 1)} }}}
	if goroutines < 2 {
		return p
	}
	p.todo = make(chan *chunk, 2*goroutines)
	p.mu = make([]sync.Mutex, goroutines)
	for i := range goroutines {
		one := pipeline.NewPreparer(cfg)
		p.each = append(p.each, one)
		p.wait.Go(func() {
			for c := range p.todo {
				p.mu[i].Lock()
				one.Prepare(&c.batch)
				p.mu[i].Unlock()
				c.ready <- struct{}{}
			}
		})
	}
	return p
}

// stop ends the goroutines. Nothing is being processed when it is called.
func (p *preparers) stop() {
	if p.todo != nil {
		close(p.todo)
		p.wait.Wait()
	}
}

// report adds what was prepared since the last call to the metrics.
func (p *preparers) report() {
	for i, one := range p.each {
		p.mu[i].Lock()
		one.Report()
		p.mu[i].Unlock()
	}
}

// process runs records on their worker. While it works on one chunk, those behind it are prepared.
func (p *preparers) process(w *pipeline.Worker, records []pipeline.Record) error {
	if p.todo == nil || len(records) <= chunkRecords/4 { // not worth the hand-over
		return w.Process(records)
	}
	var ahead []*chunk // in the order of the log
	var err error
	for len(records) > 0 || len(ahead) > 0 {
		for len(records) > 0 && len(ahead) < 2*len(p.each) {
			n := min(chunkRecords, len(records))
			c, _ := p.chunk.Get().(*chunk)
			c.batch.Partition = w.Number()
			c.batch.Records, records = records[:n], records[n:]
			p.todo <- c
			ahead = append(ahead, c)
		}
		c := ahead[0]
		ahead = ahead[1:]
		<-c.ready
		if err == nil { // else the goroutines must be done with the records before they are given back
			err = w.ProcessBatch(&c.batch, 0, c.batch.Len())
		}
		if err != nil {
			records = nil
		}
		c.batch.Records = nil
		p.chunk.Put(c)
	}
	return err
}

// cores is the number of goroutines that run at the same time.
func cores() int { return runtime.GOMAXPROCS(0) }
