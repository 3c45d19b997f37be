package bench

import (
	"cmp"
	"encoding/csv"
	"io"
	"slices"
	"strconv"
	"time"
)

// Report is what weir bench says with -o json. Figures of a Row are those of one run.
type Report struct {
	Version string `json:"version"`
	Go      string `json:"go"`
	OS      string `json:"os"`
	CPU     string `json:"cpu,omitempty"`
	Cores   int    `json:"cores"`
	Setup   Setup  `json:"setup"`
	Rows    []Row  `json:"rows"`
}

// Setup is what all runs have in common.
type Setup struct {
	Broker         string        `json:"broker"` // "embedded" or an address
	Events         int           `json:"events"`
	Source         string        `json:"source"` // "generated" or the name of a file
	EventBytes     float64       `json:"event_bytes"`
	TopicBytes     int64         `json:"topic_bytes"` // of all documents, before compression
	Seed           uint64        `json:"seed"`
	Hosts          int           `json:"hosts"`
	AlertShare     float64       `json:"alert_share"`
	StageShare     float64       `json:"stage_share"`
	Partitions     int           `json:"partitions"`
	Compression    string        `json:"compression"`
	CommitInterval time.Duration `json:"commit_interval_ns"`
	Procs          int           `json:"procs"` // GOMAXPROCS of the member, 0 for the number of cores
	Rate           float64       `json:"rate"`  // events produced per second; 0: the topic was filled before
	Overrides      []string      `json:"settings,omitempty"`
}

// Row is one run.
type Row struct {
	Rules         int     `json:"rules"`
	Run           int     `json:"run"`
	Events        int     `json:"events"`                   // that were measured: those after the warm-up
	Whole         bool    `json:"start_included,omitempty"` // all were, from the start of the process on: there were too few commits for a warm-up
	Seconds       float64 `json:"seconds"`
	EventsPerS    float64 `json:"events_per_s"`
	CPUMicros     float64 `json:"cpu_us_per_event"`
	UserMicros    float64 `json:"user_us_per_event"`
	Allocs        float64 `json:"allocs_per_event"`
	AllocBytes    float64 `json:"alloc_bytes_per_event"`
	GCs           uint32  `json:"gcs"`
	RSSMB         float64 `json:"rss_mb"`      // at the end
	PeakRSSMB     float64 `json:"peak_rss_mb"` // of the whole process
	LoadMS        float64 `json:"load_ms"`     // reading and compiling the rules
	MatchesPerM   float64 `json:"alerts_per_million"`
	CandidatesPer float64 `json:"candidates_per_event"`
	EvaluationsP  float64 `json:"evaluations_per_event"`
	// Stages splits CPUMicros by what the CPU profile shows; empty where none was taken.
	Stages map[string]float64 `json:"stages_us,omitempty"`
	// Alerts counts all alerts on the topic, of all rules and events.
	Alerts *Alerts `json:"alerts,omitempty"`
	// Planted says whether the alerts of the planted rules were exactly those that were expected.
	Planted *Planted `json:"planted,omitempty"`
	Latency *Latency `json:"latency,omitempty"`
}

// Alerts on the topic, as readers under read_committed have them.
type Alerts struct {
	Distinct int `json:"distinct"`
	Doubled  int `json:"doubled"` // whose id was there already
}

// Planted compares the alerts of the planted rules on the topic with those that were expected.
type Planted struct {
	Expected int `json:"expected"`
	Found    int `json:"found"` // distinct, of those expected
	Doubled  int `json:"doubled"`
	Strange  int `json:"strange"` // that nothing explains
}

// Exact reports whether each alert is there once and nothing else is.
func (p *Planted) Exact() bool { return p.Found == p.Expected && p.Doubled == 0 && p.Strange == 0 }

// Latency holds the times from producing an event until a reader under read_committed has its alert, in milliseconds.
type Latency struct {
	Single   Quantiles `json:"single_ms"`
	Sequence Quantiles `json:"sequence_ms"` // from the event that completes it, order.lateness included
}

// Quantiles of a sample of size N.
type Quantiles struct {
	N   int     `json:"n"`
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// QuantilesOf sorts times and sums them up in milliseconds.
func QuantilesOf(times []time.Duration) Quantiles {
	if len(times) == 0 {
		return Quantiles{}
	}
	slices.Sort(times)
	at := func(q float64) float64 { return times[min(len(times)-1, int(q*float64(len(times))))].Seconds() * 1000 }
	return Quantiles{N: len(times), P50: at(0.5), P99: at(0.99), Max: at(1)}
}

// Median returns the row whose CPU time is the median of the runs with a number of rules.
func Median(rows []Row) Row {
	sorted := slices.Clone(rows)
	slices.SortFunc(sorted, func(a, b Row) int { return cmp.Compare(a.CPUMicros, b.CPUMicros) })
	return sorted[(len(sorted)-1)/2]
}

// WriteCSV writes the median of each number of rules as a line, for charts.
func (r *Report) WriteCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	header := append([]string{"rules", "event_bytes", "events_per_s", "cpu_us", "allocs", "rss_mb"}, Stages()...)
	if err := out.Write(header); err != nil {
		return err
	}
	for _, rows := range r.ByRules() {
		m := Median(rows)
		values := []float64{float64(m.Rules), r.Setup.EventBytes, m.EventsPerS, m.CPUMicros, m.Allocs, m.RSSMB}
		for _, stage := range Stages() {
			values = append(values, m.Stages[stage])
		}
		line := make([]string, len(values))
		for i, v := range values {
			line[i] = strconv.FormatFloat(v, 'f', 3, 64)
		}
		if err := out.Write(line); err != nil {
			return err
		}
	}
	out.Flush()
	return out.Error()
}

// ByRules returns the runs of each number of rules, in the order in which they were made.
func (r *Report) ByRules() [][]Row {
	var groups [][]Row
	for _, row := range r.Rows {
		i := slices.IndexFunc(groups, func(g []Row) bool { return g[0].Rules == row.Rules })
		if i < 0 {
			groups, i = append(groups, nil), len(groups)
		}
		groups[i] = append(groups[i], row)
	}
	return groups
}
