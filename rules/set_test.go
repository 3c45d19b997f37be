package rules_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
)

// rule makes a rule of a query, named by its id.
func rule(id, query string, index ...string) *rules.Rule {
	return &rules.Rule{ID: id, Name: id, Query: query, Index: index}
}

func TestMatch(t *testing.T) {
	rs := []*rules.Rule{
		rule("exact", `process where process.name : "Nc" and event.type == "start"`),
		rule("prefix", `process where process.executable : "/tmp/*"`),
		rule("suffix", `process where process.executable like~ "*.SH"`),
		rule("contains", `process where process.command_line : "*evil*"`),
		rule("number", `any where process.pid == 4242`),
		rule("address", `any where source.ip == "10.0.0.1"`),
		rule("negative", `file where not process.name == "nc"`),
		rule("list", `process where process.name in ("nc", "ncat")`),
		rule("args", `process where process.args : ("-l", "--listen")`),
		rule("seq", `sequence by host.id with maxspan=3s
			[process where process.name == "nc"] with runs=2
			![network where true]
			[file where file.name == "x"]
			until [process where process.name == "stop"]`),
	}
	s := newSet(t, rs, rules.SetOptions{})
	indexed := newMatcher(s)
	full := newMatcher(newSet(t, rs, rules.SetOptions{NoIndex: true}))
	wide := newMatcher(newSet(t, rs, rules.SetOptions{NoNarrow: true}))
	for _, tc := range []struct {
		doc  string
		want []string
	}{
		{`{"event":{"category":"process","type":["info","start"]},"process":{"name":"NC"}}`, []string{"exact"}},
		{`{"event":{"category":"process","type":"start"},"process":{"name":"nc"}}`, []string{"exact", "list", "seq 0"}},
		{`{"event.category":["process","file"],"process.name":"nc","file.name":"x"}`, []string{"list", "seq 0,2"}},
		{`{"event":{"category":"process"},"process":{"executable":"/TMP/a.sh"}}`, []string{"prefix", "suffix"}},
		{`{"event":{"category":"process"},"process":{"executable":"/tmp/"}}`, []string{"prefix"}},
		{`{"event":{"category":"process"},"process":{"executable":"/tmp"}}`, nil},
		{`{"event":{"category":"process"},"process":{"command_line":"an EVIL one"}}`, []string{"contains"}},
		{`{"process":{"pid":"4242"}}`, []string{"number"}},
		{`{"source":{"ip":["10.0.0.2","10.0.0.1"]}}`, []string{"address"}},
		{`{"event":{"category":"file"}}`, []string{"negative"}},
		{`{"event":{"category":"network"}}`, []string{"seq 1"}},
		{`{"event":{"category":"process"},"process":{"name":"stop","args":["a","--LISTEN","-l"]}}`, []string{"args", "seq " + string(rune('0'+63))}},
		{`{}`, nil},
	} {
		for name, m := range map[string]matcher{"indexed": indexed, "not narrowed": wide, "one by one": full} {
			if diff := cmp.Diff(tc.want, m.hits(t, []byte(tc.doc), "")); diff != "" {
				t.Errorf("%s, %s (-want +got):\n%s", tc.doc, name, diff)
			}
		}
	}
	if got := indexed.Stats().UnknownStream; got != 13 {
		t.Errorf("got %d events of unknown stream, want 13", got)
	}
	n := slices.IndexFunc(rs, func(r *rules.Rule) bool { return r.ID == "exact" })
	for _, tc := range []struct {
		name       string
		m          matcher
		candidates uint64
	}{{"narrowed", indexed, 2}, {"not narrowed", wide, 3}} {
		if c := tc.m.Stats(); c.Candidates[n] != tc.candidates || c.Evaluations[n] != 2 {
			t.Errorf("exact, %s: got %d candidates, %d evaluations, want %d and 2: the gate spares one", tc.name, c.Candidates[n], c.Evaluations[n], tc.candidates)
		}
	}
}

func TestIndexPatterns(t *testing.T) {
	rs := []*rules.Rule{
		rule("all", `any where true`),
		rule("endpoint", `any where true`, "logs-endpoint.events.*", "winlogbeat-*"),
		rule("process", `any where true`, "logs-endpoint.events.process-*"),
		rule("excluded", `any where true`, "logs-*,-logs-endpoint.events.process*"),
		rule("only excluded", `any where true`, "-logs-endpoint*"),
		rule("old names", `any where true`, "winlogbeat-*", "endgame-*", ".ds-logs-*"),
		rule("remote", `any where true`, "*:logs-endpoint*"),
		rule("exact", `any where true`, "metrics-x-default"),
	}
	own := `{"data_stream":{"type":"logs","dataset":"endpoint.events.process","namespace":"prod"}}`
	for _, tc := range []struct {
		doc, topic string
		anyIndex   bool
		want       string
	}{
		{own, "", false, "all,endpoint,process,remote"},
		{own, "metrics-x-default", false, "all,endpoint,process,remote"},
		{`{"data_stream.dataset":"endpoint.events.file"}`, "", false, "all,endpoint,excluded,remote"},
		{`{"data_stream.dataset":"aws"}`, "", false, "all,excluded,only excluded"},
		{`{}`, "metrics-x-default", false, "all,only excluded,exact"},
		{`{}`, "", false, "all,endpoint,process,excluded,only excluded,old names,remote,exact"},
		{own, "", true, "all,endpoint,process,excluded,only excluded,old names,remote,exact"},
	} {
		for _, noIndex := range []bool{false, true} {
			s := newSet(t, rs, rules.SetOptions{AnyIndex: tc.anyIndex, NoIndex: noIndex})
			if got := strings.Join(newMatcher(s).hits(t, []byte(tc.doc), tc.topic), ","); got != tc.want {
				t.Errorf("%s, topic %q, any index %t: got %s, want %s", tc.doc, tc.topic, tc.anyIndex, got, tc.want)
			}
		}
	}
}

// In Elasticsearch each document of a data stream has its name's parts, whether or not its source says so.
func TestStreamFields(t *testing.T) {
	rs := []*rules.Rule{
		rule("dataset", `any where data_stream.dataset == "endpoint.events.process"`),
		rule("type", `any where data_stream.type == "logs" and data_stream.namespace : "prod*"`),
		rule("default", `any where data_stream.namespace == "default"`),
		rule("none", `any where data_stream.dataset == null`),
	}
	for _, tc := range []struct{ doc, topic, want string }{
		{`{}`, "logs-endpoint.events.process-prod-eu", "dataset,type"},
		{`{"data_stream":{"namespace":"default"}}`, "logs-endpoint.events.process-prod", "dataset,default"},
		{`{"data_stream.dataset":"aws.cloudtrail"}`, "logs-endpoint.events.process-prod", "default"},
		{`{}`, "", "none"},
	} {
		for _, noIndex := range []bool{false, true} {
			s := newSet(t, rs, rules.SetOptions{NoIndex: noIndex})
			if got := strings.Join(newMatcher(s).hits(t, []byte(tc.doc), tc.topic), ","); got != tc.want {
				t.Errorf("%s, topic %q, no index %t: got %s, want %s", tc.doc, tc.topic, noIndex, got, tc.want)
			}
		}
	}
}

// TestManyStreams invents more names of data streams than a matcher remembers.
func TestManyStreams(t *testing.T) {
	s := newSet(t, []*rules.Rule{rule("one", `any where true`, "logs-d7*")}, rules.SetOptions{})
	m := newMatcher(s)
	for round := range 2 {
		for i := range 5000 {
			doc := fmt.Appendf(nil, `{"data_stream.dataset":"d%d"}`, i)
			want := strings.HasPrefix(strconv.Itoa(i), "7")
			if got := len(m.hits(t, doc, "")) == 1; got != want {
				t.Fatalf("round %d, d%d: got hit %t, want %t", round, i, got, want)
			}
		}
	}
}

// TestManyGateLists meets more lists of values of a field of the gate than a matcher tells apart, and some that are too long.
func TestManyGateLists(t *testing.T) {
	var rs []*rules.Rule
	for i := range 12 {
		rs = append(rs, rule(fmt.Sprint("r", i), fmt.Sprintf(`any where event.type == "t%d" and event.action : ("a%d", "b")`, i, i%3)))
	}
	m, full := newMatcher(newSet(t, rs, rules.SetOptions{})), newMatcher(newSet(t, rs, rules.SetOptions{NoIndex: true}))
	r := rand.New(rand.NewPCG(1, 2))
	hits := 0
	for range 20_000 {
		var types []string
		for range r.IntN(6) {
			types = append(types, fmt.Sprintf(`"t%d"`, r.IntN(14)))
		}
		doc := fmt.Appendf(nil, `{"event":{"type":[%s],"action":"A%d"}}`, strings.Join(types, ","), r.IntN(5))
		want := full.hits(t, doc, "")
		hits += len(want)
		if got := m.hits(t, doc, ""); !slices.Equal(got, want) {
			t.Fatalf("%s: got %v, want %v", doc, got, want)
		}
	}
	if hits == 0 {
		t.Error("nothing was hit")
	}
}

func TestHostLocal(t *testing.T) {
	for query, want := range map[string]bool{
		`process where true`: true,
		`sequence by host.id [process where true] [file where true]`:                                                         true,
		`sequence by user.name [process where true] [file where true]`:                                                       false,
		`sequence by user.name, agent.id [process where true] [file where true]`:                                             true,
		`sequence by ?host.id [process where true] [file where true]`:                                                        false,
		`sequence [process where true] by process.entity_id [file where true] by process.parent.entity_id`:                   true,
		`sequence [process where true] by process.entity_id, user.name [file where true] by user.name, process.entity_id`:    false,
		`sequence [process where true] [file where true]`:                                                                    false,
		`sequence [process where true] by host.id [file where true] by host.id until [network where true] by user.name`:      false,
		`sequence with maxspan=1m [process where true] by host.id ![file where true] by user.id [any where true] by host.id`: false,
	} {
		s := newSet(t, []*rules.Rule{rule("r", query)}, rules.SetOptions{})
		if got := s.Rules()[0].HostLocal; got != want {
			t.Errorf("%s: got host-local %t, want %t", query, got, want)
		}
	}
	s := newSet(t, []*rules.Rule{rule("r", `sequence by user.name [any where true] [any where true]`)}, rules.SetOptions{HostKeys: []string{"user.name"}})
	if !s.Rules()[0].HostLocal {
		t.Error("user.name is configured to imply the host: got not host-local")
	}
}

func TestSpansAndTimes(t *testing.T) {
	f := loadOne(t, head+"from = 'now-9m'\ntimestamp_field = 'process.start'\nquery = 'sequence by host.id [any where true] [any where true]'\n")
	rs := []*rules.Rule{
		f.Rule,
		rule("short", `sequence by host.id with maxspan=3s [any where true] [any where true]`),
		rule("default", `sequence by host.id [any where true] [any where true]`),
		rule("single", `any where true`),
	}
	s := newSet(t, rs, rules.SetOptions{})
	var got []int64
	for _, c := range s.Rules() {
		got = append(got, c.MaxSpan)
	}
	if diff := cmp.Diff([]int64{540_000, 3000, 360_000, 0}, got); diff != "" {
		t.Errorf("spans (-want +got):\n%s", diff)
	}
	if got := s.LongestSpan(); got != 540_000 {
		t.Errorf("got longest span %d, want 540000", got)
	}
	if got := s.Schema().Field(s.Rules()[0].TimestampSlot).Path; got != "process.start" {
		t.Errorf("got timestamp field %s, want process.start", got)
	}
	if got := s.Rules()[1].TimestampSlot; got != s.Meta().Timestamp {
		t.Errorf("got timestamp slot %d, want that of @timestamp", got)
	}
}

func TestCategoryOverride(t *testing.T) {
	f := loadOne(t, head+"event_category_override = 'event.type'\nquery = 'start where true'\n")
	s := newSet(t, []*rules.Rule{f.Rule}, rules.SetOptions{})
	m := newMatcher(s)
	if got := m.hits(t, []byte(`{"event":{"type":"start","category":"process"}}`), ""); len(got) != 1 {
		t.Errorf("event.type start: got %v, want a hit", got)
	}
	if got := m.hits(t, []byte(`{"event":{"type":"end","category":"start"}}`), ""); len(got) != 0 {
		t.Errorf("event.category start: got %v, want none", got)
	}
}

func TestNewSetErrors(t *testing.T) {
	stages := strings.Repeat("[any where true]", 64)
	_, err := rules.NewSet([]*rules.Rule{
		rule("a", `any where true`), rule("a", `any where true`), rule("b", `any where`),
		rule("c", `sample by host.id `+stages), rule("d", `sequence by host.id `+stages),
	}, rules.SetOptions{})
	if err == nil {
		t.Fatal("got no error")
	}
	for _, want := range []string{"rule a is in the set twice", "rule b", "rule c (): the sample has 64 stages", "rule d (): the sequence has 64 stages"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

// TestMatchAllocates pins that an event that hits nothing costs no memory, and neither does one that hits.
func TestMatchAllocates(t *testing.T) {
	c := corpus(t)
	lines := sampleLines(t)
	s := newSet(t, c.Rules, rules.SetOptions{})
	events := decodeAll(t, s, lines)
	m := s.NewMatcher()
	all := func() {
		for _, ev := range events {
			m.Match(ev, "")
		}
	}
	all() // grows the buffers
	if got := testing.AllocsPerRun(3, all); got != 0 {
		t.Errorf("got %v allocations for %d events, want 0", got, len(events))
	}
}

func TestExplain(t *testing.T) {
	f := loadOne(t, head+`index = ["logs-*"]
query = """
sequence by host.id [process where process.name : ("nc", "ncat") and event.type == "start"]
  [network where not destination.port == 53] with runs=2 until [process where process.executable : "/opt/*"]
"""
`)
	s := newSet(t, []*rules.Rule{f.Rule}, rules.SetOptions{})
	got, ok := s.Explain("r1")
	if !ok {
		t.Fatal("the set doesn't know its rule")
	}
	want := rules.Explanation{
		ID: "r1", Name: "a rule", Path: "r.toml", Query: s.Rules()[0].Query.String(), Hash: f.Rule.Hash(), Index: []string{"logs-*"}, Kind: "sequence", Sequence: true,
		Fields: []rules.ExplainedField{
			{Path: "destination.port", Type: "long"},
			{Path: "event.category", Type: "keyword"},
			{Path: "event.type", Type: "keyword"},
			{Path: "host.id", Type: "keyword"},
			{Path: "process.executable", Type: "keyword"},
			{Path: "process.name", Type: "keyword"},
		},
		Stages: []rules.ExplainedStage{
			{Name: "stage 1", Runs: 1, By: []string{"host.id"}, Key: []string{`process.name : "nc"`, `process.name : "ncat"`}},
			{Name: "stage 2", Runs: 2, By: []string{"host.id"}, Key: []string{`event.category : "network"`}},
			{Name: "until", By: []string{"host.id"}, Key: []string{`process.executable begins with "/opt/"`}},
		},
		HostLocal: true, MaxSpanMillis: 360_000, SpanSource: "lookback",
		Partition: "the join keys imply the host: events are matched where they arrive",
		State:     &rules.StateCost{Key: []string{"host.id"}, Events: 2, Begun: 2, BytesFirst: 192, BytesFull: 322},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	summary := `stage 1: process.name : "nc" or 1 more; stage 2: event.category : "network"; until: process.executable begins with "/opt/"`
	if got.KeySummary() != summary {
		t.Errorf("got summary %s, want %s", got.KeySummary(), summary)
	}
	if _, ok := s.Explain("none"); ok {
		t.Error("the set explains a rule that it doesn't have")
	}
}

// TestSetsAreIndependent pins that sets are independent: a new set doesn't change a matcher of the old one.
func TestSetsAreIndependent(t *testing.T) {
	old := newMatcher(newSet(t, []*rules.Rule{rule("a", `process where true`)}, rules.SetOptions{}))
	doc := []byte(`{"event":{"category":"process"}}`)
	newSet(t, []*rules.Rule{rule("b", `file where file.name == "x"`), rule("a", `process where true`)}, rules.SetOptions{})
	if diff := cmp.Diff([]string{"a"}, old.hits(t, doc, "")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var ev event.Event
	if h := old.Match(&ev, ""); len(h.Single) != 0 {
		t.Errorf("an empty event: got %d hits", len(h.Single))
	}
}

// TestExplainOverrides shows what is said of a rule with fields of its own, and of an absence at the beginning.
func TestExplainOverrides(t *testing.T) {
	f := loadOne(t, head+`event_category_override = "event.type"
timestamp_field = "event.created"
query = """
sequence by ?user.name with maxspan=1m ![info where true] [start where true]
"""
`)
	s := newSet(t, []*rules.Rule{f.Rule}, rules.SetOptions{})
	got, ok := s.Explain("r1")
	if !ok {
		t.Fatal("the set doesn't know its rule")
	}
	if got.CategoryField != "event.type" || got.TimestampField != "event.created" {
		t.Errorf("got the fields %q and %q", got.CategoryField, got.TimestampField)
	}
	if !strings.Contains(got.Partition, "re-key topic") || !strings.HasSuffix(got.Partition, "those of event.created") {
		t.Errorf("the events meet: %q", got.Partition)
	}
	if want := []string{"?user.name"}; !cmp.Equal(got.Stages[1].By, want) || got.HostLocal {
		t.Errorf("got keys %v, local %v", got.Stages[1].By, got.HostLocal)
	}
	if want := []string{`event.type : "start"`}; !cmp.Equal(got.Stages[1].Key, want) {
		t.Errorf("got index keys %v, want %v", got.Stages[1].Key, want)
	}
	if st := got.State; !st.Remembers || st.Waits || st.Events != 0 || st.BytesFirst != 0 || st.BytesFull != 0 {
		t.Errorf("got state %+v", st)
	}
}
