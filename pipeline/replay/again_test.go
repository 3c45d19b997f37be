package replay_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
)

const pairRule = `[rule]
name = "pair"
rule_id = "pair"
risk_score = 21
severity = "low"
type = "eql"
language = "eql"
query = '''
sequence by host.id, process.pid with maxspan=1m [any where tag == "A"] [any where tag == "B"]
'''
`

// pairs returns lines of which most are later stages under join keys where nothing has begun, and some come before what
// begins them although they happened after it. Some lines are blank.
func pairs(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	var b bytes.Buffer
	clock := int64(1_790_000_000_000)
	for i := range n {
		clock += r.Int64N(40)
		fmt.Fprintf(&b, `{"@timestamp":%d,"event":{"id":"e%d","category":"process","ingested":%d},"host":{"id":"h%d"},"tag":"%c","process":{"pid":%d},"pad":%q}`,
			clock-r.Int64N(1500), i, clock, r.IntN(5), "ABBBBBX"[r.IntN(7)], r.IntN(60), strings.Repeat("x", r.IntN(300)))
		b.WriteString([]string{"\n", "\r\n", "\n\n", "\n \t\n"}[max(0, r.IntN(40)-36)])
	}
	return b.Bytes()
}

// TestFilesAreReadAgain replays plain files, of whose waiting events only notes are kept, and record by record, where all wait whole: what
// is found is the same, wherever chunks end and with any number of files and goroutines; and events were read again.
func TestFilesAreReadAgain(t *testing.T) {
	c, err := rules.Load([]string{writeFile(t, "pair.toml", []byte(pairRule))}, rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	set, err := rules.NewSet(c.Rules, rules.SetOptions{AnyIndex: true})
	if err != nil {
		t.Fatal(err)
	}
	a, b := writeFile(t, "a", append([]byte("\xef\xbb\xbf\n \n"), pairs(1, 6000)...)), writeFile(t, "b", bytes.TrimSpace(pairs(2, 3000)))
	for _, paths := range [][]string{{a}, {b}, {a, b}} {
		open := func() replay.Source {
			src, err := replay.OpenFiles(paths, nil)
			if err != nil {
				t.Fatal(err)
			}
			return src
		}
		want := replayAll(t, set, oneByOne{open()}, replay.Options{Ahead: 1}, false)
		if len(want.Alerts) < 100 {
			t.Fatalf("%d alerts: the files prove too little", len(want.Alerts))
		}
		for _, o := range []replay.Options{
			{}, {Ahead: 1, ChunkBytes: 1}, {Ahead: 2, ChunkBytes: 3000}, {Ahead: 4, ChunkBytes: 100_000},
		} {
			reg := prometheus.NewRegistry()
			got := replayMeasured(t, set, open(), o, pipeline.NewMetrics(reg))
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%d files, %d goroutines, chunks of %d bytes (-want +got):\n%.2000s", len(paths), o.Ahead, o.ChunkBytes, diff)
			}
			if again, lost := counted(t, reg, "weir_reorder_buffer_reread_total"), counted(t, reg, "weir_reorder_buffer_lost_total"); again == 0 || lost != 0 {
				t.Errorf("%v events were read again, %v lost", again, lost)
			}
		}
	}
}

// counted returns the sum of a metric.
func counted(t *testing.T, reg *prometheus.Registry, name string) (sum float64) {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}
