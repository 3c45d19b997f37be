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

// How long a process that was fenced looks for the one that has its name, and how long it waits between two looks.
const (
	fenceGrace  = 1500 * time.Millisecond
	fencePause  = 50 * time.Millisecond
	fenceUnsure = 30 * time.Second // while the group doesn't answer, or is sharing out its partitions
)

// awaitName waits until nobody else runs under our name. Whoever joins the group under a name takes it over, since that is what a restart looks like;
// whoever finds that the group has another member under its name stands back. So of two processes with one name the one that joined last works, and
// they don't fence each other for ever. That one is in the group before it takes the transactional id; one that was built before that rule may come
// later, so that the group is asked for a while.
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
	began, told := s.deps.Now(), false
	pause := fencePause
	if errors.Is(cause, kerr.FencedInstanceID) {
		pause = 0 // it is in the group
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
		host, taken, settled, err := s.nameHolder(ctx, admin, own)
		waited := s.deps.Now().Sub(began)
		switch {
		case err != nil && ctx.Err() != nil:
			return
		case err != nil && !told && waited >= fenceUnsure: // such as where we may not describe the group: to join it takes no more than we had
			s.log.Warn("whether another process runs under this instance name can't be found out: this one goes on", slog.Any("error", err))
			return
		case err != nil:
			s.log.Warn("whether another process runs under this instance name is not known", slog.Any("error", err))
		case !taken && (told || settled && waited >= fenceGrace || waited >= fenceUnsure):
			return
		case taken:
			s.notReady(fmt.Sprintf("another process, at %s, runs under the instance name %s: waiting until it is gone", host, s.cfg.GroupInstance))
			if !told {
				s.log.Error("another process runs under this instance name: this one does nothing until it is gone; give each member of the group a name of its own",
					slog.String("group", s.cfg.Group), slog.String("instance", s.cfg.GroupInstance), slog.String("host", host))
				told = true
			}
		}
		longest := fenceGrace / 3
		if told {
			longest = max(s.cfg.SessionTimeout/5, longest)
		}
		pause = min(max(2*pause, fencePause), longest)
	}
}

// nameHolder looks for a member of the group that has our name and isn't us, and returns where it runs. settled says that the group isn't sharing out its
// partitions just now, or still knows us: whoever joins under our name takes our place at once, and the group may be waiting for us.
func (s *Service) nameHolder(ctx context.Context, admin *kadm.Client, own string) (host string, taken, settled bool, err error) {
	groups, err := admin.DescribeGroups(ctx, s.cfg.Group)
	if err == nil {
		err = groups.Error()
	}
	if err != nil {
		return "", false, false, err
	}
	g := groups[s.cfg.Group]
	settled = g.State == "Stable" || g.State == "Empty" || g.State == "Dead"
	for _, m := range g.Members {
		if m.InstanceID == nil || *m.InstanceID != s.cfg.GroupInstance {
			continue
		}
		if m.MemberID != own {
			return m.ClientHost, true, settled, nil
		}
		settled = true
	}
	return "", false, settled, nil
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
