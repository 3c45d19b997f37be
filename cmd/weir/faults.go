//go:build !chaos || !linux

package main

import (
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/state"
)

// plantedFaults returns nothing: only a program that is built with the tag chaos, for the tests of internal/chaos, can be
// told to end or stop at a point of a commit, or to err.
func plantedFaults(_, _ string, _ *state.Store) (at func(kafka.Point), tamper func([]*kgo.Record) []*kgo.Record) {
	return nil, nil
}

// limitDisk leaves the folder of the local state as it is; see plantedFaults.
func limitDisk(string) error { return nil }
