//go:build unix

package chaos

import (
	"slices"
	"sync"
	"time"
)

// everybody stands for all members.
const everybody = -1

// upset is a time in which a member, or everybody, may have lost its place in the group or the answer to what it wrote: what it
// had begun may be done again by another.
type upset struct {
	member   int
	from, to time.Time
	deadly   bool // the process has ended
}

// upsets are those of a run.
type upsets struct {
	mu  sync.Mutex
	all []*upset
}

// begin notes an upset, which lasts until the function that it returns is called.
func (u *upsets) begin(member int) (end func()) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up := &upset{member: member, from: time.Now()}
	u.all = append(u.all, up)
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		up.to = time.Now()
	}
}

// died notes that a member's process has ended, or will within a moment, after it was asked to at the time from.
func (u *upsets) died(member int, from time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = append(u.all, &upset{member: member, from: from, to: time.Now(), deadly: true})
}

// stalled notes that a member, or everybody, has stood still by itself since a time: on a busy machine it may.
func (u *upsets) stalled(member int, from time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.all = append(u.all, &upset{member: member, from: from, to: time.Now()})
}

// seenWithin is how long after it was written a consumer has an alert, at the most.
const seenWithin = time.Second

// explain reports whether delivery at least once allows that an alert is on the topic twice: one of the two members that wrote it was
// upset between the two times that it was seen, or shortly before, so that it woke up then. A process that has written both hasn't died.
// Another member explains it where it held the whole group up for so long that a batch was given up, which takes stuck at least.
func (u *upsets) explain(first, second *published, shortly, stuck time.Duration) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return slices.ContainsFunc(u.all, func(up *upset) bool {
		writer := up.member == everybody || up.member == first.writer.member || up.member == second.writer.member
		switch {
		case !writer && second.at.Sub(first.at) < stuck:
			return false
		case writer && up.deadly && first.writer == second.writer:
			return false
		}
		return up.from.Before(second.at.Add(seenWithin)) && (up.to.IsZero() || up.to.Add(shortly).After(first.at.Add(-seenWithin)))
	})
}

// process is one start of a member.
type process struct{ member, start int }
