package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// outFile is a file that a command writes. It gets its name when it is whole: what was there before is lost to no run that fails.
type outFile struct {
	*os.File

	path    string // as it was given
	target  string // what the file is to be called; empty where it is written directly
	written bool   // there is something to keep
}

// notAnInput makes sure that a file that a command is to write is none of those that it reads: they would be gone.
func notAnInput(flag, path string, inputs ...[]string) error {
	if path == "" || path == "-" {
		return nil
	}
	out, err := os.Stat(path)
	if err != nil {
		return nil //nolint:nilerr // what isn't there is no input
	}
	for _, files := range inputs {
		for _, in := range files {
			info, err := os.Stat(in)
			if err != nil || !os.SameFile(out, info) {
				continue
			}
			as := ""
			if in != path {
				as = ", as " + in
			}
			return fmt.Errorf("%s %s is also read%s: it would be overwritten; name another file", flag, path, as)
		}
	}
	return nil
}

// createOut opens a file for writing: one beside it that takes its name in the end, or what isn't a regular file itself.
func createOut(path string) (*outFile, error) {
	info, err := os.Stat(path)
	exists := err == nil
	if exists && (!info.Mode().IsRegular() || isOpen(path)) {
		f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
		return &outFile{File: f, path: path}, err
	}
	target := path
	if exists {
		if target, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
	}
	f, err := createBeside(target)
	switch {
	case exists && errors.Is(err, fs.ErrPermission): // the file may be ours to write where its folder isn't
		f, err := os.Create(path)
		return &outFile{File: f, path: path}, err
	case err != nil:
		return nil, err
	}
	if exists {
		if err := f.Chmod(info.Mode().Perm()); err != nil {
			return nil, errors.Join(err, f.Close(), os.Remove(f.Name()))
		}
	}
	return &outFile{File: f, path: path, target: target}, nil
}

// isOpen reports whether a path names what this process has open already, such as /dev/stdout: that has to stay the file that it is.
func isOpen(path string) bool {
	return path == os.Stdout.Name() || path == os.Stderr.Name() || strings.HasPrefix(path, "/dev/fd/") || strings.HasPrefix(path, "/proc/")
}

// mostPartials bounds the names that are tried: each may have been left by an earlier run.
const mostPartials = 100

// createBeside creates a file for what is to be called target: target.partial, or with a number where that is there.
func createBeside(target string) (*os.File, error) {
	for n := 1; ; n++ {
		name := target + ".partial"
		if n > 1 {
			name += strconv.Itoa(n)
		}
		f, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666) //nolint:gosec // as os.Create: the umask says who may read it
		if err == nil || n == mostPartials || !errors.Is(err, fs.ErrExist) {
			return f, err
		}
	}
}

// Write notes that there is something to keep.
func (o *outFile) Write(p []byte) (int, error) {
	o.written = true
	return o.File.Write(p)
}

// finish closes the file and gives it its name.
func (o *outFile) finish() error {
	if err := o.Close(); err != nil {
		return errors.Join(err, o.remove())
	}
	if o.target == "" {
		return nil
	}
	if err := os.Rename(o.Name(), o.target); err != nil {
		return fmt.Errorf("what was written is in %s: %w", o.Name(), err)
	}
	return nil
}

// keep closes the file after a run that ended early and returns the name that it keeps, empty where there is nothing in it.
func (o *outFile) keep() (name string, err error) {
	err = o.Close()
	if !o.written {
		return "", errors.Join(err, o.remove())
	}
	return o.Name(), err
}

// remove deletes what was written, where it has no other name yet.
func (o *outFile) remove() error {
	if o.target == "" {
		return nil
	}
	return os.Remove(o.Name())
}
