// Package detections holds the rules that ship with Weir, one TOML file per rule, and beside each rule.toml
// its cases in rule_test.toml. It knows nothing of how rules are loaded or run.
package detections

import (
	"embed"
	"io/fs"
)

//go:embed *.toml
var files embed.FS

// FS returns the rule files and their cases, all at the top level. The rules are those files whose names
// don't end in _test.toml. The file system is read-only and safe for concurrent use.
func FS() fs.FS { return files }
