//go:build unix

package chaos

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// settings are what a seed chooses for a run.
type settings struct {
	seed        uint64
	members     int
	partitions  int32
	session     time.Duration
	transaction time.Duration
	lateness    time.Duration
	commit      time.Duration
	batch       int // fetch.batch_records
	reload      time.Duration
	logAppend   bool // record times are the broker's, else the producer's
	dedupe      bool // dedupe.window is on, and some records are on the topic twice
	skewed      bool // some hosts' clocks are off
	standby     int  // state.standby
	dense       bool // members are killed one beside another, and most of the time
	joins       joins
	atLeastOnce bool // delivery: at_least_once
	spread      spread
}

// joins is what the rules of a run join, and how.
type joins string

const (
	joinsHosts  joins = "within hosts"                  // each rule's keys imply the host
	joinsAcross joins = "across hosts"                  // some don't: their events go by way of the re-key topic
	joinsAnyKey joins = "across hosts, keyed otherwise" // rekey: true, and a host's records are on all partitions
)

// across reports whether there are rules that join events of several hosts.
func (s settings) across() bool { return s.joins != joinsHosts }

// drift is by how much hosts' clocks may be off whose events are joined with those of others.
const drift = 300 * time.Millisecond

// drift is how much later than it was sent an event of a run may be by another host's clock.
func (s settings) drift() time.Duration {
	if s.across() {
		return 2 * drift
	}
	return 0
}

func newSettings(seed uint64) settings {
	rnd := rand.New(rand.NewPCG(seed, 2))
	session := time.Duration(2500+rnd.IntN(2000)) * time.Millisecond
	s := settings{
		seed:        seed,
		members:     2 + rnd.IntN(2),
		partitions:  int32(3 + rnd.IntN(4)),
		session:     session,
		transaction: session + time.Duration(rnd.IntN(1000)-500)*time.Millisecond,
		lateness:    time.Duration(3000+rnd.IntN(1000)) * time.Millisecond,
		commit:      time.Duration(20+rnd.IntN(180)) * time.Millisecond,
		batch:       []int{50, 1000, 20_000}[rnd.IntN(3)],
		reload:      []time.Duration{0, time.Second}[rnd.IntN(2)],
		logAppend:   rnd.IntN(3) > 0,
		dedupe:      rnd.IntN(3) == 0,
		skewed:      rnd.IntN(2) == 0,
	}
	s.standby, s.dense = rnd.IntN(2), rnd.IntN(3) > 0
	if rnd.IntN(3) == 0 { // batches so large that much of the state changes in each
		s.commit = time.Duration(300+rnd.IntN(900)) * time.Millisecond
	}
	s.joins = []joins{joinsHosts, joinsHosts, joinsHosts, joinsAcross, joinsAcross, joinsAnyKey}[rnd.IntN(6)]
	s.atLeastOnce = rnd.IntN(3) == 0
	if s.joins == joinsAnyKey { // all rules compare hosts then
		s.skewed = false
	}
	s.spread = []spread{spreadNone, spreadNone, spreadCategory, spreadAny}[rnd.IntN(4)]
	return s
}

func (s settings) script(length time.Duration) *script {
	return newScript(s.seed, scriptOptions{
		length: length, maxDelay: s.lateness / 4, hosts: 12, stories: 20, noise: 40, copies: s.dedupe, skewed: s.skewed, joins: s.joins,
		spread: s.spread,
	})
}

func (s settings) String() string {
	times := "CreateTime"
	if s.logAppend {
		times = "LogAppendTime"
	}
	return fmt.Sprintf("%d members, %d partitions, %s, session %v, transaction %v, lateness %v, commit %v, batch %d, reload %v, %s, "+
		"copies and dedupe %v, skew %v, standby %d, dense %v, rules %s, %s",
		s.members, s.partitions, s.delivery(), s.session, s.transaction, s.lateness, s.commit, s.batch, s.reload, times,
		s.dedupe, s.skewed, s.standby, s.dense, s.joins, s.spread)
}

// delivery is the setting of this name.
func (s settings) delivery() string {
	if s.atLeastOnce {
		return "at_least_once"
	}
	return "exactly_once"
}

// The kinds of faults.
const (
	none        = "none" // for -only
	killNow     = "kill -9"
	killAt      = "kill -9 at"
	killAll     = "kill -9 of all"
	stopNow     = "SIGSTOP"
	stopAt      = "SIGSTOP at"
	corrupt     = "kill -9 and damaged store"
	wipe        = "kill -9 and lost store"
	fullDisk    = "full disk"
	rolling     = "rolling restart"
	storm       = "rebalance storm"
	reloadRules = "reload"
	cutLink     = "network cut"
	stuckLink   = "network stuck"
	cutAt       = "network cut at"
	stopJoin    = "SIGSTOP while another joins"
	refusal     = "records refused"
	slowLinks   = "slow broker"
	frozen      = "frozen broker"
	lagTopic    = "topic held up"
	killBroker  = "kill -9 of broker"
	stopBroker  = "restart of broker"
)

// fault is one thing that goes wrong.
type fault struct {
	after  time.Duration // the one before it in its lane
	kind   string
	member int
	point  kafka.Point
	nth    int           // time that the point is passed
	alert  bool          // in a commit that holds an alert
	length time.Duration // how long it lasts, or a member stays away
	seed   uint64        // of what it chooses when it happens
}

func (f fault) String() string {
	s := f.kind
	if f.point != "" {
		s += fmt.Sprintf(" %s %d", f.point, f.nth)
		if f.alert {
			s += " with an alert"
		}
	}
	switch f.kind {
	case reloadRules, killBroker, stopBroker, killAll, slowLinks, frozen, rolling, storm, refusal, lagTopic:
	default:
		s += fmt.Sprintf(", member %d", f.member)
	}
	if f.length > 0 {
		s += ", " + f.length.String()
	}
	return s
}

// lane is a row of faults that happen one after another.
type lane struct {
	name   string
	faults []fault
}

// lanes are rows of faults beside each other: what befalls members, and what befalls all that they stand on.
type lanes []lane

func (l lanes) String() string {
	var b strings.Builder
	for _, row := range l {
		fmt.Fprintf(&b, "%s:\n", row.name)
		for _, f := range row.faults {
			fmt.Fprintf(&b, "  after %v: %v\n", f.after, f)
		}
	}
	return b.String()
}

// newPlan chooses the faults of a seed. More are planned than a run has time for.
func newPlan(s settings, mounts bool) lanes {
	rnd := rand.New(rand.NewPCG(s.seed, 3))
	p := planner{rnd: rnd, s: s}
	kinds := []string{
		killNow, killNow, killAt, killAt, killAt, killAt, killAt, killAt, killAll, stopNow, stopNow, stopAt, stopAt,
		corrupt, corrupt, wipe, rolling, storm, cutAt, stopJoin,
	}
	if mounts {
		kinds = append(kinds, fullDisk)
	}
	world := []string{reloadRules, reloadRules, reloadRules, cutLink, cutLink, stuckLink, slowLinks, frozen, refusal, refusal}
	if s.spread != spreadNone {
		world = append(world, lagTopic, lagTopic, lagTopic, lagTopic)
	}
	l := lanes{{name: "members"}, {name: "world"}}
	for range 24 {
		l[0].faults = append(l[0].faults, p.fault(kinds[rnd.IntN(len(kinds))]))
		l[1].faults = append(l[1].faults, p.fault(world[rnd.IntN(len(world))]))
	}
	// It takes the broker so long that one must do. It isn't killed: a lone Kafka that comes back before its own controller has noticed
	// that it was gone takes partitions for deleted, and ends transactions without their markers; who reads committed waits for ever.
	if rnd.IntN(3) == 0 {
		l[1].faults[rnd.IntN(4)] = p.fault(stopBroker)
	}
	if s.dense {
		for i := range l[1].faults { // a member that is cut off comes to no point
			if f := &l[1].faults[i]; f.kind == cutLink || f.kind == stuckLink {
				f.length /= 8
			}
		}
		l = append(p.dense(), l[1])
	}
	return l
}

// dense returns a lane for each member, in which it is killed all the time, most often in commits that hold alerts: errors in
// the order of a commit show in those only, and errors of a restore only where sequences wait whose state isn't on the disk.
func (p *planner) dense() lanes {
	kinds := []string{
		killAt, killAt, killAt, killAt, killAt, killAt, killAt, killNow, wipe, wipe, stopAt, stopAt, corrupt, cutAt, stopJoin,
	}
	var l lanes
	for m := range p.s.members {
		row := lane{name: fmt.Sprintf("member %d", m)}
		for range 60 {
			f := p.fault(kinds[p.rnd.IntN(len(kinds))])
			f.member, f.after = m, p.between(50*time.Millisecond, time.Second)
			if (f.kind == killAt || f.kind == cutAt) && f.point != kafka.PointRestored {
				f.nth, f.alert = 1, p.rnd.IntN(4) > 0
			}
			if f.kind == stopAt && p.rnd.IntN(2) == 0 {
				// It wakes up before its transaction has begun on the broker, which would have ended it: the group alone can refuse it.
				f.point, f.nth, f.alert = kafka.PointBegun, 1, true
			}
			if f.length < p.s.session { // at once, where no other is to take over
				f.length /= 8
			}
			row.faults = append(row.faults, f)
		}
		l = append(l, row)
	}
	return l
}

// only returns the plan without the faults of other kinds; kinds that the plan doesn't have are added to it.
func (l lanes) only(kinds []string, s settings) lanes {
	if len(kinds) == 0 {
		return l
	}
	p := planner{rnd: rand.New(rand.NewPCG(s.seed, 6)), s: s}
	members, world := lane{name: "members"}, lane{name: "world"}
	for range 24 {
		switch f := p.fault(kinds[p.rnd.IntN(len(kinds))]); f.kind {
		case none:
		case reloadRules, cutLink, stuckLink, slowLinks, frozen, killBroker, stopBroker, refusal, lagTopic:
			world.faults = append(world.faults, f)
		default:
			members.faults = append(members.faults, f)
		}
	}
	return lanes{members, world}
}

type planner struct {
	rnd *rand.Rand
	s   settings
}

func (p *planner) between(least, most time.Duration) time.Duration {
	return (least + time.Duration(p.rnd.Int64N(int64(most-least)))).Truncate(time.Millisecond)
}

// points are where a member is killed or stopped, those of which most is to be learned more often.
var points = []kafka.Point{
	kafka.PointBegun, kafka.PointProduced, kafka.PointProduced, kafka.PointFlushed, kafka.PointFlushed, kafka.PointEnded, kafka.PointEnded,
	kafka.PointStored, kafka.PointStored, kafka.PointStored, kafka.PointRestored,
}

func (p *planner) fault(kind string) fault {
	f := fault{
		after: p.between(200*time.Millisecond, 2500*time.Millisecond), kind: kind, member: p.rnd.IntN(p.s.members), seed: p.rnd.Uint64(),
	}
	expired := p.s.session + time.Second
	switch kind {
	case killAt, stopAt:
		at := points
		if p.s.atLeastOnce {
			at = append(slices.Clone(at), kafka.PointCheckpointed, kafka.PointCheckpointed)
		}
		f.point, f.nth = at[p.rnd.IntN(len(at))], 1+p.rnd.IntN(3)
		if f.point == kafka.PointRestored { // a member may have one partition, whose changelog is read at once
			f.nth = 1
		}
	case cutAt: // what it began can neither go on nor be ended
		f.point, f.nth = []kafka.Point{kafka.PointBegun, kafka.PointProduced, kafka.PointFlushed}[p.rnd.IntN(3)], 1+p.rnd.IntN(3)
	}
	switch kind {
	case killNow, killAt, killAll, corrupt, wipe:
		f.length = p.between(0, 1500*time.Millisecond)
		if p.rnd.IntN(3) == 0 { // long enough for another to take over
			f.length += expired
		}
	case stopNow, stopAt, stopJoin:
		f.length = expired + p.between(0, 1500*time.Millisecond)
		if p.rnd.IntN(4) == 0 { // not long enough
			f.length = p.between(100*time.Millisecond, p.s.session-time.Second)
		}
	case fullDisk:
		f.length = p.between(4*time.Second, 7*time.Second)
	case storm:
		f.length = p.between(3*time.Second, 6*time.Second)
	case cutLink, stuckLink, cutAt:
		f.length = p.between(100*time.Millisecond, 2*expired)
	case refusal:
		f.length = p.between(100*time.Millisecond, 1500*time.Millisecond)
	case lagTopic:
		f.length = p.between(300*time.Millisecond, 6*time.Second)
	case slowLinks:
		f.length = p.between(time.Second, 5*time.Second)
	case frozen: // the producer waits for it too: events must not become late
		f.length = p.between(100*time.Millisecond, p.s.lateness/3)
	}
	return f
}

// signal is what a process is sent at a point.
func (f fault) signal() syscall.Signal {
	if f.kind == stopAt || f.kind == cutAt {
		return syscall.SIGSTOP
	}
	return syscall.SIGKILL
}
