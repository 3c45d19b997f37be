package rules

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2/unstable"
)

// span is a part of a file: byte offsets, end exclusive.
type span struct{ pos, end int }

// entry is where a key and its value stand in a file.
type entry struct{ key, value span }

// layout says where the keys of a TOML file stand, by dotted path in lower case; of the elements of an array of tables, the first
// that has the key.
type layout map[string]entry

// locate returns the layout of a file. What follows a syntax error is left out.
func locate(src []byte) layout {
	l := layout{}
	var p unstable.Parser
	p.Reset(src)
	prefix := ""
	for p.NextExpression() {
		node := p.Expression()
		switch node.Kind {
		case unstable.Table, unstable.ArrayTable:
			path, at := keyPath(node.Key())
			prefix = path + "."
			l.add(path, entry{key: at, value: at})
		case unstable.KeyValue:
			l.keyValue(prefix, node)
		default: // comments
		}
	}
	return l
}

// keyValue adds a key, and those of the inline table that is its value.
func (l layout) keyValue(prefix string, node *unstable.Node) {
	path, at := keyPath(node.Key())
	value := node.Value()
	e := entry{key: at, value: span{int(value.Raw.Offset), int(value.Raw.Offset + value.Raw.Length)}}
	if value.Raw.Length == 0 { // arrays and tables carry no range of their own
		e.value = span{at.end, at.end}
	}
	l.add(prefix+path, e)
	if value.Kind != unstable.InlineTable {
		return
	}
	for it := value.Children(); it.Next(); {
		if child := it.Node(); child.Kind == unstable.KeyValue {
			l.keyValue(prefix+path+".", child)
		}
	}
}

func (l layout) add(path string, e entry) {
	path = strings.ToLower(path) // the TOML library finds a struct's keys whatever their case
	if _, ok := l[path]; !ok {
		l[path] = e
	}
}

func keyPath(it unstable.Iterator) (string, span) {
	var parts []string
	var at span
	for it.Next() {
		n := it.Node()
		if len(parts) == 0 {
			at.pos = int(n.Raw.Offset)
		}
		at.end = int(n.Raw.Offset + n.Raw.Length)
		parts = append(parts, string(n.Data))
	}
	return strings.Join(parts, "."), at
}

// textMap maps the bytes of a TOML string's value to the bytes of the file that they are written with.
type textMap struct {
	text    []byte
	offsets []int // one more than text has bytes: the last is the end
}

// offset returns the file offset of the value's byte i.
func (m *textMap) offset(i int) int {
	return m.offsets[min(max(i, 0), len(m.offsets)-1)]
}

// span returns what is written for the value's bytes from i to end. An escape counts whole.
func (m *textMap) span(i, end int) span {
	return span{m.offset(i), max(m.offset(i), m.offset(end))}
}

// mapString decodes the TOML string that stands at base in its file, delimiters included, and keeps track of where
// each byte comes from. The string must be well-formed.
func mapString(raw []byte, base int) *textMap {
	quote, multiline := raw[0], false
	width := 1
	if len(raw) >= 6 && raw[1] == quote && raw[2] == quote {
		width, multiline = 3, true
	}
	body, at := raw[width:len(raw)-width], width
	if multiline {
		trimmed := trimNewline(body)
		at += len(body) - len(trimmed)
		body = trimmed
	}
	m := &textMap{text: make([]byte, 0, len(body)), offsets: make([]int, 0, len(body)+1)}
	for i := 0; i < len(body); {
		if c := body[i]; quote == '\'' || c != '\\' {
			m.text, m.offsets = append(m.text, c), append(m.offsets, base+at+i)
			i++
			continue
		}
		i += m.unescape(body[i:], base+at+i)
	}
	m.offsets = append(m.offsets, base+at+len(body))
	return m
}

func trimNewline(b []byte) []byte {
	if rest, ok := bytes.CutPrefix(b, []byte("\r\n")); ok {
		return rest
	}
	return bytes.TrimPrefix(b, []byte("\n"))
}

func (m *textMap) add(offset int, text ...byte) {
	for _, c := range text {
		m.text = append(m.text, c)
		m.offsets = append(m.offsets, offset)
	}
}

// unescape decodes the escape at the start of b and returns its length in the file.
func (m *textMap) unescape(b []byte, offset int) int {
	if len(b) < 2 {
		return len(b)
	}
	simple := map[byte]byte{'b': '\b', 't': '\t', 'n': '\n', 'f': '\f', 'r': '\r', 'e': 0x1b, '"': '"', '\\': '\\'}
	if c, ok := simple[b[1]]; ok {
		m.add(offset, c)
		return 2
	}
	digits := map[byte]int{'x': 2, 'u': 4, 'U': 8}[b[1]]
	if digits > 0 && len(b) >= 2+digits {
		if n, err := strconv.ParseUint(string(b[2:2+digits]), 16, 32); err == nil {
			m.add(offset, utf8.AppendRune(nil, rune(n))...)
		}
		return 2 + digits
	}
	// A backslash that ends a line swallows white space up to the next character.
	return 1 + len(b[1:]) - len(bytes.TrimLeft(b[1:], " \t\r\n"))
}
