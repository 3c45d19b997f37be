package demo

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"path"
	"strconv"
	"time"
)

// sensor is the integration that reports a process.
type sensor uint8

const (
	endpoint    sensor = iota // Elastic Defend
	cloudDefend               // Defend for Containers
	sensors
)

// agent is one integration's agent on a node.
type agent struct {
	id       string
	sequence int
	head     []byte // the agent's part of each of its documents, rendered once
}

// node is a host of the cluster.
type node struct {
	id, name  string
	ip, ip6   string
	index     int
	agents    [sensors]agent
	hostJSON  [sensors][]byte
	cloudJSON []byte
	nextPID   int
	nextPort  int
	nextPodIP int

	init, kubelet, containerd, cron, sshd *process
	pods                                  map[string]*container
}

// container is a running container of a pod.
type container struct {
	id, name string
	ip, ip6  string
	sensor   sensor
	json     []byte // container and orchestrator, rendered once
	shim     *process
	main     *process // the container's first process
}

// image says what a container is made from and how it starts.
type image struct {
	app, name, repo, tag string
	namespace, owner     string // owner: Deployment, StatefulSet, DaemonSet, Job
	sensor               sensor
	privileged           bool
	main                 command
}

// command is what a process executes, and as whom.
type command struct {
	exe  string
	args []string
	cwd  string
	uid  int
	user string
}

// cmd returns a command of root in /.
func cmd(exe string, args ...string) command {
	return command{exe: exe, args: append([]string{path.Base(exe)}, args...), cwd: "/", user: "root"}
}

// by returns the command with a user.
func (c command) by(uid int, user string) command {
	c.uid, c.user = uid, user
	return c
}

// in returns the command with a working directory.
func (c command) in(dir string) command {
	c.cwd = dir
	return c
}

// script returns the command as the kernel names it when exe is a script: argv starts with the interpreter.
func (c command) script(interpreter string) command {
	c.args = append([]string{interpreter, c.exe}, c.args[1:]...)
	return c
}

// process is one process, from fork to end, in one image: an exec in the same process is another process value
// with the same pid and start.
type process struct {
	command
	node        *node
	ctr         *container // nil outside containers
	sensor      sensor
	pid         int
	start       time.Time
	name        string
	interactive bool
	parent      *process // nil for init
	session     *process
	entry       *process
	entryType   string   // of an entry leader: init, sshd, container
	before      *process // the image before exec
	entity      [sensors]string
}

// entityID returns the process's identity as a sensor has it, made from the agent, the pid and the start.
func (p *process) entityID(by sensor) string {
	if p.entity[by] == "" {
		raw := make([]byte, 0, 64)
		raw = append(raw, p.node.agents[by].id...)
		raw = append(raw, '-')
		raw = strconv.AppendInt(raw, int64(p.pid), 10)
		raw = append(raw, '-')
		raw = strconv.AppendInt(raw, p.start.UnixMilli(), 10)
		p.entity[by] = base64.StdEncoding.EncodeToString(raw)
	}
	return p.entity[by]
}

// world is the cluster.
type world struct {
	rng    *rand.Rand
	nodes  []*node
	hashes map[string]string // by executable
}

const (
	clusterID   = "f3f1ef7c-31c6-4f0c-a8a4-6c1f64b4a7d2"
	clusterName = "shop-prod"
)

// newWorld returns a cluster whose pods have been running for a while.
func newWorld(rng *rand.Rand, o Options) *world {
	w := &world{rng: rng, hashes: map[string]string{}}
	for i := range o.Hosts {
		w.nodes = append(w.nodes, w.newNode(i, o.Start))
	}
	return w
}

func (w *world) newNode(i int, start time.Time) *node {
	n := &node{
		index: i, id: w.uuid(), name: fmt.Sprintf("node-%02d", i+1), ip: fmt.Sprintf("10.20.%d.%d", i/200, 10+i%200), ip6: fmt.Sprintf("fd00:10:20::%x", 10+i),
		nextPID: 2000 + w.rng.IntN(20000), nextPort: 32768, nextPodIP: 10, pods: map[string]*container{},
	}
	for s := range sensors {
		n.agents[s] = agent{id: w.uuid(), sequence: 10000 + w.rng.IntN(90000)}
	}
	n.prepare(w)

	boot := start.Add(-time.Duration(20+w.rng.IntN(200)) * time.Hour)
	n.init = &process{command: cmd("/usr/lib/systemd/systemd", "--switched-root", "--system"), node: n, pid: 1, start: boot, name: "systemd"}
	n.init.session, n.init.entry, n.init.entryType = n.init, n.init, "init"
	daemon := func(at time.Duration, c command) *process {
		p := w.spawn(n.init, boot.Add(at), c)
		p.session, p.entry, p.entryType = p, p, "init"
		return p
	}
	n.containerd = daemon(3*time.Second, cmd("/usr/bin/containerd"))
	n.kubelet = daemon(4*time.Second, cmd("/usr/bin/kubelet", "--config=/var/lib/kubelet/config.yaml"))
	n.cron = daemon(5*time.Second, cmd("/usr/sbin/cron", "-f", "-P"))
	n.sshd = daemon(6*time.Second, cmd("/usr/sbin/sshd", "-D"))
	for _, im := range residents() {
		c := w.newContainer(n, im, boot.Add(time.Minute))
		c.main = w.startMain(c, im.main, boot.Add(time.Minute+time.Second))
		n.pods[im.name] = c
	}
	return n
}

// residents are the containers that run on every node.
func residents() []image {
	return []image{
		{
			app: "storefront", name: "storefront", repo: "registry.shop.example/storefront", tag: "4.12.1", namespace: "shop", owner: "Deployment",
			sensor: cloudDefend, main: cmd("/usr/sbin/apache2", "-DFOREGROUND").in("/var/www/html").by(33, "www-data"),
		},
		{
			app: "storefront", name: "envoy", repo: "docker.io/envoyproxy/envoy", tag: "v1.31.2", namespace: "shop", owner: "Deployment",
			sensor: endpoint, main: cmd("/usr/local/bin/envoy", "-c", "/etc/envoy/envoy.yaml", "--service-cluster", "storefront").by(101, "envoy"),
		},
		{
			app: "checkout-api", name: "checkout-api", repo: "registry.shop.example/checkout-api", tag: "2.7.0", namespace: "shop", owner: "Deployment",
			sensor: endpoint, main: cmd("/usr/local/bin/python3.12", "-m", "gunicorn", "--workers=4", "checkout.wsgi").in("/app").by(10001, "app"),
		},
		{
			app: "orders-db", name: "postgres", repo: "docker.io/library/postgres", tag: "16.4", namespace: "shop", owner: "StatefulSet",
			sensor: cloudDefend, main: cmd("/usr/lib/postgresql/16/bin/postgres", "-c", "config_file=/etc/postgresql/postgresql.conf").in("/var/lib/postgresql/data").by(999, "postgres"),
		},
		{
			app: "fluent-bit", name: "fluent-bit", repo: "docker.io/fluent/fluent-bit", tag: "3.1.9", namespace: "logging", owner: "DaemonSet",
			sensor: endpoint, main: cmd("/fluent-bit/bin/fluent-bit", "-c", "/fluent-bit/etc/fluent-bit.conf"),
		},
		{
			app: "node-tuner", name: "node-tuner", repo: "registry.shop.example/platform/node-tuner", tag: "0.9.3", namespace: "platform", owner: "DaemonSet",
			sensor: cloudDefend, privileged: true, main: cmd("/usr/local/bin/node-tuner", "--interval=60s"),
		},
	}
}

// newContainer makes a container of a new pod, with its shim on the host, and nothing in it yet.
func (w *world) newContainer(n *node, im image, at time.Time) *container {
	n.nextPodIP++
	c := &container{
		id: w.hex(32), name: im.name, sensor: im.sensor,
		ip:  fmt.Sprintf("10.244.%d.%d", n.index%250, 2+n.nextPodIP%250),
		ip6: fmt.Sprintf("fd00:10:244:%x::%x", n.index, n.nextPodIP),
	}
	c.shim = w.spawn(n.init, at, cmd("/usr/bin/containerd-shim-runc-v2", "-namespace", "k8s.io", "-id", c.id))
	c.shim.session, c.shim.entry = c.shim, c.shim
	c.shim.entryType = "init"
	pod := im.app + "-" + w.letters(5)
	if im.owner == "Deployment" {
		pod = im.app + "-" + w.hex(5) + "-" + w.letters(5)
	}
	c.json = containerJSON(c, im, pod, w.hex(32))
	return c
}

// startMain starts a container's first process.
func (w *world) startMain(c *container, what command, at time.Time) *process {
	p := w.spawn(c.shim, at, what)
	p.ctr, p.sensor = c, c.sensor
	p.session, p.entry, p.entryType = p, p, "container"
	return p
}

// spawn returns a child of parent in parent's session.
func (w *world) spawn(parent *process, at time.Time, c command) *process {
	n := parent.node
	n.nextPID += 1 + w.rng.IntN(3)
	if n.nextPID > 4000000 {
		n.nextPID = 2000
	}
	return &process{
		command: c, node: n, ctr: parent.ctr, sensor: parent.sensor, pid: n.nextPID, start: at, name: path.Base(c.exe),
		interactive: parent.interactive, parent: parent, session: parent.session, entry: parent.entry, before: parent,
	}
}

// hash returns a made-up SHA-256 of an executable, the same one every time.
func (w *world) hash(exe string) string {
	h, ok := w.hashes[exe]
	if !ok {
		sum := sha256.Sum256([]byte("weir demo " + exe))
		h = hex.EncodeToString(sum[:])
		if len(w.hashes) < 4096 { // attackers' files have ever new names
			w.hashes[exe] = h
		}
	}
	return h
}

// hex returns n random bytes in hexadecimal.
func (w *world) hex(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(w.rng.Uint32())
	}
	return hex.EncodeToString(b)
}

// letters returns n random letters and digits of those that Kubernetes uses in names.
func (w *world) letters(n int) string {
	const alphabet = "bcdfghjklmnpqrstvwxz2456789"
	b := make([]byte, n)
	for i := range b {
		b[i] = alphabet[w.rng.IntN(len(alphabet))]
	}
	return string(b)
}

// uuid returns a random UUID.
func (w *world) uuid() string {
	h := []byte(w.hex(16))
	h[12], h[16] = '4', 'a'
	return fmt.Sprintf("%s-%s-%s-%s-%s", h[:8], h[8:12], h[12:16], h[16:20], h[20:])
}
