package docstest_test

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestNamedTests shows that the tests exist that pages name.
func TestNamedTests(t *testing.T) {
	for _, page := range []string{"docs/chaos.md", "docs/event-time.md"} {
		t.Run(page, func(t *testing.T) { checkNamedTests(t, page) })
	}
}

func checkNamedTests(t *testing.T, page string) {
	t.Helper()
	raw, err := os.ReadFile("../../" + page)
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z0-9/]+)\\.(Test[A-Za-z]+)`").FindAllSubmatch(raw, -1)
	if len(named) < 40 {
		t.Fatalf("%s names %d tests", page, len(named))
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
			t.Errorf("%s names %s.%s, which there isn't", page, n[1], n[2])
		}
	}
}
