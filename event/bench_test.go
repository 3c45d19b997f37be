package event_test

import (
	"fmt"
	"testing"

	"github.com/weir-eql/weir/event"
)

// ecsDoc is an invented process event of about 2 KB in the shape that endpoint agents write.
const ecsDoc = `{"@timestamp":"2024-05-06T07:08:09.123456789Z","agent":{"id":"0b1c2d3e-1111-4222-8333-444455556666","type":"endpoint","version":"8.14.1"},` +
	`"process":{"Ext":{"ancestry":["MGIxYzJkM2UtMTExMS00MjIyLTgzMzMtNDQ0NDU1NTU2NjY2LTQ3MTEtMTcxNDk3ODQ4OQ==","MGIxYzJkM2UtMTExMS00MjIyLTgzMzMtNDQ0NDU1NTU2NjY2LTQ3MDAtMTcxNDk3ODQ4MA=="],"code_signature":[{"trusted":true,"subject_name":"Example Corp","exists":true,"status":"trusted"}],"relative_file_creation_time":48628.40402,"token":{"integrity_level_name":"medium","elevation_level":"default"}},` +
	`"parent":{"args":["/bin/sh","-c","run-parts /etc/cron.hourly"],"name":"sh","pid":4700,"args_count":3,"entity_id":"MGIxYzJkM2UtMTExMS00MjIyLTQ3MDA=","command_line":"/bin/sh -c \"run-parts /etc/cron.hourly\"","executable":"/bin/sh","code_signature":{"trusted":false,"exists":false}},` +
	`"group_leader":{"name":"cron","pid":811,"entity_id":"MGIxYzJkM2UtMTExMS00MjIyLTgxMQ==","same_as_process":false},"pid":4711,"args":["ncat","-l","-p","4444","-e","/bin/sh"],"args_count":6,"name":"ncat","executable":"/usr/bin/ncat","command_line":"ncat -l -p 4444 -e /bin/sh","working_directory":"/root","entity_id":"MGIxYzJkM2UtMTExMS00MjIyLTQ3MTE=","interactive":true,"hash":{"md5":"d41d8cd98f00b204e9800998ecf8427e","sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}},` +
	`"ecs":{"version":"8.10.0"},"data_stream":{"namespace":"default","type":"logs","dataset":"endpoint.events.process"},"elastic":{"agent":{"id":"0b1c2d3e-1111-4222-8333-444455556666"}},` +
	`"host":{"hostname":"web-17","os":{"Ext":{"variant":"Debian"},"kernel":"6.1.0-18-amd64 #1 SMP","name":"Linux","family":"debian","type":"linux","version":"12.5","platform":"debian","full":"Debian 12.5"},"ip":["127.0.0.1","::1","10.20.30.40","fe80::42:acff:fe11:2"],"name":"web-17","id":"9f0e8d7c6b5a49382716059483726150","mac":["02-42-ac-11-00-02"],"architecture":"x86_64"},` +
	`"event":{"agent_id_status":"verified","sequence":31415,"ingested":"2024-05-06T07:08:12Z","created":"2024-05-06T07:08:09.123456789Z","kind":"event","module":"endpoint","action":"exec","id":"NiHkPzQ1xV3gBJ7o++++0aBc","category":["process"],"type":["start"],"dataset":"endpoint.events.process","outcome":"unknown"},` +
	`"user":{"Ext":{"real":{"name":"root","id":0}},"name":"root","id":0},"group":{"Ext":{"real":{"name":"root","id":0}},"name":"root","id":0},"message":"Endpoint process event"}`

var benchFields = []string{
	"@timestamp", "event.id", "event.sequence", "event.ingested", "host.id", "agent.id", "host.name",
	"data_stream.type", "data_stream.dataset", "data_stream.namespace", "event.category", "event.type", "event.action",
	"host.os.type", "process.name", "process.executable", "process.args", "process.command_line", "process.entity_id",
	"process.parent.name", "process.parent.args", "process.parent.entity_id", "process.pid", "user.id", "process.interactive",
}

func benchSchema(fields int) *event.Schema {
	s := event.NewSchema(event.MetaTypes)
	for _, path := range benchFields {
		s.Add(path)
	}
	for i := s.Len(); i < fields; i++ {
		prefix := []string{"process.Ext", "file", "registry", "dll.Ext", "source", "destination", "winlog.event_data", "kubernetes.audit"}[i%8]
		s.Add(fmt.Sprintf("%s.field_%d", prefix, i))
	}
	return s
}

func BenchmarkDecode(b *testing.B) {
	for _, fields := range []int{25, 150} {
		b.Run(fmt.Sprintf("fields=%d", fields), func(b *testing.B) {
			s := benchSchema(fields)
			d, ev, doc := event.NewDecoder(s), event.New(s), []byte(ecsDoc)
			b.SetBytes(int64(len(doc)))
			b.ReportAllocs()
			for b.Loop() {
				if err := d.Decode(doc, ev); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkScan is the floor: every byte read once.
func BenchmarkScan(b *testing.B) {
	doc := []byte(ecsDoc)
	b.SetBytes(int64(len(doc)))
	sum := 0
	for b.Loop() {
		for _, c := range doc {
			sum += int(c)
		}
	}
	if sum == 0 {
		b.Fatal("nothing was read")
	}
}
