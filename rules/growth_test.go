package rules_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
)

// manyRules makes n rules as different as production rules are: names, lists, arguments, command lines, paths, keys of the
// registry, ports, domains, a sequence now and then, for three operating systems.
func manyRules(n int) []*rules.Rule {
	out := make([]*rules.Rule, n)
	for i := range n {
		system := [...]string{"windows", "linux", "macos"}[i%3]
		var category, where string
		switch i % 8 {
		case 0:
			category, where = "process", fmt.Sprintf(`event.type == "start" and process.name == "tool%d.exe"`, i)
		case 1:
			category, where = "process", fmt.Sprintf(`process.name : ("tool%d.exe", "app%d.exe") and process.args : ("-x%d", "/flag%d*")`, i, i, i, i)
		case 2:
			category, where = "process", fmt.Sprintf(`event.type == "start" and process.command_line : ("*secret%d*token*", "*-enc%d *")`, i, i)
		case 3:
			category, where = "process", fmt.Sprintf(`process.executable : ("?:\\Users\\*\\app%d\\*", "C:\\Temp%d\\*.exe", "/opt/app%d/*")`, i, i, i)
		case 4:
			category, where = "file", fmt.Sprintf(`event.action == "creation" and file.path : "*\\dir%d\\*.dll"`, i)
		case 5:
			category, where = "registry", fmt.Sprintf(`registry.path : ("HKLM\\SOFTWARE\\Vendor%d\\*", "\\REGISTRY\\MACHINE\\Key%d*")`, i, i)
		case 6:
			category = "network"
			where = fmt.Sprintf(`destination.port == %d and process.name : ("cmd.exe", "powershell.exe") and not cidrmatch(destination.ip, "10.0.0.0/8")`, 10_000+i)
		default:
			category, where = "network", fmt.Sprintf(`dns.question.name : ("*.bad%d.example", "evil%d.test") and not process.code_signature.trusted == true`, i, i)
		}
		query := fmt.Sprintf(`%s where host.os.type == %q and %s`, category, system, where)
		if i%10 == 9 {
			query = fmt.Sprintf(`sequence by process.entity_id with maxspan=1m [%s] [network where process.name == "seq%d"]`, query, i)
		}
		out[i] = rule(fmt.Sprintf("r%d", i), query)
	}
	return out
}

// manyEvents makes documents of some 2 KB that hit none of these rules, as nearly all events do.
func manyEvents(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	lines := make([][]byte, n)
	for i := range lines {
		name := fmt.Sprintf("%s%d.exe", pick("svchost", "chrome", "powershell", "cmd", "java", "python", "node", "explorer"), r.IntN(30))
		category := pick("process", "process", "file", "network", "registry")
		dir := fmt.Sprintf(`C:\\Program Files\\Vendor %d\\Component\\bin`, r.IntN(200))
		signature := `{"exists":true,"subject_name":"Vendor Corporation","trusted":true,"status":"trusted"}`
		process := func(name string, pid int) string {
			return fmt.Sprintf(`{"pid":%d,"name":"%s","entity_id":"ZW50aXR5LWlkLW9mLWEtcHJvY2Vzcy0%d","executable":"%s\\%s","command_line":"\"%s\\%s\" --config C:\\ProgramData\\vendor\\settings-%d.json --log-level info --session %d",`+
				`"args":["%s\\%s","--config","C:\\ProgramData\\vendor\\settings-%d.json","--log-level","info","--session","%d"],"code_signature":%s,"hash":{"sha256":"%064x","md5":"%032x"}`,
				pid, name, r.Int64(), dir, name, dir, name, pid, pid, dir, name, pid, pid, signature, r.Uint64(), r.Uint64())
		}
		lines[i] = fmt.Appendf(nil, `{"@timestamp":"2026-05-01T12:%02d:%02d.123456Z","event":{"category":["%s"],"type":["%s"],"action":"%s","kind":"event","dataset":"endpoint.events.%s","id":"%016x","created":"2026-05-01T12:00:00Z"},`+
			`"host":{"id":"host-%d","name":"host-%d","os":{"type":"%s","family":"windows","version":"10.0"},"ip":["10.1.2.%d","fe80::1"]},"agent":{"id":"agent-%d","type":"endpoint","version":"8.15.0"},"ecs":{"version":"8.11.0"},`+
			`"data_stream":{"type":"logs","dataset":"endpoint.events.%s","namespace":"default"},"user":{"name":"user%d","domain":"CORP","id":"S-1-5-21-%d"},"process":%s,"parent":%s}},`+
			`"file":{"path":"%s\\cache\\%d.tmp","name":"%d.tmp","extension":"tmp"},"registry":{"path":"HKLM\\SOFTWARE\\Microsoft\\Windows\\CurrentVersion\\Run\\v%d","value":"v%d"},`+
			`"destination":{"ip":"93.184.216.%d","port":%d},"dns":{"question":{"name":"cdn%d.example.com"}}}`,
			i%60, i%60, category, pick("start", "end", "change"), pick("fork", "exec", "creation", "modification", "connection_attempted"), category, r.Uint64(),
			i%50, i%50, pick("windows", "windows", "linux"), i%250, i%50, category, i%20, i, process(name, i), process("services.exe", i+1),
			dir, i, i, i, i, i%250, 443+i%3, i)
	}
	return lines
}

// BenchmarkGrowth measures what an event of 2 KB that hits nothing costs with more and more rules: decoding for their fields, and
// matching.
func BenchmarkGrowth(b *testing.B) {
	lines := manyEvents(2000)
	run := func(b *testing.B, rs []*rules.Rule) {
		b.Helper()
		s := newSet(b, rs, rules.SetOptions{})
		m, dec, ev := s.NewMatcher(), event.NewDecoder(s.Schema()), event.New(s.Schema())
		size := 0
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			line := lines[i%len(lines)]
			size += len(line)
			if err := dec.Decode(line, ev); err != nil {
				b.Fatal(err)
			}
			m.Match(ev, "")
		}
		b.ReportMetric(float64(size)/float64(b.N), "B/event")
		b.ReportMetric(perEvent(m.Stats().Evaluations, b.N), "evaluations/event")
	}
	for _, n := range []int{10, 100, 300, 1000, 3000} {
		b.Run(fmt.Sprintf("made, %d rules", n), func(b *testing.B) { run(b, manyRules(n)) })
	}
	for _, n := range []int{10, 100, 300, 1000} {
		b.Run(fmt.Sprintf("reference, %d rules", n), func(b *testing.B) {
			rs := corpus(b).Rules
			run(b, rs[:min(n, len(rs))])
		})
	}
}

// TestGrowth guards, within one run, what an event costs more with 1,000 rules than with 10: less than decoding it for the
// fields of 10. It is a quarter of that where nothing else runs.
func TestGrowth(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes time")
	}
	lines := manyEvents(200)
	few, many := newLeast(t, manyRules(10), lines, rules.SetOptions{}), newLeast(t, manyRules(1000), lines, rules.SetOptions{})
	for range 25 { // by turns: others share the machine
		few.measure(t)
		many.measure(t)
	}
	n := float64(len(lines))
	t.Logf("ns per event: decode %.0f and match %.0f with 10 rules, %.0f and %.0f with 1,000", float64(few.decode)/n, float64(few.match)/n,
		float64(many.decode)/n, float64(many.match)/n)
	if growth := many.decode + many.match - few.decode - few.match; growth > few.decode {
		t.Errorf("an event costs %.0f ns more with 1,000 rules, more than the %.0f that it takes to decode it", float64(growth)/n, float64(few.decode)/n)
	}
	allocations := testing.AllocsPerRun(5, func() { many.measure(t) })
	if allocations > 0 {
		t.Errorf("got %v allocations for %d events that hit nothing", allocations, len(lines))
	}
}

// TestIndexRatio guards, within one run, what the index saves with 1,000 rules. Where nothing else runs it saves a factor of 50 and more.
func TestIndexRatio(t *testing.T) {
	if testing.Short() {
		t.Skip("it takes time")
	}
	lines := manyEvents(200)
	index := newLeast(t, manyRules(1000), lines, rules.SetOptions{})
	oneByOne := newLeast(t, manyRules(1000), lines, rules.SetOptions{NoIndex: true})
	for range 10 {
		index.measure(t)
		oneByOne.measure(t)
	}
	ratio := float64(oneByOne.match) / float64(index.match)
	t.Logf("%.0f ns per event with the index, %.0f one by one: %.0f times", float64(index.match)/float64(len(lines)),
		float64(oneByOne.match)/float64(len(lines)), ratio)
	if ratio < 10 {
		t.Errorf("the index is only %.1f times faster than one rule after the other", ratio)
	}
}

// least keeps the least times of decoding and of matching some events.
type least struct {
	lines         [][]byte
	events        []*event.Event
	dec           *event.Decoder
	m             *rules.Matcher
	decode, match time.Duration
}

func newLeast(tb testing.TB, rs []*rules.Rule, lines [][]byte, o rules.SetOptions) *least {
	tb.Helper()
	s := newSet(tb, rs, o)
	l := &least{lines: lines, dec: event.NewDecoder(s.Schema()), m: s.NewMatcher(), decode: time.Hour, match: time.Hour}
	for range lines {
		l.events = append(l.events, event.New(s.Schema()))
	}
	return l
}

func (l *least) measure(tb testing.TB) {
	tb.Helper()
	began := time.Now()
	for i, ev := range l.events {
		if err := l.dec.Decode(l.lines[i], ev); err != nil {
			tb.Fatal(err)
		}
	}
	decoded := time.Now()
	for _, ev := range l.events {
		if h := l.m.Match(ev, ""); len(h.Single)+len(h.Sequences) > 0 {
			tb.Fatalf("%s hits a rule", ev.Raw)
		}
	}
	l.decode, l.match = min(l.decode, decoded.Sub(began)), min(l.match, time.Since(decoded))
}
