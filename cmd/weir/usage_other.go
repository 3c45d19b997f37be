//go:build !unix

package main

import "time"

// cpuTime isn't known here.
func cpuTime() (user, system time.Duration) { return 0, 0 }

// residentMB isn't known here.
func residentMB() (now, peak float64) { return 0, 0 }

// cpuModel isn't known here.
func cpuModel() string { return "" }
