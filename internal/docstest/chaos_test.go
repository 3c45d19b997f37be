package docstest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestNamedTests shows that the tests exist that docs/chaos.md names.
func TestNamedTests(t *testing.T) {
	raw, err := os.ReadFile("../../docs/chaos.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/]+)\\.(Test[A-Za-z]+)`").FindAllSubmatch(raw, -1)
	if len(named) < 40 {
		t.Fatalf("docs/chaos.md names %d tests", len(named))
	}
	for _, n := range named {
		files, err := filepath.Glob(filepath.Join("..", "..", string(n[1]), "*_test.go"))
		if err != nil {
			t.Fatal(err)
		}
		found := false
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			found = found || regexp.MustCompile(`(?m)^func `+string(n[2])+`\(t \*testing\.T\)`).Match(text)
		}
		if !found {
			t.Errorf("docs/chaos.md names %s.%s, which there isn't", n[1], n[2])
		}
	}
}
