package demo

import (
	"fmt"
	"strconv"
)

// activity chooses an ordinary activity. The weights are those of a web shop on a quiet day.
func (g *Generator) activity() func(*scene) {
	type choice struct {
		weight int
		do     func(*scene)
	}
	choices := [...]choice{
		{24, webRequest},
		{16, orderQuery},
		{10, paymentCall},
		{12, healthProbe},
		{8, logShipping},
		{7, scrape},
		{6, uploadedFile},
		{4, cronJob},
		{3, kubeletHousekeeping},
		{3, rollout},
		{2, buildJob},
		{2, backup},
		{1, adminSession},
		{1, debugSession},
	}
	total := 0
	for _, c := range choices {
		total += c.weight
	}
	n := g.rng.IntN(total)
	for _, c := range choices {
		if n -= c.weight; n < 0 {
			return c.do
		}
	}
	return webRequest
}

// peer returns an address of the pod network.
func (s *scene) peer() string {
	return fmt.Sprintf("10.244.%d.%d", s.g.rng.IntN(8), 2+s.g.rng.IntN(250))
}

// webRequest: the proxy takes a request and hands it on.
func webRequest(s *scene) {
	n := s.g.node()
	envoy, api := n.pods["envoy"], n.pods["checkout-api"]
	in := s.accept(envoy.main, s.peer(), 8443)
	s.wait(1, 5)
	if s.chance(2) {
		out := s.connect(envoy.main, api.ip, 8000)
		s.wait(0, 2)
		took := s.accept(api.main, envoy.ip, 8000)
		s.wait(5, 80)
		s.hangUp(api.main, took)
		s.hangUp(envoy.main, out)
	}
	s.wait(1, 4)
	s.hangUp(envoy.main, in)
}

// orderQuery: the API asks its database.
func orderQuery(s *scene) {
	n := s.g.node()
	api := n.pods["checkout-api"]
	c := s.connect(api.main, "10.96.14.7", 5432)
	s.wait(2, 200)
	s.hangUp(api.main, c)
	if s.chance(4) {
		db := n.pods["postgres"]
		s.add(&occurrence{what: forked, proc: s.g.world.spawn(db.main, s.at, db.main.command)})
	}
}

// paymentCall: the API calls a payment service on the internet.
func paymentCall(s *scene) {
	api := s.g.node().pods["checkout-api"]
	c := s.connect(api.main, "2001:db8:9a1::17", 443)
	s.wait(40, 400)
	s.hangUp(api.main, c)
}

// healthProbe: the kubelet runs a command in a container, without a terminal.
func healthProbe(s *scene) {
	n := s.g.node()
	if s.chance(2) {
		db := n.pods["postgres"]
		sh := s.exec(db.main, cmd("/bin/sh", "-c", "exec pg_isready -U shop -h 127.0.0.1 -p 5432").by(999, "postgres"))
		ready := s.replace(sh, cmd("/usr/lib/postgresql/16/bin/pg_isready", "-U", "shop", "-h", "127.0.0.1", "-p", "5432").by(999, "postgres"))
		s.wait(5, 20)
		s.end(ready, 0)
		return
	}
	web := n.pods["storefront"]
	s.run(web.main, cmd("/usr/bin/curl", "-sf", "http://127.0.0.1:8080/healthz").in("/var/www/html").by(33, "www-data"), 4, 20)
}

// logShipping: the log forwarder rotates its buffer and sends a chunk.
func logShipping(s *scene) {
	fb := s.g.node().pods["fluent-bit"]
	chunk := "/var/log/flb-storage/tail.0/" + s.g.world.hex(6) + ".flb"
	s.create(fb.main, chunk)
	s.wait(20, 120)
	c := s.connect(fb.main, "10.96.40.12", 9200)
	s.wait(10, 60)
	s.hangUp(fb.main, c)
	s.remove(fb.main, chunk)
}

// scrape: the monitoring fetches metrics.
func scrape(s *scene) {
	n := s.g.node()
	name := []string{"envoy", "fluent-bit", "checkout-api"}[s.g.rng.IntN(3)]
	p := n.pods[name].main
	c := s.accept(p, "10.244.6.31", 9090)
	s.wait(3, 30)
	s.hangUp(p, c)
}

// uploadedFile: the storefront keeps an upload in /tmp, converts it and deletes it. Nothing in /tmp is executed.
func uploadedFile(s *scene) {
	web := s.g.node().pods["storefront"]
	tmp := "/tmp/php" + s.g.world.letters(6)
	s.create(web.main, tmp)
	s.wait(5, 40)
	s.run(web.main, cmd("/usr/bin/convert", tmp, "-resize", "640x640>", "/var/www/html/media/"+s.g.world.hex(6)+".webp").in("/var/www/html").by(33, "www-data"), 60, 300)
	s.remove(web.main, tmp)
}

// cronJob: cron runs its hourly jobs on the node.
func cronJob(s *scene) {
	n := s.g.node()
	job := s.exec(n.cron, cmd("/bin/sh", "-c", "cd / && run-parts --report /etc/cron.hourly"))
	parts := s.exec(job, cmd("/usr/bin/run-parts", "--report", "/etc/cron.hourly"))
	rotate := s.exec(parts, cmd("/usr/sbin/logrotate", "/etc/logrotate.conf"))
	s.wait(10, 50)
	s.create(rotate, "/var/lib/logrotate/status.tmp")
	s.wait(5, 20)
	s.run(rotate, cmd("/usr/bin/gzip", "-9", "/var/log/syslog.2"), 30, 200)
	s.end(rotate, 0)
	s.end(parts, 0)
	s.end(job, 0)
}

// kubeletHousekeeping: the kubelet and containerd at work on the node, outside every container.
func kubeletHousekeeping(s *scene) {
	n := s.g.node()
	if s.chance(2) {
		s.run(n.kubelet, cmd("/usr/bin/mount", "-t", "tmpfs", "-o", "size=67108864", "tmpfs", "/var/lib/kubelet/pods/"+s.g.world.uuid()+"/volumes/kubernetes.io~projected/kube-api-access"), 3, 12)
		return
	}
	s.run(n.kubelet, cmd("/usr/sbin/iptables", "-w", "5", "-N", "KUBE-KUBELET-CANARY", "-t", "mangle"), 2, 8)
	c := s.connect(n.kubelet, "10.20.0.2", 443)
	s.wait(5, 40)
	s.hangUp(n.kubelet, c)
	s.run(n.containerd, cmd("/usr/bin/runc", "--root", "/run/containerd/runc/k8s.io", "--log-format", "json", "state", s.g.world.hex(32)), 10, 40)
}

// pod starts a container as containerd does and returns it, with its first process running.
func (s *scene) pod(n *node, im image) *container {
	c := s.g.world.newContainer(n, im, s.at)
	s.add(&occurrence{what: executed, proc: c.shim})
	s.wait(10, 30)
	runc := s.exec(c.shim, cmd("/usr/bin/runc", "--root", "/run/containerd/runc/k8s.io", "create", "--bundle", "/run/containerd/io.containerd.runtime.v2.task/k8s.io/"+c.id, c.id))
	s.wait(40, 90)
	c.main = s.g.world.startMain(c, im.main, s.at)
	s.add(&occurrence{what: executed, proc: c.main})
	s.end(runc, 0)
	return c
}

// rollout: a new pod starts by an entrypoint that fetches its configuration from within the cluster, serves a
// while, and is replaced.
func rollout(s *scene) {
	n := s.g.node()
	im := image{
		app: "catalog", name: "catalog", repo: "registry.shop.example/catalog", tag: "1.33." + strconv.Itoa(s.g.rng.IntN(9)), namespace: "shop",
		owner: "Deployment", sensor: endpoint, main: cmd("/app/entrypoint.sh", "serve").in("/app").by(10001, "app").script("/bin/sh"),
	}
	if s.chance(2) {
		im.sensor = cloudDefend
	}
	c := s.pod(n, im)
	s.wait(5, 20)
	fetch := s.exec(c.main, cmd("/usr/bin/curl", "-sf", "http://config.platform.svc/catalog.json", "-o", "/app/config.json").in("/app").by(10001, "app"))
	s.wait(5, 15)
	conn := s.connect(fetch, "10.96.3.20", 80)
	s.wait(10, 40)
	s.hangUp(fetch, conn)
	s.create(fetch, "/app/config.json")
	s.end(fetch, 0)
	server := s.replace(c.main, cmd("/usr/local/bin/node", "--max-old-space-size=512", "server.js").in("/app").by(10001, "app"))
	s.wait(300, 900)
	in := s.accept(server, s.peer(), 3000)
	s.wait(10, 60)
	s.hangUp(server, in)
	s.wait(2000, 9000)
	s.end(server, 143)
	s.end(c.shim, 0)
}

// buildJob: a runner installs packages without a terminal, downloads a tool, checks its sum and builds.
func buildJob(s *scene) {
	n := s.g.node()
	c := s.pod(n, image{
		app: "runner", name: "build", repo: "docker.io/library/debian", tag: "12-slim", namespace: "ci", owner: "Job",
		sensor: cloudDefend, main: cmd("/bin/bash", "-e", "/scripts/step_script").in("/builds/shop/catalog"),
	})
	s.wait(50, 200)
	s.run(c.main, cmd("/usr/bin/apt-get", "update", "-qq"), 400, 1500)
	apt := s.exec(c.main, cmd("/usr/bin/apt-get", "install", "-y", "--no-install-recommends", "curl", "git", "python3"))
	s.wait(300, 900)
	dpkg := s.exec(apt, cmd("/usr/bin/dpkg", "--status-fd", "19", "--no-triggers", "--unpack", "--auto-deconfigure", "--recursive", "/var/cache/apt/archives/partial"))
	for _, file := range []string{"/usr/bin/curl.dpkg-new", "/usr/bin/git.dpkg-new", "/usr/bin/python3.11.dpkg-new"} {
		s.wait(10, 60)
		s.create(dpkg, file)
	}
	s.end(dpkg, 0)
	s.end(apt, 0)
	s.wait(50, 200)
	s.run(c.main, cmd("/usr/bin/curl", "-fsSLo", "/usr/local/bin/task", "https://downloads.example.org/task/3.39.2/task_linux_amd64").in("/builds/shop/catalog"), 200, 900)
	s.wait(5, 20)
	s.run(c.main, cmd("/usr/bin/sha256sum", "-c", "task.sha256").in("/builds/shop/catalog"), 5, 20)
	s.run(c.main, cmd("/usr/bin/chmod", "+x", "/usr/local/bin/task").in("/builds/shop/catalog"), 1, 3)
	task := s.exec(c.main, cmd("/usr/local/bin/task", "build").in("/builds/shop/catalog"))
	for _, object := range []string{"main.o", "catalog.o", "index.o"} {
		cc := s.exec(task, cmd("/usr/bin/gcc", "-O2", "-c", "-o", "build/"+object, "src/"+object[:len(object)-1]+"c").in("/builds/shop/catalog"))
		s.wait(100, 500)
		s.create(cc, "/builds/shop/catalog/build/"+object)
		s.end(cc, 0)
	}
	s.end(task, 0)
	s.end(c.main, 0)
	s.end(c.shim, 0)
}

// backup: the database is dumped and compressed.
func backup(s *scene) {
	db := s.g.node().pods["postgres"]
	sh := s.exec(db.main, cmd("/bin/bash", "-c", "pg_dump -Fc shop | gzip > /backup/shop.dump.gz").by(999, "postgres"))
	dump := s.exec(sh, cmd("/usr/lib/postgresql/16/bin/pg_dump", "-Fc", "shop").by(999, "postgres"))
	zip := s.exec(sh, cmd("/usr/bin/gzip").by(999, "postgres"))
	s.create(sh, "/backup/shop.dump.gz")
	s.wait(800, 3000)
	s.end(dump, 0)
	s.end(zip, 0)
	s.end(sh, 0)
}

// adminSession: an administrator works on the node over SSH, with kubectl and the runtime's client where they belong.
func adminSession(s *scene) {
	n := s.g.node()
	session := s.exec(n.sshd, cmd("/usr/sbin/sshd", "-D", "-R"))
	s.accept(session, "10.30.1."+strconv.Itoa(2+s.g.rng.IntN(200)), 22)
	s.wait(100, 400)
	bash := s.terminal(session, cmd("/bin/bash", "-l").in("/home/maria").by(1001, "maria"))
	bash.entry, bash.entryType = bash, "sshd"
	for _, c := range []command{
		cmd("/usr/bin/kubectl", "get", "pods", "-A"),
		cmd("/usr/bin/crictl", "ps"),
		cmd("/usr/bin/systemctl", "status", "kubelet"),
		cmd("/usr/bin/tail", "-n", "50", "/var/log/syslog"),
	} {
		s.wait(300, 1800)
		s.run(bash, c.in("/home/maria").by(1001, "maria"), 20, 200)
	}
	s.end(bash, 0)
	s.end(session, 0)
}

// debugSession: an engineer opens a shell in a pod, looks around and asks a service within the cluster.
func debugSession(s *scene) {
	c := s.g.node().pods["checkout-api"]
	shell := s.enter(c, cmd("/bin/bash").in("/app").by(10001, "app"))
	for _, look := range []command{cmd("/usr/bin/ls", "-la"), cmd("/usr/bin/ps", "aux"), cmd("/usr/bin/env"), cmd("/usr/bin/cat", "/etc/resolv.conf")} {
		s.wait(400, 1500)
		s.run(shell, look.in("/app").by(10001, "app"), 2, 10)
	}
	s.wait(300, 900)
	curl := s.exec(shell, cmd("/usr/bin/curl", "-s", "http://10.96.3.20/healthz").in("/app").by(10001, "app"))
	s.wait(2, 8)
	conn := s.connect(curl, "10.96.3.20", 80)
	s.wait(3, 10)
	s.hangUp(curl, conn)
	s.end(curl, 0)
	s.end(shell, 0)
}
