package rules_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
)

// shared is the reference material beside the repository: production rules and real events.
const shared = "../../shared"

// corpus loads the reference rules.
func corpus(tb testing.TB) *rules.Collection {
	tb.Helper()
	if _, err := os.Stat(filepath.Join(shared, "rules")); err != nil {
		tb.Skip("the reference rules are not beside the repository")
	}
	c, err := rules.Load([]string{filepath.Join(shared, "rules")}, rules.LoadOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// newSet compiles rules into a set.
func newSet(tb testing.TB, rs []*rules.Rule, o rules.SetOptions) *rules.Set {
	tb.Helper()
	s, err := rules.NewSet(rs, o)
	if err != nil {
		tb.Fatal(err)
	}
	return s
}

func TestCorpusLoads(t *testing.T) {
	c := corpus(t)
	count := map[string]int{}
	for _, f := range c.Files {
		group, _, _ := strings.Cut(strings.TrimPrefix(filepath.ToSlash(f.Path), shared+"/rules/"), "/")
		count[group+" "+string(f.Status)]++
		if (f.Status == rules.StatusSkipped) != (f.Type != "eql") {
			t.Errorf("%s: got status %s for type %s", f.Path, f.Status, f.Type)
		}
		for _, p := range f.Problems {
			known := strings.HasPrefix(p.Message, "unknown field") || strings.HasPrefix(p.Message, "stringContains takes") || strings.HasPrefix(p.Message, "duplicate rule id")
			if p.Severity == rules.SeverityError || !known {
				t.Errorf("%s:%d:%d: %s: %s (%s)", f.Path, p.Line, p.Column, p.Severity, p.Message, p.Hint)
			}
		}
	}
	t.Logf("files by folder and status: %v", count)
	if n := count["rules ok"] + count["rules_building_block ok"]; n != 720 {
		t.Errorf("got %d EQL rules that run, want 720", n)
	}
	if n := len(newSet(t, c.Rules, rules.SetOptions{}).Rules()); n != len(c.Rules) {
		t.Errorf("%d of %d rules run", n, len(c.Rules))
	}
	for key := range count {
		if strings.HasPrefix(key, "other-types") && key != "other-types skipped" {
			t.Errorf("got %s", key)
		}
	}
}

// eventLines calls f with each line of a file of events, plain or gzipped, up to limit lines.
func eventLines(tb testing.TB, path string, limit int, f func(line []byte)) {
	tb.Helper()
	file, err := os.Open(path)
	if err != nil {
		tb.Skipf("the reference events are not beside the repository: %v", err)
	}
	defer func() { _ = file.Close() }()
	var r io.Reader = file
	if strings.HasSuffix(path, ".gz") {
		if r, err = gzip.NewReader(file); err != nil {
			tb.Fatal(err)
		}
	}
	br := bufio.NewReader(r)
	for range limit {
		line, err := br.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			f(line)
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				tb.Fatal(err)
			}
			return
		}
	}
}

// sampleLines returns the reference sample events.
func sampleLines(tb testing.TB) [][]byte {
	tb.Helper()
	paths, _ := filepath.Glob(filepath.Join(shared, "events", "samples", "*.ndjson"))
	if len(paths) == 0 {
		tb.Skip("the reference events are not beside the repository")
	}
	var lines [][]byte
	for _, path := range paths {
		eventLines(tb, path, 1<<20, func(line []byte) { lines = append(lines, bytes.Clone(line)) })
	}
	return lines
}

// attackLines returns the first n events of each file of attack telemetry.
func attackLines(tb testing.TB, n int) [][]byte {
	tb.Helper()
	paths, _ := filepath.Glob(filepath.Join(shared, "events", "attack", "*.ndjson.gz"))
	if len(paths) == 0 {
		tb.Skip("the reference events are not beside the repository")
	}
	var lines [][]byte
	for _, path := range paths {
		eventLines(tb, path, n, func(line []byte) { lines = append(lines, bytes.Clone(line)) })
	}
	return lines
}

// matcher decodes and matches events against one set.
type matcher struct {
	*rules.Matcher
	dec *event.Decoder
	ev  *event.Event
}

func newMatcher(s *rules.Set) matcher {
	return matcher{Matcher: s.NewMatcher(), dec: event.NewDecoder(s.Schema()), ev: event.New(s.Schema())}
}

// hits decodes a document and names what it satisfies.
func (m matcher) hits(tb testing.TB, doc []byte, stream string) []string {
	tb.Helper()
	if err := m.dec.Decode(doc, m.ev); err != nil {
		tb.Fatalf("%v: %.200s", err, doc)
	}
	return names(m.Match(m.ev, stream))
}

func names(h rules.Hits) []string {
	var out []string
	for _, c := range h.Single {
		out = append(out, c.Rule.Name)
	}
	for _, s := range h.Sequences {
		var stages []string
		for i := range 64 {
			if s.Stages&(1<<i) != 0 {
				stages = append(stages, string(rune('0'+i)))
			}
		}
		out = append(out, s.Rule.Rule.Name+" "+strings.Join(stages, ","))
	}
	return out
}

// TestIndexDecidesNothing compares, for real events and all reference rules, matching as it is in production with matching one
// rule after the other without any optimisation, and with each of them switched off alone.
func TestIndexDecidesNothing(t *testing.T) {
	c := corpus(t)
	lines := sampleLines(t)
	n := 2500
	if testing.Short() {
		n = 500
	}
	lines = append(lines, attackLines(t, n)...)
	for _, anyIndex := range []bool{true, false} {
		o := rules.SetOptions{AnyIndex: anyIndex}
		indexed := newMatcher(newSet(t, c.Rules, o))
		others := map[string]matcher{}
		for name, o := range switches() {
			o.AnyIndex = anyIndex
			others[name] = newMatcher(newSet(t, c.Rules, o))
		}
		o.NoIndex, o.NoGate, o.Env = true, true, eql.EnvOptions{NoSharing: true, NoOptimise: true}
		full := newMatcher(newSet(t, c.Rules, o))
		hits := 0
		for _, line := range lines {
			got, want := indexed.hits(t, line, ""), full.hits(t, line, "")
			hits += len(want)
			for name, m := range others {
				if got := m.hits(t, line, ""); !slices.Equal(want, got) {
					t.Fatalf("any index %t, %s (+):\n%s%s", anyIndex, name, cmp.Diff(want, got), line)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("any index %t, with index (+) and without (-):\n%s%s", anyIndex, diff, line)
			}
		}
		if hits == 0 {
			t.Errorf("any index %t: no event hits anything", anyIndex)
		}
		t.Logf("any index %t: %d events, %d hits, %.1f evaluations per event of %d units", anyIndex, len(lines), hits,
			perEvent(indexed.Stats().Evaluations, len(lines)), int(perEvent(full.Stats().Candidates, len(lines))))
	}
}

// switches returns the options of a set by the one optimisation that each of them goes without.
func switches() map[string]rules.SetOptions {
	return map[string]rules.SetOptions{
		"NoIndex":       {NoIndex: true},
		"NoGate":        {NoGate: true},
		"NoNarrow":      {NoNarrow: true},
		"NoShapes":      {NoShapes: true},
		"NoRecall":      {NoRecall: true},
		"NoParts":       {NoParts: true},
		"NoSharing":     {Env: eql.EnvOptions{NoSharing: true}},
		"NoFolding":     {Env: eql.EnvOptions{NoFolding: true}},
		"NoReorder":     {Env: eql.EnvOptions{NoReorder: true}},
		"NoPatternSets": {Env: eql.EnvOptions{NoPatternSets: true}},
		"NoPrefixTree":  {Env: eql.EnvOptions{NoPrefixTree: true}},
	}
}

func perEvent(counts []uint64, n int) float64 {
	total := uint64(0)
	for _, c := range counts {
		total += c
	}
	return float64(total) / float64(n)
}
