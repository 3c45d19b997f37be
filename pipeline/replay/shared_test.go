package replay_test

import (
	"os"
	"path/filepath"
	"testing"
)

// shared returns a path in the folder of reference material beside the project, or skips.
func shared(t testing.TB, parts ...string) string {
	t.Helper()
	path := filepath.Join(append([]string{"..", "..", "..", "shared"}, parts...)...)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("reference material is not here: %v", err)
	}
	return path
}
