package lint

import (
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/rules"
)

// notDone reports what a file asks for and Weir doesn't do: its author would wait for it in vain.
func notDone(src *rules.Source, rule *rules.Rule) []rules.Problem {
	var found []rules.Problem
	for _, key := range rule.Unhonoured() {
		code, at, message, hint := finding.NotDone, "rule."+key, key+" is not honoured: the rule runs without it", ""
		switch key {
		case "filters", "exceptions_list":
			message, hint = key+" is not honoured: events that it leaves out are matched", "write it as a condition of the query"
		case "data_view_id":
			hint = "write the data view's patterns as index: without them the rule sees all events"
		case "query pipes":
			at, message, hint = "rule.query", "pipes are not honoured: a stream has no end, so each match is an alert", "take them out"
		case "tiebreaker_field":
			message = key + " is not honoured: events of one time are ordered by event.sequence"
		case "max_signals", "actions", "response_actions", "throttle":
			code, message = finding.NotActed, key+" is not honoured: it says what Kibana does with alerts"
		}
		found = append(found, src.AtKey(code, at, message, hint))
	}
	return found
}
