// Package demo makes up the events of a small Kubernetes cluster for weir demo: a few Linux nodes whose pods,
// cron jobs, build jobs and administrators do ordinary work, and every so often an attack of several stages.
// The documents have the shape in which the Elastic Defend and Defend for Containers integrations write them.
// The package knows neither rules nor Kafka, reads no clock, and gives the same events for the same options.
package demo

import (
	"container/heap"
	"math/rand/v2"
	"time"
)

// Options say what a Generator makes. The zero value of each field has the default that is named with it.
type Options struct {
	Seed        uint64        // the same seed gives the same events
	Hosts       int           // number of nodes, 3
	Start       time.Time     // event time of the beginning, 2026-01-05 09:00 UTC
	Rate        float64       // ordinary events per second of event time over all hosts, 50
	AttackEvery time.Duration // event time from the start of one attack to that of the next, 8 s; negative: no attacks
}

// EnsureDefaults returns o with the defaults where it has zeros, or values that make no sense.
func (o Options) EnsureDefaults() Options {
	if o.Hosts <= 0 {
		o.Hosts = 3
	}
	if o.Start.IsZero() {
		o.Start = time.Date(2026, 1, 5, 9, 0, 0, 0, time.UTC)
	}
	if !(o.Rate > 0) {
		o.Rate = 50
	}
	if o.AttackEvery == 0 {
		o.AttackEvery = 8 * time.Second
	}
	o.Start = o.Start.UTC()
	return o
}

// firstAttack is how long after the start the first attack begins.
const firstAttack = time.Second

// Attack is one staging of a story.
type Attack struct {
	Story Story
	Start time.Time // event time at which it begins
	Host  string    // host.id of the node on which it happens
}

// Generator makes events in the order of their event time, without end. It is not safe for concurrent use.
type Generator struct {
	opts  Options
	rng   *rand.Rand
	world *world

	queue      schedule
	scheduled  uint64 // events that were ever put in the queue
	written    uint64 // events that Next returned
	nextWork   time.Time
	nextAttack time.Time
	order      []int // the order in which stories are staged, over and over
	attacks    []Attack
}

// New returns a generator that stands at the start of its event time.
func New(o Options) *Generator {
	o = o.EnsureDefaults()
	g := &Generator{
		opts:       o,
		rng:        rand.New(rand.NewPCG(o.Seed, 0x7765697264656d6f)),
		nextWork:   o.Start,
		nextAttack: o.Start.Add(firstAttack),
	}
	g.world = newWorld(g.rng, o)
	g.order = g.rng.Perm(len(stories()))
	return g
}

// Next returns the next event: its event time, its document, and the host.id by which it is to be keyed. Event
// time never goes back; the caller paces by it. The document is the caller's to keep.
func (g *Generator) Next() (at time.Time, doc []byte, host string) {
	for len(g.queue) == 0 || !g.upcoming().After(g.queue[0].at) {
		if g.opts.AttackEvery > 0 && !g.nextAttack.After(g.nextWork) {
			g.stage()
		} else {
			g.work()
		}
	}
	next, _ := heap.Pop(&g.queue).(*occurrence)
	g.written++
	doc = g.render(make([]byte, 0, 3072), next)
	return next.at, doc, next.proc.node.id
}

// Attacks returns what was staged so far, oldest first. An attack is in it once its first events are due.
func (g *Generator) Attacks() []Attack { return g.attacks }

// upcoming is the time at which something new begins next.
func (g *Generator) upcoming() time.Time {
	if g.opts.AttackEvery > 0 && g.nextAttack.Before(g.nextWork) {
		return g.nextAttack
	}
	return g.nextWork
}

// work schedules one ordinary activity. The more events it has, the longer the pause until the next one, so
// that the rate holds on average.
func (g *Generator) work() {
	s := &scene{g: g, at: g.nextWork}
	g.activity()(s)
	pause := float64(s.events) / g.opts.Rate * (0.5 + g.rng.Float64())
	g.nextWork = g.nextWork.Add(time.Duration(pause*float64(time.Second)) + 1)
}

// stage schedules the next attack.
func (g *Generator) stage() {
	plots := stories()
	p := plots[g.order[len(g.attacks)%len(g.order)]]
	n := g.node()
	g.attacks = append(g.attacks, Attack{Story: p.Story, Start: g.nextAttack, Host: n.id})
	p.play(&scene{g: g, at: g.nextAttack}, n)
	jitter := 0.9 + 0.2*g.rng.Float64()
	g.nextAttack = g.nextAttack.Add(time.Duration(float64(g.opts.AttackEvery) * jitter))
}

// node returns any node.
func (g *Generator) node() *node { return g.world.nodes[g.rng.IntN(len(g.world.nodes))] }

// push puts an event in the queue.
func (g *Generator) push(o *occurrence) {
	g.scheduled++
	o.ord = g.scheduled
	heap.Push(&g.queue, o)
}

// action is what happened in an event.
type action uint8

const (
	forked action = iota
	executed
	ended
	connectionAttempted
	connectionAccepted
	disconnected
	fileCreated
	fileWritten
	fileDeleted
)

// occurrence is an event that is still to be written.
type occurrence struct {
	at   time.Time
	ord  uint64
	what action
	proc *process
	code int    // exit code
	path string // file
	conn *connection
}

// connection is one network connection, seen from the process that has it.
type connection struct {
	localIP, remoteIP     string
	localPort, remotePort int
	ingress               bool
	sent, received        int
}

// schedule is a heap of events by time, then by the order in which they were scheduled.
type schedule []*occurrence

// Len implements [heap.Interface].
func (s *schedule) Len() int { return len(*s) }

// Less implements [heap.Interface].
func (s *schedule) Less(i, j int) bool {
	a, b := (*s)[i], (*s)[j]
	if !a.at.Equal(b.at) {
		return a.at.Before(b.at)
	}
	return a.ord < b.ord
}

// Swap implements [heap.Interface].
func (s *schedule) Swap(i, j int) { (*s)[i], (*s)[j] = (*s)[j], (*s)[i] }

// Push implements [heap.Interface].
func (s *schedule) Push(x any) {
	if o, ok := x.(*occurrence); ok {
		*s = append(*s, o)
	}
}

// Pop implements [heap.Interface].
func (s *schedule) Pop() any {
	old := *s
	last := old[len(old)-1]
	old[len(old)-1] = nil
	*s = old[:len(old)-1]
	return last
}
