//go:build unix

package e2e_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// ruleQueries are the rules of the runs, by rule id.
func ruleQueries() map[string]string {
	return map[string]string{
		"shell-over-network": `process where event.type == "start" and process.name == "nc" and process.args == "-e"`,
		"download-then-connect": `sequence by process.entity_id with maxspan=20s
  [process where event.type == "start" and process.name in ("curl", "wget")]
  [network where destination.port == 4444]`,
		"drop-run-connect": `sequence by process.entity_id with maxspan=30s
  [process where event.type == "start" and process.name == "bash"]
  [file where event.type == "creation" and file.path : "/tmp/*"]
  [network where destination.port == 8443]`,
		"ssh-key-written": `sequence by process.entity_id with maxspan=20s
  [process where event.type == "start" and process.name == "ssh-keygen"]
  [file where file.path : "/root/.ssh/*"]
  until [process where event.type == "end"]`,
		"credentials-gathered": `sample by host.id, process.entity_id
  [file where file.path == "/etc/passwd"]
  [file where file.path == "/etc/shadow"]
  [file where file.path : "/etc/*"]
  [network where destination.port == 9001]`,
		"backup-without-upload": `sequence by process.entity_id with maxspan=2s
  [process where event.type == "start" and process.name == "tar"]
  ![network where destination.port == 443]`,
		// These join events of several hosts, and so of several partitions.
		"login-then-sudo": `sequence by user.name with maxspan=30s
  [process where event.type == "start" and process.name == "sshd"]
  [process where event.type == "start" and process.name == "sudo"]
  [network where destination.port == 5985]`,
		"mount-without-unmount": `sequence by user.name with maxspan=2s
  [process where event.type == "start" and process.name == "mount"]
  ![process where event.type == "start" and process.name == "umount"]`,
		"keys-gathered": `sample by user.name
  [file where file.path == "/etc/ssl/key"]
  [file where file.path == "/etc/ssl/cert"]`,
	}
}

// script is what a producer sends, and what has to come of it.
type script struct {
	events []scripted    // in the order of sending
	want   []string      // one line per alert: rule id and the ids of its events, sorted
	length time.Duration // until the last event is sent
}

// scripted is an event: when it happened and when it is sent, from the beginning of the script.
type scripted struct {
	at, sent time.Duration
	host     string
	body     string // JSON without @timestamp
}

const (
	// lateness is what the service is told to wait for; events are sent at most maxDelay after they happened. The rest is
	// what this machine may stand still without events becoming late.
	lateness = 3 * time.Second
	maxDelay = 300 * time.Millisecond
)

// writer makes a script from stories. Each has a marker, which is the id of its process and the beginning of the ids of
// its events, so that stories don't meet.
type writer struct {
	rnd     *rand.Rand
	hosts   []string
	stories int
	script  script
}

func newScript(seed uint64, length time.Duration) script {
	w := &writer{rnd: rand.New(rand.NewPCG(seed, 1))}
	for i := range 9 {
		w.hosts = append(w.hosts, fmt.Sprintf("host-%x-%d", seed, i))
	}
	for begin := time.Duration(0); begin < length; begin += time.Duration(w.rnd.IntN(150)) * time.Millisecond {
		w.story(begin)
	}
	// What ends each host's part shows that all before it was worked on.
	for _, h := range w.hosts {
		w.single(w.begin(length+time.Second, h))
	}
	slices.SortStableFunc(w.script.events, func(a, b scripted) int { return int(a.sent - b.sent) })
	slices.Sort(w.script.want)
	w.script.length = w.script.events[len(w.script.events)-1].sent
	return w.script
}

// story is one process on one host.
type story struct {
	w      *writer
	host   string
	marker string
	at     time.Duration
	ids    []string
}

func (w *writer) begin(at time.Duration, host string) *story {
	w.stories++
	return &story{w: w, host: host, marker: fmt.Sprintf("m%d", w.stories), at: at}
}

// add sends an event some time after the one before.
func (s *story) add(gap time.Duration, category, kind, name, detail string) {
	s.at += gap
	id := fmt.Sprintf("%s-%d", s.marker, len(s.ids))
	s.ids = append(s.ids, id)
	pid := 1000 + s.w.rnd.IntN(60000)
	s.w.script.events = append(s.w.script.events, scripted{
		at: s.at, sent: s.at + time.Duration(s.w.rnd.Int64N(int64(maxDelay))), host: s.host,
		body: fmt.Sprintf(`"ecs":{"version":"8.11.0"},"agent":{"id":"agent-%s","type":"endpoint","version":"8.15.0"},`+
			`"data_stream":{"type":"logs","dataset":"endpoint.events.%s","namespace":"default"},`+
			`"event":{"id":%q,"kind":"event","category":[%q],"type":[%q],"module":"endpoint"},`+
			`"host":{"id":%q,"name":%q,"os":{"type":"linux","family":"debian","version":"12"}},"user":{"name":"u-%s","id":"%d"},`+
			`"process":{"entity_id":%q,"name":%q,"pid":%d,"executable":"/usr/bin/%s","args":["%s","-e"],"parent":{"name":"systemd","pid":1}}%s`,
			s.host, category, id, category, kind, s.host, s.host, s.marker, 1000+pid%7, s.marker, name, pid, name, name, detail),
	})
}

// move has the rest of the story happen on another host.
func (s *story) move() { s.host = s.w.hosts[s.w.rnd.IntN(len(s.w.hosts))] }

func (s *story) connect(gap time.Duration, name string, port int) {
	s.add(gap, "network", "start", name, fmt.Sprintf(`,"source":{"ip":"10.0.0.7","port":51512},"destination":{"ip":"203.0.113.9","port":%d}`, port))
}

func (s *story) write(gap time.Duration, name, path string) {
	s.add(gap, "file", "creation", name, fmt.Sprintf(`,"file":{"path":%q,"size":4711}`, path))
}

// expect notes an alert of a rule over the story's events so far, and an absence where missing says so.
func (s *story) expect(rule string, missing bool) {
	ids := slices.Clone(s.ids)
	if missing {
		ids = append(ids, "-")
	}
	s.w.script.want = append(s.w.script.want, rule+" "+strings.Join(ids, " "))
}

// gap is a time between two stages: mostly short, sometimes long enough to lie on both sides of a failover.
func (w *writer) gap() time.Duration {
	if w.rnd.IntN(3) == 0 {
		return time.Duration(2000+w.rnd.IntN(7000)) * time.Millisecond
	}
	return time.Duration(20+w.rnd.IntN(1500)) * time.Millisecond
}

func (w *writer) story(at time.Duration) {
	s := w.begin(at, w.hosts[w.rnd.IntN(len(w.hosts))])
	switch w.rnd.IntN(18) {
	case 0:
		w.single(s)
	case 1, 2:
		s.add(0, "process", "start", "curl", "")
		s.connect(w.gap(), "curl", 4444)
		s.expect("download-then-connect", false)
	case 3, 4:
		s.add(0, "process", "start", "bash", "")
		s.write(w.gap(), "bash", "/tmp/."+s.marker)
		s.connect(w.gap(), "bash", 8443)
		s.expect("drop-run-connect", false)
	case 5: // ends before it writes
		s.add(0, "process", "start", "ssh-keygen", "")
		s.add(w.gap(), "process", "end", "ssh-keygen", "")
		s.write(w.gap(), "ssh-keygen", "/root/.ssh/id_ed25519")
	case 6:
		s.add(0, "process", "start", "ssh-keygen", "")
		s.write(w.gap(), "ssh-keygen", "/root/.ssh/id_ed25519")
		s.expect("ssh-key-written", false)
		s.add(w.gap(), "process", "end", "ssh-keygen", "")
	case 7:
		s.add(0, "process", "start", "tar", "")
		s.expect("backup-without-upload", true)
	case 8: // the upload comes in time
		s.add(0, "process", "start", "tar", "")
		s.connect(time.Duration(20+w.rnd.IntN(1500))*time.Millisecond, "tar", 443)
	case 9: // the upload comes too late
		s.add(0, "process", "start", "tar", "")
		s.expect("backup-without-upload", true)
		s.connect(time.Duration(2100+w.rnd.IntN(1500))*time.Millisecond, "tar", 443)
	case 10: // the wrong order
		s.connect(0, "wget", 4444)
		s.add(w.gap(), "process", "start", "wget", "")
	case 11, 12:
		w.gather(s)
	case 13, 14: // a user goes from host to host
		s.add(0, "process", "start", "sshd", "")
		s.move()
		s.add(w.gap(), "process", "start", "sudo", "")
		s.move()
		s.connect(w.gap(), "ssh", 5985)
		s.expect("login-then-sudo", false)
	case 15:
		s.add(0, "process", "start", "mount", "")
		if w.rnd.IntN(2) == 0 {
			s.expect("mount-without-unmount", true)
			break
		}
		s.move()
		s.add(time.Duration(20+w.rnd.IntN(1500))*time.Millisecond, "process", "start", "umount", "")
	case 16:
		s.write(0, "cp", "/etc/ssl/key")
		s.move()
		s.write(w.gap(), "cp", "/etc/ssl/cert")
		s.expect("keys-gathered", false)
	default:
		s.add(0, "process", "start", "python3", "")
		s.write(w.gap(), "python3", "/tmp/noise")
	}
}

// gather makes the events of a sample in any order. The third stage would take those of the first two.
func (w *writer) gather(s *story) {
	stages := make([]string, 4)
	for n, stage := range w.rnd.Perm(len(stages)) {
		gap := w.gap()
		if n == 0 {
			gap = 0
		}
		switch stage {
		case 0:
			s.write(gap, "cat", "/etc/passwd")
		case 1:
			s.write(gap, "cat", "/etc/shadow")
		case 2:
			s.write(gap, "cat", "/etc/hosts")
		default:
			s.connect(gap, "cat", 9001)
		}
		stages[stage] = s.ids[len(s.ids)-1]
	}
	s.w.script.want = append(s.w.script.want, "credentials-gathered "+strings.Join(stages, " "))
}

func (w *writer) single(s *story) {
	s.add(0, "process", "start", "nc", "")
	s.expect("shell-over-network", false)
}
