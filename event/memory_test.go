package event_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/weir-eql/weir/event"
)

// TestTextStays pins that an event keeps all text of its values, though the garbage collector doesn't find it by them: text that was unescaped or converted
// before scratch had to grow, text that was added, and that of a null of a schema that is gone.
func TestTextStays(t *testing.T) {
	path := func(i int) string { return fmt.Sprintf("f%03d", i) }
	const fields = 200
	decoded := func() (*event.Event, []string) { // what it returns is all that is left of the rest
		s := event.NewSchema(nil)
		s.SetNulls(func(path string) (string, bool) { return strings.Repeat("null ", 10), path == "null" })
		doc := &strings.Builder{}
		doc.WriteString(`{"null":null`)
		s.Add("null")
		want := []string{strings.Repeat("null ", 10)}
		for i := range fields {
			s.Add(path(i))
			fmt.Fprintf(doc, `,%q:"\\%s"`, path(i), strings.Repeat(path(i), 10))
			want = append(want, `\`+strings.Repeat(path(i), 10))
		}
		doc.WriteString("}")
		added := s.Add("added")
		want = append(want, strings.Repeat("added ", 10))
		ev := event.New(s)
		if err := event.NewDecoder(s).Decode([]byte(doc.String()), ev); err != nil {
			t.Fatal(err)
		}
		ev.Add(added, event.StringValue(strings.Repeat("added ", 10)))
		return ev, want
	}
	ev, want := decoded()
	for range 3 {
		runtime.GC()
		var garbage [][]byte
		for size := 16; size <= 16<<10; size += size / 4 {
			for range 1 << 20 / size {
				garbage = append(garbage, []byte(strings.Repeat("x", size)))
			}
		}
		runtime.KeepAlive(garbage)
	}
	for slot := range want {
		if got := ev.First(event.Slot(slot)).Str(); got != want[slot] {
			t.Errorf("field %d has become %q, want %q", slot, got, want[slot])
		}
	}
}

// TestCollectedWhileDecoding decodes while the garbage collector runs all the time: it must find nothing of the records before.
func TestCollectedWhileDecoding(t *testing.T) {
	s := event.NewSchema(nil)
	a, b, list := s.Add("a"), s.Add("b"), s.Add("list")
	var plain []byte
	for i := range 40 {
		plain = fmt.Appendf(plain, `"plain%d":"p",`, i)
		s.Add(fmt.Sprintf("plain%d", i))
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 50 {
			runtime.GC()
		}
	}()
	ev, d := event.New(s), event.NewDecoder(s)
	for i := 0; ; i++ {
		select {
		case <-done:
			return
		default:
		}
		text := strings.Repeat("t", i%4000)
		doc := fmt.Appendf(nil, `{%s"a":%q,"list":["x"%s],"b":"\\%s","list":["y","z"]}`, plain, text, strings.Repeat(`,"w"`, i%5000), text)
		if err := d.Decode(doc, ev); err != nil {
			t.Fatal(err)
		}
		ev.Add(a, event.StringValue(strings.Clone(text)))
		got := ev.Values(a)
		if len(got) != 2 || got[0].Str() != text || got[1].Str() != text || ev.First(b).Str() != `\`+text || len(ev.Values(list)) != i%5000+3 {
			t.Fatalf("document %d: %v, %v, %d of list", i, got, ev.First(b), len(ev.Values(list)))
		}
	}
}
