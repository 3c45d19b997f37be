package pipeline

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/sequence"
	"github.com/weir-eql/weir/rules"
)

// alertEvent builds the alert of a single-event match.
func (w *Worker) alertEvent(c *rules.Compiled, h *host, ref sequence.Ref, raw []byte) {
	w.counts.matches[c.Number]++
	m := alert.Match{Rule: w.cfg.alertRules[c.Number], Host: h.name, Events: []alert.Event{w.evidenceOf(ref, raw)}}
	w.build(c, m, ref, Alert{Match: []sequence.MatchEvent{{Ref: ref}}})
}

// alert builds the alert of a completed sequence. Its evidence is still held by the partial.
func (w *Worker) alert(c *rules.Compiled, join []byte, h *host, match sequence.Match) {
	w.counts.matches[c.Number]++
	if w.feeding.rule != c || w.feeding.event != match.Completed().Ordinal {
		w.feeding.rule, w.feeding.event, w.feeding.alerts = c, match.Completed().Ordinal, 0
	}
	if w.feeding.alerts++; w.feeding.alerts > w.cfg.Limits.MatchesPerEvent {
		w.counts.matchesCut[c.Number]++
		return
	}
	keys, err := event.DecodeTuple(join)
	if err != nil {
		w.fail(err)
		return
	}
	host := w.completingHost(match.Completed())
	if host == "" && !h.shared {
		host = h.displayName()
	}
	m := alert.Match{Rule: w.cfg.alertRules[c.Number], Host: host, JoinKeys: keys, JoinFields: joinFields(c), OpenEnd: match.OpenEnd}
	var hosts []string
	for _, e := range match.Events {
		if e.Missing {
			m.Events = append(m.Events, alert.Event{Missing: true})
			continue
		}
		found := w.evidenceOf(e.Ref, w.source(e.Ref))
		found.Host = w.hostOfEvidence(e.Ref)
		m.Events = append(m.Events, found)
		if h.shared && found.Host == "" {
			hosts = appendHost(hosts, w.preparer.hostOf(found.Source))
		} else if h.shared {
			hosts = appendHost(hosts, found.Host)
		}
	}
	w.build(c, m, match.Completed(), Alert{Match: match.Events, JoinKey: join, Hosts: hosts})
}

// appendHost adds a name that is known and not there.
func appendHost(hosts []string, name string) []string {
	if name == "" || slices.Contains(hosts, name) {
		return hosts
	}
	return append(hosts, name)
}

func (w *Worker) evidenceOf(ref sequence.Ref, raw []byte) alert.Event {
	return alert.Event{
		ID: ref.ID, Topic: ref.Topic, Partition: ref.Partition, Offset: ref.Offset,
		Time: ref.Time, SubMillis: ref.SubMillis, Source: raw, Truncated: raw == nil,
	}
}

// build makes the alert of m, with what a has of it already, and puts it out unless it was published before.
func (w *Worker) build(c *rules.Compiled, m alert.Match, completed sequence.Ref, a Alert) {
	at := time.UnixMilli(completed.Time).UTC()
	if w.cfg.Now != nil {
		at = w.cfg.Now()
	}
	doc, err := w.cfg.Alerts.Build(m, at)
	if err != nil {
		w.counts.alertFailures++
		w.log.Error("alert not built", slog.String("rule_id", c.Rule.ID), slog.Any("error", err))
		return
	}
	if before, err := w.publishedBefore(c, doc.ID); err != nil {
		w.fail(err)
		return
	} else if before {
		return
	}
	completed.ID = strings.Clone(completed.ID)
	w.keptBytes += len(doc.Body)
	a.Document, a.Rule, a.Completed = doc, c, completed
	w.out.Alerts = append(w.out.Alerts, a)
}

// deadLetter hands out a record that can't be an event.
func (w *Worker) deadLetter(r *Record, reason, detail string) {
	w.counts.deadLetters[reason]++
	sum := sha256.Sum256(r.Value)
	kept := r.Value[:min(len(r.Value), w.cfg.Limits.DeadLetterBytes)]
	key := r.Key
	if len(key) > w.cfg.Limits.DeadLetterBytes {
		key = nil
	}
	w.keptBytes += len(kept) + len(key)
	w.out.DeadLetters = append(w.out.DeadLetters, DeadLetter{
		Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Reason: reason, Detail: detail,
		Key: slices.Clone(key), Value: slices.Clone(kept), Length: len(r.Value), SHA256: hex.EncodeToString(sum[:]),
	})
}

func decodeReason(err error) string {
	switch {
	case errors.Is(err, event.ErrNotObject):
		return ReasonNotObject
	case errors.Is(err, event.ErrTooDeep):
		return ReasonTooDeep
	default:
		return ReasonMalformed
	}
}

// sortedBuffers returns the host of each buffered event, in the order of all of them together.
func (w *Worker) sortedBuffers() []*host {
	type waiting struct {
		h *host
		b *buffered
	}
	var all []waiting
	for h := range w.hosts.all() {
		for q := range h.buffer.All() {
			all = append(all, waiting{h, q.event})
		}
	}
	slices.SortFunc(all, func(a, b waiting) int { return a.b.compare(b.b) }) // the table of hosts has an order of its own
	hosts := make([]*host, len(all))
	for i, e := range all {
		hosts[i] = e.h
	}
	return hosts
}

func (w *Worker) sortedPartials() []*partial {
	ps := slices.AppendSeq(make([]*partial, 0, w.partials.len()), w.partials.byAge())
	slices.SortFunc(ps, w.partials.compare)
	return ps
}
