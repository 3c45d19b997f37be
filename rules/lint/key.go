package lint

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/event/ecs"
	"github.com/weir-eql/weir/rules"
)

// absentKeys reports join keys that no event of their stage has, which can be told where all of the rule's index patterns are
// data streams of Elastic Defend.
func absentKeys(src *rules.Source, rule *rules.Rule, stmt ast.Statement) []rules.Problem {
	var stages []ast.Stage
	var by []ast.Key
	switch q := stmt.(type) {
	case *ast.Sequence:
		stages, by = q.Stages, q.By
	case *ast.Sample:
		stages, by = q.Stages, q.By
	}
	if rule.EventCategoryOverride != "" {
		return nil
	}
	streams := defendStreams(rule.Index)
	if len(streams) == 0 {
		return nil
	}
	var found []rules.Problem
	for i := range stages {
		st := &stages[i]
		own := ofCategory(streams, st.Filter.Category)
		if st.Missing || len(own) == 0 {
			continue
		}
		for _, k := range slices.Concat(by, st.By) {
			if k.Optional || slices.ContainsFunc(own, func(stream string) bool { return !ecs.DefendLacks(stream, k.Path) }) {
				continue
			}
			found = append(found, src.InQuery(finding.KeyAbsent, k.Span,
				fmt.Sprintf("the events of stage %d don't have the join key %s: Elastic Defend's data stream %s doesn't define it, so none of them takes part",
					i+1, k.Path, strings.Join(own, ", ")),
				"join by a field that all stages' events have, or write ?"+ast.QuotePath(k.Path)))
		}
	}
	return found
}

// defendStreams returns the data streams of Elastic Defend that index patterns name, nil where they cover others as well
// or none are named.
func defendStreams(index []string) []string {
	name := regexp.MustCompile(`^logs-endpoint\.events\.([a-z]+)-`)
	var streams []string
	for _, entry := range index {
		for p := range strings.SplitSeq(entry, ",") {
			m := name.FindStringSubmatch(strings.TrimSpace(p))
			if m == nil {
				return nil
			}
			streams = append(streams, m[1])
		}
	}
	return streams
}

// ofCategory returns the streams that may hold events of a category. Elastic Defend names those of its streams after the
// category that their events have; which categories its other streams have isn't known, so they count for all.
func ofCategory(streams []string, c ast.Category) []string {
	if c.Any {
		return streams
	}
	byCategory := []string{"file", "library", "network", "process", "registry"}
	return slices.DeleteFunc(slices.Clone(streams), func(s string) bool {
		return s != c.Name && slices.Contains(byCategory, s) && slices.Contains(byCategory, c.Name)
	})
}
