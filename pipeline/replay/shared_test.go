package replay_test

import (
	"os"
	"path/filepath"
	"testing"
)

// shared returns a path in the folder of reference material beside the project, or skips.
func shared(tb testing.TB, parts ...string) string {
	tb.Helper()
	path := filepath.Join(append([]string{"..", "..", "..", "shared"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		tb.Skipf("reference material is not here: %v", err)
	}
	return path
}
