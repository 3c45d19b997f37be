//go:build !race

package kafka_test

// racing is set where the race detector watches.
const racing = false
