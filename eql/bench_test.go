package eql_test

import (
	"slices"
	"testing"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// benchEvent is an event as the agents write them, shortened.
const benchEvent = `{"@timestamp": "2024-05-01T12:00:00.000Z", "event": {"category": ["process"], "type": ["start"]},
"host": {"os": {"type": "windows"}}, "source": {"ip": "10.20.30.40"}, "destination": {"port": 443},
"process": {"name": "powershell.exe", "pid": 4688, "args": ["powershell.exe", "-NoProfile", "-EncodedCommand", "SQBFAFgA"],
"executable": "C:\\Windows\\System32\\WindowsPowerShell\\v1.0\\powershell.exe",
"command_line": "powershell.exe -NoProfile -EncodedCommand SQBFAFgA", "parent": {"name": "explorer.exe"}}}`

func BenchmarkAtoms(b *testing.B) {
	for _, where := range []string{
		`process.name == "cmd.exe"`,
		`process.name : "cmd.exe"`,
		`process.name : ("cmd.exe", "pwsh.exe", "wscript.exe", "cscript.exe", "mshta.exe", "rundll32.exe")`,
		`process.name in ("cmd.exe", "pwsh.exe", "wscript.exe", "cscript.exe", "mshta.exe", "rundll32.exe")`,
		`process.executable : "?:\\Users\\*\\AppData\\*.exe"`,
		`process.command_line : "*-enc *"`,
		`process.executable regex~ """.*\\v[0-9]+\.[0-9]+\\pwsh\.exe"""`,
		`process.args : ("-w", "hidden*")`,
		`destination.port in (80, 8080)`,
		`cidrMatch(source.ip, "127.0.0.0/8", "192.168.0.0/16", "172.16.0.0/12")`,
		`process.parent.name == null`,
		`length(process.command_line) > 200`,
		`startsWith~(process.command_line, process.name) == false`,
	} {
		b.Run(where, func(b *testing.B) {
			schema := event.NewSchema(ecs.TypeOf)
			env := eql.NewEnv(schema, eql.EnvOptions{})
			q, err := env.Compile("any where "+where, eql.QueryOptions{})
			if err != nil {
				b.Fatal(err)
			}
			ev, memo := event.New(schema), env.NewMemo()
			if err := event.NewDecoder(schema).Decode([]byte(benchEvent), ev); err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				memo.Reset()
				if q.Stages[0].Match(ev, memo) {
					b.Fatal("the benchmark wants a miss")
				}
			}
		})
	}
}

// BenchmarkCorpus runs all stages of all rules, without an index, on one event.
func BenchmarkCorpus(b *testing.B) {
	schema := event.NewSchema(ecs.TypeOf)
	env := eql.NewEnv(schema, eql.EnvOptions{})
	var stages []*eql.Stage
	rules := corpus(b)
	paths := make([]string, 0, len(rules))
	for path := range rules {
		paths = append(paths, path)
	}
	slices.Sort(paths)
	for _, path := range paths {
		q, err := env.Compile(rules[path][0], eql.QueryOptions{CategoryField: rules[path][1]})
		if err != nil {
			b.Fatal(err)
		}
		stages = append(stages, q.Stages...)
	}
	ev, memo := event.New(schema), env.NewMemo()
	if err := event.NewDecoder(schema).Decode([]byte(benchEvent), ev); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		memo.Reset()
		for _, s := range stages {
			s.Match(ev, memo)
		}
	}
	b.ReportMetric(float64(len(stages)), "stages")
}
