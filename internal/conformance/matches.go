package conformance

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/weir-eql/weir/pipeline"
	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/pipeline/replay"
	"github.com/weir-eql/weir/rules"
)

// runMatches replays events through the rules that were given, as `weir backtest --any-index` does, and compares the matches of
// each rule with those of the file, in any order. A case is a rule that has matches, expected or found. Sequences without maxspan
// don't apply: a rule's own lookback bounds them here, and nothing did where the file was made.
func runMatches(s *session, f *file, r *Result) error {
	var want map[string][][]int
	if err := readMatches(f.path, &want); err != nil {
		return err
	}
	if s.o.Rules == nil {
		for id := range want {
			r.skip(id, "", "the rules were not given: --rules")
		}
		return nil
	}
	events, err := eventsBeside(f.path)
	if err != nil {
		return err
	}
	r.Data = events
	if s.rules == nil {
		set, err := rules.NewSet(s.o.Rules.Rules, rules.SetOptions{AnyIndex: true, Types: s.o.Fields.TypeOf, Nulls: s.o.Fields.Null})
		if err != nil {
			return err
		}
		s.rules = set
	}
	got, err := replayRules(s.rules, events)
	if err != nil {
		return err
	}
	for _, c := range s.rules.Rules() {
		id := c.Rule.ID
		switch {
		case len(got[id]) == 0 && len(want[id]) == 0:
		case c.Sequence() && c.Query.MaxSpan == 0:
			r.skip(id, c.Rule.Query, "a sequence without maxspan: the expected matches are unbounded, those of a rule are not")
		default:
			r.note(id, c.Rule.Query, compareMatches(got[id], want[id]))
		}
		delete(want, id)
	}
	for id, matches := range want {
		if len(matches) > 0 {
			r.skip(id, "", "the rule is not among those that were given")
		}
	}
	return nil
}

func readMatches(path string, out *map[string][][]int) error {
	data, err := readAll(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, out)
}

// eventsBeside returns the file of events whose name is that of the expectations: in their folder or in the one above.
func eventsBeside(path string) (string, error) {
	name := filepath.Base(path)
	for _, ext := range [...]string{".gz", ".zst", ".json"} {
		name = strings.TrimSuffix(name, ext)
	}
	dir := filepath.Dir(path)
	for _, folder := range [...]string{dir, filepath.Dir(dir)} {
		for _, ext := range [...]string{".ndjson", ".jsonl", ".json"} {
			for _, packed := range [...]string{"", ".gz", ".zst"} {
				events := filepath.Join(folder, name+ext+packed)
				if info, err := os.Stat(events); err == nil && !info.IsDir() && events != path {
					return events, nil
				}
			}
		}
	}
	return "", fmt.Errorf("its events are neither beside it nor in the folder above: %s.ndjson", name)
}

// replayRules returns the matches of each rule, by id, as positions of events.
func replayRules(set *rules.Set, events string) (map[string][][]int, error) {
	src, err := replay.OpenFiles([]string{events}, nil)
	if err != nil {
		return nil, err
	}
	got := map[string][][]int{}
	_, err = replay.Backtest(context.Background(), src, replay.Options{
		Config: &pipeline.Config{
			Set: set, Alerts: alert.NewECS(alert.Options{}), Limits: replay.NoCaps(), Samples: pipeline.SamplesBatch,
		},
		Alert: func(a pipeline.Alert) error {
			var positions []int
			for _, e := range a.Match {
				if e.Missing {
					positions = append(positions, -1)
				} else {
					positions = append(positions, int(e.Ref.Offset))
				}
			}
			got[a.RuleID] = append(got[a.RuleID], positions)
			return nil
		},
	})
	return got, errors.Join(err, src.Close())
}

// shownMatches is the number of differing matches that are named.
const shownMatches = 5

// compareMatches says which matches are missing and which are too many.
func compareMatches(got, want [][]int) outcome {
	slices.SortFunc(got, slices.Compare)
	slices.SortFunc(want, slices.Compare)
	if slices.EqualFunc(got, want, slices.Equal) {
		return outcome{}
	}
	without := func(all, others [][]int) [][]int {
		var out [][]int
		for _, m := range all {
			if !slices.ContainsFunc(others, func(o []int) bool { return slices.Equal(m, o) }) {
				out = append(out, m)
			}
		}
		return out[:min(len(out), shownMatches)]
	}
	return outcome{
		got:  fmt.Sprintf("%d matches, of which not expected: %v", len(got), without(got, want)),
		want: fmt.Sprintf("%d matches, of which not found: %v", len(want), without(want, got)),
	}
}
