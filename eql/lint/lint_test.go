package lint_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/eql/lint"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// check returns the findings on a query as text: code, then what is marked.
func check(t *testing.T, query string) []string {
	t.Helper()
	q, err := eql.NewEnv(event.NewSchema(ecs.TypeOf), eql.EnvOptions{}).Compile(query, eql.QueryOptions{})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	var got []string
	for _, f := range lint.Query(query, q.Statement(), lint.Options{}) {
		if f.Pos < 0 || f.End < f.Pos || f.End > len(query) {
			t.Fatalf("%s: the span %d-%d of %s is not inside", query, f.Pos, f.End, f.Code)
		}
		if f.Msg == "" || strings.Contains(f.Msg, "%!") || strings.Contains(f.Hint, "%!") {
			t.Errorf("%s: message %q, hint %q", query, f.Msg, f.Hint)
		}
		got = append(got, fmt.Sprintf("%s %s", f.Code, query[f.Pos:f.End]))
	}
	return got
}

// TestFindings marks in each condition what is found with «» and names the code. Conditions without marks are near
// misses: nothing may be found in them.
func TestFindings(t *testing.T) {
	for code, conditions := range map[finding.Code][]string{
		finding.UnknownValue: {
			`event.type == «"begun"»`, `event.type in («"begin"», «"stop"»)`, `event.kind : «"alarm"»`, `event.outcome != «"failed"»`,
			`event.type : «"creat?"»`, `event.type like «"x*"»`, `wildcard(host.os.type, «"win32*"»)`,
			`not host.os.type in («"darwin"»)`,
			// near misses
			`event.type == "start"`, `event.type : "START"`, `event.type : "cre*"`, `event.outcome like "s*"`, `event.action == "whatever"`,
			`event.type in~ ("START", "End")`, `event.type regex "x.*"`, `event.type == null`, `process.name == "begun"`, `host.os.family == "darwin"`,
		},
		finding.DeadValue: {`event.type in ("start", «"process_started"»)`, `event.category : ("process", «"nothing"»)`, `event.type in ("start", "end")`},
		finding.NumberText: {
			`process.pid == «"4"»`, `process.pid < «"10"»`, `process.pid >= «"5"»`, `event.code == «4624»`, `event.code >= «4600»`, `«4» == event.code`,
			`process.pid == 4`, `event.code == "4624"`, `event.code in ("4624")`, `some.field == 5`, `some.field == "5"`, `number(event.code) > 5`, `length(process.name) > 5`,
			`@timestamp > "2026-01-01"`, `source.ip == "10.0.0.1"`,
		},
		finding.LetterCase: {
			`host.os.type == «"Linux"»`, `network.transport in («"TCP"», «"UDP"»)`, `network.protocol like «"HTTP*"»`, `startsWith(network.protocol, «"HTTP"»)`,
			`event.type != «"Start"»`, `wildcard(network.transport, «"Tc*"»)`,
			`host.os.type : "Linux"`, `host.os.type in~ ("Linux")`, `host.os.type like~ "Lin*"`, `network.transport == "tcp"`, `process.name == "CMD.EXE"`,
			`startsWith~(network.protocol, "HTTP")`, `network.protocol regex~ "HTTP.*"`, `host.os.name == "Linux"`, `wildcard~(network.transport, "Tc*")`,
		},
		finding.LiteralStar: {
			`process.name == «"cmd*"»`, `process.name in ("a", «"*.exe"»)`, `process.name in~ («"x?z*"»)`, `file.path != «"/tmp/*"»`,
			`process.args == "*"`, `process.args in ("-?", "/?")`, `process.command_line == "ls *.c x"`, `process.name : "cmd*"`, `process.name like "cmd*"`,
			`file.path == "\\\\?\\C:\\x"`, `process.args == "a*"`, `process.args == "?*"`,
		},
		finding.AlwaysFalse: {
			`process.name == "a" and «process.name == "b"»`, `process.name : "a*" and «process.name : "b*"»`, `process.name == "cmd.exe" and «not process.name : "cmd.*"»`,
			`process.name : "a$" and «not process.name : "*$"»`, `process.name : "a*$" and «not process.name like "?*$"»`,
			`process.args == "x" and «process.args != "x"»`, `process.pid > 5 and «process.pid < 3»`, `process.pid > 5 and «process.pid < 6»`,
			`process.name in ("a", "b") and process.name != "a" and «process.name != "b"»`, `process.args in ("a", "b") and process.args != "a" and «process.args != "b"»`,
			`process.name == null and «process.name == "x"»`, `process.name == "x" and «process.name == null»`,
			`(process.name == "a" or process.name == "b") and «process.name == "c"»`, `process.name == "a" and («process.name == "b"» or user.name == "c")`,
			`startsWith(process.name, "a") and «process.name == "b"»`, `process.name == "x" and user.name == "y" and («process.name == "z"»)`,
			`length(process.name) > 5 and «not (length(process.name) > 5)»`, `source.ip == "10.0.0.1" and «source.ip == "10.0.0.2"»`,
			`«false» or process.name == "x"`, `«"a" == "b"» or process.name == "x"`, `process.name == "X" and «process.name != "X"»`,
			`startsWith(process.name, "a") == false and «startsWith(process.name, "a")»`, `user.name in~ ("Root") and «user.name : "admin"»`,
			`user.name regex "a.*" and «not user.name regex "a.*"»`,
			// near misses
			`process.args == "x" and process.args == "y"`, `event.type == "start" and event.type == "end"`, `dns.answers.name == "a" and dns.answers.name == "b"`,
			`some.field == "x" and some.field == "y"`, `process.Ext.ancestry == "a" and process.Ext.ancestry == "b"`,
			`process.pid > 5 and process.pid < 7`, `process.name : "a*" and process.name : "*b"`, `process.name == "a" and process.name != "b"`,
			`process.name in ("a", "b") and process.name != "a"`, `process.name : "cmd.exe" and process.name != "cmd.exe"`, `process.name != null and process.name != "x"`,
			`process.name == "a" or process.name == "b"`,
			`startsWith(process.name, "a") and endsWith(process.name, "b")`, `process.name : "?" and process.name in ("a", "b")`,
			`cidrMatch(source.ip, "10.0.0.0/8") and source.ip == "192.168.0.1"`, `some.flag and some.flag != "true"`, `process.pid == 4 and process.pid in (4, 5)`,
			`source.ip == "10.0.0.0/8" and source.ip == "10.0.0.1"`, `process.name like "é*" and process.name like~ "é*"`, `host.ip == "::1" and host.ip == "127.0.0.1"`,
			`stringContains(process.command_line, "a*") and process.command_line == "xab"`, `process.name : "K" and process.name == "k"`,
		},
		finding.AlwaysTrue: {
			`process.name != "a" or «process.name != "b"»`, `process.args == "x" or «process.args != "x"»`, `process.name == null or «process.name != null»`,
			`process.name : "a*" or «process.name != "ab"»`, `not process.pid < 3 or «process.pid < 5»`, `«true» and process.name == "x"`, `«1 == 1» and process.name == "x"`,
			`process.pid != 5 or user.name == "x" or «process.pid != 6»`,
			// near misses
			`process.args != "a" or process.args != "b"`, `process.name != "a" and process.name != "b"`, `true`, `process.name != "a" or user.name != "b"`,
			`process.pid < 5 or process.pid > 3`, `process.name == null or process.name == "x"`, `event.type != "start" or event.type != "end"`,
		},
		finding.Duplicate: {
			`process.name in ("a", "b", «"a"»)`, `process.name in~ ("a", «"A"»)`, `process.name : ("a*", «"ab"»)`, `process.name == "a" or user.name == "b" or «process.name == "a"»`,
			`process.name == "a" and user.name == "b" and «process.name == "a"»`, `«process.name == "ab"» or process.name : "a*"`, `process.name like («"ab*c"», "a*c")`,
			`process.name regex ("a+", «"a+"»)`, `user.name == "x" and not («user.name == "x"» and process.name == "y")`, `«process.pid == 2» or process.pid in (1, 2)`,
			`process.name : («"C:\\x"», "?:\\*")`, // letters that the other one has none of
			`process.name in ("a", "A")`, `process.name : ("a*", "b*")`, `process.name like ("a?c", "a??c")`, `process.name == "a" or user.name == "a"`, `process.name : "a*" or process.name : "*a"`,
			`process.name like ("Ab", "a*")`, `process.name in ("a*", "ab")`,
		},
		finding.RegexAnchor: {
			`process.args regex "«^»foo«$»"`, `process.args regex~ "a|«^»b"`, `process.args regex """«^»\d+"""`, `process.args regex "\\\\«^»"`,
			`process.args regex "a\\^b"`, `process.args regex "[^a]+"`, `process.args regex "[a$^]+"`, `process.args regex "\\$HOME"`, `process.args regex "cost [$]5"`,
		},
		finding.RegexGroup: {
			`process.args regex "«(?:»a|b)"`, `process.args regex "«(?=»a)b"`, `process.args regex "x«(?!»a)"`,
			`process.args regex "(a|b)?"`, `process.args regex "\\(?:a"`, `process.args regex "[(?:]"`,
		},
		finding.RegexOperator: {
			`process.args regex "a«@»b"`, `process.args regex "«~»abc"`, `process.args regex "a«&»b"`, `process.args regex "«#»a"`, `process.args regex "«\"ab\"»"`,
			`process.args regex "a\\@b\\~\\&\\#"`, `process.args regex "[@~&#]"`, `process.args regex "<1-100>"`, `process.args regex "a>b"`, `process.args regex "a\\\"b"`,
			`process.args == "a@b"`, `process.args : "^a$"`,
		},
		finding.RegexReference: {
			`process.args regex "(a)«\\1»"`, `process.args regex """(a)«\2»"""`,
			`process.args regex "\\d\\w\\s"`, `process.args regex "[0-9]"`, `process.args regex "a\\.b"`,
		},
	} {
		for _, marked := range conditions {
			query, want := unmark("any where "+marked, code)
			t.Run(marked, func(t *testing.T) { compare(t, query, want, code) })
		}
	}
}

// unmark takes the marks out of a query and returns what they mark behind the code.
func unmark(marked string, code finding.Code) (query string, want []string) {
	for _, part := range strings.Split(marked, "«")[1:] {
		word, _, _ := strings.Cut(part, "»")
		want = append(want, string(code)+" "+word)
	}
	return strings.NewReplacer("«", "", "»", "").Replace(marked), want
}

// compare expects just the wanted findings.
func compare(t *testing.T, query string, want []string, code finding.Code) {
	t.Helper()
	got := check(t, query)
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("%s\n%s\ngot  %q\nwant %q", code, query, got, want)
	}
}

// TestSequences does what TestFindings does with whole queries.
func TestSequences(t *testing.T) {
	for _, tc := range []struct {
		code finding.Code
		more []string // findings of other codes that come with it, after the marked ones
		text string
	}{
		{finding.UnreachableStage, []string{`W306 false`}, `sequence «[process where false]» [file where true]`},
		{finding.UnreachableStage, []string{`W306 false`}, `sequence with maxspan=1m [process where true] «![process where false]» [file where true]`},
		{finding.UnreachableStage, []string{`W306 user.id == null`}, `sequence by user.id [process where true] «[process where user.id == null]»`},
		{finding.UnreachableStage, []string{`W306 process.name == null`}, `sequence [process where true] by user.id «[process where process.name == null] by process.name»`},
		{finding.UnreachableStage, nil, `sequence by ?user.id [process where true] [process where user.id == null]`},
		{finding.KeysDiffer, nil, `sequence by host.id [process where host.id == "a"] [file where «host.id == "b"»]`},
		{finding.KeysDiffer, nil, `sequence by user.name [process where user.name : ("a*", "b")] [file where «user.name in ("x", "y")»]`},
		{finding.KeysDiffer, nil, `sequence by user.name [process where user.name : ("a*", "b")] [file where user.name in ("x", "abc")]`},
		{finding.KeysDiffer, nil, `sequence by host.ip [process where host.ip == "::1"] [file where host.ip == "::2"]`},
		{finding.KeysDiffer, nil, `sequence [process where process.name == "a"] by process.name [file where «process.parent.name == "b"»] by process.parent.name`},
		{finding.KeysDiffer, nil, `sequence with maxspan=1m [process where process.name == "a"] by process.name ![file where process.parent.name == "b"] by process.parent.name [file where true] by file.name`},
		{finding.KeysDiffer, nil, `sample by host.id [process where host.id == "a"] [file where «host.id == "b"»]`},
		{finding.UnreachableStage, []string{`W306 false`}, `sample by host.id «[process where false]» [file where true]`},
		{finding.KeysDiffer, nil, `sequence by host.id [process where user.id == "a"] [file where user.id == "b"]`},
		{finding.UntilEnds, nil, `sequence by host.id [process where true] [file where true] until «[any where true]»`},
		{finding.UntilEnds, nil, `sequence by host.id [process where event.type == "start"] [file where true] until «[process where event.type == "start"]»`},
		{finding.UntilEnds, nil, `sequence by host.id [process where process.name == "ab" and user.id == "x"] [file where true] until «[process where process.name : "A*"]»`},
		{finding.UntilEnds, nil, `sequence by host.id [process where true] [file where file.name == "x"] with runs=2 until «[file where true]»`},
		// near misses: the last stage may be until's, other keys, other categories, fewer events
		{finding.UntilEnds, nil, `sequence by host.id [process where true] [file where true] until [file where true]`},
		{finding.UntilEnds, nil, `sequence by host.id [process where true] by process.pid [file where true] by process.pid until [any where true] by process.parent.pid`},
		{finding.UntilEnds, nil, `sequence by host.id [process where event.type == "start"] [file where true] until [process where event.type == "end"]`},
		{finding.UntilEnds, nil, `sequence by host.id [process where process.name : "a*"] [file where true] until [process where process.name == "ab"]`},
		{finding.UntilEnds, nil, `sequence by host.id [any where true] [file where true] until [process where true]`},
	} {
		query, want := unmark(tc.text, tc.code)
		t.Run(tc.text, func(t *testing.T) { compare(t, query, append(want, tc.more...), tc.code) })
	}
}

// TestLongChain pins that the findings on a chain of thousands of tests are bounded work, and that what is spelled alike is
// found at any distance.
func TestLongChain(t *testing.T) {
	compared := 0
	single := func(string) bool {
		compared++
		return true
	}
	for _, op := range []string{"or", "and"} {
		tests := make([]string, 0, 5001)
		for i := range 5000 {
			test := fmt.Sprintf(`process.name == "n%d"`, i)
			if op == "and" {
				test = "not " + test
			}
			tests = append(tests, test)
		}
		tests = append(tests, tests[0])
		query := "any where " + strings.Join(tests, " "+op+" ")
		q, err := eql.NewEnv(event.NewSchema(ecs.TypeOf), eql.EnvOptions{}).Compile(query, eql.QueryOptions{})
		if err != nil {
			t.Fatal(err)
		}
		found := lint.Query(query, q.Statement(), lint.Options{Single: single})
		if len(found) != 1 || found[0].Code != finding.Duplicate {
			t.Errorf("%s: got %d findings, want the one test that stands twice", op, len(found))
		}
	}
	if compared > 10 {
		t.Errorf("asked %d times about one field", compared)
	}
}
