package eqltest_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/eql/eqltest"
)

func TestParse(t *testing.T) {
	src := `# about the case
rule  sequence by host.id
        # a comment among the lines
        [process where true] ![file where true]
only stream
event 0s a {"process": {"name": "sh"}}
event -1.5s b-2 network host.id=h1 x.n=5 x.t="a b" x.a=["p", 1] x.z=null x.w=true x.e=a=b
event 24h c {"@timestamp": 5,
             "x": 1}
event 1m d
event 2m e {}
restart
advance 10s
expect match a ! b-2
expect match c !
expect none_of_these
`
	_, err := eqltest.Parse("x.test", []byte(src))
	if err == nil {
		t.Fatal("got no error for the last line")
	}
	src = strings.Replace(src, "expect none_of_these\n", "\nrule any where 'x\nexpect error \"quotes\"\n", 1)
	got, err := eqltest.Parse("x.test", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	event := func(line int, name string, at time.Duration, doc string) eqltest.Step {
		return eqltest.Step{
			Kind: eqltest.StepEvent, Line: line,
			Event: eqltest.Event{Name: name, At: at, Doc: []byte(doc), Line: line},
		}
	}
	want := &eqltest.Script{Name: "x.test", Cases: []eqltest.Case{
		{
			File: "x.test", Line: 2, Mode: eqltest.StreamOnly,
			Query: "sequence by host.id\n\n        [process where true] ![file where true]",
			Steps: []eqltest.Step{
				event(6, "a", 0, `{"@timestamp":"2025-01-01T00:00:00.000Z","process": {"name": "sh"}}`),
				event(7, "b-2", -1500*time.Millisecond, `{"@timestamp":"2024-12-31T23:59:58.500Z","event.category":"network",`+
					`"host.id":"h1","x.n":5,"x.t":"a b","x.a":["p", 1],"x.z":null,"x.w":true,"x.e":"a=b"}`),
				event(8, "c", 24*time.Hour, "{\"@timestamp\": 5,\n             \"x\": 1}"),
				event(10, "d", time.Minute, `{"@timestamp":"2025-01-01T00:01:00.000Z"}`),
				event(11, "e", 2*time.Minute, `{"@timestamp":"2025-01-01T00:02:00.000Z"}`),
				{Kind: eqltest.StepRestart, Line: 12},
				{Kind: eqltest.StepAdvance, Line: 13, Advance: 10 * time.Second},
				{Kind: eqltest.StepExpect, Line: 14, Want: []eqltest.Match{{"a", "!", "b-2"}, {"c", "!"}}},
			},
		},
		{File: "x.test", Line: 17, Query: "any where 'x", WantError: "quotes"},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the script differs (-want +got):\n%s", diff)
	}
}

func TestParseErrors(t *testing.T) {
	const head = "rule any where true\nevent 0s a x=1\n"
	for _, c := range []struct{ src, want string }{
		{"event 0s a x=1", "x:1:1: event comes before the first rule"},
		{"rules any where true", `x:1:1: unknown statement "rules": rule, only, type, event, advance, restart or expect`},
		{"rule", "x:1:5: the rule has no query"},
		{"rule any where true\n", "x:1:1: the rule has neither events nor an expect"},
		{head, "x:2:1: nothing is expected after this step"},
		{head + "rule any where false\nexpect none", "x:2:1: nothing is expected after this step"},
		{head + "expekt none", `x:3:1: unknown statement "expekt": rule, only, type, event, advance, restart or expect`},
		{head + "expect nothing", `x:3:8: expect match, expect none or expect error, not "nothing"`},
		{head + "expect none a", `x:3:13: unexpected "a" at the end of the statement`},
		{head + "expect match", "x:3:8: a match names at least one event"},
		{head + "expect match !", "x:3:8: a match names at least one event"},
		{head + "expect match a b", "x:3:16: there is no event b before this line"},
		{head + "expect match a\n  b", "x:4:3: there is no event b before this line"},
		{head + "expect match a\nexpect none", "x:4:8: none contradicts the expectation before it"},
		{head + "expect none\nexpect match a", "x:4:8: match contradicts the expect none before it"},
		{head + "expect error \"x\"", "x:3:1: a query that is refused has no events"},
		{"rule any where\nexpect error x", `x:2:14: expect error needs a part of the message in quotes, not "x"`},
		{"rule any where\nexpect error \"\"", "x:2:14: expect error needs a part of the message"},
		{"rule any where\nexpect error \"x\"\nevent 0s a x=1", "x:3:1: event after expect error: a query that is refused has nothing else"},
		{"rule any where true\nonly sometimes", `x:2:6: only batch or only stream, not "sometimes"`},
		{head + "only batch", "x:3:1: only stands before the first event"},
		{head + "type x long", "x:3:1: type only stands before the first event"},
		{"rule any where true\ntype", "x:2:5: type needs the path of a field and its type"},
		{"rule any where true\ntype x", "x:2:7: the field x needs a type"},
		{"rule any where true\ntype x long none", `x:2:13: only null=VALUE may follow the type, not "none"`},
		{"rule any where true\ntype x long null=1 y", `x:2:20: unexpected "y" at the end of the statement`},
		{head + "restart now", `x:3:9: unexpected "now" at the end of the statement`},
		{head + "advance", `x:3:8: "" is no duration such as 2.9s or 10m`},
		{head + "advance -1s", "x:3:9: time doesn't go back: advance by more than nothing"},
		{head + "event soon b x=1", `x:3:7: "soon" is no duration such as 2.9s or 10m`},
		{head + "event 1us b x=1", "x:3:7: 1us is finer than a millisecond"},
		{head + "event 1s", `x:3:9: the event needs a name of letters, digits, _ and -, not ""`},
		{head + "event 1s a,b x=1", `x:3:10: the event needs a name of letters, digits, _ and -, not "a,b"`},
		{head + "event 1s a x=1", "x:3:10: there is an event a already"},
		{head + "event 1s b process sh", `x:3:20: field=value expected, not "sh"`},
		{head + "event 1s b x=", `x:3:14: a field has no value: write "" for the empty text`},
		{head + "event 1s b x= y=1", `x:3:14: a field has no value: write "" for the empty text`},
		{head + "event 1s b =1", "x:3:12: a field has no name"},
		{head + `event 1s b x="a`, "x:3:14: malformed JSON value: it doesn't end"},
		{head + `event 1s b x="a"b`, "x:3:17: a blank is expected after a value"},
		{head + `event 1s b {"x": 1`, "x:3:12: malformed JSON object: it doesn't end"},
		{head + `event 1s b {"x": 1} y`, "x:3:21: text after the JSON object"},
	} {
		_, err := eqltest.Parse("x", []byte(c.src))
		e, ok := errors.AsType[*eqltest.Error](err)
		if !ok {
			t.Errorf("%q: got %v, want a positioned error", c.src, err)
		} else if e.Error() != c.want {
			t.Errorf("%q:\ngot  %s\nwant %s", c.src, e, c.want)
		}
	}
}

// FuzzParse sees that no script makes the parser panic, and that faults lie inside the script.
func FuzzParse(f *testing.F) {
	names, err := fs.Glob(eqltest.Scripts(), "*.test")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		src, err := fs.ReadFile(eqltest.Scripts(), name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		_, err := eqltest.Parse("x", src)
		if err == nil {
			return
		}
		e, ok := errors.AsType[*eqltest.Error](err)
		if !ok {
			t.Fatalf("got %v, want a positioned error", err)
		}
		lines := strings.Split(string(src), "\n")
		if e.Line < 1 || e.Line > len(lines) || e.Col < 1 || e.Col > len(lines[e.Line-1])+1 {
			t.Errorf("%v lies outside the script", e)
		}
	})
}
