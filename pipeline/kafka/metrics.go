package kafka

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/state"
)

// Metrics are the metrics of a service. All methods do nothing on nil.
type Metrics struct {
	commits       prometheus.Histogram
	transactions  *prometheus.HistogramVec
	lag           *prometheus.GaugeVec
	recordLag     *prometheus.GaugeVec
	restore       *prometheus.GaugeVec
	partitions    prometheus.Gauge
	standby       prometheus.Gauge
	standbyBehind *prometheus.GaugeVec
	rebalances    prometheus.Counter
	takenOver     prometheus.Counter
	restored      prometheus.Counter
	restarts      prometheus.Counter
	hostConflicts prometheus.Counter
	sinkErrors    *prometheus.CounterVec
	sinkHeld      prometheus.Gauge
	lost          *prometheus.CounterVec
	held          *prometheus.GaugeVec
	topicWait     *prometheus.CounterVec
	stateSize     *prometheus.GaugeVec
	mixed         prometheus.Gauge
	sized         time.Time
}

// NewMetrics registers the service's metrics with reg.
func NewMetrics(reg prometheus.Registerer) *Metrics {
	buckets := prometheus.ExponentialBuckets(0.001, 2, 15)
	m := &Metrics{
		commits: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "weir_commit_duration_seconds", Buckets: buckets,
			Help: "Time from the end of a batch until its transaction is committed and the local store is up to it.",
		}),
		transactions: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "weir_transaction_end_duration_seconds", Buckets: buckets,
			Help: "Time that ending a transaction took, by outcome.",
		}, []string{"outcome"}),
		lag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_consumer_lag_records", Help: "Records between the committed position and the end of the log.",
		}, []string{"topic", "partition"}),
		recordLag: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_record_lag_seconds",
			Help: "Wall clock at the end of a commit minus the broker's time of the newest record in it; stays where it was while no record comes.",
		}, []string{"partition"}),
		restore: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_restore_remaining_records", Help: "Changelog records that a partition's restore still has to read.",
		}, []string{"partition"}),
		partitions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_assigned_partitions", Help: "Partitions that this member owns.",
		}),
		standby: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_standby_partitions", Help: "Partitions of other members of whose state this member keeps a copy.",
		}),
		standbyBehind: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_standby_lag_records", Help: "Changelog records that the copy of a partition's state is behind, looked at every 5 s.",
		}, []string{"partition"}),
		rebalances: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_rebalances_total", Help: "Rebalances of the group that this member took part in, also those that changed nothing for it.",
		}),
		restored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_restored_records_total", Help: "Changelog records that were read to take partitions over.",
		}),
		takenOver: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_partitions_taken_over_total", Help: "Partitions that this member began to work on.",
		}),
		restarts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_client_restarts_total", Help: "Times that the client was replaced after an error.",
		}),
		hostConflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "weir_host_conflicts_total", Help: "Hosts that were seen on two partitions without rekey: true, so that their sequences are split.",
		}),
		sinkErrors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_sink_errors_total", Help: "Times that a commit was refused for a reason that only an operator can mend.",
		}, []string{"sink", "reason"}),
		sinkHeld: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_sink_held", Help: "1 while output is held back because the broker refuses it, else 0.",
		}),
		lost: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_input_records_lost_total", Help: "Offsets of the input that were deleted before they were read.",
		}, []string{"topic", "partition"}),
		held: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_input_held_records", Help: "Records of an input topic that wait for another one to catch up; none with one topic.",
		}, []string{"topic", "partition"}),
		topicWait: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "weir_topic_wait_exceeded_total",
			Help: "Times that an input topic had unread records and brought none for order.topic_wait, so that the others went on without it.",
		}, []string{"topic", "partition"}),
		mixed: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "weir_group_delivery_mixed", Help: "1 where members of the group differ in their delivery, which they must not, else 0.",
		}),
		stateSize: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "weir_state_size_bytes", Help: "Size of the local state store on disk.",
		}, []string{"part"}),
	}
	reg.MustRegister(m.commits, m.transactions, m.lag, m.recordLag, m.restore, m.partitions, m.standby, m.standbyBehind, m.rebalances, m.takenOver, m.restored, m.restarts,
		m.hostConflicts, m.sinkErrors, m.sinkHeld, m.lost, m.held, m.topicWait, m.stateSize, m.mixed)
	for _, sink := range []string{"alerts", "dead_letters", "changelog", "rekey", "group"} {
		for _, reason := range []string{ReasonMissing, ReasonNotAuthorized, ReasonTooLarge, ReasonRefused} {
			m.sinkErrors.WithLabelValues(sink, reason)
		}
	}
	return m
}

func (m *Metrics) restoreRemaining(partition int32, records int64) {
	if m != nil {
		m.restore.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(records))
	}
}

func (m *Metrics) deliveriesMixed(mixed bool) {
	if m == nil {
		return
	}
	m.mixed.Set(0)
	if mixed {
		m.mixed.Set(1)
	}
}

func (m *Metrics) restarted() {
	if m != nil {
		m.restarts.Inc()
	}
}

func (m *Metrics) rebalanced(partitions int) {
	if m != nil {
		m.rebalances.Inc()
		m.partitions.Set(float64(partitions))
	}
}

func (m *Metrics) standbys(partitions int) {
	if m != nil {
		m.standby.Set(float64(partitions))
	}
}

func (m *Metrics) standbyLag(partition int32, records int64) {
	if m != nil {
		m.standbyBehind.WithLabelValues(strconv.Itoa(int(partition))).Set(float64(records))
	}
}

func (m *Metrics) forgetStandby(partition int32) {
	if m != nil {
		m.standbyBehind.DeleteLabelValues(strconv.Itoa(int(partition)))
	}
}

func (m *Metrics) restoredRecords(n int) {
	if m != nil {
		m.restored.Add(float64(n))
	}
}

func (m *Metrics) tookOver() {
	if m != nil {
		m.takenOver.Inc()
	}
}

func (m *Metrics) inputLost(topic string, partition int32, offsets int64) {
	if m != nil {
		m.lost.WithLabelValues(topic, strconv.Itoa(int(partition))).Add(float64(offsets))
	}
}

func (m *Metrics) inputHeld(members map[int32]*member) {
	if m == nil {
		return
	}
	for n, mem := range members {
		for _, l := range mem.lanes {
			m.held.WithLabelValues(l.topic, strconv.Itoa(int(n))).Set(float64(l.len()))
		}
	}
}

func (m *Metrics) topicWaitExceeded(topic string, partition int32) {
	if m != nil {
		m.topicWait.WithLabelValues(topic, strconv.Itoa(int(partition))).Inc()
	}
}

func (m *Metrics) sinkFailed(cause *SinkError) {
	if m != nil {
		m.sinkErrors.WithLabelValues(cause.Sink, cause.Reason).Inc()
		m.sinkHeld.Set(1)
	}
}

// sinkRefused counts output that the broker refuses and that holds up no batch.
func (m *Metrics) sinkRefused(cause *SinkError) {
	if m != nil {
		m.sinkErrors.WithLabelValues(cause.Sink, cause.Reason).Inc()
	}
}

func (m *Metrics) sinkReleased() {
	if m != nil {
		m.sinkHeld.Set(0)
	}
}

func (m *Metrics) hostConflict() {
	if m != nil {
		m.hostConflicts.Inc()
	}
}

func (m *Metrics) transaction(took time.Duration, committed bool) {
	if m == nil {
		return
	}
	outcome := "aborted"
	if committed {
		outcome = "committed"
	}
	m.transactions.WithLabelValues(outcome).Observe(took.Seconds())
}

// committed observes one commit, the lag that it leaves, and now and then the size of the store.
func (m *Metrics) committed(c *commit, store *state.Store) {
	if m == nil {
		return
	}
	ended := c.began.Add(c.took) // that is noticed later where a worker is busy
	m.commits.Observe(c.took.Seconds())
	for _, part := range c.parts {
		mem, partition := part.m, strconv.Itoa(int(part.m.number))
		if part.newest != 0 {
			m.recordLag.WithLabelValues(partition).Set(float64(ended.UnixMilli()-part.newest) / 1000)
		}
		for topic, end := range mem.ends {
			if at, ok := mem.committed[topic]; ok {
				m.lag.WithLabelValues(topic, partition).Set(float64(end - at.Offset))
			}
			if mem.lastSeen.Sub(m.sized) > 10*time.Second {
				m.sized = mem.lastSeen
				lsm, vlog := store.Sizes()
				m.stateSize.WithLabelValues("lsm").Set(float64(lsm))
				m.stateSize.WithLabelValues("vlog").Set(float64(vlog))
			}
		}
	}
}

func (m *Metrics) forget(partition int32) {
	if m == nil {
		return
	}
	label := prometheus.Labels{"partition": strconv.Itoa(int(partition))}
	m.lag.DeletePartialMatch(label)
	m.held.DeletePartialMatch(label)
	m.recordLag.DeletePartialMatch(label)
	m.restore.DeletePartialMatch(label)
}
