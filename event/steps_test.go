package event_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/event"
	"github.com/weir-eql/weir/internal/fuzzseed"
)

// stepsCase decodes documents with a decoder that follows steps, one after the other, and with one that never does.
type stepsCase struct {
	followed, plain *event.Decoder
	a, b            *event.Event
}

func newStepsCase(s *event.Schema) *stepsCase {
	c := &stepsCase{event.NewDecoder(s), event.NewDecoder(s), event.New(s), event.New(s)}
	event.NoSteps(c.plain)
	return c
}

func (c *stepsCase) check(t *testing.T, doc []byte) {
	t.Helper()
	got, want := c.followed.Decode(doc, c.a), c.plain.Decode(doc, c.b)
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Fatalf("%q: %v, want %v", doc, got, want)
	}
	if !slices.Equal(c.a.Touched(), c.b.Touched()) {
		t.Fatalf("%q: fields %v, want %v", doc, c.a.Touched(), c.b.Touched())
	}
	for _, slot := range c.b.Touched() {
		if !slices.Equal(c.a.Values(slot), c.b.Values(slot)) {
			t.Fatalf("%q: field %d is %v, want %v", doc, slot, c.a.Values(slot), c.b.Values(slot))
		}
	}
	if !slices.Equal(c.followed.Uncoerced(), c.plain.Uncoerced()) {
		t.Fatalf("%q: %v refused, want %v", doc, c.followed.Uncoerced(), c.plain.Uncoerced())
	}
}

// mutated returns a document with something changed: bytes, a piece of its own or of another document in place of a piece, its end.
func mutated(rng *rand.Rand, docs [][]byte) []byte {
	doc := bytes.Clone(docs[rng.IntN(len(docs))])
	for range rng.IntN(3) {
		if len(doc) < 2 {
			break
		}
		from := rng.IntN(len(doc))
		to := from + rng.IntN(min(40, len(doc)-from)+1)
		other := docs[rng.IntN(len(docs))]
		at := rng.IntN(len(other))
		switch rng.IntN(6) {
		case 0:
			doc[from] = "\"\\{}[],:0e x\n"[rng.IntN(13)]
		case 1:
			doc = slices.Delete(doc, from, to)
		case 2:
			doc = slices.Insert(doc, from, doc[from:to]...)
		case 3:
			doc = slices.Insert(doc, from, other[at:min(at+rng.IntN(60), len(other))]...)
		case 4:
			doc = doc[:from]
		default:
			if i := bytes.IndexByte(doc[from:], ','); i >= 0 { // documents that remain valid
				doc = slices.Insert(doc, from+i+1, []byte(`"more":[{"name":1},null],`)...)
			}
		}
	}
	return doc
}

// TestSteps: whatever documents came before, a decoder that follows steps makes the same of each as one that doesn't.
func TestSteps(t *testing.T) {
	docs := generatedDocs(60)
	for _, doc := range decodeSeeds {
		docs = append(docs, []byte(doc))
	}
	samples := benchDocs(t, "samples")
	docs = append(docs, samples[:min(len(samples), 300)]...)
	long := strings.Repeat("long.", 70)
	docs = append(docs,
		[]byte(`{"`+long+`":"1","process":{"name":"a","`+long+`":[],"pid":2},"user":{"id":"3"}}`),
		[]byte(`{"process":{"name":{"x":1},"pid":[[[["7"]]]]},"user":{"id":[{},{"y":true}],"name":"b"}}`),
		[]byte(`{"process":{"name":`+strings.Repeat("[", 25)+`"deep"`+strings.Repeat("]", 25)+`,"pid":3},"user":{"id":"u"}}`),
		[]byte(strings.Repeat(`{"process":[`, 20)+`{"name":"deep","pid":1}`+strings.Repeat(`]}`, 20)))
	for _, fields := range []string{"0", "25", "150", "all"} {
		s := namedSchema(t, fields)
		if s == nil {
			continue
		}
		t.Run(fields, func(t *testing.T) {
			c, rng := newStepsCase(s), rand.New(rand.NewPCG(1, uint64(s.Len())))
			for range 4000 {
				if rng.IntN(3) == 0 {
					c.check(t, mutated(rng, docs))
				} else {
					c.check(t, docs[rng.IntN(len(docs))])
				}
			}
		})
	}
}

// TestStepsAreBounded: documents with keys that nobody has seen before fill the table of steps and no more, and what came before
// and comes behind them is read as ever.
func TestStepsAreBounded(t *testing.T) {
	c, docs := newStepsCase(benchSchema(25)), generatedDocs(50)
	for i := range 1500 {
		c.check(t, docs[i%len(docs)])
		c.check(t, fmt.Appendf(nil, `{"k%d":{"a":1,"b%d":"x"},"process":{"pid":%d,"name":"n","z%d":true,"parent":{"name":"p"}}}`, i, i, i, i))
		if known, _ := event.Steps(c.followed); known > event.MaxSteps {
			t.Fatalf("%d steps", known)
		}
	}
}

// TestStepsPause: where keys come in any order, documents are soon read by their grammar alone most of the time; where they don't any more, steps are followed again.
func TestStepsPause(t *testing.T) {
	c, rng := newStepsCase(benchSchema(25)), rand.New(rand.NewPCG(4, 4))
	keys := make([]string, 40)
	for i := range keys {
		keys[i] = fmt.Sprintf(`"key%d":%d`, i, i)
	}
	followed := 0
	for range 3000 {
		rng.Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
		if _, pause := event.Steps(c.followed); pause == 0 {
			followed++
		}
		c.check(t, []byte("{"+strings.Join(keys, ",")+"}"))
	}
	if followed > 600 {
		t.Errorf("steps were followed in %d of 3000 documents without an order", followed)
	}
	docs := generatedDocs(50)
	_, pause := event.Steps(c.followed)
	for i := range pause + 1000 {
		c.check(t, docs[i%len(docs)])
	}
	if _, pause := event.Steps(c.followed); pause != 0 {
		t.Errorf("steps aren't followed for %d more documents", pause)
	}
}

// FuzzSteps compares as TestSteps does, for two documents by turns.
func FuzzSteps(f *testing.F) {
	events, err := fuzzseed.Events()
	if err != nil {
		f.Fatal(err)
	}
	for i, doc := range events {
		f.Add(doc, events[(i+1)%len(events)])
	}
	for i, doc := range decodeSeeds {
		f.Add([]byte(doc), []byte(decodeSeeds[(i+1)%len(decodeSeeds)]))
		f.Add([]byte(ecsDoc), []byte(doc))
	}
	s := benchSchema(25)
	for _, path := range []string{"a", "a.b", "a.b.c", "n", "i"} {
		s.Add(path)
	}
	f.Fuzz(func(t *testing.T, a, b []byte) {
		c := newStepsCase(s)
		for _, doc := range [][]byte{a, b, a, b[:len(b)/2], a, a[:len(a)*2/3], b, append(bytes.Clone(a), b...), b, a} {
			c.check(t, doc)
		}
	})
}

// TestDocumentEnds decodes documents that end, or seem to, as those before them did.
func TestDocumentEnds(t *testing.T) {
	for _, known := range []string{
		`{"process":{"name":"a","parent":{"name":"b","pid":1}}}`, `{"process":{"name":"a"}}`, `{"process":[{"name":["a"]}]}`,
		`{"process":[{"name":"a"}]}`, `[{"a":1}]`, `{"x":[[{"a":{"name":"b"}}]]}`,
		`{"process":{"pid":12}}`, `{"a":1}`, `{"process":{"a":{"b":{"c":{"d":{"e":{"f":{"g":{"name":"deep"}}}}}}}}}`,
	} {
		s := event.NewSchema(nil)
		for _, path := range []string{"process.name", "process.pid", "process.parent.name", "process.parent.pid", "a"} {
			s.Add(path)
		}
		c := newStepsCase(s)
		for range 3 {
			c.check(t, []byte(known))
		}
		closed := strings.TrimRight(known, "}]")
		for _, end := range []string{"", "}", "]", "}}", "]}", "}]", "}}}", "}}}}", "} }", "}}\n", " }}", "}}x", "}]}]}", `,"a":2}`, `},"a":2}`, `}},"a":{}}`} {
			c.check(t, []byte(closed+end))
			c.check(t, []byte(known))
		}
	}
}
