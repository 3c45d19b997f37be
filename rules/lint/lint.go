// Package lint checks rule files for what loading them doesn't tell: what package eql/lint finds in their queries, what
// the file says around the query, and what a sample of events shows. It applies the silences in comments. It is for
// whoever writes rules; a pipeline has no use for it.
package lint

import (
	"fmt"
	"time"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/eql/lint"
	"github.com/weir-eql/weir/rules"
)

// Check adds findings to the files of a collection that was loaded with KeepSource, and takes those away that a comment in the
// file silences. sample may be nil. Check a collection once.
func Check(c *rules.Collection, sample *Sample) {
	for _, f := range c.Files {
		if f.Source == nil {
			continue
		}
		if stmt := f.Source.Statement(); stmt != nil {
			checkQuery(f, stmt)
		}
	}
	if sample != nil {
		sample.report(c)
	}
	for _, f := range c.Files {
		if f.Source != nil {
			silence(f, sample != nil)
		}
	}
}

func checkQuery(f *rules.File, stmt ast.Statement) {
	rule := f.Source.Rule()
	var found []rules.Problem
	for _, e := range lint.Query(rule.Query, stmt, lint.Options{Types: f.Source.Types()}) {
		found = append(found, f.Source.InQuery(e.Code, e.Span, e.Msg, e.Hint))
	}
	if s, ok := stmt.(*ast.Sequence); ok && s.MaxSpan != nil {
		if s.MaxSpan.Duration.Milliseconds() > rule.LookbackMillis() {
			found = append(found, longSpan(f.Source, rule, s.MaxSpan))
		}
	}
	found = append(found, notDone(f.Source, rule)...)
	f.Add(append(found, absentKeys(f.Source, rule, stmt)...)...)
}

func longSpan(src *rules.Source, rule *rules.Rule, span *ast.MaxSpan) rules.Problem {
	from := "from is " + rule.From
	if rule.From == "" {
		from = "without from, it is 6 minutes"
	}
	interval := time.Duration(rule.IntervalMillis()) * time.Millisecond
	return src.InQuery(finding.LongSpan, span.Span,
		fmt.Sprintf("maxspan %s is longer than the rule looks back (%s): in Elasticsearch no search sees a sequence that long", span.Text, from),
		fmt.Sprintf(`write from = "now-%s" or more: maxspan and the interval of %s`, short(span.Duration+interval), short(interval)))
}

// short is a duration in the largest unit that tells it exactly.
func short(d time.Duration) string {
	units := []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "m"}}
	for _, u := range units {
		if d%u.size == 0 {
			return fmt.Sprintf("%d%s", d/u.size, u.name)
		}
	}
	return fmt.Sprintf("%ds", (d+time.Second-1)/time.Second)
}
