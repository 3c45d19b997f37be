//go:build race

package kafka_test

// racing is set where the race detector watches: each commit of a test in virtual time is some ten times dearer then.
const racing = true
