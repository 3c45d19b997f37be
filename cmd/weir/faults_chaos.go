//go:build chaos && linux

package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"sync"
	"syscall"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// faults returns a function that ends or stops the process at a point, as the file says that CHAOS_FAULT names: "POINT N
// SIGNAL" sends the process that signal when it passes POINT for the Nth time since the file is there. The file is removed before.
func faults() func(kafka.Point) {
	path := os.Getenv("CHAOS_FAULT")
	if path == "" {
		return nil
	}
	var mu sync.Mutex // a point may be passed by several goroutines at once
	passed := 0
	return func(p kafka.Point) {
		mu.Lock()
		defer mu.Unlock()
		raw, err := os.ReadFile(path)
		fields := bytes.Fields(raw)
		if err != nil || len(fields) != 3 || string(fields[0]) != string(p) {
			return
		}
		n, _ := strconv.Atoi(string(fields[1]))
		signal, _ := strconv.Atoi(string(fields[2]))
		if passed++; passed < n {
			return
		}
		passed = 0
		_ = os.Remove(path)
		_ = syscall.Kill(os.Getpid(), syscall.Signal(signal))
	}
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
