package kafka

import (
	"context"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
)

// A static member that is killed after the group has decided to take partitions from it, and before it has given them up, comes back
// under its name with what it was to keep. For the coordinator that is no rebalance, so nobody is told that the others are free: they would be
// nobody's until the next one. Whoever comes back therefore looks whether there are such, and has the group share out its partitions again.

const (
	orphanPause    = 500 * time.Millisecond // between two looks
	orphanPatience = 2 * time.Second        // for a member that is about to give partitions up, when its batch is committed
)

// orphanSearch is what a client knows of partitions that are nobody's.
type orphanSearch struct {
	over bool
	next time.Time // when to look again
	from time.Time // since when there are some, in one generation of the group
	in   int32     // that generation
}

// seekOrphans looks for partitions that are nobody's, until it is known for this client's time in the group that there are none, or
// they are shared out again.
func (s *Service) seekOrphans(ctx context.Context) {
	search, now, id := &s.orphanSearch, s.deps.Now(), s.currentIdentity()
	if s.cfg.GroupInstance == "" || id.member == "" || search.over || now.Before(search.next) {
		return
	}
	search.next = now.Add(orphanPause)
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	orphans, stable, err := s.orphans(ctx)
	switch {
	case err != nil:
		s.log.Debug("the group's assignment is not known", slog.Any("error", err))
	case !stable: // it is about to share out what there is
		search.from = time.Time{}
	case len(orphans) == 0:
		search.over = true
	case search.from.IsZero() || search.in != id.generation:
		search.from, search.in = now, id.generation
	case now.Sub(search.from) >= orphanPatience:
		s.log.Info("partitions are nobody's, as after a member was killed that was to give them up: the group shares them out again",
			slog.Any("partitions", orphans))
		s.cl.ForceRebalance() // what we own isn't what we said when we joined, so that the coordinator takes it for a change
		search.over = true
	}
}

// orphans returns which partitions of the input no member of the group has. It says nothing while the group isn't stable.
func (s *Service) orphans(ctx context.Context) (partitions []int32, stable bool, err error) {
	groups, err := s.admin.DescribeGroups(ctx, s.cfg.Group)
	if err == nil {
		err = groups.Error()
	}
	group := groups[s.cfg.Group]
	if err != nil || group.State != "Stable" {
		return nil, false, err
	}
	owned := kadm.TopicsSet{}
	for _, m := range group.Members {
		a, ok := m.Assigned.AsConsumer()
		if !ok {
			continue
		}
		for _, t := range a.Topics {
			owned.Add(t.Topic, t.Partitions...)
		}
	}
	for n := range s.source.partitions {
		if slices.ContainsFunc(s.cfg.Topics, func(topic string) bool { return !owned.Lookup(topic, n) }) {
			partitions = append(partitions, n)
		}
	}
	return partitions, true, nil
}
