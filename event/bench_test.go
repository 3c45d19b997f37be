package event_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
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

// windowsDoc and networkDoc are what ecsDoc is, from a machine with backslashes in its paths and of a connection.
const windowsDoc = `{"agent":{"id":"$uuid","type":"endpoint","version":"8.14.1"},"process":{"Ext":{"ancestry":["$base64","$base64"],"code_signature":[{"trusted":true,"subject_name":"Example Corp","exists":true,"status":"trusted"}],"token":{"integrity_level_name":"high"}},"parent":{"name":"$exe","pid":$number,"entity_id":"$base64","executable":"C:\\Windows\\System32\\$exe","args":["C:\\Windows\\System32\\$exe"],"args_count":1,"command_line":"\"C:\\Windows\\System32\\$exe\""},` +
	`"pid":$number,"working_directory":"C:\\Users\\erika\\","entity_id":"$base64","executable":"C:\\Windows\\System32\\$exe","args":["C:\\Windows\\System32\\$exe","$word","/v","$word"],"args_count":4,"command_line":"C:\\Windows\\System32\\$exe $word /v $word","name":"$exe","hash":{"sha256":"$hex$hex","md5":"$hex"},"code_signature":{"trusted":true,"subject_name":"Example Corp","exists":true,"status":"trusted"},"pe":{"original_file_name":"$exe"}},"message":"Endpoint process event","@timestamp":"$time","ecs":{"version":"8.10.0"},` +
	`"data_stream":{"namespace":"default","type":"logs","dataset":"endpoint.events.process"},"host":{"hostname":"$word","os":{"Ext":{"variant":"Windows Server 2022"},"kernel":"20348 (10.0.20348.2402)","name":"Windows","family":"windows","type":"windows","version":"20348","platform":"windows","full":"Windows Server 2022 20348"},"ip":["$ip","fe80::f1aa:$group:1","127.0.0.1","::1"],"name":"$word","id":"$uuid","mac":["02-42-ac-11-00-02"],"architecture":"x86_64"},` +
	`"event":{"agent_id_status":"verified","sequence":$number,"ingested":"$time","created":"$time","kind":"event","module":"endpoint","action":"start","id":"$hex","category":["process"],"type":["start"],"dataset":"endpoint.events.process"},"user":{"domain":"NT AUTHORITY","name":"$word","id":"S-1-5-18"}}`

const networkDoc = `{"agent":{"id":"$uuid","type":"endpoint","version":"8.14.1"},"process":{"Ext":{"ancestry":["$base64"]},"parent":{"entity_id":"$base64"},"name":"$word","pid":$number,"entity_id":"$base64","executable":"/usr/bin/$word"},"destination":{"address":"$ip","port":$number,"bytes":$number,"ip":"$ip"},"source":{"address":"$ip","port":$number,"bytes":$number,"ip":"$ip"},"message":"Endpoint network event","network":{"transport":"tcp","type":"ipv4","direction":"egress"},"@timestamp":"$time","ecs":{"version":"8.10.0"},` +
	`"data_stream":{"namespace":"default","type":"logs","dataset":"endpoint.events.network"},"host":{"hostname":"$word","os":{"Ext":{"variant":"Debian"},"kernel":"6.1.0-18-amd64 #1 SMP","name":"Linux","family":"debian","type":"linux","version":"12.5","platform":"debian","full":"Debian 12.5"},"ip":["$ip","::1"],"name":"$word","id":"$uuid","mac":["02-42-ac-11-00-02"],"architecture":"x86_64"},"event":{"agent_id_status":"verified","sequence":$number,"ingested":"$time","created":"$time","kind":"event","module":"endpoint","action":"connection_attempted","id":"$hex","category":["network"],"type":["start"],"dataset":"endpoint.events.network"},` +
	`"user":{"domain":null,"name":"$word","id":"0"},"container":{"id":"$hex$hex","image":{"name":"registry.example/web","tag":["latest"]},"name":"web"},"orchestrator":{"cluster":{"name":"prod","id":"c1"},"namespace":"default","resource":{"name":"web-$word","type":"pod"}},"cloud":{"provider":"gcp","region":"eu-west-3","account":{"id":"$number"}}}`

// generatedDocs are n documents of about 2 KB each, with text and numbers of varying length, so that branch
// prediction can't learn them by heart.
func generatedDocs(n int) [][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	text := func(alphabet string, size int) string {
		b := make([]byte, size)
		for i := range b {
			b[i] = alphabet[rng.IntN(len(alphabet))]
		}
		return string(b)
	}
	const hex = "0123456789abcdef"
	words := []string{"sh", "bash", "svchost", "containerd-shim", "python3.11", "web-17", "erika", "root", "x", "www-data", "curl"}
	kinds := map[string]func() string{
		"$uuid":   func() string { return text(hex, 8) + "-" + text(hex, 4) + "-4222-8333-" + text(hex, 12) },
		"$base64": func() string { return text(hex+"ABCDEFGHIJ", 60+rng.IntN(20)) + "==" },
		"$exe":    func() string { return words[rng.IntN(len(words))] + ".exe" },
		"$word":   func() string { return words[rng.IntN(len(words))] },
		"$group":  func() string { return "a" + text(hex, 3) },
		"$hex":    func() string { return text(hex, 32) },
		"$number": func() string { return strconv.Itoa(rng.IntN(1 + rng.IntN(70000))) },
		"$ip":     func() string { return fmt.Sprintf("10.%d.%d.%d", rng.IntN(256), rng.IntN(256), rng.IntN(256)) },
		"$time":   func() string { return fmt.Sprintf("2024-05-06T07:08:%02d.%07dZ", rng.IntN(60), rng.IntN(1e7)) },
	}
	placeholder := regexp.MustCompile(`\$[a-z0-9]+?(id|64|exe|ord|oup|hex|ber|ip|time)`)
	docs := make([][]byte, n)
	for i := range docs {
		template := []string{ecsDoc, windowsDoc, windowsDoc, networkDoc}[rng.IntN(4)]
		docs[i] = []byte(placeholder.ReplaceAllStringFunc(template, func(name string) string { return kinds[name]() }))
	}
	return docs
}

// benchDocs returns the documents of a benchmark: "generated", or those of a folder of the reference events.
// An empty answer means that they aren't here.
func benchDocs(tb testing.TB, name string) [][]byte {
	tb.Helper()
	if name == "generated" {
		return generatedDocs(1000)
	}
	var docs [][]byte
	paths, _ := filepath.Glob("../../shared/events/" + name + "/*ndjson*")
	if name == "file" {
		paths, _ = filepath.Glob(os.Getenv("WEIR_EVENTS"))
	}
	for _, path := range paths {
		eachLine(tb, path, 1000, func(line []byte) {
			if len(line) > 2 {
				docs = append(docs, append([]byte(nil), line...))
			}
		})
	}
	return docs
}

// ruleFields returns the ECS fields that the reference rules name, nil where those rules aren't here.
func ruleFields(tb testing.TB) []string {
	tb.Helper()
	dotted := regexp.MustCompile(`[A-Za-z_@][A-Za-z0-9_@]*(\.[A-Za-z_][A-Za-z0-9_]*)+`)
	seen := map[string]bool{}
	var fields []string
	err := filepath.WalkDir("../../shared/rules", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".toml") {
			return err
		}
		text, err := os.ReadFile(path)
		for _, name := range dotted.FindAllString(string(text), -1) {
			if !seen[name] && ecs.Known(name) {
				seen[name] = true
				fields = append(fields, name)
			}
		}
		return err
	})
	if err != nil {
		return nil
	}
	return fields
}

// benchSchema has the first fields of benchFields, or all of them and more where more are asked for.
func benchSchema(fields int) *event.Schema {
	s := event.NewSchema(event.MetaTypes)
	for _, path := range benchFields[:min(fields, len(benchFields))] {
		s.Add(path)
	}
	for i := s.Len(); i < fields; i++ {
		prefix := []string{"process.Ext", "file", "registry", "dll.Ext", "source", "destination", "winlog.event_data", "kubernetes.audit"}[i%8]
		s.Add(fmt.Sprintf("%s.field_%d", prefix, i))
	}
	return s
}

// namedSchema returns the schema of a benchmark: that of the first few fields, or that of all rules ("all"), nil
// where those rules aren't here.
func namedSchema(tb testing.TB, fields string) *event.Schema {
	tb.Helper()
	if n, err := strconv.Atoi(fields); err == nil {
		return benchSchema(n)
	}
	paths := ruleFields(tb)
	if paths == nil {
		return nil
	}
	s := event.NewSchema(ecs.TypeOf)
	event.AddMeta(s, event.MetaOptions{})
	for _, path := range paths {
		s.Add(path)
	}
	return s
}

// BenchmarkDecode decodes documents by turns: ns/op is per document, B/s tell documents of different size apart.
func BenchmarkDecode(b *testing.B) {
	for _, source := range []string{"generated", "samples", "attack", "file"} {
		for _, fields := range []string{"0", "3", "25", "all"} {
			b.Run("events="+source+"/fields="+fields, func(b *testing.B) {
				docs, s := benchDocs(b, source), namedSchema(b, fields)
				if len(docs) == 0 || s == nil {
					b.Skip("../shared isn't here: it holds these events and rules")
				}
				d, ev := event.NewDecoder(s), event.New(s)
				b.SetBytes(meanSize(docs))
				b.ReportAllocs()
				n := 0
				for b.Loop() {
					if err := d.Decode(docs[n], ev); err != nil {
						b.Fatal(err)
					}
					if n++; n == len(docs) {
						n = 0
					}
				}
			})
		}
	}
}

func meanSize(docs [][]byte) int64 {
	size := 0
	for _, doc := range docs {
		size += len(doc)
	}
	return int64(size / len(docs))
}

// BenchmarkScan is the floor: every byte read once.
func BenchmarkScan(b *testing.B) {
	for _, source := range []string{"generated", "file"} {
		b.Run("events="+source, func(b *testing.B) {
			docs := benchDocs(b, source)
			if len(docs) == 0 {
				b.Skip("WEIR_EVENTS names no file")
			}
			b.SetBytes(meanSize(docs))
			sum, n := 0, 0
			for b.Loop() {
				sum += sumBytes(docs[n])
				if n++; n == len(docs) {
					n = 0
				}
			}
			if sum == 0 {
				b.Fatal("nothing was read")
			}
		})
	}
}

func sumBytes(doc []byte) (sum int) {
	for _, c := range doc {
		sum += int(c)
	}
	return sum
}
