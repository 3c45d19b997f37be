// Package decoders compares Weir's decoder with maintained JSON libraries on the same documents: what each makes of
// documents of an unusual kind, and the CPU time that it takes. It is a module of its own, so that none of them is a
// dependency of Weir:
//
//	cd tools/decoders && go test -v -run 'Answers|Least'
package decoders

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/bytedance/sonic"
	goccy "github.com/goccy/go-json"
	"github.com/minio/simdjson-go"
	"github.com/valyala/fastjson"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// fields are those that the decoders extract, where they extract any.
var fields = []string{
	"@timestamp", "event.category", "event.type", "event.action", "event.id", "host.id", "host.name", "host.os.type", "agent.id",
	"data_stream.type", "data_stream.dataset", "data_stream.namespace", "user.name", "user.id", "process.pid", "process.name",
	"process.entity_id", "process.executable", "process.command_line", "process.args", "process.parent.name",
	"process.parent.executable", "process.parent.pid", "destination.ip", "destination.port", "dns.question.name",
}

// document is the same for decoders into structs. Lists and scalars are both allowed in real events: these types aren't
// enough for them, and are taken for the documents made here only.
type document struct {
	Timestamp string `json:"@timestamp"`
	Event     struct {
		Category, Type []string
		Action, ID     string
	}
	Host struct {
		ID, Name string
		OS       struct{ Type string }
	}
	Agent      struct{ ID string }
	DataStream struct{ Type, Dataset, Namespace string } `json:"data_stream"`
	User       struct{ Name, ID string }
	Process    struct {
		PID         int64
		Name        string
		EntityID    string `json:"entity_id"`
		Executable  string
		CommandLine string `json:"command_line"`
		Args        []string
		Parent      struct {
			Name, Executable string
			PID              int64
		}
	}
	Destination struct {
		IP   string
		Port int64
	}
	DNS struct{ Question struct{ Name string } }
}

// decoder decodes one document; get reads a field of the last one as text, "" where the decoder extracts none.
type decoder struct {
	name   string
	decode func(doc []byte) error
	get    func(path string) string
}

func decoders(tb testing.TB) []decoder {
	tb.Helper()
	schema := event.NewSchema(ecs.TypeOf)
	for _, path := range fields {
		schema.Add(path)
	}
	dec, ev := event.NewDecoder(schema), event.New(schema)
	var generic map[string]any
	var parser fastjson.Parser
	var tree *fastjson.Value
	var tape *simdjson.ParsedJson
	keys := make([][]string, len(fields))
	for i, path := range fields {
		keys[i] = strings.Split(path, ".")
	}
	into := func(unmarshal func([]byte, any) error) func([]byte) error {
		return func(doc []byte) error {
			generic = nil
			return unmarshal(doc, &generic)
		}
	}
	fromMap := func(path string) string { return inMap(generic, path) }
	list := []decoder{
		{"Weir, 26 fields", func(doc []byte) error { return dec.Decode(doc, ev) }, func(path string) string {
			var texts []string
			for _, v := range ev.Values(schema.Lookup(path)) {
				texts = append(texts, v.Text())
			}
			return strings.Join(texts, ",")
		}},
		{"goccy/go-json, struct", func(doc []byte) error { return goccy.Unmarshal(doc, &document{}) }, nil},
		{"goccy/go-json, map", into(func(b []byte, v any) error { return goccy.Unmarshal(b, v) }), fromMap},
		{"bytedance/sonic, struct", func(doc []byte) error { return sonic.Unmarshal(doc, &document{}) }, nil},
		{"bytedance/sonic, map", into(sonic.Unmarshal), fromMap},
		{"valyala/fastjson, parse and get", func(doc []byte) (err error) {
			if tree, err = parser.ParseBytes(doc); err != nil {
				return err
			}
			for _, path := range keys {
				tree.Get(path...)
			}
			return nil
		}, func(path string) string {
			if v := tree.Get(strings.Split(path, ".")...); v != nil {
				return strings.Trim(v.String(), `"`)
			}
			return ""
		}},
		{"encoding/json, map", into(json.Unmarshal), fromMap},
	}
	if simdjson.SupportedCPU() {
		list = append(list, decoder{"minio/simdjson-go, parse only", func(doc []byte) (err error) {
			tape, err = simdjson.Parse(doc, tape)
			return err
		}, nil})
	}
	return list
}

func inMap(m map[string]any, path string) string {
	var v any = m
	for key := range strings.SplitSeq(path, ".") {
		object, ok := v.(map[string]any)
		if !ok {
			return ""
		}
		if v, ok = object[key]; !ok {
			return ""
		}
	}
	return fmt.Sprint(v)
}

// TestAnswers prints what each decoder makes of documents that tell them apart.
func TestAnswers(t *testing.T) {
	for _, tt := range []struct{ what, doc, path string }{
		{"dotted key", `{"process.name":"nc"}`, "process.name"},
		{"half-dotted key", `{"process":{"parent.name":"sh"}}`, "process.parent.name"},
		{"key twice", `{"process":{"name":"a","name":"b"}}`, "process.name"},
		{"object twice", `{"process":{"name":"a"},"process":{"pid":1}}`, "process.name"},
		{"2^53 + 1", `{"process":{"pid":9007199254740993}}`, "process.pid"},
		{"half a surrogate pair", `{"process":{"name":"\ud800x"}}`, "process.name"},
		{"bytes that aren't UTF-8", "{\"process\":{\"name\":\"a\xffb\"}}", "process.name"},
		{"control character", "{\"process\":{\"name\":\"a\x01b\"}}", "process.name"},
		{"leading zero", `{"process":{"pid":01}}`, "process.pid"},
		{"a second document", `{"process":{"name":"a"}} {"process":{"name":"b"}}`, "process.name"},
		{"fault in a part that isn't read", `{"other":[1,],"process":{"name":"a"}}`, "process.name"},
	} {
		for _, d := range decoders(t) {
			got := ""
			switch err := d.decode([]byte(tt.doc)); {
			case err != nil:
				got = "refused"
			case d.get == nil:
				continue
			default:
				got = fmt.Sprintf("%q", d.get(tt.path))
			}
			t.Logf("%-32s %-32s %s", tt.what, d.name, got)
		}
	}
}

// TestLeast prints the least CPU time of each decoder: batches of 20 documents, by turns with the others, the least of 40
// times of each batch. DOCUMENTS names a file of them; without it they are made.
func TestLeast(t *testing.T) {
	docs := documents(t)
	list := decoders(t)
	total := make([]time.Duration, len(list))
	allocations := make([]float64, len(list))
	size := 0
	const batch = 20
	n := len(docs) / batch * batch
	for at := 0; at < n; at += batch {
		best := make([]time.Duration, len(list))
		for range 40 {
			for i, d := range list {
				began := time.Now()
				for _, doc := range docs[at : at+batch] {
					if err := d.decode(doc); err != nil {
						t.Fatalf("%s: %v", d.name, err)
					}
				}
				if took := time.Since(began); best[i] == 0 || took < best[i] {
					best[i] = took
				}
			}
		}
		for i := range list {
			total[i] += best[i]
		}
		for _, doc := range docs[at : at+batch] {
			size += len(doc)
		}
	}
	for i, d := range list {
		allocations[i] = testing.AllocsPerRun(10, func() { _ = d.decode(docs[0]) })
		t.Logf("%-34s %6d ns  %4.1f x  %4.0f allocations", d.name, int(total[i])/n, float64(total[i])/float64(total[0]), allocations[i])
	}
	t.Logf("%d documents of %d bytes", n, size/n)
}

// documents returns those of the file that DOCUMENTS names, or made ones of about 2 KB.
func documents(tb testing.TB) [][]byte {
	tb.Helper()
	if path := os.Getenv("DOCUMENTS"); path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			tb.Fatal(err)
		}
		var docs [][]byte
		for line := range strings.SplitSeq(strings.TrimSpace(string(data)), "\n") {
			docs = append(docs, []byte(line))
		}
		return docs
	}
	r := rand.New(rand.NewPCG(7, 7))
	docs := make([][]byte, 400)
	for i := range docs {
		process := func(pid int) string {
			return fmt.Sprintf(`"pid":%d,"name":"proc%d.exe","entity_id":"%032x","executable":"C:\\Program Files\\Vendor %d\\proc.exe","command_line":"\"C:\\Program Files\\Vendor\\proc.exe\" --session %d --log C:\\ProgramData\\vendor\\log-%d.txt","args":["C:\\Program Files\\Vendor\\proc.exe","--session","%d"],"hash":{"sha256":"%064x","md5":"%032x"},"code_signature":{"exists":true,"trusted":true,"subject_name":"Vendor Corporation","status":"trusted"}`,
				pid, pid%97, r.Uint64(), pid%50, pid, pid, pid, r.Uint64(), r.Uint64())
		}
		docs[i] = fmt.Appendf(nil, `{"@timestamp":"2026-05-01T12:00:%02d.123Z","event":{"category":["process"],"type":["start"],"action":"exec","id":"%016x","kind":"event","created":"2026-05-01T12:00:00Z"},"host":{"id":"host-%d","name":"host-%d","os":{"type":"windows","version":"10.0"},"ip":["10.0.0.%d","fe80::1"]},"agent":{"id":"agent-%d","version":"8.15.0"},"data_stream":{"type":"logs","dataset":"endpoint.events.process","namespace":"default"},"user":{"name":"user%d","id":"S-1-5-21-%d"},"process":{%s,"parent":{%s}},"destination":{"ip":"10.1.2.%d","port":443},"dns":{"question":{"name":"cdn%d.example.com"}}}`,
			i%60, r.Uint64(), i, i, i%250, i, i, i, process(1000+i), process(2000+i), i%250, i)
	}
	return docs
}
