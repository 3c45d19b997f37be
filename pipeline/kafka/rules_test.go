package kafka_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// writeRule writes a rule file whose id is its name.
func writeRule(t *testing.T, dir, name, query string) {
	t.Helper()
	writeRuleBy(t, dir, name, query, "")
}

// writeRuleBy writes a rule whose events are ordered by a field, @timestamp where that is empty.
func writeRuleBy(t *testing.T, dir, name, query, field string) {
	t.Helper()
	if field != "" {
		field = fmt.Sprintf("timestamp_field = %q\n", field)
	}
	text := fmt.Sprintf(`[metadata]
creation_date = "2026/11/21"
maturity = "production"

[rule]
author = ["Weir"]
description = "A rule of the tests."
index = ["logs-*"]
language = "eql"
license = "Apache-2.0"
name = %q
risk_score = 47
rule_id = %q
severity = "medium"
type = "eql"
%squery = '''
%s
'''
`, name, name, field, query)
	if err := os.WriteFile(filepath.Join(dir, name+".toml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
