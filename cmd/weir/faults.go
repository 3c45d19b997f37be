//go:build !chaos || !linux

package main

import "github.com/weir-eql/weir/pipeline/kafka"

// faults returns nothing: only a program that is built with the tag chaos, for the tests of internal/chaos, can be told to
// end or stop at a point of a commit.
func faults() func(kafka.Point) { return nil }

// limitDisk leaves the folder of the local state as it is; see faults.
func limitDisk(string) error { return nil }
