package lint_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestNotDone holds that each key which asks for something that isn't done is told where it stands.
func TestNotDone(t *testing.T) {
	const query = "query = 'process where true'\n"
	for text, want := range map[string][]string{
		query + `index = ["logs-*"]` + "\n" + `data_view_id = "x"`:                                                     {},
		query + `data_view_id = "x"`:                                                                                   {"7:16-7:19 W004"},
		query + `tiebreaker_field = "event.sequence"`:                                                                  {},
		query + `tiebreaker_field = "event.id"`:                                                                        {"7:20-7:30 W004"},
		query + "max_signals = 5\nthrottle = 'x'":                                                                      {"7:15-7:16 I005", "8:12-8:15 I005"},
		query + "[[rule.filters]]\n[rule.filters.meta]\nnegate = true":                                                 {"7:3-7:15 W004"},
		query + "# weir:ignore W004 ours\n[rule.alert_suppression]\ngroup_by = ['host.id']":                            {},
		"timestamp_field = 'event.created'\nquery = 'sequence by user.name [process where true] [network where true]'": {},
		"timestamp_field = 'event.created'\nquery = 'sample by user.name [process where true] [network where true]'":   {},
		"timestamp_field = 'event.created'\nquery = 'sequence by host.id [process where true] [network where true]'":   {},
		"timestamp_field = 'event.created'\nquery = 'process where true'":                                              {},
		"query = 'process where true | head 5'":                                                                        {"6:9-6:38 W004"},
	} {
		if diff := cmp.Diff(want, check(t, head+text)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}
