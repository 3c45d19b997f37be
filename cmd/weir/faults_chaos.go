//go:build chaos && linux

package main

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/state"
)

// plantedFaults returns functions that end or stop the process at a point of a commit, and that err in what commits write to
// the topics of alerts and of the changelog, and to the local store, as the environment says.
func plantedFaults(alerts, changelog string, store *state.Store) (at func(kafka.Point), tamper func([]*kgo.Record) []*kgo.Record) {
	f := &faults{
		path: os.Getenv("CHAOS_FAULT"), plant: os.Getenv("CHAOS_PLANT"), process: os.Getenv("CHAOS_PROCESS"),
		alerts: alerts, changelog: changelog, store: store,
	}
	if f.path == "" {
		return nil, nil
	}
	return f.at, f.tamper
}

type faults struct {
	path, plant       string
	process           string // names this start of a member
	alerts, changelog string // topics
	store             *state.Store

	mu      sync.Mutex // a point may be passed by several goroutines at once
	passed  int
	alert   bool            // the commit holds one
	changes map[int32]int64 // records of the commit for the changelog, by partition
}

// at ends or stops the process at a point, as the file at path says: "POINT N SIGNAL" sends the process that signal when it
// passes POINT for the Nth time since the file is there; with "alert" as a fourth word only commits count that hold an alert.
// The file is removed before.
func (f *faults) at(p kafka.Point) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if p == kafka.PointFlushed && f.plant == "checkpoint" {
		f.runAhead()
	}
	raw, err := os.ReadFile(f.path)
	fields := bytes.Fields(raw)
	if err != nil || len(fields) < 3 || string(fields[0]) != string(p) || len(fields) > 3 && !f.alert {
		return
	}
	n, _ := strconv.Atoi(string(fields[1]))
	signal, _ := strconv.Atoi(string(fields[2]))
	if f.passed++; f.passed < n {
		return
	}
	f.passed = 0
	_ = os.Remove(f.path)
	_ = syscall.Kill(os.Getpid(), syscall.Signal(signal))
}

// runAhead is the error "checkpoint": before the commit the local store is told that it has all changes of it, of which it has none.
func (f *faults) runAhead() {
	for n, count := range f.changes {
		part := f.store.Partition(n)
		if cp, ok, err := part.Checkpoint(); err == nil && ok {
			cp.Changelog += count
			_ = part.Apply(nil, cp)
		}
	}
}

// tamper notes what a commit holds, and errs: "alerts" loses one alert in four and doubles another, "state" loses one change of the
// state in four. Each alert says which process wrote it.
func (f *faults) tamper(records []*kgo.Record) []*kgo.Record {
	f.mu.Lock()
	f.alert, f.changes = false, map[int32]int64{}
	for _, r := range records {
		switch r.Topic {
		case f.alerts:
			f.alert = true
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: "chaos.process", Value: []byte(f.process)})
		case f.changelog:
			f.changes[r.Partition]++
		}
	}
	f.mu.Unlock()
	topic := map[string]string{"alerts": f.alerts, "state": f.changelog}[f.plant]
	if topic == "" {
		return records
	}
	var out []*kgo.Record
	for _, r := range records {
		lot := crc32.ChecksumIEEE(slices.Concat(r.Key, r.Value)) % 4
		if r.Topic == topic && lot == 0 {
			continue
		}
		out = append(out, r)
		if r.Topic == topic && lot == 1 && topic == f.alerts {
			again := *r
			out = append(out, &again)
		}
	}
	return out
}

// limitDisk puts the local state on a disk of as many bytes as CHAOS_DISK says, in memory. The process must be in
// namespaces of its own for that, where it may mount.
func limitDisk(dir string) error {
	size := os.Getenv("CHAOS_DISK")
	if size == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syscall.Mount("weir-chaos", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		return fmt.Errorf("mount %s: %w", dir, err)
	}
	return nil
}
