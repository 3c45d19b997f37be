package bench

import (
	"fmt"
	"strconv"
	"time"
)

// system is an operating system, as far as events show it.
type system struct {
	name, kind, family, version, kernel, sep string
	programs                                 []program
	users                                    []string
}

// program is something that ordinarily runs.
type program struct{ dir, name, args, parent string }

func systems() [2]system {
	return [2]system{
		{
			name: "Ubuntu", kind: "linux", family: "debian", version: "22.04.4", kernel: "5.15.0-105-generic #115-Ubuntu SMP", sep: "/",
			programs: []program{
				{"/usr/sbin/", "nginx", `"-c","/etc/nginx/nginx.conf"`, "nginx"},
				{"/usr/lib/postgresql/15/bin/", "postgres", `"-D","/var/lib/postgresql/15/main"`, "postgres"},
				{"/usr/lib/jvm/java-17/bin/", "java", `"-Xmx2g","-jar","/srv/orders/orders.jar"`, "systemd"},
				{"/usr/local/bin/", "node", `"/app/server.js","--max-old-space-size=512"`, "containerd-shim"},
				{"/usr/bin/", "redis-server", `"*:6379"`, "systemd"},
				{"/usr/bin/", "containerd-shim", `"-namespace","k8s.io"`, "containerd"},
				{"/usr/local/bin/", "kubelet", `"--config=/var/lib/kubelet/config.yaml"`, "systemd"},
				{"/usr/sbin/", "haproxy", `"-Ws","-f","/etc/haproxy/haproxy.cfg"`, "haproxy"},
				{"/usr/bin/", "prometheus", `"--storage.tsdb.path=/prometheus"`, "containerd-shim"},
				{"/usr/bin/", "memcached", `"-m","64","-p","11211"`, "systemd"},
			},
			users: []string{"www-data", "postgres", "app", "redis", "node", "svc-orders"},
		},
		{
			name: "Windows Server 2022 Datacenter", kind: "windows", family: "windows", version: "20348", kernel: "20348 (10.0.20348.2402)", sep: `\\`,
			programs: []program{
				{`C:\\Windows\\System32\\`, "svchost.exe", `"-k","netsvcs","-p"`, "services.exe"},
				{`C:\\Program Files\\Backup\\Agent\\`, "backupagent.exe", `"--service","--queue=3"`, "services.exe"},
				{`C:\\Program Files\\Inventory\\`, "inventory.exe", `"/scan","/quiet"`, "services.exe"},
				{`C:\\Windows\\System32\\`, "taskhostw.exe", `"SYSTEM"`, "svchost.exe"},
				{`C:\\Windows\\System32\\`, "RuntimeBroker.exe", `"-Embedding"`, "svchost.exe"},
				{`C:\\Program Files\\Microsoft SQL Server\\MSSQL16\\MSSQL\\Binn\\`, "sqlagent.exe", `"-i","MSSQLSERVER"`, "services.exe"},
				{`C:\\Windows\\System32\\`, "SearchIndexer.exe", `"/Embedding"`, "services.exe"},
			},
			users: []string{"SYSTEM", "LOCAL SERVICE", "erika", "jonas", "svc_backup", "d\\u00e9v\\u00e9loppeur"},
		},
	}
}

func (g *Generator) newHost(i int) host {
	sys := systems()[min(1, g.rng.IntN(5)/3)] // three in five run Linux
	h := host{
		id: g.uuid(), name: fmt.Sprintf("host-%04d", i), agent: g.uuid(), os: sys,
		ip: fmt.Sprintf("10.%d.%d.%d", g.rng.IntN(256), g.rng.IntN(256), 1+g.rng.IntN(254)),
	}
	h.block = fmt.Sprintf(`"host":{"hostname":%q,"os":{"Ext":{"variant":%q},"kernel":%q,"name":%q,"family":%q,"type":%q,"version":%q,`+
		`"platform":%q,"full":%q},"ip":[%q,"fe80::%s:%s","127.0.0.1","::1"],"name":%q,"id":%q,"mac":["02-42-%s-11-00-%s"],"architecture":"x86_64"}`,
		h.name, sys.name, sys.kernel, sys.name, sys.family, sys.kind, sys.version, sys.family, sys.name+" "+sys.version,
		h.ip, g.hex(4), g.hex(4), h.name, h.id, g.hex(2), g.hex(2))
	return h
}

// The names of the programs that the planted rules look for.
const (
	singleName   = "weir-bench-single"
	sequenceName = "weir-bench-sequence"
)

// What a rendered event is about.
type subject struct {
	host            *host
	program         program
	entity, parent  string
	user, time      string
	category, event string // event.category; event.type
	action          string
}

// render appends one document. Fields stand in the order in which agents write them: the process first.
func (g *Generator) render(b []byte, h *host, kind Kind, entity string, at time.Time) []byte {
	s := subject{host: h, program: pick(g, h.os.programs), entity: entity, user: pick(g, h.os.users)}
	s.time = at.UTC().Format("2006-01-02T15:04:05.000000000Z")
	if s.entity == "" {
		s.entity = g.entity(h)
	}
	s.parent = g.entity(h)
	switch roll := g.rng.IntN(100); {
	case kind == Single, kind == Open, kind == First:
		s.category, s.event, s.action = "process", "start", "exec"
	case kind == Second:
		s.category, s.event, s.action = "network", "start", "connection_attempted"
	// Ordinary events are of kinds that hardly any rule takes as they are: many rules have a stage that takes every
	// program that is executed, or every connection that is attempted.
	case roll < 30:
		s.category, s.event, s.action = "process", "start", startAction(h.os.kind)
	case roll < 50:
		s.category, s.event, s.action = "process", "end", "end"
	case roll < 70:
		s.category, s.event, s.action = "network", "start", "connection_accepted"
	case roll < 85:
		s.category, s.event, s.action = "network", "protocol", "lookup_requested"
	default:
		s.category, s.event, s.action = "file", "change", "overwrite"
	}
	switch kind {
	case Single:
		s.program.name = singleName
	case Open, First, Second:
		s.program.name = sequenceName
	case Ordinary:
	}
	return g.write(b, &s, kind)
}

func startAction(kind string) string {
	if kind == "linux" {
		return "fork"
	}
	return "start"
}

func (g *Generator) write(b []byte, s *subject, kind Kind) []byte {
	h, p := s.host, s.program
	path := p.dir + p.name
	b = appendAll(b, `{"agent":{"id":"`, h.agent, `","type":"endpoint","version":"8.14.1"},"process":{"Ext":{"ancestry":["`, s.parent, `"]`)
	padAt := len(b)
	b = appendAll(b, `},"parent":{"name":"`, p.parent, `","pid":`)
	b = strconv.AppendInt(b, 2+g.rng.Int64N(60_000), 10)
	b = appendAll(b, `,"entity_id":"`, s.parent, `","executable":"`, p.dir, p.parent, `"},"pid":`)
	b = strconv.AppendInt(b, 2+g.rng.Int64N(60_000), 10)
	b = appendAll(b, `,"entity_id":"`, s.entity, `","executable":"`, path, `","name":"`, p.name, `"`)
	if s.category == "process" {
		b = appendAll(b, `,"working_directory":"`, p.dir, `","args":["`, path, `",`, p.args, `],"args_count":3,"command_line":"`, path, ` run `)
		b = strconv.AppendInt(b, g.rng.Int64N(10_000), 10)
		b = appendAll(b, `","hash":{"sha256":"`, g.hex(64), `","md5":"`, g.hex(32), `"}`)
	}
	if h.os.kind == "windows" {
		b = append(b, `,"code_signature":{"trusted":true,"subject_name":"Microsoft Windows Publisher","exists":true,"status":"trusted"}`...)
	}
	b = append(b, '}')
	switch s.category {
	case "network":
		b = g.network(b, h)
	case "file":
		b = appendAll(b, `,"file":{"path":"`, p.dir, `cache`, h.os.sep, g.hex(8), `.tmp","name":"`, g.hex(8), `.tmp","extension":"tmp","size":`)
		b = strconv.AppendInt(b, g.rng.Int64N(1<<20), 10)
		b = append(b, '}')
	}
	b = appendAll(b, `,"message":"Endpoint `, s.category, ` event","@timestamp":"`, s.time, `","ecs":{"version":"8.10.0"},`,
		`"data_stream":{"namespace":"default","type":"logs","dataset":"endpoint.events.`, s.category, `"},`, h.block,
		`,"event":{"agent_id_status":"verified","sequence":`)
	b = strconv.AppendUint(b, g.n, 10)
	b = appendAll(b, `,"ingested":"`, s.time, `","created":"`, s.time, `","kind":"event","module":"endpoint","action":"`, s.action,
		`","id":"`, g.idOf(kind), `","category":["`, s.category, `"],"type":["`, s.event, `"],"dataset":"endpoint.events.`, s.category,
		`"},"user":{"name":"`, s.user, `","id":"`, userID(h.os.kind), `"}}`)
	return g.fill(b, padAt)
}

func userID(kind string) string {
	if kind == "windows" {
		return "S-1-5-18"
	}
	return "1000"
}

func (g *Generator) idOf(kind Kind) string {
	if kind == Ordinary {
		return g.hex(24)
	}
	return g.eventID()
}

func (g *Generator) network(b []byte, h *host) []byte {
	peer := fmt.Sprintf("10.%d.%d.%d", g.rng.IntN(256), g.rng.IntN(256), 1+g.rng.IntN(254))
	b = appendAll(b, `,"destination":{"address":"`, peer, `","port":`)
	b = strconv.AppendInt(b, int64(pick(g, []int{443, 5432, 6379, 8443, 9092})), 10)
	b = appendAll(b, `,"bytes":`)
	b = strconv.AppendInt(b, g.rng.Int64N(10_000), 10)
	b = appendAll(b, `,"ip":"`, peer, `"},"source":{"address":"`, h.ip, `","port":`)
	b = strconv.AppendInt(b, 1024+g.rng.Int64N(60_000), 10)
	b = appendAll(b, `,"bytes":`)
	b = strconv.AppendInt(b, g.rng.Int64N(10_000), 10)
	return appendAll(b, `,"ip":"`, h.ip, `"},"network":{"transport":"tcp","type":"ipv4","direction":"egress"}`)
}

// fill brings a document up to the size that is wanted, which varies by an eighth to either side, with environment
// variables and ancestors: what agents write much of, too. They go to a place in the middle.
func (g *Generator) fill(b []byte, at int) []byte {
	missing := g.o.Size + int(g.rng.NormFloat64()*float64(g.o.Size)/10) - len(b)
	if missing < 40 {
		return b
	}
	g.pad = append(g.pad[:0], `,"env_vars":["PATH=/usr/bin:/bin"`...)
	for len(g.pad) < missing-1 {
		g.pad = append(g.pad, `,"SERVICE_`...)
		g.pad = strconv.AppendInt(g.pad, g.rng.Int64N(1000), 10)
		g.pad = append(g.pad, `_ADDR=tcp://10.96.`...)
		g.pad = strconv.AppendInt(g.pad, g.rng.Int64N(256), 10)
		g.pad = append(g.pad, '.')
		g.pad = strconv.AppendInt(g.pad, g.rng.Int64N(256), 10)
		g.pad = append(g.pad, `:8080"`...)
	}
	g.pad = append(g.pad, ']')
	b = append(b, g.pad...)
	copy(b[at+len(g.pad):], b[at:len(b)-len(g.pad)])
	copy(b[at:], g.pad)
	return b
}

func appendAll(b []byte, parts ...string) []byte {
	for _, p := range parts {
		b = append(b, p...)
	}
	return b
}
