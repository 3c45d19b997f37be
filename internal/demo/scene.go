package demo

import (
	"strings"
	"time"
)

// scene is an activity that is being put on the schedule: a cursor in event time and what can happen there.
type scene struct {
	g      *Generator
	at     time.Time
	events int
}

// wait moves the cursor by a random time between least and most milliseconds.
func (s *scene) wait(least, most int) {
	ms := least + s.g.rng.IntN(most-least+1)
	s.at = s.at.Add(time.Duration(ms)*time.Millisecond + time.Duration(s.g.rng.IntN(1e6)))
}

// add schedules an event at the cursor.
func (s *scene) add(o *occurrence) {
	o.at = s.at
	s.events++
	s.g.push(o)
	s.at = s.at.Add(time.Duration(20+s.g.rng.IntN(400)) * time.Microsecond)
}

// chance reports true in one of n cases.
func (s *scene) chance(n int) bool { return s.g.rng.IntN(n) == 0 }

// exec starts a child of parent in parent's session: a fork and an exec.
func (s *scene) exec(parent *process, c command) *process {
	p := s.g.world.spawn(parent, s.at, c)
	s.add(&occurrence{what: forked, proc: p})
	s.wait(1, 4)
	s.add(&occurrence{what: executed, proc: p})
	return p
}

// replace executes another program in the same process.
func (s *scene) replace(p *process, c command) *process {
	q := *p
	q.command, q.before, q.name = c, p, baseName(c.exe)
	if p.session == p {
		q.session = &q
	}
	if p.entry == p {
		q.entry = &q
	}
	s.add(&occurrence{what: executed, proc: &q})
	return &q
}

// run starts a child and lets it end after a while.
func (s *scene) run(parent *process, c command, least, most int) {
	p := s.exec(parent, c)
	s.wait(least, most)
	s.end(p, 0)
}

// end ends a process.
func (s *scene) end(p *process, code int) { s.add(&occurrence{what: ended, proc: p, code: code}) }

// terminal starts a shell with a terminal and a session of its own below parent.
func (s *scene) terminal(parent *process, c command) *process {
	p := s.g.world.spawn(parent, s.at, c)
	p.session, p.interactive = p, true
	s.add(&occurrence{what: forked, proc: p})
	s.wait(1, 3)
	s.add(&occurrence{what: executed, proc: p})
	return p
}

// enter starts a shell with a terminal in a container as kubectl exec does: from outside, an entry of its own.
func (s *scene) enter(c *container, shell command) *process {
	runc := s.exec(c.shim, cmd("/usr/bin/runc", "--root", "/run/containerd/runc/k8s.io", "exec", "--tty", "--process", "/tmp/runc-process", c.id))
	s.wait(20, 60)
	p := s.g.world.startMain(c, shell, s.at)
	p.interactive = true
	s.add(&occurrence{what: executed, proc: p})
	s.end(runc, 0)
	return p
}

// connect opens a connection and returns it, for hangUp.
func (s *scene) connect(p *process, ip string, port int) *connection {
	c := &connection{localIP: p.address(isIPv6(ip)), localPort: p.node.port(), remoteIP: ip, remotePort: port}
	s.add(&occurrence{what: connectionAttempted, proc: p, conn: c})
	return c
}

// accept takes a connection from ip.
func (s *scene) accept(p *process, ip string, port int) *connection {
	c := &connection{localIP: p.address(false), localPort: port, remoteIP: ip, remotePort: p.node.port(), ingress: true}
	s.add(&occurrence{what: connectionAccepted, proc: p, conn: c})
	return c
}

// hangUp ends a connection.
func (s *scene) hangUp(p *process, c *connection) {
	done := *c // the opening may not have been written yet
	done.sent, done.received = 200+s.g.rng.IntN(4000), 200+s.g.rng.IntN(60000)
	s.add(&occurrence{what: disconnected, proc: p, conn: &done})
}

// create, write and remove are events of one file.
func (s *scene) create(p *process, path string) {
	s.add(&occurrence{what: fileCreated, proc: p, path: path})
}

func (s *scene) write(p *process, path string) {
	s.add(&occurrence{what: fileWritten, proc: p, path: path})
}

func (s *scene) remove(p *process, path string) {
	s.add(&occurrence{what: fileDeleted, proc: p, path: path})
}

// address returns the IP address that the process connects from, of either version.
func (p *process) address(v6 bool) string {
	switch {
	case p.ctr != nil && v6:
		return p.ctr.ip6
	case p.ctr != nil:
		return p.ctr.ip
	case v6:
		return p.node.ip6
	default:
		return p.node.ip
	}
}

// isIPv6 tells the version of an address by its text.
func isIPv6(ip string) bool { return strings.IndexByte(ip, ':') >= 0 }

// port returns the next ephemeral port.
func (n *node) port() int {
	n.nextPort++
	if n.nextPort > 60999 {
		n.nextPort = 32768
	}
	return n.nextPort
}
