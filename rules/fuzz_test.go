package rules_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/internal/fuzzseed"
	"github.com/weir-eql/weir/rules"
)

// FuzzMatch compares a set as production uses it with one that has no index, shares nothing and optimises nothing, and with
// sets that go without one optimisation: for any query, beside others with which it can share atoms, and any event all find
// the same.
func FuzzMatch(f *testing.F) {
	queries, err := fuzzseed.Queries()
	if err != nil {
		f.Fatal(err)
	}
	events, err := fuzzseed.Events()
	if err != nil {
		f.Fatal(err)
	}
	for i, q := range queries {
		for j := range 3 {
			f.Add(q, events[(i*7+j*31)%len(events)])
		}
	}
	for _, q := range []string{
		`any where process.pid in (1, 4242) or source.ip == "10.0.0.1" and not event.type : "st*"`,
		`file where not (process.name == "nc" or process.args : ("-l", "x*y", "*z")) and file.size > 9`,
		`any where startsWith~(process.name, "N") or endsWith(file.path, ".sh") or stringContains(process.command_line, "ev*")`,
		`process where process.name regex~ "n[ck]+" and process.parent.name != null and length(process.args) > 2`,
		`sequence by host.id with maxspan=1m [any where process.name : ("nc", "NCAT")] ![file where true] [network where cidrmatch(source.ip, "10.0.0.0/8")] until [process where false]`,
		`any where @timestamp > "2026-01-01" and process.pid % 2 == 0 and process.interactive`,
		`any where process.command_line : ("*curl*", "*wget *", "*-enc*", "*nc -l*", "?:\\x*", "*.sh", "a*b") or process.pid in (4242, 5.0, 18446744073709551615)`,
		`any where unmapped.number == 5 or unmapped.number in (4242.0, -1, 1e30) or stringContains(unmapped.text, "abc") and unmapped.text : ("*bcd*", "x*")`,
		`any where cidrmatch(source.ip, "10.0.0.0/8", "::/0", "2001:db8::/32", "192.168.1.1") and not (process.name : "nc" or process.name : "*cat*")`,
	} {
		f.Add(q, []byte(`{"@timestamp":"2026-01-05T10:00:00Z","event":{"category":["process","file"],"type":"start"},"process":{"name":["nc",null,"Ncat"],"pid":4242,"args":["-l","XaY"],"interactive":true},"source.ip":"10.0.0.1","file":{"path":"/a.sh"},"unmapped":{"number":[5,4242.0,1e30,"5"],"text":"xABCd"}}`))
	}
	between := []byte(`{"event":{"category":"process"},"process":{"name":"nc","args":["-l"],"pid":1},"host":{"id":"h"}}`)
	f.Fuzz(func(t *testing.T, query string, doc []byte) {
		rs := []*rules.Rule{
			rule("fuzzed", query), rule("again", query),
			rule("name", `process where process.name : ("nc", "n*t") and event.type == "start"`),
			rule("not", `any where not process.name : "nc" and process.pid == 4242`),
			rule("seq", `sequence by host.id with maxspan=3s [process where process.name == "nc"] ![network where true] [file where file.path : "*.sh"] until [any where source.ip == "10.0.0.1"]`),
		}
		if len(query) > 4000 || len(doc) > 20_000 {
			t.Skip("long inputs only cost time here")
		}
		fast, err := rules.NewSet(rs, rules.SetOptions{})
		plain, plainErr := rules.NewSet(rs, rules.SetOptions{NoIndex: true, Env: eql.EnvOptions{NoSharing: true, NoOptimise: true}})
		if (err == nil) != (plainErr == nil) {
			t.Fatalf("%s: got error %v, but %v without optimising", query, err, plainErr)
		}
		if err != nil {
			return
		}
		a, b := newMatcher(fast), newMatcher(plain)
		others := map[string]matcher{}
		for name, o := range switches() {
			set, err := rules.NewSet(rs, o)
			if err != nil {
				t.Fatalf("%s, %s: %v", query, name, err)
			}
			others[name] = newMatcher(set)
		}
		for _, d := range [][]byte{doc, between, doc} { // nothing may be left over of the event before
			if a.dec.Decode(d, a.ev) != nil || b.dec.Decode(d, b.ev) != nil {
				continue
			}
			for _, stream := range []string{"", "logs-endpoint.events.process-default"} {
				want := names(b.Match(b.ev, stream))
				if diff := cmp.Diff(want, names(a.Match(a.ev, stream))); diff != "" {
					t.Errorf("%s\non %s, with index (+) and without (-):\n%s", query, d, diff)
				}
				for name, m := range others {
					if err := m.dec.Decode(d, m.ev); err != nil {
						t.Fatalf("%s: %v", d, err)
					}
					if diff := cmp.Diff(want, names(m.Match(m.ev, stream))); diff != "" {
						t.Errorf("%s\non %s, %s (+):\n%s", query, d, name, diff)
					}
				}
			}
		}
	})
}
