package kafka

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// identity is what the group knows a member by between two rebalances.
type identity struct {
	member     string
	generation int32
}

// membership is what the group's rebalances made of this member. The client's callbacks write it and the goroutine of Run reads
// it; Service.mu guards it.
//
// A partition goes through assigned, then leaving, then it is gone. While it is leaving it is still ours: the callback that
// said so waits until the batch at hand is committed and the partition is given up, and only then the group may give it to
// somebody else. Where it is too late for that, all is lost: nothing that isn't committed may be.
type membership struct {
	identity identity
	assigned map[int32]bool // including those that are leaving
	leaving  map[int32]bool
	lost     bool // the group has gone on without us
	standby  []int32
	eager    bool          // the group shares out by range: members give up everything in each rebalance
	fallen   bool          // it does since the assignment that is coming in
	news     chan struct{} // closed and made anew with each change
	given    chan struct{} // closed when what is leaving or lost was given up
	closing  bool          // the client is being closed: callbacks wait for nobody
}

func newMembership() membership {
	return membership{assigned: map[int32]bool{}, leaving: map[int32]bool{}, news: make(chan struct{}), given: make(chan struct{})}
}

// tell wakes whoever waits for a change. Service.mu is held.
func (m *membership) tell() {
	close(m.news)
	m.news = make(chan struct{})
}

// noteProtocol is told by the balancers how the assignment that is coming in was made.
func (s *Service) noteProtocol(eager bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.membership
	if eager && !m.eager && len(m.assigned) > 0 {
		// The leader may have given away what we have yet to give up.
		m.fallen = true
	}
	if m.eager = eager; eager {
		m.standby = nil // its plan knows none
	}
}

// noteStandby is told by the balancer whose copies this member shall keep.
func (s *Service) noteStandby(standby []int32, ok bool) {
	s.noteProtocol(false)
	if !ok {
		standby = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.membership.standby = standby
	s.membership.tell()
}

// onAssigned takes partitions over, and pauses them until their state is restored. The client calls it after each rebalance, also
// where nothing was added.
func (s *Service) onAssigned(_ context.Context, cl *kgo.Client, added map[string][]int32) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.membership
	cl.PauseFetchPartitions(added)
	m.identity.member, m.identity.generation = cl.GroupMetadata()
	m.fallen = false
	for topic, partitions := range added {
		if topic == s.cfg.RekeyTopic { // its partition goes with that of the input
			continue
		}
		for _, n := range partitions {
			m.assigned[n] = true
		}
	}
	s.rebalanced = true
	m.tell()
}

// onRevoked has the batch at hand committed and the partitions given up. The client calls it, and does not let the group go on
// before it returns.
func (s *Service) onRevoked(_ context.Context, cl *kgo.Client, revoked map[string][]int32) {
	s.mu.Lock()
	m := &s.membership
	switch {
	case m.fallen:
		m.lost = true
	case !m.eager: // it has the assignment that takes these away: offsets are committed under that
		m.identity.member, m.identity.generation = cl.GroupMetadata()
	}
	for topic, partitions := range revoked {
		if topic == s.cfg.RekeyTopic {
			continue
		}
		for _, n := range partitions {
			if m.assigned[n] {
				m.leaving[n] = true
			}
		}
	}
	s.awaitGiven()
}

// onLost has everything dropped: the group has taken us for dead. The client calls it.
func (s *Service) onLost(context.Context, *kgo.Client, map[string][]int32) {
	s.mu.Lock()
	s.membership.lost = true
	s.awaitGiven()
}

// awaitGiven waits until the goroutine of Run has given up what it has to. mu is held, and released.
func (s *Service) awaitGiven() {
	m := &s.membership
	if m.closing || !m.lost && len(m.leaving) == 0 {
		s.mu.Unlock()
		return
	}
	m.tell()
	given := m.given
	s.mu.Unlock()
	<-given
}

// closeMembership lets all callbacks return, now and from now on.
func (s *Service) closeMembership() {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.membership
	m.closing = true
	close(m.given)
	m.given = make(chan struct{})
}

// pendingChange reports whether the group has changed something that the goroutine of Run has yet to do.
func (s *Service) pendingChange() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := &s.membership
	return m.lost || len(m.leaving) > 0 || s.rebalanced || len(s.arrived) > 0
}

// give returns the partitions that have to be dropped now and lets the group go on once drop has returned. Nothing is uncommitted when
// it is called.
func (s *Service) give(drop func(partitions []int32)) {
	s.mu.Lock()
	m := &s.membership
	var out []int32
	switch {
	case m.lost:
		out = slices.Sorted(maps.Keys(m.assigned))
	case len(m.leaving) > 0:
		out = slices.Sorted(maps.Keys(m.leaving))
	default:
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	drop(out)
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, n := range out {
		delete(m.assigned, n)
		delete(m.leaving, n)
	}
	m.lost = false
	close(m.given)
	m.given = make(chan struct{})
}

// currentIdentity returns under what the group knows us.
func (s *Service) currentIdentity() identity {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.membership.identity
}

// errReplaced says that the group has gone on without this member, or is about to.
var errReplaced = errors.New("the group is rebalancing")

// identityPause is how long to wait for news before offsets are tried again under the same identity.
const identityPause = 50 * time.Millisecond

// nextIdentity waits for the group's next generation after it refused old, and returns old where there is none within a moment. It returns
// an error where the group has taken everything away. Partitions that were ours before and aren't lost still are, so that what was
// computed of them may be committed under the new identity.
func (s *Service) nextIdentity(ctx context.Context, old identity) (identity, error) {
	timeout := time.NewTimer(identityPause)
	defer timeout.Stop()
	for {
		s.mu.Lock()
		m := &s.membership
		id, lost, news := m.identity, m.lost || m.fallen || m.closing, m.news
		s.mu.Unlock()
		switch {
		case lost:
			return id, errReplaced
		case id != old:
			return id, nil
		}
		select {
		case <-news:
		case <-timeout.C:
			return id, nil
		case <-ctx.Done():
			return id, ctx.Err()
		}
	}
}

// isRebalance reports whether an error says that the group goes on: with the same member in another generation, or without it.
func isRebalance(err error) bool {
	return errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration)
}

func isExpelled(err error) bool {
	return errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.GroupIDNotFound)
}

// awaitNews waits a moment for the group to say something new, after it refused our offsets.
func (s *Service) awaitNews(ctx context.Context, longest time.Duration) {
	s.mu.Lock()
	news := s.membership.news
	pending := s.membership.lost || len(s.membership.leaving) > 0
	s.mu.Unlock()
	if pending {
		return
	}
	select {
	case <-ctx.Done():
	case <-news:
	case <-time.After(longest):
	}
}
