//go:build unix

package main

import (
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// cpuTime returns the CPU time that this process has used.
func cpuTime() (user, system time.Duration) {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0, 0
	}
	return time.Duration(u.Utime.Nano()), time.Duration(u.Stime.Nano())
}

// residentMB returns the memory of this process now and at its peak, in MB of 1,000,000 bytes.
func residentMB() (now, peak float64) {
	status, err := os.ReadFile("/proc/self/status") // ru_maxrss would begin with the parent's
	if err != nil {
		var u syscall.Rusage
		if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
			return 0, 0
		}
		peak = float64(u.Maxrss) / 1e6 // bytes on macOS
		if runtime.GOOS != "darwin" {
			peak *= 1024
		}
		return peak, peak
	}
	kb := func(name string) float64 {
		_, rest, _ := strings.Cut(string(status), name+":")
		n, _ := strconv.ParseFloat(strings.TrimSpace(strings.SplitN(rest, "kB", 2)[0]), 64)
		return n * 1024 / 1e6
	}
	return kb("VmRSS"), kb("VmHWM")
}

// cpuModel returns the name of the processor, empty where the system doesn't say.
func cpuModel() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return ""
	}
	_, rest, ok := strings.Cut(string(info), "model name")
	if !ok {
		return ""
	}
	line, _, _ := strings.Cut(rest, "\n")
	return strings.TrimSpace(strings.TrimLeft(line, "\t :"))
}
