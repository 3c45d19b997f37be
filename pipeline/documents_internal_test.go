package pipeline

import (
	"bytes"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestDocuments compares the memory of waiting documents with copies, whatever is released, shared and copied in between.
func TestDocuments(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		type held struct {
			doc  document
			want []byte
		}
		var d documents
		var all []held
		for n := range byte(rapid.IntRange(1, 200).Draw(t, "steps")) {
			switch op := rapid.IntRange(0, 9).Draw(t, "op"); {
			case op < 6 || len(all) == 0:
				size := rapid.SampledFrom([]int{0, 1, 2000, chunkBytes / 9, chunkBytes / 8, chunkBytes}).Draw(t, "size")
				raw := bytes.Repeat([]byte{n}, size)
				all = append(all, held{d.copy(raw), slices.Clone(raw)})
			case op < 9:
				i := rapid.IntRange(0, len(all)-1).Draw(t, "released")
				d.release(&all[i].doc)
				all = slices.Delete(all, i, i+1)
			default:
				i := rapid.IntRange(0, len(all)-1).Draw(t, "shared")
				all = append(all, held{all[i].doc.share(), all[i].want})
			}
			for _, h := range all {
				if !bytes.Equal(h.doc.raw, h.want) {
					t.Fatalf("a document of %d bytes has changed", len(h.want))
				}
			}
		}
		for i := range all {
			d.release(&all[i].doc)
		}
		if d.filling != nil && (d.filling.refs != 0 || len(d.filling.mem) != 0) {
			t.Fatalf("%d documents are left in %d bytes", d.filling.refs, len(d.filling.mem))
		}
		for _, c := range d.free {
			if c.refs != 0 || len(c.mem) != 0 || c == d.filling {
				t.Fatalf("a free chunk has %d documents in %d bytes", c.refs, len(c.mem))
			}
		}
	})
}
