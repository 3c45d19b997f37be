package pipeline

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/weir-eql/weir/pipeline/alert"
	"github.com/weir-eql/weir/rules"
	"github.com/weir-eql/weir/state"
)

// TestDocuments compares the memory of waiting documents with copies, whatever is released, shared and copied in between.
func TestDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type held struct {
			doc  document
			want []byte
		}
		var pools [2]documents // as a worker has one for what waits and one for what partials hold
		var all []held
		for n := range byte(rapid.IntRange(1, 200).Draw(t, "steps")) {
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 6 || len(all) == 0:
				size := rapid.SampledFrom([]int{0, 1, 2000, chunkBytes / 9, chunkBytes / 8, chunkBytes}).Draw(t, "size")
				raw := bytes.Repeat([]byte{n}, size)
				all = append(all, held{pools[n%2].copy(raw), slices.Clone(raw)})
			case op < 9:
				i := rapid.IntRange(0, len(all)-1).Draw(t, "released")
				all[i].doc.release()
				all = slices.Delete(all, i, i+1)
			default:
				i := rapid.IntRange(0, len(all)-1).Draw(t, "copied") // as a partial copies what waited
				all = append(all, held{pools[1-n%2].copy(all[i].doc.raw), all[i].want})
			}
			for _, h := range all {
				if !bytes.Equal(h.doc.raw, h.want) {
					t.Fatalf("a document of %d bytes has changed", len(h.want))
				}
			}
		}
		for i := range all {
			all[i].doc.release()
		}
		for i := range pools {
			checkEmpty(t, &pools[i])
		}
	})
}

// checkEmpty fails where a pool says that it has documents, or would hand out memory twice.
func checkEmpty(t *rapid.T, d *documents) {
	if d.filling != nil && (d.filling.refs != 0 || len(d.filling.mem) != 0) {
		t.Fatalf("%d documents are left in %d bytes", d.filling.refs, len(d.filling.mem))
	}
	for _, c := range d.free {
		if c.refs != 0 || len(c.mem) != 0 || c == d.filling || c.from != d {
			t.Fatalf("a free chunk has %d documents in %d bytes", c.refs, len(c.mem))
		}
	}
}

// TestHeldDocuments: a partial doesn't keep the documents that waited beside its own until the commit.
func TestHeldDocuments(t *testing.T) {
	set, err := rules.NewSet([]*rules.Rule{
		{ID: "a", Name: "a", Query: `sequence by host.id, user.name with maxspan=1h [any where tag == "A"] [any where tag == "B"]`},
	}, rules.SetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	cfg := &Config{Set: set, Alerts: alert.NewECS(alert.Options{})}
	cfg.EnsureDefaults()
	w, err := NewWorker(cfg, state.OpenMemory().Partition(0), 0)
	if err != nil {
		t.Fatal(err)
	}
	pad := strings.Repeat("x", 1000)
	chunks := map[*chunk]bool{}
	for i := range int64(20_000) {
		tag := "B"
		if i%100 == 0 {
			tag = "A"
		}
		doc := fmt.Appendf(nil, `{"@timestamp":%d,"host":{"id":"h"},"user":{"name":"u%d"},"tag":%q,"pad":%q}`, 1000+i, i, tag, pad)
		if err := w.Process([]Record{{Topic: "t", Offset: i, Time: 1000 + i, Clock: ClockLogAppend, Value: doc}}); err != nil {
			t.Fatal(err)
		}
		chunks[w.documents.filling] = true
	}
	if got := len(w.evidence); got < 170 {
		t.Fatalf("%d documents are held, want one for each A that doesn't wait", got)
	}
	for at, e := range w.evidence {
		if e.doc.chunk == nil || e.doc.chunk.from != &w.held {
			t.Errorf("the document of %v isn't among those that are held", at)
		}
	}
	// Two seconds of events wait, 2,000 of a good 1,000 bytes.
	if got, most := len(chunks), 3*2000*1100/chunkBytes; got > most {
		t.Errorf("%d chunks were used, at most %d are allowed", got, most)
	}
}
