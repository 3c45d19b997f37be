//go:build unix

package chaos

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Event is an event of a script. When it happened and when it is sent are counted from the beginning of the script.
type Event struct {
	at, sent time.Duration
	host     string
	id       string
	category string
	kind     string
	name     string
	entity   string
	parent   string
	user     string
	outcome  string
	path     string
	port     int
	sequence int // event.sequence, 0 for none
	topic    int // which of the input topics it is on
	copyOf   *Event
	once     bool          // no copy is made: only its position tells its place, and a copy would have another
	skew     time.Duration // how far its host's clock is off

	// What the feed notes. All of it is written before the run compares.
	stamp     time.Time // when it happened; zero where it wasn't sent
	offset    int64     // on its partition
	partition int32
	acked     time.Time
}

// script is what a producer sends.
type script struct {
	events []*Event // in the order of sending
	length time.Duration
	hosts  []string
	skew   map[string]time.Duration // by host: how far its clock is off
	joins  joins
}

// time is what an event has as its @timestamp: when it happened, by the clock of its host.
func (e *Event) time() time.Time { return e.stamp.Add(e.skew) }

// created is what an event has as its event.created: when it happened, by a clock that is right, an hour behind.
func (e *Event) created() time.Time { return e.stamp.Truncate(time.Millisecond).Add(-time.Hour) }

// scriptOptions say what a script is made of.
type scriptOptions struct {
	length   time.Duration
	maxDelay time.Duration // events are sent at most this long after they happened
	hosts    int
	stories  float64 // per second
	noise    float64 // events per second
	copies   bool    // some records are on the topic twice
	skewed   bool    // some hosts' clocks are wrong
	joins    joins   // what stories of several hosts there are
	spread   spread  // over topics
}

// writer makes a script from stories, each a process on one host, or a few.
type writer struct {
	rnd    *rand.Rand
	opts   scriptOptions
	hosts  []string
	steady []string // those whose clocks are good enough to compare them with others
	count  int      // of stories
	script script
}

// newScript makes the script of a seed.
func newScript(seed uint64, o scriptOptions) *script {
	w := &writer{rnd: rand.New(rand.NewPCG(seed, 1)), opts: o}
	w.script.skew, w.script.joins = map[string]time.Duration{}, o.joins
	for i := range o.hosts {
		host := fmt.Sprintf("host-%x-%d", seed, i)
		w.hosts = append(w.hosts, host)
		switch {
		case o.skewed && w.rnd.IntN(3) == 0 && i >= 4: // some are left to compare
			w.script.skew[host] = time.Duration(w.rnd.IntN(240_000)-120_000) * time.Millisecond
			continue
		case o.joins != joinsHosts:
			w.script.skew[host] = time.Duration(w.rnd.Int64N(int64(2*drift))) - drift
		}
		w.steady = append(w.steady, host)
	}
	w.spread(o.stories, w.story)
	w.spread(o.noise, w.noise)
	w.script.events = slices.DeleteFunc(w.script.events, func(e *Event) bool { return e.at > o.length })
	// What ends each host's part shows that all before it was worked on.
	for _, h := range w.hosts {
		w.begin(o.length+500*time.Millisecond, h).start("nc")
	}
	slices.SortStableFunc(w.script.events, func(a, b *Event) int { return cmp.Compare(a.sent, b.sent) })
	w.script.length, w.script.hosts = w.script.events[len(w.script.events)-1].sent, w.hosts
	w.script.share(seed, o.spread)
	return &w.script
}

// spread calls add at random moments of the script, so many times a second.
func (w *writer) spread(rate float64, add func(time.Duration)) {
	for at := time.Duration(0); at < w.opts.length; at += time.Duration(w.rnd.ExpFloat64() / rate * float64(time.Second)) {
		add(at)
	}
}

// story is one process on one host. Its marker is the beginning of the ids of its events, and the id of the process.
type story struct {
	w      *writer
	host   string
	marker string
	user   string
	at     time.Duration
	events int
}

func (w *writer) begin(at time.Duration, host string) *story {
	w.count++
	return &story{w: w, host: host, marker: fmt.Sprintf("m%d", w.count), user: fmt.Sprintf("u%d", w.rnd.IntN(5)), at: at}
}

func (w *writer) anyHost() string { return w.hosts[w.rnd.IntN(len(w.hosts))] }

// add adds an event at the story's time. Most are sent at once, some late, and of some a copy follows.
func (s *story) add(e Event) {
	w := s.w
	e.at, e.host, e.entity, e.skew = s.at, s.host, s.marker, w.script.skew[s.host]
	e.user = cmp.Or(e.user, s.user)
	e.id = fmt.Sprintf("%s-%d", s.marker, s.events)
	s.events++
	e.sent = e.at
	if w.rnd.IntN(3) > 0 {
		e.sent += time.Duration(w.rnd.Int64N(int64(w.opts.maxDelay)))
	}
	w.script.events = append(w.script.events, &e)
	if w.opts.copies && !e.once && w.rnd.IntN(12) == 0 {
		again := e
		again.copyOf = &e
		again.sent = e.at + time.Duration(w.rnd.Int64N(int64(w.opts.maxDelay)))
		w.script.events = append(w.script.events, &again)
	}
}

// later lets time pass in the story.
func (s *story) later(gap time.Duration) *story {
	s.at += gap
	return s
}

func (s *story) start(name string) {
	s.add(Event{category: "process", kind: "start", name: name})
}

func (s *story) end(name string) {
	s.add(Event{category: "process", kind: "end", name: name})
}

func (s *story) connect(name string, port int) {
	s.add(Event{category: "network", kind: "start", name: name, port: port})
}

func (s *story) write(name, path string) {
	s.add(Event{category: "file", kind: "creation", name: name, path: path})
}

func (s *story) login(outcome string) {
	s.add(Event{category: "authentication", kind: "start", name: "sshd-session", outcome: outcome})
}

// gap is a time between two stages: mostly short, sometimes long enough to lie on both sides of a failover.
func (w *writer) gap() time.Duration {
	if w.rnd.IntN(3) == 0 {
		return w.between(2000, 9000)
	}
	return w.between(1, 1500)
}

func (w *writer) between(least, most int) time.Duration {
	return time.Duration(least+w.rnd.IntN(most-least)) * time.Millisecond
}

func (w *writer) story(at time.Duration) {
	if w.opts.joins != joinsHosts && w.rnd.IntN(2) == 0 {
		w.travel(at)
		return
	}
	s := w.begin(at, w.anyHost())
	stories := []func(*story){
		w.single, w.pair, w.pair, w.pair, w.triple, w.triple, w.triple, w.triple, w.sshKey, w.sshKey, w.guess, w.guess,
		w.absence, w.absence, w.mail, w.mail, w.tie, w.tie, w.child, w.gather, w.backwards,
	}
	stories[w.rnd.IntN(len(stories))](s)
}

func (w *writer) single(s *story) { s.start("nc") }

func (w *writer) pair(s *story) {
	s.start([]string{"curl", "wget"}[w.rnd.IntN(2)])
	for range 1 + w.rnd.IntN(2) { // the second one finds nothing that waits
		s.later(w.gap()).connect("curl", 4444)
	}
}

// triple is joined by host: stories of one host run into each other.
func (w *writer) triple(s *story) {
	s.start("bash")
	if w.rnd.IntN(6) == 0 {
		s.later(w.gap()).end("bash")
	}
	s.later(w.gap()).write("bash", "/tmp/."+s.marker)
	if w.rnd.IntN(6) == 0 {
		s.later(w.gap()).end("bash")
	}
	s.later(w.gap()).connect("bash", 8443)
}

func (w *writer) sshKey(s *story) {
	s.start("ssh-keygen")
	if w.rnd.IntN(2) == 0 {
		s.later(w.gap()).end("ssh-keygen")
	}
	s.later(w.gap()).write("ssh-keygen", "/root/.ssh/id_ed25519")
	s.later(w.gap()).end("ssh-keygen")
}

func (w *writer) guess(s *story) {
	for range 2 + w.rnd.IntN(4) {
		s.later(w.between(1, 900)).login("failure")
	}
	s.later(w.gap()).login("success")
}

func (w *writer) absence(s *story) {
	s.start("tar")
	switch w.rnd.IntN(4) {
	case 0: // in time
		s.later(w.between(20, 1900)).connect("tar", 443)
	case 1: // too late
		s.later(w.between(2001, 3500)).connect("tar", 443)
	case 2: // at the last millisecond, or the first that is too late
		s.later(2*time.Second+time.Duration(w.rnd.IntN(2))*time.Millisecond).connect("tar", 443)
	default:
	}
}

func (w *writer) mail(s *story) {
	s.start("gpg")
	if w.rnd.IntN(2) == 0 {
		s.later(w.gap()).write("gpg", "/var/log/audit.log")
	}
	s.later(w.gap()).connect("gpg", 25)
}

// tie makes two events of one time, whose order only event.sequence tells, or their positions on the topic.
func (w *writer) tie(s *story) {
	first, second := 1, 2
	switch w.rnd.IntN(3) {
	case 0:
		first, second = 0, 0
	case 1:
		first, second = 2, 1
	default:
	}
	e := Event{category: "file", kind: "creation", name: "mv", path: "/srv/" + s.marker, sequence: first, once: first == 0}
	s.add(e)
	e.kind, e.sequence = "deletion", second
	s.add(e)
}

// child is joined by the parent's id, and has two processes.
func (w *writer) child(s *story) {
	s.start("sshd")
	c := w.begin(s.at+w.gap(), s.host)
	c.add(Event{category: "process", kind: "start", name: "sh", parent: s.marker})
}

// gather makes the events of a sample in any order. The third stage would take those of the first two.
func (w *writer) gather(s *story) {
	for _, stage := range w.rnd.Perm(4) {
		s.later(w.gap())
		switch stage {
		case 0:
			s.write("cat", "/etc/passwd")
		case 1:
			s.write("cat", "/etc/shadow")
		case 2:
			s.write("cat", "/etc/hosts")
		default:
			s.connect("cat", 9001)
		}
	}
}

// backwards has the stages in the wrong order.
func (w *writer) backwards(s *story) {
	s.connect("wget", 4444)
	s.later(w.gap()).start("wget")
}

// noise is an event that no rule wants, or that only begins or ends something.
func (w *writer) noise(at time.Duration) {
	s := w.begin(at, w.anyHost())
	switch w.rnd.IntN(12) {
	case 0:
		s.start("curl")
	case 1:
		s.connect("firefox", 443)
	case 2:
		s.write("python3", "/var/lib/cache")
	case 3:
		s.login("failure")
	case 4:
		s.end("bash")
	default:
		s.start([]string{"python3", "ls", "cron", "grep"}[w.rnd.IntN(4)])
	}
}

// document is the event as it stands on the topic, with the time of its host's clock.
func (e *Event) document() []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{"@timestamp":%q,"ecs":{"version":"8.11.0"},"agent":{"id":"agent-%s","type":"endpoint","version":"8.15.0"},`+
		`"data_stream":{"type":"logs","dataset":"endpoint.events.%s","namespace":"default"},`+
		`"event":{"created":%d,"id":%q,"kind":"event","category":[%q],"type":[%q],"module":"endpoint"`,
		e.time().UTC().Format("2006-01-02T15:04:05.000000Z"), e.host, e.category, e.created().UnixMilli(), e.id, e.category, e.kind)
	if e.sequence > 0 {
		fmt.Fprintf(&b, `,"sequence":%d`, e.sequence)
	}
	if e.outcome != "" {
		fmt.Fprintf(&b, `,"outcome":%q`, e.outcome)
	}
	fmt.Fprintf(&b, `},"host":{"id":%q,"name":%q,"os":{"type":"linux","family":"debian","version":"12"}},"user":{"name":%q,"id":"1000"},`+
		`"process":{"entity_id":%q,"name":%q,"pid":4711,"executable":"/usr/bin/%s","args":[%q,"-e"],"parent":{"name":"systemd","pid":1`,
		e.host, e.host, e.user, e.entity, e.name, e.name, e.name)
	if e.parent != "" {
		fmt.Fprintf(&b, `,"entity_id":%q`, e.parent)
	}
	b.WriteString("}}")
	if e.path != "" {
		fmt.Fprintf(&b, `,"file":{"path":%q,"size":4711}`, e.path)
	}
	if e.port > 0 {
		fmt.Fprintf(&b, `,"source":{"ip":"10.0.0.7","port":51512},"destination":{"ip":"203.0.113.9","port":%d}`, e.port)
	}
	b.WriteString("}")
	return []byte(b.String())
}
