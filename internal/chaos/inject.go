//go:build unix

package chaos

import (
	"context"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

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
	case killAll:
		r.killAll(ctx, f)
	case stopNow:
		m.signal(syscall.SIGSTOP)
		pause(ctx, f.length)
		m.signal(syscall.SIGCONT)
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
		r.links[f.member].set(mode, 0)
		pause(ctx, f.length)
		r.links[f.member].set(linkUp, 0)
	case slowLinks:
		r.slow(ctx, f)
	case frozen:
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
	if err := writeRules(r.rules, turn); err != nil {
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
	if err := r.feed.hold(r.ctx); err != nil {
		r.trouble("feed: %v", err)
	}
	defer r.feed.release()
	signal := syscall.SIGTERM
	if f.kind == killBroker {
		signal = syscall.SIGKILL
	}
	r.broker.stop(signal)
	if err := r.broker.start(r.ctx); err != nil {
		r.trouble("broker: %v", err)
	}
	if err := r.awaitBroker(); err != nil {
		r.trouble("broker: %v", err)
	}
}
