package conformance_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/weir-eql/weir/internal/conformance"
)

// suites returns the suites that lie beside the repository, and skips the test where they are absent.
func suites(t *testing.T) []conformance.Result {
	t.Helper()
	dir := filepath.Join("..", "..", "..", "shared", "suites")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("the suites are not there: %v", err)
	}
	results, err := conformance.Run(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	return results
}

func TestSuites(t *testing.T) {
	results := suites(t)
	for i := range results {
		r := &results[i]
		for j, f := range r.Failed {
			if j < 30 {
				t.Logf("%s: %s: %s\n%s", r.Suite, f.Case, f.Query, f.Problem)
			}
		}
	}
	var table bytes.Buffer
	conformance.Write(&table, results)
	t.Logf("\n%s", table.String())
}
