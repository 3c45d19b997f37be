//go:build unix

package chaos

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"github.com/weir-eql/weir/pipeline/kafka"
)

// pause lets time pass, and reports whether the lane goes on.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-time.After(d):
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// disturb works off a lane until ctx ends. A fault that has begun is ended in order.
func (r *run) disturb(ctx context.Context, lane []fault) {
	for turn, f := range lane {
		if !pause(ctx, f.after) {
			return
		}
		r.log("fault: %v", f)
		r.count(f.kind)
		r.inject(ctx, f, turn)
	}
}

func (r *run) inject(ctx context.Context, f fault, turn int) {
	m := r.members[f.member]
	switch f.kind {
	case killNow, corrupt, wipe:
		r.killOne(ctx, m, f)
	case killAt, stopAt:
		r.atPoint(ctx, m, f)
	case cutAt:
		r.cutAtPoint(ctx, m, f)
	case killAll:
		r.killAll(ctx, f)
	case stopNow:
		defer r.upsets.begin(f.member)()
		m.signal(syscall.SIGSTOP)
		pause(ctx, f.length)
		m.signal(syscall.SIGCONT)
	case stopJoin:
		r.stopWhileJoining(ctx, m, f)
	case fullDisk:
		r.fillDisk(ctx, m, f)
	case rolling:
		r.rollingRestart(ctx)
	case storm:
		r.rebalanceStorm(ctx, f)
	case reloadRules:
		r.reload(turn + 1)
	case cutLink, stuckLink:
		mode := linkCut
		if f.kind == stuckLink {
			mode = linkStuck
		}
		r.cut(ctx, f, mode)
	case slowLinks:
		r.slow(ctx, f)
	case refusal:
		r.refuse(ctx, f)
	case lagTopic:
		r.lag(ctx, f)
	case frozen:
		defer r.upsets.begin(everybody)()
		r.broker.signal(syscall.SIGSTOP)
		pause(ctx, f.length)
		r.broker.signal(syscall.SIGCONT)
	case killBroker, stopBroker:
		r.restartBroker(f)
	}
}

func (r *run) killOne(ctx context.Context, m *member, f fault) {
	m.kill()
	switch f.kind {
	case corrupt:
		m.damage(rand.New(rand.NewPCG(f.seed, 4)))
		m.excuse(f.length + 10*time.Second)
	case wipe:
		m.clear()
	}
	pause(ctx, f.length)
	m.start()
}

// atPoint has a member end or stop itself. Where it doesn't come to the point, because it has no partitions or nothing to
// restore, it is killed where it is.
func (r *run) atPoint(ctx context.Context, m *member, f fault) {
	if f.point == kafka.PointRestored { // it comes there when it starts without its state
		m.kill()
		m.clear()
		m.start()
	}
	if f.kind == stopAt {
		defer r.upsets.begin(f.member)()
	}
	within := 4 * time.Second
	if f.point == kafka.PointRestored {
		within = 8 * time.Second // it has to start and to join
	}
	reached := m.killAt(f, within)
	if !reached {
		r.count("points not reached")
		r.log("not reached: %v", f)
	}
	if f.kind == stopAt {
		if reached {
			pause(ctx, f.length)
		}
		m.signal(syscall.SIGCONT)
		return
	}
	if !reached {
		m.kill()
	}
	pause(ctx, f.length)
	m.start()
}

// cut takes the network away from a member for a while.
func (r *run) cut(ctx context.Context, f fault, mode linkMode) {
	defer r.upsets.begin(f.member)()
	r.links[f.member].set(mode, 0)
	pause(ctx, f.length)
	r.links[f.member].set(linkUp, 0)
}

// cutAtPoint takes the network away from a member in the middle of a commit.
func (r *run) cutAtPoint(ctx context.Context, m *member, f fault) {
	defer r.upsets.begin(f.member)()
	if !m.killAt(f, 4*time.Second) {
		r.count("points not reached")
		r.log("not reached: %v", f)
		m.signal(syscall.SIGCONT) // it may have come there now
		return
	}
	mode := linkCut
	if f.seed%2 == 0 {
		mode = linkStuck
	}
	r.links[f.member].set(mode, 0)
	m.signal(syscall.SIGCONT)
	pause(ctx, f.length)
	r.links[f.member].set(linkUp, 0)
}

// stopWhileJoining stops a member while the group waits for its answer, because another one joins. Where it was to share out the
// partitions the others have none of the group's generations to commit under, for as long as its session lasts; they keep what they
// have, and have to begin their batch again.
func (r *run) stopWhileJoining(ctx context.Context, m *member, f fault) {
	joining := r.extra()[f.member%len(r.extra())]
	joining.start()
	for deadline := time.Now().Add(4 * time.Second); !joining.running() && time.Now().Before(deadline); {
		if !pause(ctx, 20*time.Millisecond) {
			break
		}
	}
	pause(ctx, time.Duration(f.seed%1200)*time.Millisecond)
	end := r.upsets.begin(f.member)
	m.signal(syscall.SIGSTOP)
	pause(ctx, f.length)
	m.signal(syscall.SIGCONT)
	end()
	joining.end(syscall.SIGTERM, 20*time.Second)
}

// refuse has the broker take no records on one of the topics that members write to. They have to give up the batch, keep their
// partitions, and try again.
func (r *run) refuse(ctx context.Context, f fault) {
	defer r.upsets.begin(everybody)()
	topics := []string{r.alertTopic(), r.alertTopic(), r.changelogTopic()}
	if r.settings.across() {
		topics = append(topics, r.rekeyTopic())
	}
	topic := topics[f.seed%uint64(len(topics))]
	r.log("refused: %s", topic)
	r.limitRecords(topic, 150) // the markers that end transactions have to go through: Kafka waits for ever where they don't
	pause(ctx, f.length)
	r.limitRecords(topic, 2<<20)
}

// limitRecords sets the size of the largest batch of records that a topic takes.
func (r *run) limitRecords(topic string, size int) {
	value := strconv.Itoa(size)
	resp, err := r.admin.AlterTopicConfigs(r.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "max.message.bytes", Value: &value}}, topic)
	for _, topic := range resp {
		err = errors.Join(err, topic.Err)
	}
	if err != nil {
		r.trouble("max.message.bytes of %s: %v", topic, err)
	}
}

func (r *run) killAll(ctx context.Context, f fault) {
	var all sync.WaitGroup
	for _, m := range r.regular() {
		all.Go(m.kill)
	}
	all.Wait()
	pause(ctx, f.length)
	for _, m := range r.regular() {
		m.start()
	}
}

// fillDisk runs a member on a disk that is soon full, again and again.
func (r *run) fillDisk(ctx context.Context, m *member, f fault) {
	defer r.upsets.begin(f.member)()
	sizes := []string{"300k", "500k", "1m"}
	m.excuse(f.length + 5*time.Second)
	m.kill()
	m.onDisk(sizes[f.seed%uint64(len(sizes))])
	m.start()
	pause(ctx, f.length)
	m.onDisk("")
	m.kill()
	m.start()
}

// rollingRestart ends one member after another as a deployment does, and waits until each is back.
func (r *run) rollingRestart(ctx context.Context) {
	for _, m := range r.regular() {
		if !m.end(syscall.SIGTERM, 20*time.Second) {
			r.trouble("member %d doesn't end within 20 s of SIGTERM", m.number)
		}
		m.start()
		for deadline := time.Now().Add(4 * time.Second); !r.ready(ctx, m) && time.Now().Before(deadline); {
			if !pause(ctx, 50*time.Millisecond) {
				return
			}
		}
	}
}

// rebalanceStorm has the extra members join and leave, in order and not.
func (r *run) rebalanceStorm(ctx context.Context, f fault) {
	rnd := rand.New(rand.NewPCG(f.seed, 5))
	deadline := time.Now().Add(f.length)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		m := r.extra()[rnd.IntN(len(r.extra()))]
		switch rnd.IntN(3) {
		case 0:
			m.end(syscall.SIGTERM, 20*time.Second)
		case 1:
			m.kill()
		default:
			m.start()
		}
		pause(ctx, time.Duration(rnd.IntN(600))*time.Millisecond)
	}
	for _, m := range r.extra() {
		m.end(syscall.SIGTERM, 20*time.Second)
	}
}

// reload writes the rules anew, each with the same meaning but one that nothing concerns. Members that don't look at their files
// are told.
func (r *run) reload(turn int) {
	if err := writeRules(r.rules, detections(r.settings.joins), turn); err != nil {
		r.trouble("%v", err)
	}
	for _, m := range r.members {
		if r.settings.reload == 0 && m.running() { // before it catches signals SIGHUP would end it
			m.signal(syscall.SIGHUP)
		}
	}
}

func (r *run) slow(ctx context.Context, f fault) {
	delay := time.Duration(5+f.seed%60) * time.Millisecond
	for _, l := range r.links {
		l.set(linkUp, delay)
	}
	pause(ctx, f.length)
	for _, l := range r.links {
		l.set(linkUp, 0)
	}
}

// restartBroker ends the broker and starts it on the same data. The feed waits.
func (r *run) restartBroker(f fault) {
	defer r.upsets.begin(everybody)()
	if err := r.feed.hold(r.ctx); err != nil {
		r.trouble("feed: %v", err)
	}
	defer r.feed.release()
	signal := syscall.SIGTERM
	if f.kind == killBroker {
		signal = syscall.SIGKILL
	}
	r.broker.stop(signal)
	if err := r.broker.startAgain(r.ctx); err != nil {
		r.trouble("broker: %v", err)
	}
	if err := r.awaitBroker(); err != nil {
		r.trouble("broker: %v", err)
	}
}
