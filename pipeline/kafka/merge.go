package kafka

import (
	"cmp"
	"slices"

	"github.com/weir-eql/weir/pipeline"
)

// mergeTopics puts the records of several topics into one order by record time. The records of one topic stay in
// their order: a timestamp below that of an earlier record counts as equal to it.
func mergeTopics(records []pipeline.Record) {
	type keyed struct {
		at     int64
		record pipeline.Record
	}
	newest := map[string]int64{}
	merged := make([]keyed, len(records))
	for i, r := range records {
		at := r.Time
		if last, ok := newest[r.Topic]; ok {
			at = max(at, last)
		}
		newest[r.Topic] = at
		merged[i] = keyed{at, r}
	}
	slices.SortStableFunc(merged, func(a, b keyed) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.record.Topic, b.record.Topic))
	})
	for i := range merged {
		records[i] = merged[i].record
	}
}
