package kafka_test

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/weir-eql/weir/pipeline/kafka"
	"github.com/weir-eql/weir/state"
)

// large makes an event one whose document goes to the value log of the local store.
func large(event string) string {
	return strings.TrimSuffix(event, "}") + `,"message":"` + strings.Repeat("x", 4<<10) + `"}`
}

// harmDocument changes, in the value log of a store that is closed, the file that holds what large has added to an event.
func harmDocument(t *testing.T, dir string, harm func(name string, content []byte, at int) error) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.vlog"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if at := bytes.Index(content, []byte(strings.Repeat("x", 4<<10))); at >= 0 {
			if err := harm(name, content, at+1000); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatalf("no document in %v", names)
}

// TestDocumentDamaged: the document of an event that a partial holds is damaged while the member is down, which shows when the last event of the sequence
// comes. The member ends, the next start rebuilds the state from the changelog, and the alert is published once.
func TestDocumentDamaged(t *testing.T) {
	for name, harm := range map[string]func(name string, content []byte, at int) error{
		"byte": func(name string, content []byte, at int) error {
			content[at] ^= 1
			return os.WriteFile(name, content, 0o600)
		},
		"deleted": func(name string, _ []byte, _ int) error { return os.Remove(name) },
		"cut":     func(name string, _ []byte, at int) error { return os.Truncate(name, int64(at)) },
	} {
		t.Run(name, func(t *testing.T) {
			c, dir := fakeCluster(t, 1), t.TempDir()
			m := c.start(t, c.config(), dir)
			c.produce(t, "h", large(doc("h", "1", "process", "curl", 7, 0)), doc("h", "2", "process", "true", 8, 5000))
			c.awaitRead(t, c.input)
			m.stop()
			if err := os.Remove(filepath.Join(dir, "VALUES")); err != nil { // by which the start would know of files
				t.Fatal(err)
			}
			harmDocument(t, dir, harm)
			c.runDamaged(t, dir, doc("h", "3", "network", "curl", 7, 6000), doc("h", "4", "process", "true", 8, 12_000))
			if _, err := state.Open(state.Options{Dir: dir, MemTableSize: 8 << 20}); !errors.Is(err, state.ErrCorrupt) {
				t.Fatalf("open: %v, want that it is corrupt", err)
			}
			if err := state.Destroy(dir); err != nil {
				t.Fatal(err)
			}
			m = c.start(t, c.config(), dir)
			c.awaitRead(t, c.input)
			c.awaitAlerts(t, 1)
			m.stop()
			if got := c.alerts(t); !slices.Equal(got, []string{"chain h"}) {
				t.Errorf("alerts %v, want one of the sequence", got)
			}
			if alerts := c.committed(t, c.prefix+"-alerts"); !bytes.Contains(alerts[0].Value, []byte("xxxx")) {
				t.Errorf("the alert lacks the document: %s", alerts[0].Value)
			}
		})
	}
}

// runDamaged runs a member that comes upon damage when it is given documents.
func (c *cluster) runDamaged(t *testing.T, dir string, docs ...string) {
	t.Helper()
	store, err := state.Open(state.Options{Dir: dir, MemTableSize: 8 << 20})
	if err != nil {
		t.Fatal(err)
	}
	pipe := pipelineConfig(t)
	pipe.Now = time.Now
	s := kafka.New(c.config(), kafka.Deps{Pipeline: pipe, Store: store, Now: time.Now, Logger: slog.New(slog.NewTextHandler(testLog{t}, nil))})
	c.produce(t, "h", docs...)
	if err := s.Run(t.Context()); !errors.Is(err, state.ErrCorrupt) {
		t.Errorf("run: %v, want that the state is corrupt", err)
	}
	if err := store.Close(); err != nil {
		t.Error(err)
	}
}
