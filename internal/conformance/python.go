package conformance

import "io/fs"

func additional(fsys fs.FS, name string, r *Result) error { return fs.ErrNotExist }
func pythonQueries(fsys fs.FS, name string, r *Result) error { return fs.ErrNotExist }
func pythonFolding(fsys fs.FS, name string, r *Result) error { return fs.ErrNotExist }
