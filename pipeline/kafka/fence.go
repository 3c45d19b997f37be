package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// errReplaced says that the group has gone on without this member, or is about to.
var errReplaced = errors.New("the group is rebalancing")

// fence makes sure that this member still owns its partitions, for a transaction without new offsets: what the
// wall clock decided on silent partitions. The client commits no offsets then, and it is the commit of offsets
// that the broker refuses to a member that was replaced while it slept.
//
// A heartbeat under the member's generation does as well. Everything that the transaction holds was written
// before it. Where the group still knows the generation, any other member is given the partitions later than that,
// so that the end of the changelog that it reads up to lies behind our records, and it waits for their outcome.
func (s *Service) fence(ctx context.Context) error {
	s.mu.Lock()
	id := s.identity
	s.mu.Unlock()
	req := kmsg.NewPtrHeartbeatRequest()
	req.Group = s.cfg.Group
	req.MemberID, req.Generation = id.member, id.generation // not the client's: it may be in a later one already
	resp, err := req.RequestWith(ctx, s.session.Client())
	if err != nil {
		return fmt.Errorf("heartbeat: %w", err)
	}
	err = kerr.ErrorForCode(resp.ErrorCode)
	switch {
	case errors.Is(err, kerr.RebalanceInProgress), errors.Is(err, kerr.IllegalGeneration), errors.Is(err, kerr.UnknownMemberID):
		s.replaced(id)
		return fmt.Errorf("%w: %w", errReplaced, err)
	case err != nil:
		return fmt.Errorf("heartbeat: %w", err)
	}
	return nil
}

// replaced notes that the group has left an identity behind, before the client knows: nothing is decided until
// partitions are assigned anew.
func (s *Service) replaced(id identity) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.identity == id {
		s.revoked = true
	}
}

// noteFenced says what is behind an error by which the broker refuses our transactional id: somebody else has taken
// it over since.
func (s *Service) noteFenced(err error) {
	// The broker refuses records with the one, and the end of a transaction with the other.
	if !errors.Is(err, kerr.ProducerFenced) && !errors.Is(err, kerr.InvalidProducerEpoch) {
		return
	}
	s.log.Error("fenced: another process runs under this instance name, or this one stood still for longer than transaction_timeout; "+
		"if it happens again, give each member of the group an instance name of its own",
		slog.String("group", s.cfg.Group), slog.String("instance", s.cfg.Instance), slog.String("transactional_id", s.cfg.transactionalID()))
}
