package kafka

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// noteFenced says what is behind an error by which the broker refuses our names: somebody else has taken them over since.
func (s *Service) noteFenced(err error) {
	if !isFenced(err) {
		return
	}
	s.log.Error("fenced: another process runs under this instance name, or this one stood still for longer than transaction_timeout; "+
		"if it happens again, give each member of the group an instance name of its own",
		slog.String("group", s.cfg.Group), slog.String("instance", s.cfg.Instance), slog.String("transactional_id", s.cfg.transactionalID()))
}

// isFenced: the broker refuses records with the first, the end of a transaction with the second, and a static member with the third.
func isFenced(err error) bool {
	return errors.Is(err, kerr.ProducerFenced) || errors.Is(err, kerr.InvalidProducerEpoch) || errors.Is(err, kerr.FencedInstanceID)
}

// fenceGrace is how long a process that has taken over our transactional id gets to appear in the group.
const fenceGrace = 500 * time.Millisecond

// awaitName waits until nobody else runs under our name. Whoever starts under a name takes it over, since that is what a restart looks like; whoever
// finds its name taken stands back. So of two processes with one name one works, and they don't fence each other for ever.
func (s *Service) awaitName(ctx context.Context, cause error) {
	if s.cfg.GroupInstance == "" {
		return
	}
	cl, err := kgo.NewClient(s.cfg.clientOptions(s.log, newBuffers())...)
	if err != nil {
		return // a new client will fail in the same way, and say so
	}
	defer cl.Close()
	admin := kadm.NewClient(cl)
	own := s.currentIdentity().member
	pause := fenceGrace
	if errors.Is(cause, kerr.FencedInstanceID) {
		pause = 0 // it is in the group
	}
	for told := false; ; pause = max(s.cfg.SessionTimeout/5, fenceGrace) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		host, taken, err := s.nameHolder(ctx, admin, own)
		if err != nil {
			s.log.Warn("whether another process runs under this instance name is not known", slog.Any("error", err))
			continue
		}
		if !taken {
			return
		}
		s.notReady(fmt.Sprintf("another process, at %s, runs under the instance name %s: waiting until it is gone", host, s.cfg.GroupInstance))
		if !told {
			s.log.Error("another process runs under this instance name: this one does nothing until it is gone; give each member of the group a name of its own",
				slog.String("group", s.cfg.Group), slog.String("instance", s.cfg.GroupInstance), slog.String("host", host))
			told = true
		}
	}
}

// nameHolder looks for a member of the group that has our name and isn't us, and returns where it runs.
func (s *Service) nameHolder(ctx context.Context, admin *kadm.Client, own string) (host string, taken bool, err error) {
	groups, err := admin.DescribeGroups(ctx, s.cfg.Group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		return "", false, err
	}
	for _, m := range groups[s.cfg.Group].Members {
		if m.InstanceID != nil && *m.InstanceID == s.cfg.GroupInstance && m.MemberID != own {
			return m.ClientHost, true, nil
		}
	}
	return "", false, nil
}

// leaveGroup removes this member from the group. The client doesn't do so for a static one.
func (s *Service) leaveGroup() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	resp, err := s.admin.LeaveGroup(ctx, kadm.LeaveGroup(s.cfg.Group).InstanceIDs(s.cfg.GroupInstance).Reason("the process ends"))
	if err == nil {
		err = resp.Error()
	}
	if err != nil {
		s.log.Warn("the group could not be left: its other members take over when session_timeout is over", slog.Any("error", err))
	}
}
