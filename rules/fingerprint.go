package rules

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io/fs"
	"os"
	"path/filepath"
)

// Fingerprint returns a hash of all that Load would read under paths: names, contents, and what can't be read. Equal
// fingerprints mean equal files; times and links don't count, so that it sees a Kubernetes ConfigMap change, whose files
// are replaced by turning a link, and doesn't see a file that was only touched.
func Fingerprint(paths []string, o LoadOptions) string {
	o.EnsureDefaults()
	h := sha256.New()
	for _, p := range paths {
		clean := filepath.Clean(p)
		note(h, "path", clean)
		info, err := os.Stat(clean)
		if err != nil {
			note(h, "error", err.Error())
			continue
		}
		if !info.IsDir() {
			dir, name := filepath.Split(clean)
			noteFile(h, os.DirFS(filepath.Clean(dir)), name, o)
			continue
		}
		fsys := os.DirFS(clean)
		if err := walkTree(fsys, clean, func(name string) { noteFile(h, fsys, name, o) }); err != nil {
			note(h, "error", err.Error())
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

func noteFile(h hash.Hash, fsys fs.FS, name string, o LoadOptions) {
	note(h, "file", name)
	src, err := readLimited(fsys, name, o.MaxFileBytes)
	if err != nil {
		note(h, "error", err.Error())
		return
	}
	note(h, "content", string(src))
}

// note adds a part with its length, so that no two rows of parts have the same bytes.
func note(h hash.Hash, kind, text string) {
	_, _ = fmt.Fprintf(h, "%s %d:%s\n", kind, len(text), text) // a hash never fails to write
}
