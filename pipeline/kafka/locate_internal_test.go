package kafka

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// TestUnknownFor: how long a topic isn't known is counted from when brokers first said so, not from when a partition began to wait for another reason.
func TestUnknownFor(t *testing.T) {
	now := time.UnixMilli(1_790_000_000_000)
	l := &loader{service: &Service{deps: Deps{Now: func() time.Time { return now }}}, unknown: map[int32]time.Time{}}
	after := func(d time.Duration, cause error, want time.Duration) {
		t.Helper()
		now = now.Add(d)
		if got := l.unknownFor(1, cause); got != want {
			t.Errorf("%v: %v, want %v", cause, got, want)
		}
	}
	after(0, kerr.LeaderNotAvailable, 0)
	after(20*time.Second, kerr.UnknownTopicOrPartition, 0)
	after(2*time.Second, kerr.UnknownTopicOrPartition, 2*time.Second)
	after(time.Second, kerr.LeaderNotAvailable, 0)
	after(time.Second, kerr.UnknownTopicOrPartition, 0)
	after(6*time.Second, kerr.UnknownTopicOrPartition, 6*time.Second)
	if got := l.unknownFor(2, kerr.UnknownTopicOrPartition); got != 0 {
		t.Errorf("another partition: %v", got)
	}
}
