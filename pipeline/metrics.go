package pipeline

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/rules"
)

// Metrics are the counters and gauges of the workers of a process. Labels are bounded: rules, partitions, reasons
// and fields, never hosts or users. All methods of the collectors are safe for concurrent use.
type Metrics struct {
	records           *prometheus.CounterVec
	bytes             *prometheus.CounterVec
	deadLetters       *prometheus.CounterVec
	matches           *prometheus.CounterVec
	evaluations       *prometheus.CounterVec
	candidates        *prometheus.CounterVec
	partials          *prometheus.GaugeVec
	evicted           *prometheus.CounterVec
	late              *prometheus.CounterVec
	lateByRule        *prometheus.CounterVec
	lateBySilence     *prometheus.CounterVec
	idleAdvances      *prometheus.CounterVec
	clamped           *prometheus.CounterVec
	hostless          *prometheus.CounterVec
	uncoerced         *prometheus.CounterVec
	unknownStream     *prometheus.CounterVec
	buffered          *prometheus.GaugeVec
	bufferOverflow    *prometheus.CounterVec
	bufferSpilled     *prometheus.CounterVec
	bufferReread      *prometheus.CounterVec
	bufferLost        *prometheus.CounterVec
	hosts             *prometheus.GaugeVec
	hostsForgotten    *prometheus.CounterVec
	eventLag          *prometheus.GaugeVec
	joinKeysTruncated *prometheus.CounterVec
	alertFailures     *prometheus.CounterVec
	alerts            *prometheus.CounterVec
	folded            *prometheus.CounterVec
	matchesCut        *prometheus.CounterVec
	timeless          *prometheus.CounterVec
	partialsDiscarded *prometheus.CounterVec
	buffersDiscarded  *prometheus.CounterVec
	deduplicated      *prometheus.CounterVec
	idsForgotten      *prometheus.CounterVec
	ids               *prometheus.GaugeVec
	quarantineSkipped *prometheus.CounterVec
	quarantineDropped *prometheus.CounterVec
	rekeySent         *prometheus.CounterVec
	unclaimedPartials *prometheus.GaugeVec
	unclaimedEvents   *prometheus.GaugeVec
	unclaimedExpired  *prometheus.CounterVec
	rekeyRepeated     *prometheus.CounterVec
	rekeyForgotten    *prometheus.CounterVec
	rekeyBytes        *prometheus.CounterVec
	rekeyReceived     *prometheus.CounterVec
	rekeyDropped      *prometheus.CounterVec
	rekeyWaiting      *prometheus.GaugeVec
	rekeyLag          *prometheus.GaugeVec
}

// NewMetrics registers the pipeline's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "weir", Name: name, Help: help}, labels)
		reg.MustRegister(c)
		return c
	}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "weir", Name: name, Help: help}, labels)
		reg.MustRegister(g)
		return g
	}
	return &Metrics{
		records:           counter("records_total", "Records taken from the input.", "partition"),
		bytes:             counter("record_bytes_total", "Bytes of the records taken from the input.", "partition"),
		deadLetters:       counter("dead_letters_total", "Records that could not be decoded.", "partition", "reason"),
		matches:           counter("rule_matches_total", "Matches of a rule.", "rule_id"),
		evaluations:       counter("rule_evaluations_total", "Evaluations of a rule's conditions, after the index.", "rule_id"),
		candidates:        counter("rule_candidates_total", "Events that the index found for a rule, of those that the gate and its index patterns leave it.", "rule_id"),
		partials:          gauge("rule_partials", "Live partials of a rule.", "partition", "rule_id"),
		evicted:           counter("rule_partials_evicted_total", "Partials dropped because a cap was reached.", "rule_id"),
		late:              counter("late_events_total", "Candidates behind their host's watermark.", "partition"),
		lateByRule:        counter("rule_late_events_total", "Late candidates that concern a rule.", "rule_id"),
		lateBySilence:     counter("idle_late_events_total", "Late candidates that the log alone would not have made late: the wall clock had moved the record clock of a silent partition.", "partition"),
		idleAdvances:      counter("idle_clock_advances_total", "Times that the wall clock moved the record clock of a silent partition.", "partition"),
		clamped:           counter("future_events_total", "Events whose time was ahead of the record clock and was clamped.", "partition"),
		hostless:          counter("hostless_events_total", "Events without host.id, agent.id and host.name.", "partition"),
		uncoerced:         counter("uncoerced_values_total", "Values that are missing because they don't fit their field's type.", "field"),
		unknownStream:     counter("unknown_stream_events_total", "Events of no known data stream, which index patterns don't filter.", "partition"),
		buffered:          gauge("reorder_buffer_events", "Events that wait for their host's watermark.", "partition"),
		bufferOverflow:    counter("reorder_buffer_overflow_total", "Events released early because the reorder buffer was full.", "partition"),
		bufferSpilled:     counter("reorder_buffer_spilled_total", "Waiting events whose documents went to the store, because memory had no room for them.", "partition"),
		bufferReread:      counter("reorder_buffer_reread_total", "Waiting events that were read again from the input: an event that happened before came behind them.", "partition"),
		bufferLost:        counter("reorder_buffer_lost_total", "Waiting events that a restart did not find on the input any more.", "partition"),
		hosts:             gauge("hosts", "Hosts that are remembered.", "partition"),
		hostsForgotten:    counter("hosts_forgotten_total", "Hosts dropped from memory with nothing pending.", "partition"),
		eventLag:          gauge("event_lag_seconds", "Record clock minus the newest event time.", "partition"),
		joinKeysTruncated: counter("join_keys_truncated_total", "Events with more join key combinations than are kept, and join keys too large to keep.", "partition"),
		alertFailures:     counter("alert_build_failures_total", "Matches for which no alert could be built.", "partition"),
		folded:            counter("folded_names_total", "Host names and event ids longer than 1 KiB, which are shortened to a prefix and a hash.", "partition"),
		matchesCut:        counter("rule_matches_cut_total", "Matches without an alert: one event completed too many of the rule under different join keys.", "rule_id"),
		timeless:          counter("rule_timeless_events_total", "Candidates without a value in the rule's timestamp_field.", "rule_id"),
		partialsDiscarded: counter("partials_discarded_total", "Partials dropped because their rule was removed or its query changed.", "partition"),
		buffersDiscarded:  counter("reorder_buffer_discarded_total", "Waiting events dropped because all rules that wanted them were removed or changed.", "partition"),
		unclaimedPartials: gauge("unclaimed_partials", "Partials of rules that aren't loaded, kept because a rule file is broken.", "partition"),
		unclaimedEvents:   gauge("unclaimed_events", "Events that waited for rules that aren't loaded, kept because a rule file is broken.", "partition"),
		unclaimedExpired:  counter("unclaimed_expired_total", "Partials and waiting events that were kept for rules that aren't loaded, and dropped because their time was over or they were too many.", "partition"),
		deduplicated:      counter("alerts_deduplicated_total", "Alerts of a rule left out: one of the same id was published within dedupe.window.", "rule_id"),
		idsForgotten:      counter("dedupe_ids_forgotten_total", "Ids of alerts forgotten before dedupe.window was over, because there were more than dedupe.ids.", "partition"),
		ids:               gauge("dedupe_ids", "Ids of alerts that are remembered.", "partition"),
		quarantineSkipped: counter("rule_quarantine_skipped_total", "Candidates that a rule did not get because it was in quarantine.", "rule_id"),
		quarantineDropped: counter("rule_quarantine_partials_dropped_total", "Partials dropped because their rule was put in quarantine.", "rule_id"),
		alerts:            counter("alerts_total", "Alerts that were committed.", "partition", "severity"),
		rekeySent:         counter("rekey_sent_total", "Events sent to the re-key topic, one for each target partition, by source partition.", "partition"),
		rekeyBytes:        counter("rekey_sent_bytes_total", "Bytes of the events sent to the re-key topic, by source partition.", "partition"),
		rekeyReceived:     counter("rekey_received_total", "Events taken from the re-key topic, by target partition.", "partition"),
		rekeyRepeated:     counter("rekey_repeats_total", "Candidates on the re-key topic left out because they were taken before, by target partition: a source without transactions has sent them again.", "partition"),
		rekeyForgotten:    counter("rekey_repeats_forgotten_total", "Candidates that were forgotten before their source said that it won't send them again, by target partition: a repetition would count as late.", "partition"),
		rekeyDropped:      counter("rekey_dropped_total", "What was left out of the re-key topic: candidates of rules that were removed or changed (unknown_rule), and records that can't be decoded (malformed).", "partition", "reason"),
		rekeyWaiting:      gauge("rekey_waiting_events", "Events of rules that join events of any host, which wait for the watermark of all sources.", "partition"),
		rekeyLag:          gauge("rekey_watermark_lag_seconds", "Newest clock of a source minus the least, by target partition: how far the slowest source holds the others up. While a source is unknown it stays as it was.", "partition"),
	}
}

// counts are what a worker has counted since the last commit. They become metrics when it is committed, so that
// work that is done again after an abort is not counted twice.
type counts struct {
	records, bytes, hostless, clamped, late, bufferOverflow uint64
	hostsForgotten, joinKeysTruncated, alertFailures        uint64
	folded                                                  uint64
	idleAdvances, lateBySilence                             uint64
	partialsDiscarded, buffersDiscarded, idsForgotten       uint64
	spilled, lost, reread, unclaimedExpired                 uint64
	unknownStream                                           uint64
	rekeySent, rekeyBytes, rekeyReceived                    uint64
	rekeyUnknown, rekeyMalformed                            uint64
	rekeyRepeated, rekeyForgotten                           uint64
	clock, newest                                           int64
	deadLetters                                             map[string]uint64
	matches, evicted, lateByRule, matchesCut, timeless      []uint64
	deduplicated, skipped, quarantined                      []uint64

	// What the gauges were at the last flush.
	seenPartials []int
}

func newCounts(rules int) counts {
	return counts{
		deadLetters: map[string]uint64{}, matches: make([]uint64, rules), evicted: make([]uint64, rules),
		lateByRule: make([]uint64, rules), matchesCut: make([]uint64, rules), timeless: make([]uint64, rules),
		deduplicated: make([]uint64, rules), skipped: make([]uint64, rules), quarantined: make([]uint64, rules),
		seenPartials: make([]int, rules),
	}
}

// forRules makes room for the rules of another set. Nothing was counted by rule since the last flush.
func (c *counts) forRules(rules int) {
	n := newCounts(rules)
	c.matches, c.evicted, c.lateByRule, c.matchesCut, c.timeless = n.matches, n.evicted, n.lateByRule, n.matchesCut, n.timeless
	c.deduplicated, c.skipped, c.quarantined, c.seenPartials = n.deduplicated, n.skipped, n.quarantined, n.seenPartials
}

// reset drops the counts of the batch.
func (c *counts) reset() {
	clear(c.matches)
	clear(c.evicted)
	clear(c.lateByRule)
	clear(c.matchesCut)
	clear(c.timeless)
	clear(c.deduplicated)
	clear(c.skipped)
	clear(c.quarantined)
	clear(c.deadLetters)
	*c = counts{
		clock: c.clock, newest: c.newest, deadLetters: c.deadLetters,
		matches: c.matches, evicted: c.evicted, lateByRule: c.lateByRule, matchesCut: c.matchesCut, timeless: c.timeless,
		deduplicated: c.deduplicated, skipped: c.skipped, quarantined: c.quarantined,
		seenPartials: c.seenPartials,
	}
}

// countLate counts an event that came behind its host's watermark, and the rules that it concerns.
func (w *Worker) countLate(b *buffered, came arrival) {
	w.counts.late++
	if came == lateBySilence {
		w.counts.lateBySilence++
	}
	for i := range b.cands {
		w.counts.lateByRule[b.cands[i].rule.Number]++
	}
}

// next returns empty counts for the batch that follows, in the memory of spare where there is some.
func (c *counts) next(spare *counts) counts {
	if spare == nil {
		n := newCounts(len(c.matches))
		spare = &n
	}
	n := *spare
	n.clock, n.newest, n.seenPartials = c.clock, c.newest, c.seenPartials
	return n
}

// flush adds the counts of a committed batch, which had the alerts given, to the metrics.
func (c *counts) flush(w *Worker, alerts []Alert) {
	defer c.reset()
	w.meter.report(sampledCandidates)
	m := w.cfg.Metrics
	if m == nil {
		return
	}
	p := strconv.Itoa(int(w.number))
	for _, v := range []struct {
		vec *prometheus.CounterVec
		n   uint64
	}{
		{m.records, c.records},
		{m.bytes, c.bytes},
		{m.hostless, c.hostless},
		{m.clamped, c.clamped},
		{m.late, c.late},
		{m.bufferOverflow, c.bufferOverflow},
		{m.bufferSpilled, c.spilled},
		{m.bufferLost, c.lost},
		{m.bufferReread, c.reread},
		{m.hostsForgotten, c.hostsForgotten},
		{m.joinKeysTruncated, c.joinKeysTruncated},
		{m.folded, c.folded},
		{m.alertFailures, c.alertFailures},
		{m.lateBySilence, c.lateBySilence},
		{m.idleAdvances, c.idleAdvances},
		{m.partialsDiscarded, c.partialsDiscarded},
		{m.buffersDiscarded, c.buffersDiscarded},
		{m.idsForgotten, c.idsForgotten},
		{m.unclaimedExpired, c.unclaimedExpired},
		{m.unknownStream, c.unknownStream},
		{m.rekeySent, c.rekeySent},
		{m.rekeyBytes, c.rekeyBytes},
		{m.rekeyReceived, c.rekeyReceived},
		{m.rekeyRepeated, c.rekeyRepeated},
		{m.rekeyForgotten, c.rekeyForgotten},
	} {
		if v.n > 0 {
			v.vec.WithLabelValues(p).Add(float64(v.n))
		}
	}
	for reason, n := range c.deadLetters {
		m.deadLetters.WithLabelValues(p, reason).Add(float64(n))
	}
	c.flushRekeyed(w, p)
	for i := range alerts {
		m.alerts.WithLabelValues(p, alerts[i].Severity).Inc()
	}
	m.buffered.WithLabelValues(p).Set(float64(w.buffered + w.notes.len))
	m.hosts.WithLabelValues(p).Set(float64(w.hosts.len()))
	m.ids.WithLabelValues(p).Set(float64(len(w.published.at)))
	m.unclaimedPartials.WithLabelValues(p).Set(float64(len(w.unclaimed.partials)))
	m.unclaimedEvents.WithLabelValues(p).Set(float64(len(w.unclaimed.events)))
	if c.newest > 0 {
		m.eventLag.WithLabelValues(p).Set(float64(c.clock-c.newest) / 1000)
	}
	c.flushRules(w, p)
	w.preparer.Report()
}

func (c *counts) flushRekeyed(w *Worker, partition string) {
	m := w.cfg.Metrics
	if c.rekeyUnknown > 0 {
		m.rekeyDropped.WithLabelValues(partition, "unknown_rule").Add(float64(c.rekeyUnknown))
	}
	if c.rekeyMalformed > 0 {
		m.rekeyDropped.WithLabelValues(partition, "malformed").Add(float64(c.rekeyMalformed))
	}
	if !w.sharing {
		return
	}
	m.rekeyWaiting.WithLabelValues(partition).Set(float64(w.shared.waiting()))
	if lag, ok := w.shared.lag(); ok {
		m.rekeyLag.WithLabelValues(partition).Set(float64(lag) / 1000)
	}
}

func (c *counts) flushRules(w *Worker, partition string) {
	m := w.cfg.Metrics
	for i, rule := range w.cfg.Set.Rules() {
		id := rule.Rule.ID
		for _, v := range []struct {
			vec *prometheus.CounterVec
			n   uint64
		}{
			{m.matches, c.matches[i]},
			{m.matchesCut, c.matchesCut[i]},
			{m.timeless, c.timeless[i]},
			{m.evicted, c.evicted[i]},
			{m.deduplicated, c.deduplicated[i]},
			{m.quarantineSkipped, c.skipped[i]},
			{m.quarantineDropped, c.quarantined[i]},
			{m.lateByRule, c.lateByRule[i]},
		} {
			if v.n > 0 {
				v.vec.WithLabelValues(id).Add(float64(v.n))
			}
		}
		if live := w.partials.byRule[i].live; live != c.seenPartials[i] {
			m.partials.WithLabelValues(partition, id).Set(float64(live))
			c.seenPartials[i] = live
		}
	}
}

// begin makes the series of a partition, so that the first increase of a counter is one that Prometheus sees.
func (m *Metrics) begin(partition int32, set *rules.Set) {
	if m == nil {
		return
	}
	p := strconv.Itoa(int(partition))
	for _, v := range []*prometheus.CounterVec{
		m.records, m.bytes, m.late, m.lateBySilence, m.idleAdvances, m.clamped, m.hostless, m.unknownStream, m.bufferOverflow, m.bufferSpilled, m.bufferReread, m.bufferLost,
		m.hostsForgotten, m.joinKeysTruncated, m.alertFailures, m.folded, m.partialsDiscarded, m.buffersDiscarded, m.idsForgotten,
		m.unclaimedExpired,
		m.rekeySent, m.rekeyBytes, m.rekeyReceived, m.rekeyRepeated, m.rekeyForgotten,
	} {
		v.WithLabelValues(p)
	}
	// A worker with another set has gone before, maybe: rules that are gone have no partials.
	m.partials.DeletePartialMatch(prometheus.Labels{"partition": p})
	for _, reason := range []string{ReasonMalformed, ReasonNotObject, ReasonTooDeep, ReasonTooLarge, ReasonNoTimestamp} {
		m.deadLetters.WithLabelValues(p, reason)
	}
	for _, reason := range []string{"unknown_rule", "malformed"} {
		m.rekeyDropped.WithLabelValues(p, reason)
	}
	for _, c := range set.Rules() {
		m.matches.WithLabelValues(c.Rule.ID)
		m.deduplicated.WithLabelValues(c.Rule.ID)
		if c.Joins() {
			m.evicted.WithLabelValues(c.Rule.ID)
			m.matchesCut.WithLabelValues(c.Rule.ID)
		}
	}
}

// Forget removes the gauges of a partition that this process no longer owns.
func (m *Metrics) Forget(partition int32) {
	if m == nil {
		return
	}
	label := prometheus.Labels{"partition": strconv.Itoa(int(partition))}
	for _, g := range []*prometheus.GaugeVec{m.partials, m.buffered, m.hosts, m.ids, m.unclaimedPartials, m.unclaimedEvents, m.eventLag, m.rekeyWaiting, m.rekeyLag} {
		g.DeletePartialMatch(label)
	}
}
