package eqltest_test

import (
	"io/fs"
	"testing"

	"github.com/weir-eql/weir/eql/eqltest"
	"github.com/weir-eql/weir/internal/conformance"
)

// TestScripts runs every case of the scripts in both engines: the query over files and the worker of a stream.
func TestScripts(t *testing.T) {
	names, err := fs.Glob(eqltest.Scripts(), "*.test")
	if err != nil || len(names) == 0 {
		t.Fatalf("got scripts %v, %v", names, err)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			src, err := fs.ReadFile(eqltest.Scripts(), name)
			if err != nil {
				t.Fatal(err)
			}
			script, err := eqltest.Parse(name, src)
			if err != nil {
				t.Fatal(err)
			}
			for i := range script.Cases {
				c := &script.Cases[i]
				if err := c.Batch(conformance.Batch); err != nil {
					t.Errorf("batch: %v", err)
				}
				if err := c.Stream(conformance.OpenStream); err != nil {
					t.Errorf("stream: %v", err)
				}
			}
		})
	}
}
