package bench

import (
	"cmp"
	"slices"
)

// Decoding is what weir bench --decode says with -o json.
type Decoding struct {
	Version string     `json:"version"`
	Go      string     `json:"go"`
	OS      string     `json:"os"`
	CPU     string     `json:"cpu,omitempty"`
	Cores   int        `json:"cores"`
	Procs   int        `json:"procs"` // GOMAXPROCS
	File    string     `json:"file"`
	Rules   int        `json:"rules"`
	Fields  int        `json:"fields"` // that the rules read, those that every event is asked for included
	Events  uint64     `json:"events"`
	Bytes   uint64     `json:"bytes"` // of the documents
	Broken  uint64     `json:"broken"`
	Found   float64    `json:"found_per_event"` // fields that had a value
	Runs    []Decoded  `json:"runs"`
	Median  DecodeRate `json:"median"` // by CPU
}

// DecodeRate is how fast events were decoded.
type DecodeRate struct {
	Seconds    float64 `json:"seconds"`
	EventsPerS float64 `json:"events_per_s"`
	CPUMicros  float64 `json:"cpu_us_per_event"` // user and system, of the whole process
	MBPerS     float64 `json:"mb_per_s"`         // of 1,000,000 bytes
}

// Decoded is one run over the file.
type Decoded struct {
	Run int `json:"run"`
	DecodeRate
}

// RateOf returns the rate of a run that took so many seconds, and so much CPU time.
func RateOf(events, bytes uint64, seconds, cpuSeconds float64) DecodeRate {
	if events == 0 || seconds <= 0 {
		return DecodeRate{Seconds: seconds}
	}
	return DecodeRate{
		Seconds: seconds, EventsPerS: float64(events) / seconds, CPUMicros: cpuSeconds * 1e6 / float64(events),
		MBPerS: float64(bytes) / 1e6 / seconds,
	}
}

// MedianDecoded returns the run in the middle by CPU time; of an even number the lower one.
func MedianDecoded(runs []Decoded) DecodeRate {
	if len(runs) == 0 {
		return DecodeRate{}
	}
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b Decoded) int { return cmp.Compare(a.CPUMicros, b.CPUMicros) })
	return sorted[(len(sorted)-1)/2].DecodeRate
}
