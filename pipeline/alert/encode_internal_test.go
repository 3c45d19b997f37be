package alert

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	json "github.com/goccy/go-json"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/rules"
)

// buildByLibrary is Build as it was: all of the document in one tree for each alert, encoded by go-json.
func buildByLibrary(maxBytes int, m Match, detectedAt time.Time) ([]byte, error) {
	d, err := newDraft(&m, detectedAt)
	if err != nil {
		return nil, err
	}
	d.encode = func(o object) ([]byte, error) { return encode(o) }
	return d.fit(maxBytes)
}

// publicRule is what an alert says of a rule file, as the pipeline has it.
func publicRule(r *rules.Rule) *Rule {
	out := &Rule{
		ID: r.ID, Name: r.Name, Description: r.Description, Severity: r.Severity, RiskScore: float64(r.RiskScore), Version: r.Version, References: r.References, Tags: r.Tags,
		Author: r.Author, FalsePositives: r.FalsePositives, License: r.License, Note: r.Note, Hash: "f00d", BuildingBlock: r.BuildingBlockType, Ruleset: strings.Join(r.Metadata.Integration, ", "),
	}
	for _, t := range r.Threat {
		threat := Threat{Framework: t.Framework, Tactic: Tactic(t.Tactic)}
		for _, te := range t.Technique {
			technique := Technique{ID: te.ID, Name: te.Name, Reference: te.Reference}
			for _, s := range te.Subtechnique {
				technique.Subtechniques = append(technique.Subtechniques, Subtechnique(s))
			}
			threat.Techniques = append(threat.Techniques, technique)
		}
		out.Threat = append(out.Threat, threat)
	}
	return out
}

// oddRules are rules whose texts need escapes, or that say next to nothing.
func oddRules() []*Rule {
	odd := "a \"quoted\" \\path\\ <b>&amp;</b> \u2028\u2029 é 😀 \x00\x01\b\f\v\x1b\x7f \xff\xc3(\xed\xa0\x80 tab\tend"
	return []*Rule{
		{ID: "r"},
		{ID: "s", Name: "S", Severity: "other", RiskScore: 12.5, Tags: []string{"", "twice", "twice"}, Note: " \n \n", FalsePositives: []string{"", " "}},
		{ID: "f", Name: "F", Severity: "low", RiskScore: 1e-7, Threat: []Threat{{}}},
		{ID: "g", RiskScore: 1e21, Threat: []Threat{{Framework: "A"}, {Framework: "B", Tactic: Tactic{ID: "T"}}}},
		{
			ID: odd, Name: odd, Description: odd, Severity: odd, RiskScore: 73, Version: -1, References: []string{odd, ""}, Tags: []string{odd}, Author: []string{odd}, License: odd,
			FalsePositives: []string{odd, "\n  " + odd + "\n    more"}, Note: "\n  " + odd + "\n" + strings.Repeat("long ", 2000), Ruleset: odd, Hash: odd, BuildingBlock: odd,
			Threat: []Threat{{Framework: odd, Tactic: Tactic{odd, odd, odd}, Techniques: []Technique{{ID: odd, Subtechniques: []Subtechnique{{Name: odd}}}}}},
		},
	}
}

// evidence is sources of events: with tags and threats of their own or without, dotted, odd, and not even JSON.
func evidence() []string {
	out := append(sources(),
		`{"@timestamp":"2026-03-01T10:00:00.123456Z","tags":["prod","a"],"threat":{"indicator":{"ip":"1.2.3.4"},"tactic":{"id":"X"}},"host":{"id":"h"},"event":{"category":["process"]}}`,
		`{"tags":"prod","threat":"none"}`, `{"tags":[],"threat":{}}`, `{"tags":[{"a":1}],"threat":null,"rule":1,"weir":{"rule":2}}`, `{"rule ":1,"rule!":2,"weir\"":3,"tag\\s":4,"é":5,"\u0001":6,"":7}`,
		`{"process":{"command_line":"C:\\Windows\\System32\\cmd.exe /c \"echo <é>&\u2028\u007f\u0000\ttab\r\n\"","args":["a\"b","\\\\","\b\f"],"pid":18446744073709551615,"ratio":1.50e+10}}`,
		`{"host.id":"h","process.parent":{"name":"p"},"process":{"parent.pid":1},"event.category":["file","process"],"user":{"name":"ü"}}`,
		`{"x":{`+strings.TrimSuffix(strings.Repeat(`"some.field`+strings.Repeat("x", 40)+`":"`+strings.Repeat("text ", 60)+`",`, 1), ",")+`}}`,
	)
	return append(out, `{"large":"`+strings.Repeat("lorem \\\\ ", 2000)+`","host":{"id":"h"}}`)
}

func matches(r *Rule, sources []string, i int) []Match {
	at := func(n int, missing bool) Event {
		if missing {
			return Event{Missing: true}
		}
		s := sources[n%len(sources)]
		return Event{ID: fmt.Sprint("e", n), Topic: "events", Partition: 3, Offset: int64(n), Time: 1772359200123 + int64(n), SubMillis: int32(n % 2 * 456), Source: []byte(s), Truncated: n%7 == 0}
	}
	keys := []event.Value{event.StringValue("h\"é\x01"), event.IntValue(-5), event.BoolValue(true), event.FloatValue(1.5e300), event.UintValue(math.MaxUint64), {}}
	return []Match{
		{Rule: r, Events: []Event{at(i, false)}, Host: "host"},
		{Rule: r, JoinKeys: keys, JoinFields: []string{"host.id", "a\"b"}, Events: []Event{at(i, false), at(i, false), at(0, true)}, OpenEnd: true},
		{Rule: r, JoinKeys: keys[:1], Events: []Event{at(i, false), at(i+1, false), at(i+2, false), at(i+3, false)}},
	}
}

func compare(t *testing.T, b Builder, maxBytes int, m Match) {
	t.Helper()
	detected := time.UnixMilli(1772359201000)
	want, wantErr := buildByLibrary(maxBytes, m, detected)
	got, err := b.Build(m, detected)
	if (err != nil) != (wantErr != nil) {
		t.Fatalf("error %v, want %v", err, wantErr)
	}
	if !bytes.Equal(got.Body, want) {
		n := 0
		for n < min(len(got.Body), len(want)) && got.Body[n] == want[n] {
			n++
		}
		t.Fatalf("rule %q, at most %d bytes: at byte %d\n got %.300q\nwant %.300q", m.Rule.ID, maxBytes, n, got.Body[max(0, n-30):], want[max(0, n-30):])
	}
}

func compareAll(t *testing.T, all []*Rule, sources []string, each int) {
	t.Helper()
	for _, maxBytes := range []int{0, 8 << 10} {
		b := NewECS(Options{MaxBytes: maxBytes})
		for i, r := range all {
			for j := range each {
				for _, m := range matches(r, sources, i*each+j) {
					compare(t, b, maxBytes, m)
				}
			}
		}
	}
}

// Alerts have the bytes that they had when all of them was made and encoded by the library for each alert.
func TestBuildAsByTheLibrary(t *testing.T) {
	sources := evidence()
	sources = slices.DeleteFunc(sources, func(s string) bool { return len(s) > 20_000 })
	compareAll(t, oddRules(), sources, len(sources))
	b := NewECS(Options{MaxBytes: MinBytes})
	for _, r := range oddRules() {
		for i := 0; i < len(sources); i += 5 {
			compare(t, b, MinBytes, matches(r, sources, i)[i%3])
		}
	}
}

// The same, of all public rules, each with other events.
func TestBuildOfPublicRules(t *testing.T) {
	dir := filepath.Join("..", "..", "..", "shared", "rules")
	if _, err := os.Stat(dir); err != nil {
		dir = filepath.Join("..", "..", "rules", "detections")
	}
	c, err := rules.Load([]string{dir}, rules.LoadOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var all []*Rule
	for _, r := range c.Rules {
		all = append(all, publicRule(r))
	}
	if len(all) < 5 {
		t.Fatalf("%d rules", len(all))
	}
	sources := slices.DeleteFunc(evidence(), func(s string) bool { return len(s) > 20_000 })
	compareAll(t, all, sources, 1)
}

// A builder may be used by any number of goroutines, from a rule's first alert on.
func TestBuildAtOnce(t *testing.T) {
	sources := evidence()[:20]
	b, all := NewECS(Options{}), oddRules()
	var wait sync.WaitGroup
	for range 4 {
		wait.Go(func() {
			for i := range 20 {
				for _, r := range all {
					m := matches(r, sources, i)[0]
					want, _ := buildByLibrary(0, m, time.UnixMilli(0))
					if got, err := b.Build(m, time.UnixMilli(0)); err != nil || !bytes.Equal(got.Body, want) {
						t.Errorf("%v: another document", err)
					}
				}
			}
		})
	}
	wait.Wait()
}

func checkEncode(t *testing.T, v object) {
	t.Helper()
	want, wantErr := encode(v)
	got, err := (&encoders{}).encode(v)
	if (err != nil) != (wantErr != nil) || err == nil && !bytes.Equal(got, want) {
		t.Errorf("%#v:\n got %s, %v\nwant %s, %v", v, got, err, want, wantErr)
	}
}

func TestEncode(t *testing.T) {
	checkEncode(t, object{
		"nil": nil, "objects": []any{object{}, object(nil), []any{}, []any(nil), []string{}, []string(nil)}, "int": -1, "int32": int32(5), "int64": int64(math.MinInt64), "uint64": uint64(math.MaxUint64),
		"floats": []any{0.0, math.Copysign(0, -1), 1.5, 73.0, 1e21, 1e-7, 1e20, math.MaxFloat64, math.SmallestNonzeroFloat64, float32(0.1)}, "bools": []any{true, false},
		"numbers": []any{json.Number("1.50"), json.Number("-0"), json.Number("1e999"), json.Number("")}, "raw": json.RawMessage(`{"a":[1,"é"]}`),
	})
	keys := object{}
	for i, k := range []string{"a", "a ", "a!", "a\"", "a\\", "é", "\x01", "\xff", ""} {
		keys[k] = i
	}
	checkEncode(t, keys)
	checkEncode(t, nil)
	checkEncode(t, object{"nan": math.NaN()})
	for i := range 256 {
		checkEncode(t, object{"a" + string([]byte{byte(i)}) + "b": "x" + string([]byte{byte(i)}) + "\\y"})
		checkEncode(t, object{"rune": string(rune(i)) + string(rune(0x2000+i)), "cut": "é"[:1]})
	}
}

func FuzzEncode(f *testing.F) {
	f.Add("key", "text", 1.5)
	f.Add("a\"", "C:\\x\t\u2028", math.Copysign(0, -1))
	f.Fuzz(func(t *testing.T, key, text string, number float64) {
		checkEncode(t, object{key: text, text: []any{key, number, []string{text}}, "o": object{key + text: number}})
	})
}
