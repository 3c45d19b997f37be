package rules_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/weir-eql/weir/rules"
)

// TestFingerprint: only names and contents of rule files count, wherever links lead.
func TestFingerprint(t *testing.T) {
	dir := t.TempDir()
	path := func(names ...string) string { return filepath.Join(append([]string{dir}, names...)...) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	write := func(text string, names ...string) {
		t.Helper()
		must(os.MkdirAll(filepath.Dir(path(names...)), 0o700))
		must(os.WriteFile(path(names...), []byte(text), 0o600))
	}
	// As the kubelet mounts a ConfigMap: links through ..data, which is a link itself.
	write("one", "..1", "a.toml")
	write("two", "..2", "a.toml")
	must(os.Symlink("..1", path("..data")))
	must(os.Symlink(filepath.Join("..data", "a.toml"), path("a.toml")))
	write("deep", "sub", "b.toml")
	other := filepath.Join(t.TempDir(), "single.toml")
	must(os.WriteFile(other, []byte("x"), 0o600))
	fingerprint := func() string { return rules.Fingerprint([]string{dir, other}, rules.LoadOptions{}) }

	last := fingerprint()
	for _, step := range []struct {
		name    string
		do      func()
		changes bool
	}{
		{"nothing", func() {}, false},
		{"touched", func() { must(os.Chtimes(path("sub", "b.toml"), time.Time{}, time.Unix(1, 0))) }, false},
		{"the same text written again", func() { write("deep", "sub", "b.toml") }, false},
		{"a file that is no rule", func() { write("x", "README.md") }, false},
		{"a file of cases", func() { write("x", "a_test.toml") }, false},
		{"the link of a ConfigMap turned", func() {
			must(os.Symlink("..2", path("..data_tmp")))
			must(os.Rename(path("..data_tmp"), path("..data")))
		}, true},
		{"text of the same length", func() { write("peed", "sub", "b.toml") }, true},
		{"a file more", func() { write("", "sub", "c.toml") }, true},
		{"a file renamed", func() { must(os.Rename(path("sub", "c.toml"), path("sub", "d.toml"))) }, true},
		{"a file less", func() { must(os.Remove(path("sub", "d.toml"))) }, true},
		{"the single file", func() { must(os.WriteFile(other, []byte("y"), 0o600)) }, true},
		{"the single file gone", func() { must(os.Remove(other)) }, true},
	} {
		step.do()
		now := fingerprint()
		if (now != last) != step.changes {
			t.Errorf("%s: changed %v, want %v", step.name, now != last, step.changes)
		}
		last = now
	}
}
