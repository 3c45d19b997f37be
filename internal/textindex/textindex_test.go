package textindex_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/weir-eql/weir/internal/textindex"
)

// found gathers what a search visits, each once, sorted.
func found(search func(visit func(int32) bool) bool) []int32 {
	var ids []int32
	search(func(id int32) bool {
		ids = append(ids, id)
		return false
	})
	slices.Sort(ids)
	return slices.Compact(ids)
}

// TestAgainstStrings compares with package strings, for random keys and texts over few letters, so that much is found.
func TestAgainstStrings(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 5))
	word := func(n int) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = "abAB\\.\xc3\xa9"[r.IntN(8)]
		}
		return string(b)
	}
	stem := word(300)
	long := func(n int) string { // with what many others have, in another case
		from, size := 30*r.IntN(3), r.IntN(40)
		text := []byte(word(r.IntN(2)) + stem[from:from+size] + word(n))
		for i, c := range text {
			if 'a' <= c && c <= 'b' && r.IntN(2) == 0 {
				text[i] = c - 'a' + 'A'
			}
		}
		return string(text)
	}
	hits := 0
	for round := range 4000 {
		var keys, parts []textindex.Key
		for i := range 1 + r.IntN(40) {
			k := textindex.Key{Text: lowerASCII(word(1 + r.IntN(12))), ID: int32(i / 2)}
			if round%4 == 3 {
				k.Text = lowerASCII(long(1 + r.IntN(2)))
			}
			keys = append(keys, k)
			if len(k.Text) >= textindex.MinPart {
				parts = append(parts, k)
			}
		}
		head, tail := textindex.NewTrie(keys, false), textindex.NewTrie(keys, true)
		inside := textindex.NewParts(parts)
		exact, begin, end := textindex.NewExact(keys), textindex.NewAffixes(keys, false), textindex.NewAffixes(keys, true)
		for range 10 {
			text := word(r.IntN(30))
			if round%4 == 3 {
				text = long(r.IntN(20))
			}
			want := func(keys []textindex.Key, is func(text, key string) bool) []int32 {
				var ids []int32
				for _, k := range keys {
					if is(lowerASCII(text), k.Text) {
						ids = append(ids, k.ID)
					}
				}
				slices.Sort(ids)
				return slices.Compact(ids)
			}
			check := func(what string, got, want []int32) {
				hits += len(want)
				if !slices.Equal(got, want) {
					t.Fatalf("%s of %q in %q: got %v, want %v", what, text, keys, got, want)
				}
			}
			w := textindex.WordsOf(text)
			check("equal", found(func(v func(int32) bool) bool { return slices.ContainsFunc(exact.Find(w), v) }),
				want(keys, func(text, key string) bool { return text == key }))
			check("listed beginnings", found(func(v func(int32) bool) bool { return begin.Each(text, w, v) }), want(keys, strings.HasPrefix))
			check("listed ends", found(func(v func(int32) bool) bool { return end.Each(text, w, v) }), want(keys, strings.HasSuffix))
			check("beginnings", found(func(v func(int32) bool) bool { return head.Forward(text, v) }), want(keys, strings.HasPrefix))
			check("ends", found(func(v func(int32) bool) bool { return tail.Backward(text, v) }), want(keys, strings.HasSuffix))
			if inside != nil {
				check("parts", found(func(v func(int32) bool) bool { return inside.Each(text, v) }), want(parts, strings.Contains))
			}
		}
	}
	if hits == 0 {
		t.Error("nothing was found")
	}
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

// TestLongAffixes pins that no key is missed beyond the bytes that a trie looks at.
func TestLongAffixes(t *testing.T) {
	long := strings.Repeat("a", 70)
	for _, backward := range []bool{false, true} {
		trie := textindex.NewTrie([]textindex.Key{{long, 1}, {long + "b", 2}, {"", 3}}, backward)
		search := trie.Forward
		if backward {
			search = trie.Backward
		}
		if got := found(func(v func(int32) bool) bool { return search(strings.ToUpper(long), v) }); !slices.Contains(got, 1) || slices.Contains(got, 3) {
			t.Errorf("backward %t: got %v", backward, got)
		}
	}
	if textindex.NewTrie(nil, false) != nil || textindex.NewParts(nil) != nil {
		t.Error("got an index of nothing")
	}
}

// TestWords pins that only ASCII letters are folded, that words of texts of any length say what they should, and that what
// can't be seen in the words is found rather than missed.
func TestWords(t *testing.T) {
	text := "@AZ[`az{\x80\xc1\xda\xff\x00 Zz@"
	for from := range text {
		for to := from; to <= len(text); to++ {
			got, want := textindex.WordsOf(text[from:to]), textindex.Words{Size: to - from}
			folded := lowerASCII(text[from:to])
			for i := range min(8, len(folded)) {
				want.Head |= uint64(folded[i]) << (8 * i)
				want.Tail |= uint64(folded[len(folded)-1-i]) << (56 - 8*i)
			}
			if got != want {
				t.Errorf("%q: got %x, want %x", text[from:to], got, want)
			}
		}
	}
	long := "/usr/bin/one/usr/bin/two"
	if got := textindex.NewExact([]textindex.Key{{long, 1}, {"/usr/bin/x", 2}}).Find(textindex.WordsOf("/usr/bin/xxx/usr/bin/two")); !slices.Equal(got, []int32{1}) {
		t.Errorf("got %v", got)
	}
	if textindex.NewExact(nil) != nil || textindex.NewAffixes(nil, true) != nil || textindex.NewAffixes([]textindex.Key{{"", 1}}, false) != nil {
		t.Error("got an index of nothing")
	}
}

// TestStops pins that a search ends where visit says so.
func TestStops(t *testing.T) {
	keys := []textindex.Key{{"abc", 1}, {"abcd", 2}}
	for name, search := range map[string]func(func(int32) bool) bool{
		"beginning": func(v func(int32) bool) bool { return textindex.NewTrie(keys, false).Forward("abcd", v) },
		"end": func(v func(int32) bool) bool {
			return textindex.NewTrie([]textindex.Key{{"d", 1}, {"cd", 2}}, true).Backward("abcd", v)
		},
		"part": func(v func(int32) bool) bool { return textindex.NewParts(keys).Each("xabcd abcd", v) },
	} {
		calls := 0
		if !search(func(int32) bool { calls++; return true }) || calls != 1 {
			t.Errorf("%s: got %d calls", name, calls)
		}
	}
}

func BenchmarkParts(b *testing.B) {
	line := `"C:\Windows\System32\WindowsPowerShell\v1.0\powershell.exe" -NoProfile -ExecutionPolicy Bypass -File C:\ops\a.ps1`
	for _, n := range []int{10, 100, 1000} {
		var keys []textindex.Key
		for i := range n {
			keys = append(keys, textindex.Key{Text: fmt.Sprintf("-flag%d *http", i), ID: int32(i)})
		}
		p := textindex.NewParts(keys)
		b.Run(fmt.Sprintf("%d keys", n), func(b *testing.B) {
			b.SetBytes(int64(len(line)))
			b.ReportAllocs()
			for b.Loop() {
				if p.Each(line, func(int32) bool { return true }) {
					b.Fatal("the benchmark wants a miss")
				}
			}
		})
	}
}
