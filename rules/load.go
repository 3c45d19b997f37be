package rules

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/weir-eql/weir/eql"
	"github.com/weir-eql/weir/eql/finding"
	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/event/ecs"
)

// DefaultMaxFileBytes is the size above which a file is not taken for a rule.
const DefaultMaxFileBytes = 1 << 20

// LoadOptions configure Load. The zero value is what production uses.
type LoadOptions struct {
	// MaxFileBytes limits the size of a rule file; 0 means DefaultMaxFileBytes.
	MaxFileBytes int64
	// Types tells the types of fields; nil means those of the Elastic Common Schema and of known integrations. It and Fields
	// are asked from several goroutines.
	Types func(path string) event.Type
	// KeepSource keeps the text of each file in File.Source, for what reads on.
	KeepSource bool
	// Fields knows which fields there are, to warn of others; nil means the same ones, and none where Types is set.
	Fields eql.FieldTable

	automata *eql.Automata // shared by all files
}

// EnsureDefaults fills in what is zero.
func (o *LoadOptions) EnsureDefaults() {
	if o.automata == nil {
		o.automata = eql.NewAutomata()
	}
	if o.MaxFileBytes == 0 {
		o.MaxFileBytes = DefaultMaxFileBytes
	}
	if o.Types == nil {
		o.Types = ecs.TypeOf
		if o.Fields == nil {
			o.Fields = ecs.Table{}
		}
	}
}

// Status says what became of a rule file.
type Status string

// The states of rule files.
const (
	StatusOK      Status = "ok"
	StatusError   Status = "error"
	StatusSkipped Status = "skipped" // a rule of another type, or one that isn't supported yet
)

// File is the finding on one rule file. RuleID, Name and Type are empty where the file could not be read that far.
type File struct {
	Path     string    `json:"path"`
	RuleID   string    `json:"rule_id"`
	Name     string    `json:"name"`
	Type     string    `json:"type"`
	Status   Status    `json:"status"`
	Problems []Problem `json:"problems"`
	// Silenced counts the findings that comments in the file silenced; only checking counts them.
	Silenced int `json:"silenced,omitempty"`
	// Rule is the loaded rule where Status is StatusOK, also where another file with the same id wins over it.
	Rule *Rule `json:"-"`
	// Source is the text of the file where LoadOptions.KeepSource asked for it and it could be read.
	Source *Source `json:"-"`

	idAt Problem // where the rule's id stands, for findings that concern it
}

// Collection is what a load found: each file, in the order of the paths, and the rules that are to run.
type Collection struct {
	Files []*File
	// Rules holds one rule per id: of several, the first.
	Rules []*Rule
}

// Load reads rule files and folders of them. In a folder every *.toml at any depth is a rule, but for hidden files and
// folders and for files of test cases (IsTestFile). Rule files of other types than EQL are skipped, faulty ones are in the result with all their
// problems: the error only says which paths could not be read at all, and the collection holds what could.
func Load(paths []string, o LoadOptions) (*Collection, error) {
	o.EnsureDefaults()
	var files []*File
	var errs []error
	seen := map[string]bool{}
	for _, p := range paths {
		found, err := loadPath(p, o)
		if err != nil {
			errs = append(errs, err)
		}
		for _, f := range found {
			if !seen[f.Path] {
				seen[f.Path] = true
				files = append(files, f)
			}
		}
	}
	return collect(files), errors.Join(errs...)
}

// LoadFS reads every rule file of fsys, as Load reads a folder. Paths in the result begin with prefix.
func LoadFS(fsys fs.FS, prefix string, o LoadOptions) (*Collection, error) {
	o.EnsureDefaults()
	files, err := loadTree(fsys, prefix, o)
	return collect(files), err
}

// Merge returns the files of all collections as one collection. Of several rules with one id the first wins, so explicit paths stand
// before the shipped rules.
func Merge(cs ...*Collection) *Collection {
	var files []*File
	for _, c := range cs {
		for _, f := range c.Files {
			own := *f
			own.Problems = append([]Problem(nil), f.Problems...)
			files = append(files, &own)
		}
	}
	return collect(files)
}

// Errors returns the number of files that have errors.
func (c *Collection) Errors() int {
	n := 0
	for _, f := range c.Files {
		if f.Status == StatusError {
			n++
		}
	}
	return n
}

// IsTestFile reports whether a file holds test cases rather than a rule: foo_test.toml or foo.test.toml.
func IsTestFile(name string) bool {
	return strings.HasSuffix(name, "_test.toml") || strings.HasSuffix(name, ".test.toml")
}

func loadPath(p string, o LoadOptions) ([]*File, error) {
	clean := filepath.Clean(p)
	info, err := os.Stat(clean)
	if err != nil {
		return nil, fmt.Errorf("rules: %w", err)
	}
	if info.IsDir() {
		return loadTree(os.DirFS(clean), clean, o)
	}
	dir, name := filepath.Split(clean)
	if dir == "" {
		dir = "."
	}
	f := loadFile(os.DirFS(dir), name, clean, o)
	return []*File{f}, nil
}

func loadTree(fsys fs.FS, prefix string, o LoadOptions) ([]*File, error) {
	var names []string
	err := walkTree(fsys, prefix, func(name string) { names = append(names, name) })
	files := make([]*File, len(names))
	var next atomic.Int64
	var wait sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(names)) {
		wait.Go(func() {
			for i := int(next.Add(1)) - 1; i < len(names); i = int(next.Add(1)) - 1 {
				files[i] = loadFile(fsys, names[i], joinPath(prefix, names[i]), o)
			}
		})
	}
	wait.Wait()
	return files, err
}

// walkTree calls visit with the rule files of a folder.
func walkTree(fsys fs.FS, prefix string, visit func(name string)) error {
	var errs []error
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("rules: %s: %w", joinPath(prefix, name), err))
			return nil
		case name != "." && strings.HasPrefix(d.Name(), "."):
			// Hidden, and with it the real folder behind a Kubernetes ConfigMap's links, which would double each file.
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir() || !strings.HasSuffix(name, ".toml") || IsTestFile(name):
			return nil
		}
		if info, err := fs.Stat(fsys, name); err == nil && info.IsDir() {
			return nil // a link to a folder: not followed, it might lead back
		}
		visit(name)
		return nil
	})
	if err != nil {
		errs = append(errs, fmt.Errorf("rules: %s: %w", prefix, err))
	}
	return errors.Join(errs...)
}

func joinPath(prefix, name string) string {
	if prefix == "" {
		return name
	}
	return path.Join(filepath.ToSlash(prefix), name)
}

func loadFile(fsys fs.FS, name, shown string, o LoadOptions) *File {
	src, err := readLimited(fsys, name, o.MaxFileBytes)
	if err != nil {
		return &File{Path: shown, Status: StatusError, Problems: []Problem{fileProblem(shown, err)}}
	}
	return parseFile(shown, src, o)
}

// fileProblem is the finding on a file that could not be read.
func fileProblem(path string, err error) Problem {
	code := finding.Unreadable
	return Problem{Code: code, Severity: code.Severity(), File: path, Message: err.Error(), Doc: code.Doc()}
}

func readLimited(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		if pe, ok := errors.AsType[*fs.PathError](err); ok {
			err = pe.Err // the path stands before the message already
		}
		return nil, fmt.Errorf("open: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	var src bytes.Buffer
	if info, err := f.Stat(); err == nil { // only a hint
		src.Grow(int(min(info.Size(), limit)) + bytes.MinRead)
	}
	if _, err := src.ReadFrom(io.LimitReader(f, limit+1)); err != nil {
		return nil, fmt.Errorf("read: %w", err)
	}
	if int64(src.Len()) > limit {
		return nil, fmt.Errorf("the file is larger than %d bytes", limit)
	}
	return src.Bytes(), nil
}

// collect picks one rule per id and warns about the others.
func collect(files []*File) *Collection {
	c := &Collection{Files: files}
	first := map[string]*File{}
	for _, f := range files {
		if f.Problems == nil {
			f.Problems = []Problem{} // a list in JSON even where it is empty
		}
		if f.Status != StatusOK {
			continue
		}
		winner, taken := first[f.RuleID]
		if !taken {
			first[f.RuleID] = f
			c.Rules = append(c.Rules, f.Rule)
			continue
		}
		warnDuplicate(f, winner)
	}
	return c
}

func warnDuplicate(f, winner *File) {
	p := f.idAt
	p.Message = fmt.Sprintf("duplicate rule id %s: %s wins, this rule does not run", f.RuleID, winner.Path)
	for _, old := range f.Problems {
		if old.Message == p.Message {
			return // a merge of collections finds it again
		}
	}
	f.Problems = append(f.Problems, p)
	f.settle()
}
