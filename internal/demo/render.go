package demo

import (
	"encoding/base64"
	"encoding/binary"
	"math/bits"
	"path"
	"strconv"
	"time"
)

// timeLayout is how both integrations write times.
const timeLayout = "2006-01-02T15:04:05.000000000Z"

// baseName is path.Base, for files whose functions have a parameter of that name.
func baseName(file string) string { return path.Base(file) }

// render appends the document of an event to b.
func (g *Generator) render(b []byte, o *occurrence) []byte {
	p := o.proc
	by := p.sensor
	if o.conn != nil {
		by = endpoint // Defend for Containers has no network events
	}
	a := &p.node.agents[by]
	a.sequence++
	kind, category, dataset := kinds[o.what], "process", ".process"
	switch {
	case o.conn != nil:
		category, dataset = "network", ".network"
	case o.path != "":
		category, dataset = "file", ".file"
	}
	module := "endpoint"
	if by == cloudDefend {
		module, dataset = "cloud_defend", "cloud_defend"+dataset
	} else {
		dataset = "endpoint.events" + dataset
	}

	b = append(b, `{"@timestamp":"`...)
	b = o.at.AppendFormat(b, timeLayout)
	b = append(b, `",`...)
	b = append(b, a.head...)
	b = append(b, `"data_stream":{"dataset":"`...)
	b = append(b, dataset...)
	b = append(b, `","namespace":"default","type":"logs"},"event":{"action":"`...)
	b = append(b, kind.action...)
	b = append(b, `","agent_id_status":"verified","category":["`...)
	b = append(b, category...)
	b = append(b, `"],"created":"`...)
	b = o.at.AppendFormat(b, timeLayout)
	b = append(b, `","dataset":"`...)
	b = append(b, dataset...)
	b = append(b, `","id":"`...)
	b = g.appendEventID(b, a)
	b = append(b, `","ingested":"`...)
	b = o.at.Add(900*time.Millisecond+time.Duration(g.written%400)*time.Millisecond).AppendFormat(b, "2006-01-02T15:04:05.000Z")
	b = append(b, `","kind":"event","module":"`...)
	b = append(b, module...)
	b = append(b, `","outcome":"unknown","sequence":`...)
	b = strconv.AppendInt(b, int64(a.sequence), 10)
	b = append(b, `,"type":["`...)
	b = append(b, kind.typ...)
	b = append(b, `"]},`...)
	b = append(b, p.node.hostJSON[by]...)

	switch {
	case by == cloudDefend:
		b = g.appendCloudDefend(b, o)
	case o.conn != nil:
		b = appendNetwork(b, o)
	case o.path != "":
		b = g.appendEndpointFile(b, o)
	default:
		b = g.appendEndpointProcess(b, o)
	}
	b = append(b, `"user":{"id":"`...)
	b = strconv.AppendInt(b, int64(p.uid), 10)
	b = append(b, `","name":"`...)
	b = append(b, p.user...)
	return append(b, `"}}`...)
}

// kinds are event.action and event.type by action.
var kinds = [...]struct{ action, typ, hook string }{
	forked:              {"fork", "start", "tracepoint__sched_process_fork"},
	executed:            {"exec", "start", "tracepoint__sched_process_exec"},
	ended:               {"end", "end", "tracepoint__sched_process_exit"},
	connectionAttempted: {"connection_attempted", "start", ""},
	connectionAccepted:  {"connection_accepted", "start", ""},
	disconnected:        {"disconnect_received", "end", ""},
	fileCreated:         {"creation", "creation", "lsm__path_mknod"},
	fileWritten:         {"open", "change", "lsm__file_open"},
	fileDeleted:         {"deletion", "deletion", "lsm__path_unlink"},
}

// appendEventID appends 24 characters that no other event of this generator has, nor one with another seed or
// start: a bijective mix of the event's number beside theirs.
func (g *Generator) appendEventID(b []byte, a *agent) []byte {
	var raw [18]byte
	binary.BigEndian.PutUint64(raw[:], mix(g.opts.Seed^uint64(g.opts.Start.UnixNano())))
	binary.BigEndian.PutUint64(raw[8:], mix(g.written))
	binary.BigEndian.PutUint16(raw[16:], uint16(a.sequence))
	return base64.StdEncoding.AppendEncode(b, raw[:])
}

// mix is the finalizer of SplitMix64, a permutation of the 64-bit numbers.
func mix(n uint64) uint64 {
	n += 0x9e3779b97f4a7c15
	n = (n ^ n>>30) * 0xbf58476d1ce4e5b9
	n = (n ^ n>>27) * 0x94d049bb133111eb
	return bits.ReverseBytes64(n ^ n>>31)
}

// appendEndpointProcess appends what Elastic Defend says of a process event.
func (g *Generator) appendEndpointProcess(b []byte, o *occurrence) []byte {
	p, img := o.proc, o.proc
	if o.what == forked && p.parent != nil {
		img = p.parent // the child still has its parent's image
	}
	b = append(b, `"message":"Endpoint process event",`...)
	if p.ctr != nil {
		b = append(b, p.ctr.json...)
	}
	b = append(b, `"process":{"Ext":{"ancestry":[`...)
	for up, n := p.parent, 0; up != nil && n < 2; up, n = up.parent, n+1 {
		if n > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, up.entityID(endpoint))
	}
	b = append(b, `]},`...)
	b = appendImage(b, p, img, endpoint)
	b = appendCircumstances(b, p, img)
	b = append(b, `,"command_line":`...)
	b = appendCommandLine(b, img.args)
	b = append(b, `,"hash":{"sha256":"`...)
	b = append(b, g.world.hash(img.exe)...)
	b = append(b, `"}`...)
	b = appendPast(b, o)
	b = appendLeaders(b, p, endpoint)
	if p.parent != nil {
		b = append(b, `,"parent":{`...)
		b = appendImage(b, p.parent, p.parent, endpoint)
		b = append(b, `,"command_line":`...)
		b = appendCommandLine(b, p.parent.args)
		b = append(b, '}')
	}
	return append(b, `},`...)
}

// appendCloudDefend appends what Defend for Containers says of a process or file event.
func (g *Generator) appendCloudDefend(b []byte, o *occurrence) []byte {
	p, img := o.proc, o.proc
	if o.what == forked && p.parent != nil {
		img = p.parent
	}
	selector, hook := "allProcesses", "hook_point"
	if o.path != "" {
		selector, hook = "executableAndWritablePaths", "trace_point"
	}
	b = append(b, `"cloud_defend":{"`...)
	b = append(b, hook...)
	b = append(b, `":"`...)
	b = append(b, kinds[o.what].hook...)
	b = append(b, `","matched_selectors":["`...)
	b = append(b, selector...)
	b = append(b, `"],"package_policy_id":"0f9c21b4-8f0e-4f6e-9a2b-52d1a1a7c0de","package_policy_revision":7},`...)
	b = append(b, p.node.cloudJSON...)
	if p.ctr != nil {
		b = append(b, p.ctr.json...)
	}
	if o.path != "" {
		b = appendFile(b, o.path)
	}
	b = append(b, `"process":{`...)
	b = appendImage(b, p, img, cloudDefend)
	b = appendCircumstances(b, p, img)
	b = appendPast(b, o)
	b = appendLeaders(b, p, cloudDefend)
	if p.parent != nil {
		b = append(b, `,"parent":{`...)
		b = appendImage(b, p.parent, p.parent, cloudDefend)
		b = append(b, '}')
	}
	return append(b, `},`...)
}

// appendNetwork appends what Elastic Defend says of a network event: no container, no arguments.
func appendNetwork(b []byte, o *occurrence) []byte {
	p, c := o.proc, o.conn
	b = append(b, `"message":"Endpoint network event",`...)
	local, remote, direction := "source", "destination", "egress"
	if c.ingress {
		local, remote, direction = remote, local, "ingress"
	}
	b = appendEnd(b, local, c.localIP, c.localPort, o.what, c.sent)
	b = appendEnd(b, remote, c.remoteIP, c.remotePort, o.what, c.received)
	b = append(b, `"network":{"direction":"`...)
	b = append(b, direction...)
	b = append(b, `","transport":"tcp","type":"ipv`...)
	if isIPv6(c.remoteIP) {
		b = append(b, '6')
	} else {
		b = append(b, '4')
	}
	b = append(b, `"},"process":{`...)
	b = appendRelations(b, p)
	b = append(b, `,"thread":{"id":`...)
	b = strconv.AppendInt(b, int64(p.pid), 10)
	return append(b, `}},`...)
}

// appendEnd appends one end of a connection.
func appendEnd(b []byte, side, ip string, port int, what action, size int) []byte {
	b = append(b, '"')
	b = append(b, side...)
	b = append(b, `":{"address":"`...)
	b = append(b, ip...)
	if what == disconnected {
		b = append(b, `","bytes":`...)
		b = strconv.AppendInt(b, int64(size), 10)
		b = append(b, `,"ip":"`...)
	} else {
		b = append(b, `","ip":"`...)
	}
	b = append(b, ip...)
	b = append(b, `","port":`...)
	b = strconv.AppendInt(b, int64(port), 10)
	return append(b, `},`...)
}

// appendEndpointFile appends what Elastic Defend says of a file event: no container, no arguments.
func (g *Generator) appendEndpointFile(b []byte, o *occurrence) []byte {
	b = append(b, `"message":"Endpoint file event",`...)
	b = appendFile(b, o.path)
	b = append(b, `"process":{`...)
	b = appendRelations(b, o.proc)
	b = append(b, `,"args_count":`...)
	b = strconv.AppendInt(b, int64(len(o.proc.args)), 10)
	return append(b, `},`...)
}

// appendFile appends the file of an event.
func appendFile(b []byte, file string) []byte {
	b = append(b, `"file":{`...)
	if ext := path.Ext(file); len(ext) > 1 && len(ext) < 8 {
		b = append(b, `"extension":`...)
		b = appendQuoted(b, ext[1:])
		b = append(b, ',')
	}
	b = append(b, `"name":`...)
	b = appendQuoted(b, baseName(file))
	b = append(b, `,"path":`...)
	b = appendQuoted(b, file)
	return append(b, `,"type":"file"},`...)
}

// appendRelations appends a process as network and file events of Elastic Defend have it.
func appendRelations(b []byte, p *process) []byte {
	b = append(b, `"Ext":{"ancestry":[`...)
	for up, n := p.parent, 0; up != nil && n < 2; up, n = up.parent, n+1 {
		if n > 0 {
			b = append(b, ',')
		}
		b = appendQuoted(b, up.entityID(endpoint))
	}
	b = append(b, `]},"entity_id":"`...)
	b = append(b, p.entityID(endpoint)...)
	b = append(b, `","entry_leader":{"entity_id":"`...)
	b = append(b, p.entry.entityID(endpoint)...)
	b = append(b, `"},"executable":`...)
	b = appendQuoted(b, p.exe)
	b = append(b, `,"group_leader":{"entity_id":"`...)
	b = append(b, p.session.entityID(endpoint)...)
	b = append(b, `"},"name":`...)
	b = appendQuoted(b, p.name)
	if p.parent != nil {
		b = append(b, `,"parent":{"entity_id":"`...)
		b = append(b, p.parent.entityID(endpoint)...)
		b = append(b, `","pid":`...)
		b = strconv.AppendInt(b, int64(p.parent.pid), 10)
		b = append(b, '}')
	}
	b = append(b, `,"pid":`...)
	b = strconv.AppendInt(b, int64(p.pid), 10)
	b = append(b, `,"session_leader":{"entity_id":"`...)
	b = append(b, p.session.entityID(endpoint)...)
	return append(b, `"}`...)
}
