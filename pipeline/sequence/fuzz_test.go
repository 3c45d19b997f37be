package sequence_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/weir-eql/weir/eql/ast"
	"github.com/weir-eql/weir/eql/parser"
	"github.com/weir-eql/weir/internal/fuzzseed"
	"github.com/weir-eql/weir/pipeline/sequence"
)

// FuzzMachine compares the machine with the model on streams in order, with watermarks and restarts between events. The
// first three arguments are the shape of the sequence; each four bytes of the stream are an event.
func FuzzMachine(f *testing.F) {
	shapes, err := shippedShapes()
	if err != nil {
		f.Fatal(err)
	}
	shapes = append(shapes, "A B C U", "!L A B", "A !M B", "A B !N", "!L A !M*2 B*3 !N U", "A*3", "A !M A !M A", "!L !M A !N", "A B*2 !N C U")
	random := uint32(1)
	for i, s := range shapes {
		stream := make([]byte, 0, 160)
		for range cap(stream) {
			random = random*1664525 + 1013904223
			stream = append(stream, byte(random>>24))
		}
		f.Add(s, byte(i%12+1), stream)
	}
	f.Fuzz(func(t *testing.T, text string, maxSpan byte, stream []byte) {
		spec, ok := fuzzSpec(text, int64(maxSpan))
		if !ok || len(stream) > 4*120 {
			t.Skip("no sequence")
		}
		m, err := sequence.New(spec)
		if err != nil {
			t.Skip(err)
		}
		compare(t, m, spec, fuzzStream(spec, stream), stream)
	})
}

// compare runs the machine twice, with ticks and restarts in between and without, and the model.
func compare(t *testing.T, m *sequence.Machine, spec sequence.Spec, stream []input, seed []byte) {
	t.Helper()
	r, plain := &runner{m: m}, &runner{m: m}
	ticked := int64(-1)
	for i, e := range stream {
		r.advance(e)
		plain.advance(e)
		what := seed[i%len(seed)]
		if what&1 == 1 {
			r.recode(t)
		}
		newest := e.ref.Time + 30
		if i+1 < len(stream) {
			newest = stream[i+1].ref.Time - 1
		}
		if at := newest - int64(what>>2&7); what&2 == 2 && at > ticked {
			ticked = at
			r.tick(ticked)
		}
	}
	plain.tick(ticked)
	r.finish()
	plain.finish()
	want := texts(model(spec, stream, ticked))
	for _, got := range []*runner{r, plain} {
		if trails(spec) { // what waits for a watermark comes later than its completion
			sortOutcomes(got.out)
		}
		if diff := cmp.Diff(want, texts(got.out)); diff != "" {
			t.Fatalf("%s, ticked to %d, with restarts: %t (-model +machine):\n%s", describe(spec), ticked, got == r, diff)
		}
	}
}

// fuzzSpec reads a shape in the notation of parseShape. It is false for text that is none.
func fuzzSpec(text string, maxSpan int64) (spec sequence.Spec, ok bool) {
	spec.MaxSpan = maxSpan
	for word := range strings.FieldsSeq(text) {
		if word == "U" {
			spec.Until = true
			continue
		}
		name, missing := strings.CutPrefix(word, "!")
		_, times, _ := strings.Cut(name, "*")
		runs, err := strconv.Atoi("0" + times)
		if err != nil || runs > 5 {
			return spec, false
		}
		spec.Stages = append(spec.Stages, sequence.Stage{Missing: missing, Runs: max(runs, 1)})
	}
	return spec, len(spec.Stages) > 0 && len(spec.Stages) <= 7
}

// fuzzStream reads events, and sorts them by their ordinals.
func fuzzStream(spec sequence.Spec, b []byte) []input {
	var stream []input
	now := int64(0)
	for i := 0; len(b) >= 4; i, b = i+1, b[4:] {
		now += []int64{0, 0, 1, 1, 2, 3, 5, 9}[b[0]&7]
		e := input{hits: map[int]sequence.Hits{}}
		e.ref.Time, e.ref.Offset = now, int64(i)
		e.ref.Topic = []string{"a", "b"}[b[0]>>3&1]
		e.ref.SubMillis = int32(b[0] >> 4 & 1)
		if e.ref.HasSeq = b[0]>>5&1 == 1; e.ref.HasSeq {
			e.ref.Sequence = int64(b[0] >> 6)
		}
		if b[3]&3 > 0 {
			e.ref.ID = strconv.Itoa(max(0, i-int(b[3]&3)/2*int(b[3]>>2&3)))
		}
		for key := range 1 + int(b[3]>>4&1) {
			var h sequence.Hits
			for s := range spec.Stages {
				h |= sequence.Hits(b[1+key]>>s&1) << s
			}
			if b[1+key]>>7 == 1 && b[3]>>5&3 == 0 {
				h |= 1 << sequence.UntilStage
			}
			e.hits[(key+int(b[3]>>7))%4] = h
		}
		stream = append(stream, e)
	}
	slices.SortStableFunc(stream, func(a, b input) int { return compareOrdinals(a.ref, b.ref) })
	return stream
}

// shippedShapes returns the shapes of the sequences that ship.
func shippedShapes() ([]string, error) {
	queries, err := fuzzseed.Queries()
	if err != nil {
		return nil, err
	}
	var shapes []string
	for _, q := range queries {
		stmt, err := parser.Parse(q)
		if err != nil {
			return nil, err
		}
		s, ok := stmt.(*ast.Sequence)
		if !ok {
			continue
		}
		var words []string
		for i, stage := range s.Stages {
			word := fmt.Sprintf("%c*%d", 'A'+i, stage.Runs)
			if stage.Missing {
				word = "!" + word
			}
			words = append(words, word)
		}
		if s.Until != nil {
			words = append(words, "U")
		}
		shapes = append(shapes, strings.Join(words, " "))
	}
	return shapes, nil
}
