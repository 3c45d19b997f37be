package pipeline

import "github.com/weir-eql/weir/rules"

// Unhit returns the records of a prepared batch that no rule looks at.
func (b *Batch) Unhit() []Record {
	var out []Record
	for i := range b.prepared {
		if b.prepared[i].hit == nil {
			out = append(out, b.Records[i])
		}
	}
	return out
}

// Due returns the number of hosts that wait for the record clock.
func (w *Worker) Due() int { return w.due.len() }

// Hosts returns the number of hosts that are remembered.
func (w *Worker) Hosts() int { return w.hosts.len() }

// Evidence returns the number of events whose documents are referred to.
func (w *Worker) Evidence() int {
	n := len(w.evidence)
	for h := range w.hosts.all() {
		for q := range h.buffer.All() {
			if q.event.kept {
				n++
			}
		}
	}
	return n
}

// Rest puts a rule in quarantine on a partition, as for too many partials.
func (q *Quarantine) Rest(c *rules.Compiled, partition int32) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.put(c, partition, QuarantinePartials, "of a test", q.o.Now())
}

// Notes returns how many notes wait.
func (w *Worker) Notes() int { return w.notes.len }
