//go:build linux

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"

	"github.com/weir-eql/weir/state"
)

// measured is what the process and its store took up to now.
type measured struct {
	at        time.Time
	begun     int           // partials
	cpu       time.Duration // of all threads, in the process and in the kernel for it
	resident  int64         // bytes
	heap      uint64        // bytes of live and dead objects
	lsm, vlog int64         // bytes on disk
}

func measure(store *state.Store, begun int) (measured, error) {
	m := measured{at: time.Now(), begun: begun}
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return m, fmt.Errorf("getrusage: %w", err)
	}
	m.cpu = time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	var err error
	if m.resident, err = resident(); err != nil {
		return m, err
	}
	var heap runtime.MemStats
	runtime.ReadMemStats(&heap)
	m.heap = heap.HeapAlloc
	m.lsm, m.vlog = store.Sizes()
	return m, nil
}

// resident returns the memory that the process has, as Linux tells it.
func resident() (int64, error) {
	text, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0, err
	}
	fields := bytes.Fields(text)
	if len(fields) < 2 {
		return 0, fmt.Errorf("/proc/self/statm says %q", text)
	}
	pages, err := strconv.ParseInt(string(fields[1]), 10, 64)
	return pages * int64(os.Getpagesize()), err
}

func header(w io.Writer) error {
	_, err := fmt.Fprintln(w, "partials,seconds,cpu_us_per_event,rss_mb,heap_mb,lsm_mb,vlog_mb,live")
	return err
}

// write appends a line on the time since before.
func (m *measured) write(w io.Writer, before *measured, live int) error {
	_, err := fmt.Fprintf(w, "%d,%.1f,%.2f,%.1f,%.1f,%.1f,%.1f,%d\n",
		m.begun, m.at.Sub(before.at).Seconds(), float64(m.cpu-before.cpu)/1e3/float64(m.begun-before.begun), mb(m.resident), mb(int64(m.heap)), mb(m.lsm), mb(m.vlog), live)
	return err
}

func mb(bytes int64) float64 { return float64(bytes) / 1e6 }
