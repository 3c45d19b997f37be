// Package bench makes what weir bench works on, events and rules of a chosen number, and sums up what it measured. It
// knows neither Kafka nor the pipeline, and gives the same events and rules for the same options.
package bench

import (
	"encoding/base64"
	"math/rand/v2"
	"strconv"
	"time"
)

// Options say what a Generator makes.
type Options struct {
	Seed  uint64 // the same seed gives the same events
	Size  int    // mean size of a document in bytes; what it needs, 1,400 to 2,100 by its kind, isn't cut
	Hosts int    // hosts that take turns at random
	// AlertShare is the share of events that complete an alert of the planted rules: half of them as single events,
	// half as the second stage of a sequence.
	AlertShare float64
	// StageShare is the share of events that hit a stage of the planted sequence, those that complete it included.
	StageShare float64
}

// Kind says what a generated event is to the planted rules.
type Kind uint8

// The kinds of events.
const (
	Ordinary Kind = iota // hits none of them
	Single               // alerts by itself
	Open                 // the first stage of a sequence that nothing completes
	First                // the first stage of a sequence that is completed
	Second               // completes a sequence
)

// Event is a generated event. Doc is valid until the next call of Next, the rest is the caller's to keep.
type Event struct {
	Doc  []byte
	Host string // host.id, by which it is to be keyed
	ID   string // event.id; empty for ordinary events
	Kind Kind
}

// host is what all events of one machine have in common.
type host struct {
	id, name, agent, ip string
	os                  system
	block               string // the host object
}

// open is a first stage that is to be completed.
type open struct {
	host   *host
	entity string
	after  int // events until it may be
}

// Generator makes ECS events in the shape in which Elastic Defend and Defend for Containers write them. It isn't safe
// for concurrent use.
type Generator struct {
	o     Options
	rng   *rand.Rand
	hosts []host
	n     uint64
	doc   []byte
	pad   []byte
	open  []open
	// How many events are between two of a kind, drawn anew each time.
	toSingle, toFirst, toOpen int
}

// secondAfter is the number of events, of all hosts, that are between the stages of a sequence at least.
const secondAfter = 500

// NewGenerator returns a generator.
func NewGenerator(o Options) *Generator {
	g := &Generator{o: o, rng: rand.New(rand.NewPCG(o.Seed, 0x62656e6368))}
	for i := range max(1, o.Hosts) {
		g.hosts = append(g.hosts, g.newHost(i))
	}
	g.toSingle, g.toFirst, g.toOpen = g.gap(g.o.AlertShare/2), g.gap(g.o.AlertShare/2), g.gap(g.openShare())
	return g
}

// openShare is the share of stages that neither complete anything nor are completed.
func (g *Generator) openShare() float64 { return g.o.StageShare - g.o.AlertShare }

// gap draws how many events come before the next of a share of all.
func (g *Generator) gap(share float64) int {
	if share <= 0 {
		return -1 // never
	}
	return g.rng.IntN(max(1, int(2/share)-1))
}

// due counts down to the next event of a kind.
func (g *Generator) due(gap *int, share float64) bool {
	if *gap < 0 {
		return false
	}
	if *gap--; *gap >= 0 {
		return false
	}
	*gap = g.gap(share)
	return true
}

// Next returns the next event, which happened at the time given. Times that go up make sequences that are in order.
func (g *Generator) Next(at time.Time) Event {
	g.n++
	h := &g.hosts[g.rng.IntN(len(g.hosts))]
	e := Event{Kind: g.kind(), Host: h.id}
	entity := ""
	switch e.Kind {
	case Second:
		h, entity = g.open[0].host, g.open[0].entity
		g.open = g.open[1:]
		e.Host = h.id
	case First:
		entity = g.entity(h)
		g.open = append(g.open, open{host: h, entity: entity, after: secondAfter})
	case Ordinary, Single, Open:
	}
	g.doc = g.render(g.doc[:0], h, e.Kind, entity, at)
	e.Doc = g.doc
	if e.Kind != Ordinary {
		e.ID = g.eventID()
	}
	return e
}

// kind decides what the next event is.
func (g *Generator) kind() Kind {
	for i := range g.open {
		g.open[i].after--
	}
	switch {
	case len(g.open) > 0 && g.open[0].after <= 0:
		return Second
	case g.due(&g.toSingle, g.o.AlertShare/2):
		return Single
	case g.due(&g.toFirst, g.o.AlertShare/2):
		return First
	case g.due(&g.toOpen, g.openShare()):
		return Open
	}
	return Ordinary
}

// eventID is the event.id of the event that was made last.
func (g *Generator) eventID() string {
	return "bench-" + strconv.FormatUint(g.o.Seed, 36) + "-" + strconv.FormatUint(g.n, 10)
}

// entity returns the process.entity_id of a new process of a host.
func (g *Generator) entity(h *host) string {
	return base64.StdEncoding.EncodeToString([]byte(h.agent + "-" + strconv.Itoa(g.rng.IntN(60_000)) + "-" + strconv.FormatUint(g.n, 10)))
}

func (g *Generator) hex(n int) string {
	const digits = "0123456789abcdef"
	b := make([]byte, n)
	for i := range b {
		b[i] = digits[g.rng.IntN(16)]
	}
	return string(b)
}

func (g *Generator) uuid() string {
	h := g.hex(31)
	return h[:8] + "-" + h[8:12] + "-4" + h[12:15] + "-8" + h[15:18] + "-" + h[18:30]
}

func pick[T any](g *Generator, of []T) T { return of[g.rng.IntN(len(of))] }
