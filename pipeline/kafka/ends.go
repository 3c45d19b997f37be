package kafka

import (
	"context"
	"errors"
	"time"
)

// asking bounds the time in which nothing else is done because brokers are asked for the ends of topics. One that is down answers nothing, and
// the client waits for it.
type asking struct {
	deadline time.Duration // of the next question; 0 before the first
	pause    time.Duration // between the end of a question that wasn't answered in time and the next
	from     time.Time     // when the next one may be asked
}

const (
	shortestAsk = 500 * time.Millisecond
	longestAsk  = 2 * time.Second
	// askingShare is the part of the time that questions without an answer take at the most: one in so many.
	askingShare = 5
)

// due reports whether a question may be asked.
func (a *asking) due(now time.Time) bool { return !now.Before(a.from) }

// longestGap is the longest time between two questions, where nothing else keeps them from being asked.
func (a *asking) longestGap() time.Duration { return a.pause + longestAsk }

// answered takes in what came of a question that ended at now. A broker that is slow by nature is given four times what it took; one that
// doesn't answer more from time to time, and it is asked less often.
func (a *asking) answered(now time.Time, took time.Duration, ok bool) {
	if ok {
		a.deadline, a.pause = min(max(4*took, shortestAsk), longestAsk), 0
		return
	}
	a.deadline = min(2*a.limit(), longestAsk)
	a.pause = (askingShare - 1) * took
	a.from = now.Add(a.pause)
}

// limit is the time that the next question has.
func (a *asking) limit() time.Duration { return max(a.deadline, shortestAsk) }

// errNotAsked says that the ends of topics aren't asked for, because a broker didn't answer a moment ago.
var errNotAsked = errors.New("the ends of topics aren't asked for: a broker didn't answer a moment ago")

// ends asks for the ends of partitions of topics.
func (s *Service) ends(ctx context.Context, partitions []topicPartition) (listing, error) {
	began := s.deps.Now()
	if !s.asking.due(began) {
		return listing{}, errNotAsked
	}
	limited, cancel := context.WithTimeout(ctx, s.asking.limit())
	defer cancel()
	ends := s.list(limited, endOffsets, partitions)
	if ctx.Err() == nil {
		now := s.deps.Now()
		s.asking.answered(now, now.Sub(began), limited.Err() == nil)
	}
	return ends, nil
}
